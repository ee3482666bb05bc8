"""A layer-3 link between two network namespaces, emulated in user space because this kernel has no netem.

Two TUN devices, one in each namespace, and a process between them that hands each IP packet on after a delay. So TCP
handshakes, HTTP, STUN, DTLS and media are all late alike, and all of it is seen in the link's trace.

- `schedule`: which packet leaves when, or never. No clock, no socket.
- `trace`: what the packets were, and how many round trips a conversation took.
- `carrier`: the process between the devices.
- `tun`: the devices and namespaces, and the `Link` that makes and removes all of it.
"""

from loadtest.link.schedule import Direction, Shape, Use
from loadtest.link.trace import Seen, Side, count_round_trips
from loadtest.link.tun import Link, create_link, open_socket_inside

__all__ = [
    "Direction",
    "Link",
    "Seen",
    "Shape",
    "Side",
    "Use",
    "count_round_trips",
    "create_link",
    "open_socket_inside",
]

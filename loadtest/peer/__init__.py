"""A WebRTC client for measurements and tests, made of aioice's STUN, pyOpenSSL and pylibsrtp: nothing of the router's
engine.

- `endpoint`: one connection: checks, DTLS, SRTP. It joins by WHIP or WHEP with an offer of `description`.
- `room_offer`: the room's static offer, and the answer to it.
- `participant`: one who joins by that offer, publishes stamped media and records what its slots show.
- `media`, `rtp`: the stamped packets. `reception`: what was received, slot by slot.
"""

from loadtest.peer.description import MEDIA, Answer, write_offer
from loadtest.peer.endpoint import Peer
from loadtest.peer.identity import Identity
from loadtest.peer.media import Camera, Voice
from loadtest.peer.participant import Join, RoomPeer
from loadtest.peer.reception import Reception, Shown
from loadtest.peer.room_offer import OfferedLine, RoomOffer

__all__ = [
    "MEDIA",
    "Answer",
    "Camera",
    "Identity",
    "Join",
    "OfferedLine",
    "Peer",
    "Reception",
    "RoomOffer",
    "RoomPeer",
    "Shown",
    "Voice",
    "write_offer",
]

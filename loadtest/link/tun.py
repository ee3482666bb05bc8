"""The devices and namespaces of an emulated link (tuntap in the kernel's documentation; ip-netns(8)).

Needs root, iproute2 and /dev/net/tun. A TUN device keeps working through its file descriptor after it moved into a
namespace. Whatever `create_link` made is gone when its block ends: the carrier by its id, the devices with their
descriptors, the namespace by its name.
"""

import ctypes
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadtest.link.schedule import Shape, Use
from loadtest.link.trace import Seen, Side

TUN = Path("/dev/net/tun")
NAMESPACES = Path("/run/netns")
# linux/if_tun.h
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
CLONE_NEWNET = 0x40000000  # linux/sched.h


def available() -> bool:
    """Whether this machine lets us make namespaces and TUN devices."""
    return os.geteuid() == 0 and shutil.which("ip") is not None and TUN.exists()


def run_ip(*arguments: str) -> None:
    """Runs one `ip` command; its error text is the exception's."""
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def open_socket_inside(namespace: str, kind: socket.SocketKind) -> socket.socket:
    """An IPv4 socket that lives in a namespace, while this process stays outside."""
    made: list[socket.socket] = []

    def enter_and_open() -> None:
        # setns(2) moves one thread only, and this one ends here. (os.setns is Python 3.12.)
        with (NAMESPACES / namespace).open() as place:
            if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns {namespace}")
        made.append(socket.socket(socket.AF_INET, kind))

    thread = threading.Thread(target=enter_and_open)
    thread.start()
    thread.join()
    return made[0]


@dataclass(frozen=True, slots=True)
class Link:
    """A link that carries, from a fresh namespace ("near", the clients') to the far side's."""

    namespace: str
    near_address: str
    far_address: str
    carrier: "subprocess.Popen[str]"

    def command(self, *arguments: str) -> list[str]:
        """The command line that runs `arguments` in the near namespace."""
        return ["ip", "netns", "exec", self.namespace, *arguments]

    def set_shape(self, shape: Shape) -> None:
        """From now on, in both directions."""
        self.set_shapes({"near": shape, "far": shape})

    def set_shapes(self, shapes: Mapping[Side, Shape]) -> None:
        """From now on, for what a side sends; other sides stay as they are."""
        self._ask({"shapes": {side: asdict(shape) for side, shape in shapes.items()}})

    def take_trace(self) -> list[Seen]:
        """What passed since the last time."""
        return [Seen(**seen) for seen in self._ask("trace")]

    def counts(self) -> dict[str, dict[str, int]]:
        """Packets lost by chance and dropped by a full queue, by the side that sent them."""
        counts: dict[str, dict[str, int]] = self._ask("counts")
        return counts

    def take_use(self) -> dict[Side, Use]:
        """What was carried and dropped since the last time, by the side that sent it."""
        return {side: Use(**use) for side, use in self._ask("use").items()}

    def _ask(self, command: object) -> Any:  # whatever the command answers
        assert self.carrier.stdin is not None
        assert self.carrier.stdout is not None
        self.carrier.stdin.write(json.dumps(command) + "\n")
        self.carrier.stdin.flush()
        line = self.carrier.stdout.readline()
        if not line:
            raise RuntimeError("the link's carrier ended")
        return json.loads(line)


@contextmanager
def _tun_device(name: str, namespace: str, address: str, peer: str) -> Iterator[int]:
    """The descriptor of a device that is up in a namespace, with one address and a route to its peer."""
    descriptor = os.open(TUN, os.O_RDWR)
    try:
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        run_ip("link", "set", name, "netns", namespace)
        run_ip("-n", namespace, "addr", "add", address, "peer", peer, "dev", name)
        # No link-local address: nothing but what the test sends crosses the link.
        run_ip("-n", namespace, "link", "set", name, "addrgenmode", "none")
        run_ip("-n", namespace, "link", "set", name, "up")
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _namespace(name: str) -> Iterator[None]:
    run_ip("netns", "add", name)
    try:
        run_ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@contextmanager
def _carrier(near: int, far: int, seed: int) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-m", "loadtest.link.carrier", str(near), str(far), str(seed)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, pass_fds=(near, far)) as carrier:
        try:
            yield carrier
        finally:
            assert carrier.stdin is not None
            carrier.stdin.close()
            carrier.wait(10)


@contextmanager
def create_link(far_namespace: str, far_address: str, *, shape: Shape, seed: int) -> Iterator[Link]:
    """A fresh namespace whose packets reach `far_address` in an existing namespace over the link only."""
    unique = os.getpid() % 200 + 20
    name, near_address = f"near-{os.getpid()}", f"10.78.{unique}.1"
    print(f"link: seed {seed}, {shape}", file=sys.stderr)
    with ExitStack() as stack:
        stack.enter_context(_namespace(name))
        devices = (
            stack.enter_context(_tun_device(f"tn{os.getpid()}", name, near_address, far_address)),
            stack.enter_context(_tun_device(f"tf{os.getpid()}", far_namespace, far_address, near_address)),
        )
        link = Link(name, near_address, far_address, stack.enter_context(_carrier(*devices, seed)))
        link.set_shape(shape)
        yield link

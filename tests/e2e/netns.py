"""A network namespace for the router, joined to this one by a veth pair.

Firefox does not use loopback for ICE, so the router lives at 10.77.N.2 in a namespace of its own and the browsers reach
it over a real (virtual) link. Needs root and iproute2; what the test made, the test removes.
"""

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
CLONE_NEWNET = 0x40000000  # linux/sched.h


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace and the two ends of its link."""

    name: str
    outside: str
    inside: str
    link: str
    """The outer end's device; the inner one's is eth0."""

    def command(self, *arguments: str) -> list[str]:
        """The command line that runs `arguments` inside."""
        return ["ip", "netns", "exec", self.name, *arguments]

    def call(self, function: Callable[[], T]) -> T:
        """What `function` returns inside, such as a socket, which stays there. This thread does not move."""
        results: list[T] = []
        errors: list[BaseException] = []

        def enter() -> None:
            # setns(2) moves one thread only, and this one ends here. (os.setns is Python 3.12.)
            try:
                with (Path("/run/netns") / self.name).open() as place:
                    if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), f"setns {self.name}")
                results.append(function())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]


def available() -> bool:
    """Whether this machine lets us make namespaces."""
    return os.geteuid() == 0 and shutil.which("ip") is not None


def run_ip(*arguments: str) -> None:
    """Runs one `ip` command; its error text is the exception's."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@contextmanager
def create_namespace() -> Iterator[Namespace]:
    """Makes the namespace, yields it, removes it with its link."""
    unique = os.getpid() % 200 + 20
    name, link = f"router-{os.getpid()}", f"rt{os.getpid()}"
    space = Namespace(name, f"10.77.{unique}.1", f"10.77.{unique}.2", link)
    run_ip("netns", "add", name)
    try:
        run_ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        # Else the link gets an address of its own after a second or two, and Chromium, which takes that for another
        # network, ends what it is loading: a page without its modules stays as it is.
        run_ip("link", "set", link, "addrgenmode", "none")
        run_ip("-n", name, "link", "set", "eth0", "addrgenmode", "none")
        run_ip("addr", "add", f"{space.outside}/24", "dev", link)
        run_ip("link", "set", link, "up")
        run_ip("-n", name, "addr", "add", f"{space.inside}/24", "dev", "eth0")
        run_ip("-n", name, "link", "set", "eth0", "up")
        run_ip("-n", name, "link", "set", "lo", "up")
        yield space
    finally:
        # The kernel takes a deleted namespace down later; the next one needs the link's name at once.
        subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

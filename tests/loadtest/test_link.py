"""The emulated link for real: two namespaces, TUN devices between them, an echo at the far end."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtest.link import Link, Shape, create_link, open_socket_inside
from loadtest.link.tun import available
from router.clock import monotonic_us
from tests.e2e.netns import create_namespace

PORT = 7007
# A quiet machine is within 0.5 ms; busy cores take longer to wake this process and the echo, hence the fastest of many.
TOLERANCE_US = 5_000
PINGS = 21

pytestmark = pytest.mark.skipif(not available(), reason="needs root, iproute2 and /dev/net/tun")


@contextmanager
def echo(namespace: str) -> Iterator[None]:
    """Sends each datagram back until told to stop."""
    server = open_socket_inside(namespace, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", PORT))

    def serve() -> None:
        while True:
            data, sender = server.recvfrom(2048)
            if data == b"stop":
                return
            server.sendto(data, sender)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        with open_socket_inside(namespace, socket.SOCK_DGRAM) as stopper:
            stopper.sendto(b"stop", ("127.0.0.1", PORT))
        thread.join(5)
        server.close()


@contextmanager
def shaped(shape: Shape) -> Iterator[tuple[Link, socket.socket]]:
    """A link with an echo at its far end, and a socket at the near one."""
    with (
        create_namespace() as far,
        create_link(far.name, far.inside, shape=shape, seed=5) as link,
        echo(far.name),
        open_socket_inside(link.namespace, socket.SOCK_DGRAM) as near,
    ):
        near.connect((link.far_address, PORT))
        near.settimeout(2)
        yield link, near


def ping(near: socket.socket, count: int) -> list[int]:
    """Round trips in microseconds, one after the other."""
    times = []
    for number in range(count):
        start = monotonic_us()
        near.send(b"ping %d" % number)
        assert near.recv(2048) == b"ping %d" % number
        times.append(monotonic_us() - start)
    return times


def refuse(link: Link) -> int:
    """How long a TCP connection takes to be refused: one round trip."""
    with open_socket_inside(link.namespace, socket.SOCK_STREAM) as client:
        start = monotonic_us()
        with pytest.raises(ConnectionRefusedError):
            client.connect((link.far_address, PORT))
        return monotonic_us() - start


def test_a_round_trip_takes_twice_the_delay() -> None:
    with shaped(Shape(delay_us=25_000)) as (link, near):
        assert 50_000 <= min(ping(near, PINGS)) <= 50_000 + TOLERANCE_US
        link.set_shape(Shape())
        assert min(ping(near, PINGS)) <= TOLERANCE_US
        trace = link.take_trace()
        assert [seen.sender for seen in trace if seen.bytes < 60] == ["near", "far"] * 2 * PINGS
        assert link.take_trace() == []


def test_tcp_is_delayed_too() -> None:
    with shaped(Shape(delay_us=20_000)) as (link, _):
        assert 40_000 <= min(refuse(link) for _ in range(5)) <= 40_000 + TOLERANCE_US
        assert ("tcp", "syn") in {(seen.protocol, seen.detail) for seen in link.take_trace()}


def test_packets_are_lost_at_the_rate_asked_for() -> None:
    with shaped(Shape(loss=0.2)) as (link, near):
        near.settimeout(0.2)
        back = 0
        for _ in range(4):
            for _ in range(100):
                near.send(b"ping")
            try:
                for _ in range(100):
                    near.recv(2048)
                    back += 1
            except TimeoutError:
                continue
        lost = link.counts()
        assert 400 - back == lost["near"]["loss"] + lost["far"]["loss"]
        # Both ways: 0.8 * 0.8 come back.
        assert 0.5 < back / 400 < 0.78


def test_nothing_is_left_behind() -> None:
    with shaped(Shape()) as (link, near):
        ping(near, 1)
        carrier = link.carrier.pid
    links = subprocess.run(["ip", "link"], check=True, capture_output=True, text=True).stdout
    assert f"tn{os.getpid()}" not in links
    assert not (Path("/run/netns") / link.namespace).exists()
    assert not Path(f"/proc/{carrier}").exists()

import asyncio
from typing import Any

import pytest
from aioice import stun

from router.errors import ConfigError, ConflictError
from router.rtc import (
    AnnouncedAddress,
    RTCCertificate,
    RTCConnection,
    RTCSocket,
    RTCSocketOptions,
    RTCSocketServer,
    RTCSocketServers,
)
from router.rtc.ice import Check
from tests.rtc.fake_engine import FakeEngine
from tests.rtc.peers import StunClient, wait_for, write_check

PLAIN_KEYS = (b"a" * 28, b"b" * 28)


class StunServer(asyncio.DatagramProtocol):
    """Answers every second request, as if the first had been lost, with a made-up public address."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, tuple[str, int]]] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.requests.append((data, addr))
        if len(self.requests) % 2 == 0:
            response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, data[8:20])
            response.attributes["XOR-MAPPED-ADDRESS"] = ("203.0.113.7", 4711)
            self.transport.sendto(bytes(response), addr)


def make_socket(fake: FakeEngine, **options: Any) -> RTCSocket:
    return RTCSocket(options=RTCSocketOptions(**{"address": "127.0.0.1", **options}), engine=fake)  # type: ignore[arg-type]


async def test_candidates_come_one_by_one_and_then_the_end_once(fake: FakeEngine) -> None:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(StunServer, local_addr=("127.0.0.1", 0))
    url = f"stun:127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    servers = RTCSocketServers([RTCSocketServer(url), RTCSocketServer("turn:127.0.0.1", "user", "secret")])
    socket = RTCSocket(servers, RTCSocketOptions(address="127.0.0.1"), engine=fake)  # type: ignore[arg-type]
    seen: list[Any] = []
    socket.oncandidate = seen.append
    socket.oncandidatesdone = lambda: seen.append("done")
    await socket.bind()
    await socket.bind()
    host, reflexive, done = seen
    assert done == "done"
    assert (host.type, host.address, host.port) == ("host", "127.0.0.1", socket.port)
    assert (reflexive.type, reflexive.address, reflexive.port) == ("srflx", "203.0.113.7", 4711)
    assert (reflexive.related_address, reflexive.related_port) == ("127.0.0.1", socket.port)
    assert host.priority > reflexive.priority
    assert host.foundation != reflexive.foundation
    assert socket.candidates == (host, reflexive)
    assert socket.gathered
    assert server.requests[0] == server.requests[1], "repeated, from the shared port"
    assert server.requests[0][1] == ("127.0.0.1", socket.port)
    assert len(fake.native.sockets) == 1
    socket.close()
    socket.close()
    transport.close()
    with pytest.raises(ConflictError):
        await socket.bind()


async def test_closing_while_gathering_leaves_nothing(fake: FakeEngine) -> None:
    silent = await StunClient.open()
    servers = RTCSocketServers([RTCSocketServer(f"stun:127.0.0.1:{silent.address[1]}")])
    socket = RTCSocket(servers, RTCSocketOptions(address="127.0.0.1"), engine=fake)  # type: ignore[arg-type]
    socket.open()
    assert [candidate.type for candidate in socket.candidates] == ["host"]
    assert not socket.gathered
    await wait_for(lambda: silent.received)
    socket.close()
    with pytest.raises(asyncio.CancelledError):
        await socket._gathering  # type: ignore[misc]
    assert not socket._gatherer._pending
    silent.close()


async def test_announced_addresses_replace_the_bound_one(fake: FakeEngine) -> None:
    socket = make_socket(
        fake, announced_addresses=("198.51.100.1", AnnouncedAddress("198.51.100.2", 99), "2001:db8::1")
    )
    await socket.bind()
    found = [(item.address, item.port) for item in socket.candidates]
    assert found == [("198.51.100.1", socket.port), ("198.51.100.2", 99)]
    assert socket.candidates[0].priority > socket.candidates[1].priority
    socket.close()


async def test_without_mux_the_next_port_is_bound_for_rtcp(fake: FakeEngine) -> None:
    socket = make_socket(fake, mux=False, keys=PLAIN_KEYS)
    await socket.bind()
    assert [(item.component, item.port) for item in socket.candidates] == [(1, socket.port), (2, socket.port + 1)]
    assert len(fake.native.sockets) == 2
    socket.close()
    assert not fake.native.sockets


async def test_a_taken_port_is_the_operating_systems_refusal(fake: FakeEngine) -> None:
    first = make_socket(fake)
    await first.bind()
    with pytest.raises(OSError, match="in use"):
        make_socket(fake, port=first.port).open()
    with pytest.raises(OSError, match="in use"):
        make_socket(fake, port=first.port - 1, mux=False, keys=PLAIN_KEYS).open()
    first.close()
    assert not fake.native.sockets


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"kind": ("audio", "smell")}, "kind"),
        ({"kind": ()}, "kind"),
        ({"kind": "audio"}, "kind"),
        ({"port": 65536}, "port"),
        ({"address": "localhost"}, "address"),
        ({"announced_addresses": ("example.org",)}, "announced_addresses"),
        ({"keys": (b"srtp master key",)}, "keys"),
        ({"keys": (("certificate", "key"),), "mux": False}, "keys"),
    ],
)
def test_bad_options_name_the_field(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        RTCSocketOptions(**options)


async def test_keys_are_the_certificate_that_peers_see(fake: FakeEngine) -> None:
    certificate, other = (RTCCertificate.generate(now_s=1_800_000_000) for _ in range(2))
    origin = RTCConnection()
    origin.add_socket(make_socket(fake, keys=(certificate,)))
    origin.add_socket(make_socket(fake, keys=(certificate,)))
    assert origin.fork().get_description("local").fingerprints == (certificate.fingerprint,)
    with pytest.raises(ConfigError, match="keys"):
        origin.add_socket(make_socket(fake, keys=(other,)))
    await origin.close()
    assert not fake.native.sockets


async def test_a_user_name_fragment_belongs_to_one_fork(fake: FakeEngine) -> None:
    """A collision is refused when it would come about, not found out by a check of the wrong peer (I10)."""

    class Fork:
        def __init__(self) -> None:
            self.checks: list[bytes] = []

        def handle_check(self, socket: RTCSocket, source: tuple[str, int], check: Check) -> None:
            self.checks.append(check.transaction_id)

    socket, first, second = make_socket(fake), Fork(), Fork()
    socket.add_endpoint("fragment", first)
    socket.add_endpoint("fragment", first)
    with pytest.raises(ConflictError, match="user name fragment"):
        socket.add_endpoint("fragment", second)
    check = write_check("fragment", "password")
    socket.on_stun(("192.0.2.1", 5), check)
    assert (first.checks, second.checks) == ([check[8:20]], [])


async def test_small_kernel_buffers_are_told_with_the_sysctl(
    fake: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    fake.native.max_buffer_bytes = 100_000
    for receive_buffer_bytes in (100_000, 100_001):
        assert not caplog.records
        socket = make_socket(fake, receive_buffer_bytes=receive_buffer_bytes, send_buffer_bytes=100_000)
        socket.open()
        socket.close()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert vars(record)["granted_bytes"] == 100_000
    assert vars(record)["fix"] == "sysctl -w net.core.rmem_max=100001"

import asyncio
import functools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aioice import stun
from aiortc import RTCPeerConnection
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from loadtest import checks
from router.errors import ConnectionClosedError
from router.rtc import ForkOnCheck, RTCConnection, RTCConstraints
from router.rtc import transport as transport_module
from router.rtc.dtls import DtlsSession, RTCCertificate, make_context
from router.rtc.sdp import parse
from tests.rtc.fake_engine import FakeEngine
from tests.rtc.offers import publisher
from tests.rtc.peers import StunClient, answer_text, join, make_offer, make_peer, wait_for, write_check
from tests.rtc.test_ice import unauthenticated_checks


@pytest.fixture
async def client() -> AsyncIterator[StunClient]:
    opened = await StunClient.open()
    yield opened
    opened.close()


@pytest.fixture
async def peer() -> AsyncIterator[RTCPeerConnection]:
    connection = make_peer()
    connection.addTrack(AudioStreamTrack())
    connection.addTrack(VideoStreamTrack())
    yield connection
    await connection.close()


def port_of(origin: RTCConnection) -> int:
    return origin.get_sockets()[0].port


async def settle(fake: FakeEngine, client: StunClient, port: int) -> None:
    """Waits until everything sent before has been handled: loopback keeps the order."""
    arrived = asyncio.Event()
    handler = next(iter(fake.socket_handlers.values()))
    forward, marker = handler.on_stun, b"\x00\x01" + bytes(2)

    def on_stun(source: tuple[str, int], data: bytes) -> None:
        if data == marker:
            arrived.set()
        else:
            forward(source, data)

    handler.on_stun = on_stun
    client.send(port, marker)
    await asyncio.wait_for(arrived.wait(), 2)
    del handler.on_stun


def credentials(fork: RTCConnection) -> tuple[str, str]:
    local = fork.get_description("local")
    return local.ufrag, local.password


# -- checks --------------------------------------------------------------------------------------------------------


async def test_an_authentic_check_is_answered_and_gives_a_tuple(
    origin: RTCConnection, fake: FakeEngine, client: StunClient
) -> None:
    fork = origin.fork()
    assert fork.transport.id is None, "an invitation costs the engine nothing"
    ufrag, password = credentials(fork)
    request = client.check(port_of(origin), ufrag, password)
    await wait_for(lambda: client.received)
    answer = stun.parse_message(client.received[0])
    assert answer.message_class == stun.Class.RESPONSE
    assert answer.transaction_id == request[8:20]
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == client.address
    assert answer.check_message_integrity(password.encode())
    assert fake.native.calls == [
        ("add_tuple", (fork.transport.id, client.address, True, checks.ATTRIBUTES["PRIORITY"]))
    ]


@pytest.mark.parametrize(
    "name", [*unauthenticated_checks(), "wrong key", "peer's key", "unknown fragment", "other fork"]
)
async def test_nothing_follows_from_a_bad_check(
    origin: RTCConnection, fake: FakeEngine, client: StunClient, name: str
) -> None:
    fork, other = origin.fork(), origin.fork()
    fork.set_description(publisher())
    ufrag, password = credentials(fork)
    data = {
        **{key: value.replace(b"local", ufrag[:5].encode()) for key, value in unauthenticated_checks().items()},
        "wrong key": write_check(ufrag, "x" * 32),
        "peer's key": write_check(ufrag, publisher().password),
        "unknown fragment": write_check(origin.context.mint_ufrag(), password),
        "other fork": write_check(ufrag, credentials(other)[1]),
    }[name]
    for _ in range(3):
        client.send(port_of(origin), data)
    await settle(fake, client, port_of(origin))
    assert not fake.native.sent
    assert not fake.native.calls
    assert other.transport.id is None
    client.check(port_of(origin), ufrag, password)
    await wait_for(lambda: client.received)


async def test_the_peers_fragment_must_be_the_described_one(
    origin: RTCConnection, fake: FakeEngine, client: StunClient
) -> None:
    fork = origin.fork()
    fork.set_description(publisher())
    client.check(port_of(origin), *credentials(fork), remote="stranger")
    await settle(fake, client, port_of(origin))
    assert not fake.native.sent
    assert not fake.native.calls


async def test_a_peer_that_claims_our_role_is_told_so(
    origin: RTCConnection, fake: FakeEngine, client: StunClient
) -> None:
    fork = origin.fork()
    ufrag, password = credentials(fork)
    client.check(port_of(origin), ufrag, password, ICE_CONTROLLING=False, ICE_CONTROLLED=5)
    await wait_for(lambda: client.received)
    answer = stun.parse_message(client.received[0])
    assert answer.attributes["ERROR-CODE"] == (487, "Role Conflict")
    assert answer.check_message_integrity(password.encode())
    assert not fake.native.calls


async def test_a_fork_is_born_from_its_first_valid_check(
    origin: RTCConnection, fake: FakeEngine, client: StunClient
) -> None:
    ufrag = origin.context.mint_ufrag()
    password = origin.context.fork_password(ufrag)
    port = port_of(origin)
    client.check(port, ufrag, password)
    await settle(fake, client, port)
    assert not client.received, "off by default"

    born: list[RTCConnection] = []
    origin.fork_on_check = ForkOnCheck(password=origin.context.fork_password, born=born.append)
    client.check(port, ufrag, "not the password of this fork")
    client.check(port, "another-context-" + ufrag, password)
    await settle(fake, client, port)
    assert not born
    for _ in range(3):
        client.check(port, ufrag, password)
    await wait_for(lambda: len(client.received) == 3)
    (fork,) = born
    assert fork.origin is origin
    assert credentials(fork) == (ufrag, password)
    fork.set_description(publisher())
    await fork.close()


async def test_restarts_keep_two_generations_at_most(
    origin: RTCConnection, fake: FakeEngine, client: StunClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "OLD_CREDENTIALS_S", 0.05)
    fork = origin.fork()
    fork.set_description(publisher())
    port, socket = port_of(origin), origin.get_sockets()[0]
    first = credentials(fork)
    client.check(port, *first)
    await wait_for(lambda: len(client.received) == 1)
    for count in range(100):
        latest = fork.restart_ice(f"peer{count}", "another-password-of-22-characters")
    assert latest == credentials(fork)
    own = credentials(origin)[0]
    assert set(socket._endpoints) == {own, first[0], latest[0]}
    client.check(port, *first)
    await wait_for(lambda: len(client.received) == 2)
    client.check(port, *latest)
    await settle(fake, client, port)
    assert len(client.received) == 2, "the peer's fragment is of an older generation"
    client.check(port, *latest, remote="peer99")
    await wait_for(lambda: len(client.received) == 3)
    await wait_for(lambda: set(socket._endpoints) == {own, latest[0]})
    client.check(port, *first)
    await settle(fake, client, port)
    assert len(client.received) == 3


# -- DTLS ----------------------------------------------------------------------------------------------------------


async def test_an_aiortc_peer_connects_as_dtls_client(
    origin: RTCConnection, fake: FakeEngine, peer: RTCPeerConnection
) -> None:
    fork = origin.fork()
    seen: list[Any] = []
    fork.onconnected = lambda socket: seen.append(("connected", socket))
    fork.onactiveconnectioncandidate = lambda pair: seen.append(("pair", pair.local.type, pair.remote.address))
    await join(peer, fork)
    await wait_for(lambda: peer.connectionState == "connected")
    await wait_for(lambda: len(seen) >= 2)
    assert ("connected", origin.get_sockets()[0]) in seen
    assert seen[0][:2] == ("pair", "host")
    names = [name for name, _ in fake.native.calls if name != "add_tuple"]
    assert names == ["set_srtp"]
    assert fake.srtp[fork.transport.id or 0][0] == "AEAD_AES_128_GCM"
    await fork.close()
    await wait_for(lambda: peer.connectionState in ("closed", "failed"))


async def test_an_aiortc_peer_connects_as_dtls_server(
    origin: RTCConnection, fake: FakeEngine, peer: RTCPeerConnection
) -> None:
    fork = origin.fork(constraints=RTCConstraints(srtp_profiles=("AES128_CM_SHA1_80",)))
    offer = await join(peer, fork, lambda text: text.replace("a=setup:actpass", "a=setup:passive"))
    assert offer.dtls_role == "passive"
    assert fork.get_description("local").dtls_role == "active"
    await wait_for(lambda: peer.connectionState == "connected")
    await wait_for(lambda: fake.srtp)
    assert fake.srtp[fork.transport.id or 0][0] == "AES128_CM_SHA1_80"


async def test_a_wrong_fingerprint_ends_the_fork_before_any_key(
    origin: RTCConnection, fake: FakeEngine, peer: RTCPeerConnection
) -> None:
    fork, reasons = origin.fork(), []
    fork.ondisconnected = lambda _socket, reason: reasons.append(reason)
    other = RTCCertificate.generate(now_s=1_800_000_000).fingerprint
    await join(peer, fork, lambda text: replace_fingerprints(text, other.value))
    await wait_for(lambda: fork.closed)
    assert reasons == ["dtls: the certificate is not the one of the description"]
    assert not fake.srtp
    assert "validate_tuple" not in [name for name, _ in fake.native.calls]
    assert not fake.native.transports


def replace_fingerprints(text: str, value: str) -> str:
    lines = text.split("\r\n")
    return "\r\n".join(f"a=fingerprint:sha-256 {value}" if "a=fingerprint" in line else line for line in lines)


async def test_the_description_may_come_after_the_handshake(
    origin: RTCConnection, fake: FakeEngine, client: StunClient
) -> None:
    certificate = RTCCertificate.generate(now_s=1_800_000_000)
    fork = origin.fork()
    connected: list[Any] = []
    fork.onconnected = connected.append
    session = await shake_hands(origin, fork, client, certificate)
    assert session.state == "connected"
    assert not fake.srtp
    fork.set_description(publisher(fingerprints=(certificate.fingerprint,)))
    assert connected == [origin.get_sockets()[0]]
    assert [name for name, _ in fake.native.calls] == ["add_tuple", "validate_tuple", "set_srtp"]
    profile, inbound, outbound = fake.srtp[fork.transport.id or 0]
    keys = session.srtp_keys()
    assert (profile, inbound, outbound) == (keys.profile, keys.outbound, keys.inbound)


async def test_a_late_description_of_another_certificate_ends_the_fork(
    origin: RTCConnection, fake: FakeEngine, client: StunClient
) -> None:
    fork = origin.fork()
    await shake_hands(origin, fork, client, RTCCertificate.generate(now_s=1_800_000_000))
    with pytest.raises(ConnectionClosedError, match="certificate"):
        fork.set_description(publisher())
    assert fork.closed
    assert not fake.srtp
    assert not origin.context.contributors


async def test_a_description_that_never_comes_ends_the_fork(
    origin: RTCConnection, fake: FakeEngine, client: StunClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "DESCRIPTION_TIMEOUT_S", 0.05)
    fork = origin.fork()
    await shake_hands(origin, fork, client, RTCCertificate.generate(now_s=1_800_000_000))
    await wait_for(lambda: fork.closed)
    assert fork.close_reason == "the description never came"


async def test_close_notify_of_the_peer_ends_the_fork(
    origin: RTCConnection, fake: FakeEngine, client: StunClient
) -> None:
    certificate = RTCCertificate.generate(now_s=1_800_000_000)
    fork = origin.fork()
    fork.set_description(publisher(fingerprints=(certificate.fingerprint,)))
    session = await shake_hands(origin, fork, client, certificate)
    session.close()
    for datagram in session.poll_datagrams():
        client.send(port_of(origin), datagram)
    await wait_for(lambda: fork.closed)
    assert fork.close_reason == "dtls: closed by the peer"


async def test_dtls_before_any_check_is_not_even_seen(
    origin: RTCConnection, fake: FakeEngine, client: StunClient
) -> None:
    fork = origin.fork()
    fork.set_description(publisher())
    session = DtlsSession(make_context(RTCCertificate.generate(now_s=1)), "active", now_us=0)
    session.start(0)
    for datagram in session.poll_datagrams():
        client.send(port_of(origin), datagram)
    await settle(fake, client, port_of(origin))
    assert not fake.native.sent
    assert isinstance(fork.transport, transport_module.PeerTransport)
    assert fork.transport._dtls is None


async def test_dtls_waits_for_a_proven_path_and_never_answers_elsewhere(
    origin: RTCConnection, fake: FakeEngine, client: StunClient
) -> None:
    """A forged source address of an authentic check gets the answer to that check and not one byte of DTLS (I5)."""
    certificate = RTCCertificate.generate(now_s=1_800_000_000)
    fork, port = origin.fork(), port_of(origin)
    fork.set_description(publisher(fingerprints=(certificate.fingerprint,)))
    ufrag, password = credentials(fork)
    stranger = await StunClient.open()
    stranger.check(port, ufrag, password, USE_CANDIDATE=False)
    await wait_for(lambda: stranger.received)
    session = DtlsSession(make_context(certificate), "active", now_us=0)
    session.start(0)
    (hello,) = session.poll_datagrams()
    other = DtlsSession(make_context(RTCCertificate.generate(now_s=1)), "active", now_us=0)
    other.start(0)
    for _ in range(20):
        for datagram in other.poll_datagrams() or [hello]:
            stranger.send(port, datagram)
    await settle(fake, stranger, port)
    assert isinstance(fork.transport, transport_module.PeerTransport)
    assert fork.transport._dtls is None
    (kept,) = fork.transport._early.values()
    assert len(kept) == transport_module.MAX_EARLY_DATAGRAMS
    client.check(port, ufrag, password, USE_CANDIDATE=False)
    await wait_for(lambda: client.received)
    client.send(port, hello)
    await settle(fake, client, port)
    client.check(port, ufrag, password)
    await wait_for(lambda: len(client.received) >= 3)
    assert fork.transport._dtls is not None
    assert fork.transport._dtls._restarts == 0
    assert client.received[2][0] == 22, "its own early hello is answered over the selected pair"
    assert len(stranger.received) == 1
    stranger.close()


async def test_an_unproven_path_gets_at_most_three_times_its_bytes(
    origin: RTCConnection, fake: FakeEngine, client: StunClient
) -> None:
    fork, port = origin.fork(), port_of(origin)
    sent = len(client.check(port, *credentials(fork)))
    await wait_for(lambda: client.received)
    session = DtlsSession(make_context(RTCCertificate.generate(now_s=1)), "active", now_us=0)
    session.start(0)
    (hello,) = session.poll_datagrams()
    for _ in range(3):
        client.send(port, hello)
        sent += len(hello)
        await settle(fake, client, port)
        assert sum(map(len, client.received)) <= 3 * sent


async def shake_hands(
    origin: RTCConnection, fork: RTCConnection, client: StunClient, certificate: RTCCertificate
) -> DtlsSession:
    """A hand-made peer: one check, garbage, then DTLS."""
    port = port_of(origin)
    client.check(port, *credentials(fork))
    await wait_for(lambda: client.received)
    client.received.clear()
    client.send(port, b"\x16\xfe\xfd" + bytes(40))
    session = DtlsSession(make_context(certificate), "active", now_us=0)
    session.start(0)
    while session.state == "handshaking":
        for datagram in session.poll_datagrams():
            client.send(port, datagram)
        await wait_for(lambda: client.received)
        while client.received:
            session.handle_datagram(client.received.pop(0), 0)
    return session


# -- many forks ----------------------------------------------------------------------------------------------------


async def test_sixteen_forks_share_one_port_and_leave_one_by_one(origin: RTCConnection, fake: FakeEngine) -> None:
    forks = [origin.fork() for _ in range(16)]
    clients = [await StunClient.open() for _ in forks]
    port = port_of(origin)
    assert len(fake.native.sockets) == 1
    for fork, client in zip(forks, clients, strict=True):
        client.check(port, *credentials(fork))
    await wait_for(lambda: all(client.received for client in clients))
    assert len(fake.native.transports) == 16
    for index, (fork, client) in enumerate(zip(forks, clients, strict=True)):
        gone = credentials(fork)
        await fork.close()
        client.received.clear()
        client.check(port, *gone)
        await settle(fake, client, port)
        assert not client.received
        assert len(fake.native.transports) == 15 - index
        if index < 15:
            following = clients[index + 1]
            following.received.clear()
            following.check(port, *credentials(forks[index + 1]))
            await wait_for(functools.partial(bool, following.received))
    for client in clients:
        client.close()


async def test_the_answer_reads_back_as_written(origin: RTCConnection, peer: RTCPeerConnection) -> None:
    fork = origin.fork()
    fork.set_description(parse(await make_offer(peer)))
    local = fork.get_description("local")
    again = parse(answer_text(fork))
    assert (again.ufrag, again.password, again.fingerprints) == (local.ufrag, local.password, local.fingerprints)
    assert {(item.address, item.port) for item in again.candidates} == {("127.0.0.1", port_of(origin))}

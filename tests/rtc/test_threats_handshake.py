"""Attacks on the set-up of a call, through the real engine (`threats-and-faults.md` D1-D4, D6, I1, S4, R13, R14).

Each defence is shown to be needed in `router/engine-rs/docs/threats.md`.
"""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from router.errors import RemoteSdpError
from router.rtc import MediaEngine, RTCCertificate, RTCConnection, RTCFingerprint
from router.rtc.dtls import DtlsSession, make_context
from router.rtc.sdp import parse
from tests.rtc.dtls_peer import DtlsPeer, rtp
from tests.rtc.offers import publisher
from tests.rtc.peers import StunClient, add_media, dtls_of, make_offer, make_peer, wait_for, write_check
from tests.rtc.test_dtls import fragment
from tests.rtc.test_ice import unauthenticated_checks

pytestmark = pytest.mark.e2e
SETUPS = 40


@pytest.fixture
async def peer() -> AsyncIterator[DtlsPeer]:
    opened = await DtlsPeer.open()
    yield opened
    opened.close()


def dropped(engine: MediaEngine, reason: str) -> int:
    return engine.native.counters()[0]["dropped"][reason]


def hello(context: SSL.Context) -> bytes:
    session = DtlsSession(context, "active", now_us=0)
    session.start(0)
    (datagram,) = session.poll_datagrams()
    return datagram


def weak_context(ciphers: bytes) -> SSL.Context:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_options(SSL.OP_NO_QUERY_MTU)
    context.set_cipher_list(ciphers)
    return context


def hostile_hellos() -> list[bytes]:
    """A valid one, one of NULL ciphers, fragments, halves, noise."""
    valid = hello(make_context(RTCCertificate.generate(now_s=1)))
    null = hello(weak_context(b"eNULL:@SECLEVEL=0"))
    return [
        valid,
        null,
        *fragment(valid, 60),
        valid[:80],
        valid[:13],
        b"\x16\xfe\xfd" + bytes(60),
        b"\x15\xfe\xfd" + bytes(12),
    ]


# -- D1, D2 --------------------------------------------------------------------------------------------------------


async def test_hellos_from_elsewhere_never_disturb_a_set_up(room: RTCConnection, engine: MediaEngine) -> None:
    """D1 a and b: another address, and another port of the victim's own."""
    attackers = [await StunClient.open("127.0.0.2"), await StunClient.open()]
    port, hellos = room.get_sockets()[0].port, hostile_hellos()
    spraying, sprayed = True, 0

    async def spray() -> None:
        nonlocal sprayed
        while spraying:
            for attacker in attackers:
                for datagram in hellos:
                    attacker.transport.sendto(datagram, ("127.0.0.1", port))
                    sprayed += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(spray())
    for _ in range(SETUPS):
        fork, peer = room.fork(), await DtlsPeer.open()
        await peer.connect(fork)
        assert not peer.alerts
        session = dtls_of(fork)
        assert session is not None
        assert session._restarts == 0, "no forged hello reached the session"
        await fork.close()
        peer.close()
    spraying = False
    await task
    assert sprayed > 1000
    await wait_for(lambda: dropped(engine, "dtls-unknown-tuple") > sprayed // 2)
    for attacker in attackers:
        assert not attacker.received
        attacker.close()


async def test_hellos_from_the_victims_own_address_before_its_own_do_not_stop_it(room: RTCConnection) -> None:
    """D1 c in part: the exact 5-tuple, forged, before the genuine hello."""
    source = random.Random(seed := random.randrange(2**32))
    print("seed", seed)
    for _ in range(10):
        fork, peer = room.fork(), await DtlsPeer.open()
        fork.set_description(publisher(fingerprints=(peer.certificate.fingerprint,)))
        await peer.reach(fork)
        for datagram in source.choices(hostile_hellos(), k=8):
            peer.send(peer.port, datagram)
        # The genuine hello comes when the answers to the forged ones have passed.
        await asyncio.sleep(0.05)
        peer.start_dtls()
        await peer.wait_connected(fork)
        await fork.close()
        peer.close()


async def test_dtls_before_a_check_reaches_nobody(room: RTCConnection, engine: MediaEngine, peer: DtlsPeer) -> None:
    """D2 from an unknown tuple: dropped and counted; the same hello works after a check."""
    fork = room.fork()
    fork.set_description(publisher(fingerprints=(peer.certificate.fingerprint,)))
    peer.port = room.get_sockets()[0].port
    peer.start_dtls()
    await wait_for(lambda: dropped(engine, "dtls-unknown-tuple") == 1)
    assert not peer.received
    assert dtls_of(fork) is None
    await peer.reach(fork)
    peer.start_dtls()
    await peer.wait_connected(fork)


async def test_dtls_on_an_unproven_path_is_not_answered(
    room: RTCConnection, engine: MediaEngine, peer: DtlsPeer
) -> None:
    """D2 from a tuple that an authentic check made known, but whose path nobody has proven."""
    fork = room.fork()
    fork.set_description(publisher(fingerprints=(peer.certificate.fingerprint,)))
    deaf = await StunClient.open()
    port, local = room.get_sockets()[0].port, fork.get_description("local")
    deaf.check(port, local.ufrag, local.password)
    await wait_for(lambda: any(data[:2] == b"\x01\x01" for data in deaf.received))
    for _ in range(30):
        deaf.send(port, hello(make_context(peer.certificate)))
    await asyncio.sleep(0.3)
    assert dtls_of(fork) is None
    assert all(data[0] < 4 for data in deaf.received), "no DTLS to a path that is not proven"
    await peer.reach(fork)
    peer.start_dtls()
    await peer.wait_connected(fork)
    assert all(data[0] < 4 for data in deaf.received)
    session = dtls_of(fork)
    assert session is not None
    assert session._restarts == 0, "no hello of an unproven path was heard, early or late"
    before = dropped(engine, "unproven-tuple")
    deaf.send(port, hello(make_context(peer.certificate)))
    await wait_for(lambda: dropped(engine, "unproven-tuple") == before + 1)
    deaf.close()


# -- D3 ------------------------------------------------------------------------------------------------------------


def fingerprint_cases() -> dict[str, bool]:
    return {
        "of another certificate": False,
        "sha-1 only": False,
        "md5 only": False,
        "empty value": False,
        "a prefix": False,
        "none": False,
        "several, one right": True,
        "several, right one weak": False,
    }


@pytest.mark.parametrize(("name", "good"), fingerprint_cases().items())
async def test_only_the_described_certificate_gets_keys(
    room: RTCConnection, engine: MediaEngine, peer: DtlsPeer, name: str, good: bool
) -> None:
    certificate = peer.certificate.certificate
    right, other = peer.certificate.fingerprint, RTCCertificate.generate(now_s=1_800_000_000).fingerprint
    sha1 = RTCFingerprint("sha-1", certificate.fingerprint(hashes.SHA1()).hex(":").upper())
    lines = {
        "of another certificate": (other,),
        "sha-1 only": (sha1,),
        "md5 only": (RTCFingerprint("md5", certificate.fingerprint(hashes.MD5()).hex(":").upper()),),
        "empty value": (RTCFingerprint("sha-256", ""),),
        "a prefix": (RTCFingerprint("sha-256", right.value[:-3]),),
        "none": (),
        "several, one right": (other, sha1, right),
        "several, right one weak": (other, sha1),
    }[name]
    fork = room.fork()
    fork.set_description(publisher(fingerprints=lines))
    await peer.reach(fork)
    peer.start_dtls()
    if good:
        await peer.wait_connected(fork)
        return
    session = peer.session
    await wait_for(lambda: session is not None and session.state != "handshaking")
    await wait_for(lambda: fork.closed, 1.0)
    assert fork.close_reason == "dtls: the certificate is not the one of the description"
    assert not engine._sessions, "no keys were given to the engine"
    await assert_still_serving(room)


def thief() -> tuple[SSL.Context, RTCFingerprint]:
    """Somebody's certificate, without its private key: the numbers of the key are another's."""
    owner, other = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    made = RTCCertificate.generate(now_s=1_800_000_000).certificate
    builder = x509.CertificateBuilder(issuer_name=made.issuer, subject_name=made.subject, public_key=owner.public_key())
    builder = builder.serial_number(1).not_valid_before(made.not_valid_before_utc)
    certificate = builder.not_valid_after(made.not_valid_after_utc).sign(owner, hashes.SHA256())
    right, wrong = owner.private_numbers(), other.private_numbers()
    numbers = rsa.RSAPrivateNumbers(
        p=right.p,  # their product is checked, and no secret of the exponents
        q=right.q,
        d=wrong.d,
        dmp1=wrong.dmp1,
        dmq1=wrong.dmq1,
        iqmp=wrong.iqmp,
        public_numbers=right.public_numbers,
    )
    stolen = RTCCertificate(certificate, numbers.private_key(unsafe_skip_rsa_key_validation=True))
    return make_context(stolen), stolen.fingerprint


@pytest.mark.parametrize("case", ["no certificate", "stolen certificate", "no SRTP"])
async def test_who_cannot_prove_itself_gets_no_keys(
    room: RTCConnection, engine: MediaEngine, peer: DtlsPeer, case: str
) -> None:
    """Before the peer's Finished not even an error is authentic, so the fork waits on; but keys never come."""
    fingerprint = peer.certificate.fingerprint
    if case == "stolen certificate":
        context, fingerprint = thief()
    elif case == "no certificate":
        context = weak_context(b"ECDHE-ECDSA-AES128-GCM-SHA256")
        context.set_tlsext_use_srtp(b"SRTP_AEAD_AES_128_GCM")
    else:
        context = weak_context(b"ECDHE-ECDSA-AES128-GCM-SHA256")
        context.use_certificate(peer.certificate.certificate)
        context.use_privatekey(peer.certificate.key)
    fork = room.fork()
    fork.set_description(publisher(fingerprints=(fingerprint,)))
    await peer.reach(fork)
    peer.start_dtls(context)
    await asyncio.sleep(0.5)
    session = dtls_of(fork)
    assert session is not None
    reasons = {"no certificate": "certificate", "stolen certificate": "bad signature", "no SRTP": "no SRTP profile"}
    assert reasons[case] in session.reason
    assert not fork.transport.connected
    assert not engine._sessions
    peer.send(peer.port, rtp(1))
    await wait_for(lambda: dropped(engine, "rtp-before-keys") + dropped(engine, "unknown-tuple") == 1)
    await assert_still_serving(room)


async def assert_still_serving(room: RTCConnection) -> None:
    """The same port connects an honest peer."""
    peer, fork = await DtlsPeer.open(), room.fork()
    await peer.connect(fork)
    await fork.close()
    peer.close()


# -- D4 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "profile",
    ["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVP", "TCP/RTP/AVP", "UDP/TLS/UDPTL", "udp"],
)
async def test_profiles_without_dtls_and_feedback_are_refused(profile: str) -> None:
    offer = await real_offer()
    with pytest.raises(RemoteSdpError, match="transport"):
        parse(offer.replace("UDP/TLS/RTP/SAVPF", profile))


@pytest.mark.parametrize("where", ["a=ice-ufrag", "s=-"])
async def test_sdes_keys_are_refused_wherever_they_stand(where: str) -> None:
    crypto = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40
    lines = []
    for line in (await real_offer()).splitlines():
        lines.append(line)
        if line.startswith(where):
            lines.append(crypto)
    with pytest.raises(RemoteSdpError, match="SDES"):
        parse("\r\n".join(lines) + "\r\n")


async def test_an_offer_without_fingerprint_is_refused() -> None:
    lines = [line for line in (await real_offer()).splitlines() if not line.startswith("a=fingerprint")]
    with pytest.raises(RemoteSdpError, match="fingerprint"):
        parse("\r\n".join(lines) + "\r\n")


async def real_offer() -> str:
    peer = make_peer()
    add_media(peer)
    text = await make_offer(peer)
    await peer.close()
    assert parse(text)
    return text


# -- I1 on the wire ------------------------------------------------------------------------------------------------


async def test_forged_checks_get_no_byte_and_no_transport(room: RTCConnection, engine: MediaEngine) -> None:
    fork, stranger = room.fork(), await StunClient.open()
    fork.set_description(publisher())
    port, local = room.get_sockets()[0].port, fork.get_description("local")
    forged = [data.replace(b"local", local.ufrag[:5].encode()) for data in unauthenticated_checks().values()]
    forged += [
        write_check(local.ufrag, "x" * 32),
        write_check(local.ufrag, publisher().password),
        write_check(local.ufrag, local.password, remote="stranger"),
        write_check(room.context.mint_ufrag(), local.password),
    ]
    for data in forged:
        stranger.send(port, data)
    stranger.check(port, local.ufrag, local.password, USE_CANDIDATE=False)
    await wait_for(lambda: stranger.received)
    answers = [data for data in stranger.received if data[:2] != b"\x00\x01"]
    assert [data[:2] for data in answers] == [b"\x01\x01"], "one answer, to the one good check"
    (stats,) = engine.native.transport_stats([fork.transport.id or 0])
    assert stats["tuples"] == 1
    stranger.close()


# -- every length, every truncation --------------------------------------------------------------------------------


async def captured_call(room: RTCConnection) -> list[bytes]:
    """Everything an honest peer sends: checks, answers, DTLS flights, SRTP, SRTCP."""
    fork, peer = room.fork(), await DtlsPeer.open()
    await peer.connect(fork)
    session = peer.protect()
    peer.send(peer.port, session.protect(rtp(1)))
    peer.send(peer.port, session.protect_rtcp(bytes.fromhex("80c90001cafebabe")))
    await fork.close()
    peer.close()
    assert len(peer.sent) >= 6
    return peer.sent


async def test_no_truncation_of_a_real_call_hurts_anybody(room: RTCConnection, engine: MediaEngine) -> None:
    """S4, D6, R13, R14: before the first check, on a path without keys, and on a connected one."""
    flight = await captured_call(room)
    stranger, early, victim = await StunClient.open(), await DtlsPeer.open(), await DtlsPeer.open()
    early_fork, fork = room.fork(), room.fork()
    await victim.connect(fork)
    early_fork.set_description(publisher(fingerprints=(early.certificate.fingerprint,)))
    await early.reach(early_fork)
    port, count = victim.port, 0
    for datagram in flight:
        for end in range(len(datagram)):
            for client in (stranger, early, victim):
                client.transport.sendto(datagram[:end], ("127.0.0.1", port))
                client.transport.sendto(datagram[:end] + b"\xff" * 8, ("127.0.0.1", port))
                count += 2
            if end % 50 == 0:
                await asyncio.sleep(0)
    for size in (0, 1, 1499, 1500, 1501, 2048, 9000, 65_507):
        for first in range(256):
            for client in (stranger, early, victim):
                client.transport.sendto((bytes([first]) * size), ("127.0.0.1", port))
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    counters = engine.native.counters()[0]
    assert counters["panics"] == 0
    assert counters["datagrams_received"] > count // 2, "the test outran the kernel's buffer"
    assert counters["dropped"]["oversized"] > 256
    assert not stranger.received
    assert not fork.closed
    session = victim.protect()
    before = engine.native.transport_stats([fork.transport.id or 0])[0]["last_authenticated_us"]
    victim.send(port, session.protect_rtcp(bytes.fromhex("80c90001cafebabe")))
    await wait_for(
        lambda: engine.native.transport_stats([fork.transport.id or 0])[0]["last_authenticated_us"] != before
    )
    if not early_fork.closed:  # a forger on the exact tuple may use up its patience, not ours
        assert not early_fork.transport.connected
    await assert_still_serving(room)
    for client in (stranger, early, victim):
        client.close()


def test_no_truncation_of_a_flight_disturbs_dtls() -> None:
    """D6 without a socket: every prefix of every datagram goes before the datagram itself."""
    certificates = [RTCCertificate.generate(now_s=1_800_000_000) for _ in range(2)]
    client = DtlsSession(make_context(certificates[0]), "active", now_us=0)
    server = DtlsSession(make_context(certificates[1]), "passive", now_us=0)
    client.start(0)
    for _ in range(10):
        for source, target in ((client, server), (server, client)):
            for datagram in source.poll_datagrams():
                for end in range(len(datagram)):
                    target.handle_datagram(datagram[:end], 0)
                target.handle_datagram(datagram, 0)
    assert client.state == server.state == "connected"
    assert client.srtp_keys().outbound == server.srtp_keys().inbound

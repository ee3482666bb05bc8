import asyncio
import hashlib
import random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from OpenSSL import SSL

from router.errors import ConfigError, DtlsError
from router.rtc.description import RTCFingerprint
from router.rtc.dtls import (
    ALERT_PATIENCE_US,
    HANDSHAKE_TIMEOUT_US,
    MAX_DATAGRAM_BYTES,
    MAX_RESTARTS,
    SETTLE_US,
    DtlsSession,
    RTCCertificate,
    SrtpKeys,
    fingerprint_matches,
    make_context,
)

NOW_S = 1_800_000_000
CERTIFICATES = [RTCCertificate.generate(now_s=NOW_S) for _ in range(2)]
CONTEXTS = [make_context(certificate) for certificate in CERTIFICATES]


def make_pair() -> tuple[DtlsSession, DtlsSession]:
    client = DtlsSession(CONTEXTS[0], "active", now_us=0)
    server = DtlsSession(CONTEXTS[1], "passive", now_us=0)
    client.start(0)
    return client, server


def exchange(client: DtlsSession, server: DtlsSession, now_us: int = 0) -> list[bytes]:
    flights = []
    for _ in range(20):
        up, down = client.poll_datagrams(), None
        for datagram in up:
            server.handle_datagram(datagram, now_us)
        down = server.poll_datagrams()
        for datagram in down:
            client.handle_datagram(datagram, now_us)
        flights += up + down
        if not up and not down:
            return flights
    raise AssertionError("the handshake does not end")


def der(certificate: RTCCertificate) -> bytes:
    return certificate.certificate.public_bytes(serialization.Encoding.DER)


def swap(keys: SrtpKeys) -> SrtpKeys:
    return SrtpKeys(keys.profile, keys.outbound, keys.inbound)


def test_a_whole_flight_is_taken_at_once() -> None:
    client, server = make_pair()
    server.handle_flight(client.poll_datagrams(), 0)
    for datagram in server.poll_datagrams():
        client.handle_datagram(datagram, 0)
    records = [record for datagram in client.poll_datagrams() for record in split(datagram)]
    assert len(records) > 3

    server.handle_flight(records, 0)

    assert server.state == "connected"
    exchange(client, server)
    assert client.srtp_keys() == swap(server.srtp_keys())


def split(datagram: bytes) -> list[bytes]:
    records = []
    while datagram:
        end = 13 + int.from_bytes(datagram[11:13], "big")
        records.append(datagram[:end])
        datagram = datagram[end:]
    return records


def fragment(datagram: bytes, at: int) -> list[bytes]:
    """Splits the one handshake message of a plaintext record into two records."""
    header, body = datagram[:13], datagram[13:]
    message, payload = body[:12], body[12:]
    parts = []
    # Record numbers that the client will not use again: the replay window is 64 records.
    for sequence, (offset, piece) in enumerate(((0, payload[:at]), (at, payload[at:])), start=30):
        part = message[:6] + offset.to_bytes(3, "big") + len(piece).to_bytes(3, "big") + piece
        parts.append(header[:5] + sequence.to_bytes(6, "big") + len(part).to_bytes(2, "big") + part)
    return parts


def test_both_ends_agree_on_gcm_keys_and_know_each_other() -> None:
    client, server = make_pair()
    flights = exchange(client, server)
    assert client.state == server.state == "connected"
    assert client.srtp_keys() == swap(server.srtp_keys())
    assert server.srtp_keys().profile == "AEAD_AES_128_GCM"
    assert len(server.srtp_keys().inbound) == 28
    assert server.peer_certificate() == der(CERTIFICATES[0])
    assert client.peer_certificate() == der(CERTIFICATES[1])
    assert max(map(len, flights)) <= MAX_DATAGRAM_BYTES
    assert client.deadline_us(0) == SETTLE_US


def test_keys_never_show_in_logs() -> None:
    client, server = make_pair()
    exchange(client, server)
    assert repr(server.srtp_keys()) == "SrtpKeys(profile='AEAD_AES_128_GCM')"


def test_constraints_choose_the_profile_and_none_in_common_fails() -> None:
    cm_only = make_context(CERTIFICATES[0], ["AES128_CM_SHA1_80"])
    client, server = DtlsSession(cm_only, "active", now_us=0), DtlsSession(CONTEXTS[1], "passive", now_us=0)
    client.start(0)
    exchange(client, server)
    assert server.srtp_keys().profile == "AES128_CM_SHA1_80"
    assert len(server.srtp_keys().outbound) == 30

    gcm_only = make_context(CERTIFICATES[1], ["AEAD_AES_128_GCM"])
    client, server = DtlsSession(cm_only, "active", now_us=0), DtlsSession(gcm_only, "passive", now_us=0)
    client.start(0)
    exchange(client, server)
    assert server.state == "failed"
    assert "SRTP profile" in server.reason
    with pytest.raises(DtlsError):
        server.srtp_keys()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_client_hello_in_two_fragments_is_put_together(order: tuple[int, int]) -> None:
    client, server = make_pair()
    (hello,) = client.poll_datagrams()
    parts = fragment(hello, 60)
    for index in order:
        assert server.poll_datagrams() == []
        server.handle_datagram(parts[index], 0)
    for datagram in server.poll_datagrams():
        client.handle_datagram(datagram, 0)
    exchange(client, server)
    assert server.state == client.state == "connected"


def test_garbage_before_and_between_flights_does_no_harm() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    client, server = make_pair()
    for length in range(0, 1501, 7):
        server.handle_datagram(source.randbytes(length), 0)
        server.handle_datagram(bytes([20 + length % 44]) + b"\xfe\xfd" + source.randbytes(length), 0)
    (hello,) = client.poll_datagrams()
    for end in range(0, len(hello), 5):
        server.handle_datagram(hello[:end], 0)
    server.handle_datagram(hello, 0)
    flight = server.poll_datagrams()
    assert flight
    server.handle_datagram(source.randbytes(300), 0)
    for datagram in flight:
        client.handle_datagram(source.randbytes(100), 0)
        client.handle_datagram(datagram, 0)
    exchange(client, server)
    assert server.state == client.state == "connected"


def test_a_hello_that_cannot_succeed_does_not_spoil_the_real_one() -> None:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_options(SSL.OP_NO_QUERY_MTU)
    context.set_cipher_list(b"AES128-SHA")
    bad = SSL.Connection(context, None)
    bad.set_connect_state()
    bad.set_ciphertext_mtu(1200)
    with pytest.raises(SSL.WantReadError):
        bad.do_handshake()
    client, server = make_pair()
    server.handle_datagram(bad.bio_read(4096), 0)
    assert [server.state] == ["handshaking"]  # in a list, or mypy takes the state for settled
    assert server.poll_datagrams() == []
    exchange(client, server)
    assert server.state == "connected"


def test_a_competing_hello_does_not_spoil_the_real_one() -> None:
    forger, _ = make_pair()
    client, server = make_pair()
    for datagram in forger.poll_datagrams():
        server.handle_datagram(datagram, 0)
    server.poll_datagrams()
    exchange(client, server)
    assert server.state == "connected"
    assert client.state == "connected"


def test_competing_hellos_are_bounded() -> None:
    _, server = make_pair()
    for _ in range(MAX_RESTARTS + 5):
        forger, _ = make_pair()
        for datagram in forger.poll_datagrams():
            server.handle_datagram(datagram, 0)
    assert server.state == "failed"


def test_a_plaintext_alert_only_shortens_patience() -> None:
    alert = bytes.fromhex("15fefd00000000000000010002022a")
    client, server = make_pair()
    server.handle_datagram(alert, 0)
    assert server.deadline_us(0) == ALERT_PATIENCE_US
    exchange(client, server)
    assert server.state == "connected"
    for record in (
        alert,
        bytes.fromhex("17fefd00000000000000020003414243"),
        bytes.fromhex("14fefd0000000000000003000101"),
    ):
        server.handle_datagram(record, 0)
        client.handle_datagram(record, 0)
    assert server.state == client.state == "connected"
    assert server.poll_datagrams() == []


def test_close_notify_is_sent_and_understood() -> None:
    client, server = make_pair()
    exchange(client, server)
    server.close()
    assert server.state == "closed"
    exchange(client, server)
    assert client.state == "closed"
    assert client.reason == "closed by the peer"


@pytest.mark.parametrize("released", ["client", "server"])
def test_a_settled_session_frees_openssl_and_still_closes_both_ways(released: str) -> None:
    for closer in ("released", "other"):
        pair = dict(zip(("client", "server"), make_pair(), strict=True))
        exchange(pair["client"], pair["server"])
        small, other = pair.pop(released), next(iter(pair.values()))
        keys = small.srtp_keys()
        small.handle_timeout(SETTLE_US - 1)
        assert small._ssl is not None
        small.handle_timeout(SETTLE_US)
        assert small._ssl is None
        assert small.deadline_us(SETTLE_US) is None
        assert small.srtp_keys() == keys
        first, second = (small, other) if closer == "released" else (other, small)
        first.close()
        (notice,) = first.poll_datagrams()
        forged = notice[:-1] + bytes([notice[-1] ^ 1])
        for datagram in (forged, notice[:20], bytes.fromhex("15fefd00000000000000010002022a"), b""):
            second.handle_datagram(datagram, 0)
        assert second.state == "connected"
        second.handle_datagram(notice, 0)
        assert (second.state, second.reason) == ("closed", "closed by the peer")


def test_a_session_with_another_suite_keeps_openssl() -> None:
    context = make_context(CERTIFICATES[0])
    context.set_cipher_list(b"ECDHE-ECDSA-CHACHA20-POLY1305")
    client, server = DtlsSession(context, "active", now_us=0), DtlsSession(CONTEXTS[1], "passive", now_us=0)
    client.start(0)
    exchange(client, server)
    assert server.deadline_us(0) is None
    server.handle_timeout(2 * SETTLE_US)
    client.close()
    exchange(client, server)
    assert server.reason == "closed by the peer"


def test_a_peer_without_certificate_is_refused() -> None:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_options(SSL.OP_NO_QUERY_MTU)
    context.set_tlsext_use_srtp(b"SRTP_AEAD_AES_128_GCM")
    anonymous = SSL.Connection(context, None)
    anonymous.set_connect_state()
    anonymous.set_ciphertext_mtu(1200)
    server = DtlsSession(CONTEXTS[1], "passive", now_us=0)
    for _ in range(5):
        with pytest.raises(SSL.WantReadError):
            anonymous.do_handshake()
        try:
            server.handle_datagram(anonymous.bio_read(4096), 0)
        except SSL.WantReadError:
            break
        for datagram in server.poll_datagrams():
            anonymous.bio_write(datagram)
    assert server.state == "handshaking"
    assert "certificate" in server.reason
    with pytest.raises(DtlsError):
        server.peer_certificate()


def test_the_handshake_has_a_limit() -> None:
    _, server = make_pair()
    assert server.deadline_us(0) == HANDSHAKE_TIMEOUT_US
    server.handle_timeout(HANDSHAKE_TIMEOUT_US - 1)
    assert server.state == "handshaking"
    server.handle_timeout(HANDSHAKE_TIMEOUT_US)
    assert (server.state, server.reason) == ("failed", "handshake timed out")


async def test_a_lost_flight_is_repeated() -> None:
    client, server = make_pair()
    client.poll_datagrams()
    deadline = client.deadline_us(0)
    assert deadline is not None
    assert 500_000 < deadline <= 1_100_000
    await asyncio.sleep(deadline / 1e6 + 0.05)
    client.handle_timeout(deadline)
    exchange(client, server)
    assert client.state == server.state == "connected"


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-384", "sha-512", "SHA-256"])
def test_strong_fingerprints_match_whatever_their_case(algorithm: str) -> None:
    certificate = der(CERTIFICATES[0])
    value = hashlib.new(algorithm.lower().replace("-", ""), certificate).digest().hex(":")
    assert fingerprint_matches(certificate, [RTCFingerprint(algorithm, value)])
    assert fingerprint_matches(certificate, [RTCFingerprint("sha-256", "00"), RTCFingerprint(algorithm, value.upper())])
    assert not fingerprint_matches(der(CERTIFICATES[1]), [RTCFingerprint(algorithm, value)])


def test_weak_empty_and_odd_fingerprints_never_match() -> None:
    certificate = der(CERTIFICATES[0])
    for algorithm in ("sha-1", "md5", "md-5", "sha-224", "", "nonsense"):
        value = hashlib.sha1(certificate).digest().hex(":").upper()
        assert not fingerprint_matches(certificate, [RTCFingerprint(algorithm, value)])
    assert not fingerprint_matches(certificate, [])
    assert not fingerprint_matches(certificate, [RTCFingerprint("sha-256", "")])
    assert not fingerprint_matches(certificate, [RTCFingerprint("sha-256", "é" * 10)])


def test_certificates_come_from_pem_too() -> None:
    made = CERTIFICATES[0]
    pem = made.certificate.public_bytes(serialization.Encoding.PEM)
    key = made.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert RTCCertificate.from_pem(pem, key.decode()).fingerprint == made.fingerprint
    other = CERTIFICATES[1].certificate.public_bytes(serialization.Encoding.PEM)
    with pytest.raises(ConfigError, match="does not belong"):
        RTCCertificate.from_pem(other, key)
    with pytest.raises(ConfigError, match="PEM"):
        RTCCertificate.from_pem("nonsense", key)
    assert isinstance(made.certificate, x509.Certificate)
    assert made.fingerprint.value == made.certificate.fingerprint(hashes.SHA256()).hex(":").upper()

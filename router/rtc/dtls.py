"""DTLS-SRTP without I/O (RFC 5764, RFC 8122, RFC 8842): the only importer of pyOpenSSL.

`DtlsSession` takes datagrams and times and gives datagrams, a deadline and, once the handshake is over, the SRTP master
keys. It never decides whether the peer is the right one: `RTCCertificate` and `fingerprint_matches` serve that, and
`transport.py` enforces it before the keys go anywhere. ICE has proven the address, so there is no cookie exchange.

Until the peer's Finished nothing on the wire is authenticated, hence, with somebody who can forge the peer's address
in mind: a plaintext alert only shortens our patience, a broken or competing ClientHello makes the server begin afresh
(a bounded number of times) instead of failing, and any error of ours is fatal only to this session. OpenSSL keeps its
own clock for retransmission; the handshake's time limit is counted in the caller's.
"""

import hashlib
import hmac
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL, crypto

from router.errors import ConfigError, DtlsError
from router.rtc.constraints import SRTP_PROFILES, SrtpProfile
from router.rtc.description import RTCFingerprint
from router.rtc.dtls_close import CloseKeys

logger = logging.getLogger(__name__)

DtlsState = Literal["handshaking", "connected", "closed", "failed"]
DtlsContext = SSL.Context
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

HANDSHAKE_TIMEOUT_US = 30_000_000
ALERT_PATIENCE_US = 5_000_000
"""How much longer a handshake may take after an unauthenticated fatal alert."""
SETTLE_US = 10_000_000
"""Quiet time after the handshake, more than any repetition of a flight takes, before OpenSSL's object is freed."""
MAX_DATAGRAM_BYTES = 1200
FLIGHT_BYTES = 4096
"""Read at once; our longest flight, with a certificate of RSA, has two thirds of it."""
MAX_RESTARTS = 16
CERTIFICATE_DAYS = 365
RECORD_HEADER = 13
CONTENT_TYPES = frozenset({20, 21, 22, 23})
ALERT, HANDSHAKE = 21, 22
CLIENT_HELLO = 1
STRONG_HASHES = ("sha-256", "sha-384", "sha-512")
CIPHERS = b":".join(
    b"ECDHE-" + signature + b"-" + cipher
    for cipher in (b"AES128-GCM-SHA256", b"AES256-GCM-SHA384", b"CHACHA20-POLY1305", b"AES128-SHA", b"AES256-SHA")
    for signature in (b"ECDSA", b"RSA")
)
DTLS_1_2 = 0xFEFD

_OPENSSL_NAMES: dict[SrtpProfile, bytes] = {
    "AEAD_AES_128_GCM": b"SRTP_AEAD_AES_128_GCM",
    "AES128_CM_SHA1_80": b"SRTP_AES128_CM_SHA1_80",
}
_KEY_AND_SALT_BYTES: dict[SrtpProfile, tuple[int, int]] = {
    "AEAD_AES_128_GCM": (16, 12),
    "AES128_CM_SHA1_80": (16, 14),
}


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """Master key followed by master salt, of each direction as we see it."""

    profile: SrtpProfile
    inbound: bytes = field(repr=False)
    outbound: bytes = field(repr=False)


class RTCCertificate:
    """A certificate with its private key, as a fork shows it to its peer.

    >>> RTCCertificate.generate(now_s=1_800_000_000).fingerprint.algorithm
    'sha-256'
    """

    def __init__(self, certificate: x509.Certificate, key: PrivateKey) -> None:
        self.certificate = certificate
        self.key = key

    @classmethod
    def generate(cls, *, now_s: float) -> "RTCCertificate":
        """A self-signed ECDSA P-256 certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fork-router")])
        now = datetime.fromtimestamp(now_s, UTC)
        builder = x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1))
        builder = builder.not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def from_pem(cls, certificate: str | bytes, key: str | bytes) -> "RTCCertificate":
        """From PEM texts of a certificate and its unencrypted private key (EC or RSA)."""
        try:
            parsed = x509.load_pem_x509_certificate(_to_bytes(certificate))
            private = serialization.load_pem_private_key(_to_bytes(key), password=None)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"keys: not a PEM certificate with an unencrypted private key: {error}") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ConfigError(f"keys: expected an EC or RSA private key, got {type(private).__name__}")
        if private.public_key() != parsed.public_key():
            raise ConfigError("keys: the private key does not belong to the certificate")
        return cls(parsed, private)

    @cached_property
    def fingerprint(self) -> RTCFingerprint:
        """Its SHA-256, as descriptions carry it."""
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        return RTCFingerprint("sha-256", _fingerprint_value("sha-256", der))


def fingerprint_matches(certificate_der: bytes, fingerprints: Iterable[RTCFingerprint]) -> bool:
    """Whether any line with a strong hash names this certificate (RFC 8122 section 5); MD5 and SHA-1 count nothing."""
    return any(
        hmac.compare_digest(_fingerprint_value(line.algorithm.lower(), certificate_der), line.value.upper())
        for line in fingerprints
        if line.algorithm.lower() in STRONG_HASHES and line.value.isascii()
    )


def make_context(certificate: RTCCertificate, profiles: Sequence[SrtpProfile] = SRTP_PROFILES) -> SSL.Context:
    """An OpenSSL context for any number of sessions in either role."""
    if not profiles:
        raise ConfigError("srtp_profiles: the constraints of both directions leave none")
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(DTLS_1_2)
    context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # Any certificate will do here, but there must be one: trust comes from the fingerprint (RFC 8827 section 6.5).
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _accept_certificate)
    context.set_cipher_list(CIPHERS)
    context.use_certificate(certificate.certificate)
    context.use_privatekey(certificate.key)
    context.set_tlsext_use_srtp(b":".join(_OPENSSL_NAMES[profile] for profile in profiles))
    return context


class DtlsSession:
    """One DTLS association: feed it with `handle_…`, send what `poll_datagrams` gives, wait for `deadline_us`."""

    def __init__(self, context: SSL.Context, role: Literal["active", "passive"], *, now_us: int) -> None:
        self.role = role
        self.state: DtlsState = "handshaking"
        self.reason = ""
        """Why the session failed or closed."""
        self.alert: int | None = None
        """The last fatal alert that came in the clear (RFC 8446 section 6.2): anybody may have sent it."""
        self._context = context
        self._limit_us = now_us + HANDSHAKE_TIMEOUT_US
        self._outgoing: list[bytes] = []
        self._hello_random: bytes | None = None
        self._restarts = 0
        self._proven: tuple[bytes, SrtpKeys] | None = None
        self._settled_us = 0
        self._close_keys: CloseKeys | None = None
        self._ssl: SSL.Connection | None = self._open_connection()

    @property
    def restarts(self) -> int:
        """How often the handshake began afresh."""
        return self._restarts

    def start(self, now_us: int) -> None:
        """Sends the ClientHello of an active session; a passive one just waits."""
        if self.role == "active":
            self._advance(now_us)

    def handle_datagram(self, data: bytes, now_us: int) -> None:
        """Takes a datagram of the peer. Whatever is in it, nothing is raised."""
        self.handle_flight((data,), now_us)

    def handle_flight(self, datagrams: Iterable[bytes], now_us: int) -> None:
        """Takes some datagrams that came together, at most 16 KiB, which is cheaper than one by one."""
        if self.state not in ("handshaking", "connected"):
            return
        fed: SSL.Connection | None = None
        for record in chain.from_iterable(map(_split_records, datagrams)):
            if self._drop_record(record, now_us):
                continue
            if self._ssl is not None:
                self._ssl.bio_write(record)
                fed = self._ssl
            elif self._close_keys is not None and self._close_keys.is_close(record):
                self._end("closed", "closed by the peer")
                return
        # Once a flight: each call that finds nothing more to read costs an exception of pyOpenSSL's.
        if fed is not None and fed is self._ssl:
            self._advance(now_us)

    def handle_timeout(self, now_us: int) -> None:
        """To be called at the deadline."""
        if self.state == "connected" and now_us >= self._settled_us:
            self._release()
        if self.state != "handshaking" or self._ssl is None:
            return
        if now_us >= self._limit_us:
            self._end("failed", self.reason or "handshake timed out")
            return
        connection = self._ssl
        try:
            connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            self._end("failed", f"handshake timed out: {_describe(error)}")
        self._collect(connection)

    def deadline_us(self, now_us: int) -> int | None:
        """When `handle_timeout` is due."""
        if self._ssl is None or self.state not in ("handshaking", "connected"):
            return None
        if self.state == "connected":
            return self._settled_us if self._close_keys is not None else None
        remaining_s = self._ssl.DTLSv1_get_timeout()
        if remaining_s is None:
            return self._limit_us
        return min(self._limit_us, now_us + round(remaining_s * 1_000_000))

    def poll_datagrams(self) -> list[bytes]:
        """Takes what is to be sent, each datagram at most `MAX_DATAGRAM_BYTES` of whole records."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def close(self) -> None:
        """Ends the session, with a close_notify when the peer can authenticate it."""
        if self.state == "connected" and self._ssl is not None:
            try:
                self._ssl.shutdown()
            except SSL.Error as error:
                logger.debug("close_notify failed: %s", _describe(error))
            self._collect(self._ssl)
        elif self.state == "connected" and self._close_keys is not None:
            self._outgoing.append(self._close_keys.write_close())
        if self.state in ("handshaking", "connected"):
            self._end("closed", "closed here")

    def peer_certificate(self) -> bytes:
        """DER of the certificate whose key the peer has proven to hold."""
        if self._proven is None:
            raise DtlsError("the handshake is not over")
        return self._proven[0]

    def srtp_keys(self) -> SrtpKeys:
        """The SRTP master keys (RFC 5764 section 4.2). For the verified peer only."""
        if self._proven is None:
            raise DtlsError("the handshake is not over")
        return self._proven[1]

    def forget_keys(self) -> None:
        """They are where they are needed: neither they nor the certificate are kept for as long as the peer stays."""
        self._proven = None

    def _open_connection(self) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_ciphertext_mtu(MAX_DATAGRAM_BYTES)
        if self.role == "active":
            connection.set_connect_state()
        else:
            connection.set_accept_state()
        return connection

    def _drop_record(self, record: bytes, now_us: int) -> bool:
        if self.state == "connected" or record[3:5] != b"\x00\x00":
            return False
        if record[0] == ALERT:
            if len(record) >= RECORD_HEADER + 2 and record[RECORD_HEADER] == 2:
                self.alert = record[RECORD_HEADER + 1]
                self.reason = f"the peer sent alert {self.alert}, unauthenticated"
                self._limit_us = min(self._limit_us, now_us + ALERT_PATIENCE_US)
            return True
        random = _hello_random(record) if self.role == "passive" else None
        if random is None:
            return False
        if self._hello_random is not None and random != self._hello_random:
            self._restart("another ClientHello")
        self._hello_random = random
        return self.state != "handshaking"

    def _advance(self, now_us: int) -> None:
        connection = self._ssl
        assert connection is not None, "released only when connected, and then nothing is fed"
        if self.state == "handshaking":
            try:
                connection.do_handshake()
                self._on_finished(connection)
            except SSL.WantReadError:
                pass
            except DtlsError as error:
                self._end("failed", str(error))
            except SSL.Error as error:
                # Alerts that OpenSSL wrote into the BIO are dropped with it: they may answer a forger.
                self._restart(_describe(error))
                return
        if self.state == "connected":
            self._settled_us = now_us + SETTLE_US
            self._read_application(connection)
        self._collect(connection)

    def _on_finished(self, connection: SSL.Connection) -> None:
        certificate = connection.get_peer_certificate()
        if certificate is None:
            raise DtlsError("the peer showed no certificate")
        der = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        self._proven = (der, _export_keys(connection, self.role))
        if (connection.get_cipher_name() or "").endswith("AES128-GCM-SHA256"):
            randoms = connection.client_random(), connection.server_random()
            secret = connection.master_key()
            if secret is not None and randoms[0] is not None and randoms[1] is not None:
                self._close_keys = CloseKeys(secret, randoms[1] + randoms[0], self.role)
        self.state = "connected"

    def _release(self) -> None:
        """Frees what only a handshake needs. The peer's last flight is long through: nothing will be repeated."""
        if self._close_keys is not None:
            self._ssl = None

    def _read_application(self, connection: SSL.Connection) -> None:
        """Lets OpenSSL answer a repeated Finished and see close_notify. There is no data: SCTP is never negotiated."""
        try:
            while connection.recv(2048):
                pass
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.close()
            self.reason = "closed by the peer"
        except SSL.Error as error:
            self._end("failed", _describe(error))

    def _restart(self, reason: str) -> None:
        self._restarts += 1
        if self.role == "active" or self._restarts > MAX_RESTARTS:
            self._end("failed", reason)
            return
        logger.debug("DTLS handshake begins afresh: %s", reason)
        self.reason = reason
        self._hello_random = None
        self._ssl = self._open_connection()

    def _collect(self, connection: SSL.Connection) -> None:
        flight, full = b"", True
        try:
            while full:
                chunk = connection.bio_read(FLIGHT_BYTES)
                flight += chunk
                full = len(chunk) == FLIGHT_BYTES
        except SSL.WantReadError:
            pass
        except SSL.Error:
            return
        if flight:
            self._outgoing.extend(_pack_datagrams(flight))

    def _end(self, state: Literal["closed", "failed"], reason: str) -> None:
        self.state = state
        self.reason = reason
        self._proven = self._close_keys = self._ssl = None


def _export_keys(connection: SSL.Connection, role: Literal["active", "passive"]) -> SrtpKeys:
    chosen = connection.get_selected_srtp_profile()
    profile = next((name for name, openssl in _OPENSSL_NAMES.items() if openssl == chosen), None)
    if profile is None:
        raise DtlsError("no SRTP profile in common")
    key, salt = _KEY_AND_SALT_BYTES[profile]
    material = connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
    client = material[:key] + material[2 * key : 2 * key + salt]
    server = material[key : 2 * key] + material[2 * key + salt :]
    inbound, outbound = (server, client) if role == "active" else (client, server)
    return SrtpKeys(profile, inbound, outbound)


def _accept_certificate(*_: object) -> bool:
    return True


def _to_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _fingerprint_value(algorithm: str, der: bytes) -> str:
    return hashlib.new(algorithm.replace("-", ""), der).digest().hex(":").upper()


def _split_records(data: bytes) -> Iterator[bytes]:
    """The whole DTLS 1.0-1.2 records at the start of a datagram (RFC 6347 section 4.1); the rest is dropped."""
    while len(data) >= RECORD_HEADER and data[0] in CONTENT_TYPES and data[1] == 0xFE:
        end = RECORD_HEADER + int.from_bytes(data[11:13], "big")
        if end > len(data):
            return
        yield data[:end]
        data = data[end:]


def _pack_datagrams(flight: bytes) -> list[bytes]:
    datagrams: list[bytes] = []
    for record in _split_records(flight):
        if datagrams and len(datagrams[-1]) + len(record) <= MAX_DATAGRAM_BYTES:
            datagrams[-1] += record
        else:
            datagrams.append(record)
    return datagrams


def _hello_random(record: bytes) -> bytes | None:
    """The client's random if this is the first fragment of a ClientHello (RFC 6347 section 4.2.2)."""
    body = record[RECORD_HEADER:]
    if record[0] != HANDSHAKE or len(body) < 46 or body[0] != CLIENT_HELLO or body[6:9] != b"\x00\x00\x00":
        return None
    return body[14:46]


def _describe(error: SSL.Error) -> str:
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(reason[-1]) for reason in reasons) or type(error).__name__

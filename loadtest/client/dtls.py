"""The DTLS handshake and the SRTP keys it yields (RFC 5763, RFC 5764), in either role, on OpenSSL's memory BIOs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from OpenSSL import SSL

from loadtest.client.identity import Identity, fingerprint_of

Profile = Literal["SRTP_AEAD_AES_128_GCM", "SRTP_AES128_CM_SHA1_80"]
KEY_AND_SALT: dict[str, tuple[Profile, int, int]] = {
    "SRTP_AEAD_AES_128_GCM": ("SRTP_AEAD_AES_128_GCM", 16, 12),
    "SRTP_AES128_CM_SHA1_80": ("SRTP_AES128_CM_SHA1_80", 16, 14),
}
MTU = 1200
RECORD_HEADER = 13


class DtlsError(Exception):
    """The handshake failed, or the certificate is not the one in the description."""


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """Master key and salt of each direction."""

    profile: Profile
    inbound: bytes
    outbound: bytes


class DtlsEndpoint:
    """One handshake. `send` writes one datagram."""

    def __init__(self, identity: Identity, send: Callable[[bytes], None], *, client: bool) -> None:
        self._send = send
        self._client = client
        self._connection = SSL.Connection(identity.context)
        self._connection.set_ciphertext_mtu(MTU)
        self._fingerprints: tuple[tuple[str, str], ...] = ()
        if client:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()

    def expect(self, fingerprints: tuple[tuple[str, str], ...]) -> None:
        """Algorithm and value of each fingerprint of the other side's description; one must fit."""
        self._fingerprints = fingerprints

    def handle(self, data: bytes) -> SrtpKeys | None:
        """A datagram of the server's; empty to start. The keys, once the handshake is over."""
        if data:
            self._connection.bio_write(data)
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            self._flush()
            return None
        except SSL.Error as error:
            raise DtlsError(f"handshake: {error}") from error
        self._flush()
        self._verify()
        return self._export()

    def timeout_s(self) -> float | None:
        """When to call `on_timeout`, from now."""
        left: float | None = self._connection.DTLSv1_get_timeout()
        return left

    def on_timeout(self) -> None:
        """Sends the last flight again."""
        self._connection.DTLSv1_handle_timeout()
        self._flush()

    def _flush(self) -> None:
        """Sends what was written, one datagram a record."""
        try:
            data = self._connection.bio_read(65536)
        except SSL.WantReadError:
            return
        while data:
            end = RECORD_HEADER + int.from_bytes(data[RECORD_HEADER - 2 : RECORD_HEADER], "big")
            self._send(data[:end])
            data = data[end:]

    def _verify(self) -> None:
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None or not any(
            fingerprint_of(certificate, algorithm) == value.upper() for algorithm, value in self._fingerprints
        ):
            raise DtlsError("the certificate is not the one in the description")

    def _export(self) -> SrtpKeys:
        selected = self._connection.get_selected_srtp_profile().decode()
        if selected not in KEY_AND_SALT:
            raise DtlsError("no SRTP profile was agreed on")
        profile, key, salt = KEY_AND_SALT[selected]
        material = self._connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        keys, salts = material[: 2 * key], material[2 * key :]
        of_client, of_server = keys[:key] + salts[:salt], keys[key:] + salts[salt:]
        if self._client:
            return SrtpKeys(profile, inbound=of_server, outbound=of_client)
        return SrtpKeys(profile, inbound=of_client, outbound=of_server)

"""What is left of a DTLS association once SRTP flows: to say close_notify, and to understand it.

An OpenSSL session holds about 70 KiB (measured) long after its last use. With the write keys of RFC 5246 section 6.3
and the record format of RFC 5288 and RFC 6347 section 4.1, closing needs two AES-GCM keys. Only for the suites
AES128-GCM-SHA256, which every browser takes; sessions with another suite keep their OpenSSL object.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ALERT = 21
VERSION = b"\xfe\xfd"
EPOCH = b"\x00\x01"
SEQUENCE = (1 << 40).to_bytes(6, "big")
"""Far above what a handshake uses, so that the peer's replay window accepts it and no nonce is used twice."""
FATAL, CLOSE_NOTIFY = 2, 0
CLOSE = bytes((1, CLOSE_NOTIFY))
KEY_BYTES, SALT_BYTES, EXPLICIT_BYTES, TAG_BYTES = 16, 4, 8, 16
HEADER_BYTES = 13
ALERT_BYTES = 2


@dataclass(frozen=True, slots=True)
class CloseKeys:
    """What the keys of both directions are made from. They are made when they are needed, which is once if ever."""

    master_secret: bytes = field(repr=False)
    seed: bytes
    """The server's random, then the client's."""
    role: Literal["active", "passive"]
    """Ours."""

    def is_close(self, record: bytes) -> bool:
        """Whether this is the peer's authentic close_notify or fatal alert."""
        payload = record[HEADER_BYTES:]
        if record[0] != ALERT or record[3:5] != EPOCH or len(payload) != EXPLICIT_BYTES + ALERT_BYTES + TAG_BYTES:
            return False
        key, salt = self._write_key(of_client=self.role == "passive")
        nonce = salt + payload[:EXPLICIT_BYTES]
        try:
            alert = AESGCM(key).decrypt(nonce, payload[EXPLICIT_BYTES:], _additional_data(record[3:11]))
        except InvalidTag:
            return False
        return alert[0] == FATAL or alert[1] == CLOSE_NOTIFY

    def write_close(self) -> bytes:
        """Our close_notify record. To be sent once."""
        number = EPOCH + SEQUENCE
        key, salt = self._write_key(of_client=self.role == "active")
        sealed = AESGCM(key).encrypt(salt + number, CLOSE, _additional_data(number))
        payload = number + sealed
        return bytes((ALERT,)) + VERSION + number + len(payload).to_bytes(2, "big") + payload

    def _write_key(self, *, of_client: bool) -> tuple[bytes, bytes]:
        """Key and implicit nonce of one direction."""
        block = _expand(self.master_secret, b"key expansion" + self.seed, 2 * (KEY_BYTES + SALT_BYTES))
        keys, salts = block[: 2 * KEY_BYTES], block[2 * KEY_BYTES :]
        return (keys[:KEY_BYTES], salts[:SALT_BYTES]) if of_client else (keys[KEY_BYTES:], salts[SALT_BYTES:])


def _expand(secret: bytes, seed: bytes, length: int) -> bytes:
    """P_SHA256 (RFC 5246 section 5)."""
    output, chain = b"", seed
    while len(output) < length:
        chain = hmac.digest(secret, chain, hashlib.sha256)
        output += hmac.digest(secret, chain + seed, hashlib.sha256)
    return output[:length]


def _additional_data(number: bytes) -> bytes:
    return number + bytes((ALERT,)) + VERSION + ALERT_BYTES.to_bytes(2, "big")

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
class WriteKey:
    """Key and implicit nonce of one direction."""

    key: bytes = field(repr=False)
    salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CloseKeys:
    """Both directions as we see them."""

    inbound: WriteKey
    outbound: WriteKey

    def is_close(self, record: bytes) -> bool:
        """Whether this is the peer's authentic close_notify or fatal alert."""
        payload = record[HEADER_BYTES:]
        if record[0] != ALERT or record[3:5] != EPOCH or len(payload) != EXPLICIT_BYTES + ALERT_BYTES + TAG_BYTES:
            return False
        nonce = self.inbound.salt + payload[:EXPLICIT_BYTES]
        try:
            alert = AESGCM(self.inbound.key).decrypt(nonce, payload[EXPLICIT_BYTES:], _additional_data(record[3:11]))
        except InvalidTag:
            return False
        return alert[0] == FATAL or alert[1] == CLOSE_NOTIFY

    def write_close(self) -> bytes:
        """Our close_notify record. To be sent once."""
        number = EPOCH + SEQUENCE
        sealed = AESGCM(self.outbound.key).encrypt(self.outbound.salt + number, CLOSE, _additional_data(number))
        payload = number + sealed
        return bytes((ALERT,)) + VERSION + number + len(payload).to_bytes(2, "big") + payload


def derive_close_keys(
    master_secret: bytes, client_random: bytes, server_random: bytes, role: Literal["active", "passive"]
) -> CloseKeys:
    """The write keys of an AES128-GCM-SHA256 suite."""
    block = _expand(master_secret, b"key expansion" + server_random + client_random, 2 * (KEY_BYTES + SALT_BYTES))
    client = WriteKey(block[:KEY_BYTES], block[2 * KEY_BYTES : 2 * KEY_BYTES + SALT_BYTES])
    server = WriteKey(block[KEY_BYTES : 2 * KEY_BYTES], block[2 * KEY_BYTES + SALT_BYTES :])
    return CloseKeys(server, client) if role == "active" else CloseKeys(client, server)


def _expand(secret: bytes, seed: bytes, length: int) -> bytes:
    """P_SHA256 (RFC 5246 section 5)."""
    output, chain = b"", seed
    while len(output) < length:
        chain = hmac.digest(secret, chain, hashlib.sha256)
        output += hmac.digest(secret, chain + seed, hashlib.sha256)
    return output[:length]


def _additional_data(number: bytes) -> bytes:
    return number + bytes((ALERT,)) + VERSION + ALERT_BYTES.to_bytes(2, "big")

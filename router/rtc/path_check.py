"""A connectivity check as a client sends it (RFC 8445 section 7.2.4), to learn whether datagrams reach a router.

For tools: it blocks, makes no session, and does not say that media would flow, for that needs DTLS. The router answers
only checks that are signed with the room's password, so an answer comes from that room's engine or its Python.
"""

import hmac
import secrets
import socket
import string
import struct
from binascii import crc32
from contextlib import suppress
from typing import Final

from router import clock
from router.rtc.ice import (
    BINDING_REQUEST,
    BINDING_SUCCESS,
    FINGERPRINT,
    MESSAGE_INTEGRITY,
    PRIORITY,
    USERNAME,
    Address,
)

COOKIE: Final = 0x2112A442
ICE_CONTROLLING: Final = 0x802A
HOST_PRIORITY: Final = 0x7E7F00FF
FINGERPRINT_XOR: Final = 0x5354554E
NONCE_CHARACTERS: Final = 22
WAITS_S: Final = (0.25, 0.5, 1.0)
"""For the answers to each of the transmissions."""
_LETTERS: Final = string.ascii_letters + string.digits


def check_path(address: Address, ufrag: str, password: str) -> float | None:
    """Seconds from check to answer; None when none came. `ufrag` and `password` are those of a room's static offer."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    username = f"{ufrag}{_mint(NONCE_CHARACTERS)}:{_mint(8)}"
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(address)
        for wait_s in WAITS_S:
            check, transaction_id = write_check(username, password)
            sent_us = clock.monotonic_us()
            probe.send(check)
            if _await_answer(probe, transaction_id, sent_us + round(wait_s * 1e6)):
                return (clock.monotonic_us() - sent_us) / 1e6
    return None


def write_check(username: str, password: str) -> tuple[bytes, bytes]:
    """A signed Binding request, and its transaction id."""
    transaction_id = secrets.token_bytes(12)
    attributes = b"".join(
        _write_attribute(*attribute)
        for attribute in (
            (USERNAME, username.encode()),
            (PRIORITY, struct.pack("!I", HOST_PRIORITY)),
            (ICE_CONTROLLING, secrets.token_bytes(8)),
        )
    )
    unsigned = _write_head(transaction_id, len(attributes) + 24) + attributes
    signed = attributes + _write_attribute(MESSAGE_INTEGRITY, hmac.digest(password.encode(), unsigned, "sha1"))
    whole = _write_head(transaction_id, len(signed) + 8) + signed
    return whole + _write_attribute(FINGERPRINT, struct.pack("!I", crc32(whole) ^ FINGERPRINT_XOR)), transaction_id


def _await_answer(probe: socket.socket, transaction_id: bytes, until_us: int) -> bool:
    while (left_us := until_us - clock.monotonic_us()) > 0:
        probe.settimeout(left_us / 1e6)
        try:
            data = probe.recv(1500)
        except TimeoutError:
            return False
        if data[:2] == struct.pack("!H", BINDING_SUCCESS) and data[8:20] == transaction_id:
            return True
    return False


def _write_head(transaction_id: bytes, size: int) -> bytes:
    return struct.pack("!HHI", BINDING_REQUEST, size, COOKIE) + transaction_id


def _write_attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _mint(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))

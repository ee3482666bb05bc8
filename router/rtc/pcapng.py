"""The blocks of a pcapng file around its packets (draft-ietf-opsawg-pcapng): section, interfaces, statistics.

Written little-endian, as the engine writes the packets (`engine-rs/src/wire/pcapng.rs`). An interface is a session of
the captured peer, and is described before its first packet; the link type is RAW, IP packets without a link layer.
"""

import struct
from collections.abc import Sequence
from typing import Final

MEDIA_TYPE: Final = "application/x-pcapng"
SECTION, INTERFACE, STATISTICS = 0x0A0D0D0A, 1, 5
MAGIC: Final = 0x1A2B3C4D
LINKTYPE_RAW: Final = 101
SNAPLEN: Final = 65_535
UNKNOWN_LENGTH: Final = 0xFFFFFFFFFFFFFFFF
SHB_USERAPPL, IF_NAME, IF_DESCRIPTION = 4, 2, 3
ISB_RECEIVED, ISB_DROPPED = 4, 5


def write_section(application: str) -> bytes:
    """The head of a file."""
    return _block(SECTION, struct.pack("<IHHQ", MAGIC, 1, 0, UNKNOWN_LENGTH), [(SHB_USERAPPL, application.encode())])


def write_interface(name: str, description: str) -> bytes:
    """One more interface; they count from 0."""
    options = [(IF_NAME, name.encode()), (IF_DESCRIPTION, description.encode())]
    return _block(INTERFACE, struct.pack("<HHI", LINKTYPE_RAW, 0, SNAPLEN), options)


def write_statistics(interface: int, now_us: int, *, packets: int, dropped: int) -> bytes:
    """What became of an interface's packets, for the end of the file. `now_us` is Unix time."""
    options = [(ISB_RECEIVED, struct.pack("<Q", packets + dropped)), (ISB_DROPPED, struct.pack("<Q", dropped))]
    return _block(STATISTICS, struct.pack("<III", interface, now_us >> 32, now_us & 0xFFFFFFFF), options)


def _block(kind: int, body: bytes, options: Sequence[tuple[int, bytes]]) -> bytes:
    for code, value in options:
        body += struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
    body += bytes(4)  # opt_endofopt
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length

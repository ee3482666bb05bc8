"""Transport attributes, read and written: ICE (RFC 8839), candidates, fingerprints (RFC 8122) and DTLS role (RFC 8842).

A candidate of a transport or type that we do not know is skipped, as RFC 8839 section 5.1 wants; a broken one is
refused. Fingerprints weaker than SHA-256 are skipped; at least one must remain.
"""

import re
from typing import Literal, cast, get_args

from router.errors import RemoteSdpError
from router.rtc.description import DtlsRole, RTCCandidate, RTCFingerprint
from router.rtc.sdp import limits
from router.rtc.sdp.grammar import VISIBLE, Attribute, Block, parse_number, parse_text, refuse, shown

FINGERPRINT_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
"""The algorithms we trust, with the length of their hash."""

_ICE = re.compile(r"[A-Za-z0-9+/]+")
_HEX_PAIRS = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*")
_ADDRESS = re.compile(r"[A-Za-z0-9.:_-]+(?:%[A-Za-z0-9._-]+)?")
CandidateType = Literal["host", "srflx", "prflx", "relay"]
_CANDIDATE_TYPES: tuple[str, ...] = get_args(CandidateType)


def parse_credentials(block: Block) -> tuple[str, str] | None:
    """The ufrag and password of this block (RFC 8839 section 5.4), None if it has neither."""
    ufrag, password = block.first("ice-ufrag"), block.first("ice-pwd")
    if ufrag is None and password is None:
        return None
    if ufrag is None or password is None:
        present = ufrag or password
        assert present is not None
        raise refuse(
            present.line, f"expected a=ice-{'pwd' if ufrag else 'ufrag'} beside a=ice-{'ufrag' if ufrag else 'pwd'}"
        )
    return (
        _parse_ice_word(ufrag, "a=ice-ufrag", low=4),
        _parse_ice_word(password, "a=ice-pwd", low=22),
    )


def _parse_ice_word(attribute: Attribute, what: str, *, low: int) -> str:
    value = attribute.value
    if not low <= len(value) <= 256 or not _ICE.fullmatch(value):
        raise refuse(attribute.line, f"expected {what} of {low} to 256 letters, digits, '+' or '/'")
    return value


def parse_fingerprints(block: Block) -> tuple[RTCFingerprint, ...]:
    """The fingerprints of this block that we can trust, in order, without repeats."""
    found: dict[RTCFingerprint, None] = {}
    lines = block.every("fingerprint")
    if len(lines) > limits.MAX_FINGERPRINTS:
        raise refuse(lines[-1].line, f"expected at most {limits.MAX_FINGERPRINTS} fingerprints")
    for line, value in lines:
        algorithm, _, digest = value.partition(" ")
        algorithm, digest = algorithm.lower(), digest.strip()
        size = FINGERPRINT_BYTES.get(algorithm)
        if size is None:
            continue
        if len(digest) != size * 3 - 1 or not _HEX_PAIRS.fullmatch(digest):
            raise refuse(line, f"expected {size} hex pairs separated by ':' after {algorithm}")
        found[RTCFingerprint(algorithm, digest.upper())] = None
    if lines and not found:
        raise refuse(lines[0].line, f"expected a fingerprint of {', '.join(FINGERPRINT_BYTES)}")
    return tuple(found)


def parse_role(attribute: Attribute | None) -> DtlsRole:
    """The a=setup value; an offer without one is the active side (RFC 4145 section 4)."""
    if attribute is None:
        return "active"
    if attribute.value not in ("actpass", "active", "passive"):
        raise refuse(attribute.line, f"expected a=setup of actpass, active or passive, got {shown(attribute.value)}")
    return cast(DtlsRole, attribute.value)


def parse_options(*blocks: Block) -> set[str]:
    """ICE options (RFC 8839 section 5.6); libdatachannel, and so OBS, puts commas between them."""
    return {
        word for block in blocks for line in block.every("ice-options") for word in line.value.replace(",", " ").split()
    }


def parse_candidates(block: Block) -> tuple[RTCCandidate, ...]:
    """The candidates of this block that we understand, in order."""
    lines = block.every("candidate")
    if len(lines) > limits.MAX_CANDIDATES:
        raise refuse(lines[-1].line, f"expected at most {limits.MAX_CANDIDATES} candidates")
    found = (parse_candidate(value, line) for line, value in lines if value)
    return tuple(candidate for candidate in found if candidate is not None)


def parse_candidate(text: str, line: int = 1) -> RTCCandidate | None:
    """One candidate, with or without its "candidate:" prefix; None if its transport or type is unknown to us.

    >>> parse_candidate("candidate:1 1 UDP 2122252543 192.0.2.1 5000 typ host").address
    '192.0.2.1'
    """
    words = text.removeprefix("a=").removeprefix("candidate:").split()
    if len(words) < 8 or words[6].lower() != "typ":
        expected = "'<foundation> <component> <transport> <priority> <address> <port> typ <type>'"
        raise refuse(line, f"expected a candidate as {expected}, got {shown(text)}")
    foundation, component, transport, priority, address, port, _, kind, *rest = words
    transport, kind = transport.lower(), kind.lower()
    options = {rest[index].lower(): (rest[index + 1]) for index in range(0, len(rest) - 1, 2)}
    related_port = options.get("rport")
    candidate = RTCCandidate(
        foundation=parse_text(foundation, line, "a foundation", pattern=VISIBLE, high=32),
        component=parse_number(component, line, "a component", low=1, high=256),
        transport="tcp" if transport == "tcp" else "udp",
        priority=parse_number(priority, line, "a priority", high=2**32 - 1),
        address=_parse_address(address, line),
        port=parse_number(port, line, "a port", high=65535),
        type=cast(CandidateType, kind) if kind in _CANDIDATE_TYPES else "host",
        related_address=_parse_address(options["raddr"], line) if "raddr" in options else None,
        related_port=None if related_port is None else parse_number(related_port, line, "rport", high=65535),
        tcp_type=parse_text(options["tcptype"], line, "tcptype", high=16) if "tcptype" in options else None,
    )
    return candidate if transport in ("udp", "tcp") and kind in _CANDIDATE_TYPES else None


def _parse_address(text: str, line: int) -> str:
    return parse_text(text, line, "an address", pattern=_ADDRESS, high=255)


def write_candidate(candidate: RTCCandidate) -> str:
    """The value of an a=candidate line (RFC 8839 section 5.1)."""
    words = [
        candidate.foundation,
        str(candidate.component),
        candidate.transport,
        str(candidate.priority),
        candidate.address,
        str(candidate.port),
        "typ",
        candidate.type,
    ]
    if candidate.related_address is not None:
        words += ["raddr", candidate.related_address]
    if candidate.related_port is not None:
        words += ["rport", str(candidate.related_port)]
    if candidate.tcp_type is not None:
        words += ["tcptype", candidate.tcp_type]
    return " ".join(words)


def require_fingerprints(found: tuple[RTCFingerprint, ...], line: int) -> tuple[RTCFingerprint, ...]:
    """Media without DTLS-SRTP is never accepted (RFC 8827 section 6.5, threat D4)."""
    if not found:
        raise RemoteSdpError(f"SDP line {line}: expected a=fingerprint for this m-line or the session: only DTLS-SRTP")
    return found

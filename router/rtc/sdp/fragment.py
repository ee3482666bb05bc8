"""Trickle ICE fragments, application/trickle-ice-sdpfrag (RFC 8840 section 9, as used by RFC 9725 section 4.4).

Read generously, for clients differ: credentials at session or media level, any protocol and payload type, with or
without a=mid, LF or CRLF. Written for the strictest reader: CRLF, one m-line, credentials inside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from router.errors import LocalSdpError, RemoteSdpError
from router.rtc.description import RTCCandidate
from router.rtc.sdp import limits
from router.rtc.sdp.grammar import parse_text, split_blocks
from router.rtc.sdp.parse import RTP_PROTOCOL
from router.rtc.sdp.transport import parse_candidates, parse_credentials, parse_options, write_candidate


@dataclass(frozen=True, slots=True)
class IceFragment:
    """New candidates, or with other credentials than before an ICE restart."""

    ufrag: str | None = None
    password: str | None = None
    candidates: tuple[RTCCandidate, ...] = ()
    end_of_candidates: bool = False
    mid: str | None = None
    """None: the first m-line."""
    lite: bool = False
    trickle: bool = False


def parse_fragment(text: str) -> IceFragment:
    """Reads a client's fragment. Raises `RemoteSdpError` and nothing else."""
    session, sections = split_blocks(text, fragment=True)
    blocks = [session, *sections]
    credentials = dict.fromkeys(found for found in map(parse_credentials, blocks) if found is not None)
    if len(credentials) > 1:
        raise RemoteSdpError("SDP fragment: expected one a=ice-ufrag and a=ice-pwd, the m-lines share a transport")
    ufrag, password = next(iter(credentials), (None, None))
    candidates = tuple(dict.fromkeys(candidate for block in blocks for candidate in parse_candidates(block)))
    if len(candidates) > limits.MAX_CANDIDATES:
        raise RemoteSdpError(f"SDP fragment: expected at most {limits.MAX_CANDIDATES} candidates")
    named = next((found for found in (block.first("mid") for block in sections) if found is not None), None)
    return IceFragment(
        ufrag=ufrag,
        password=password,
        candidates=candidates,
        end_of_candidates=any(
            block.first("end-of-candidates") or any(not line.value for line in block.every("candidate"))
            for block in blocks
        ),
        mid=None if named is None else parse_text(named.value, named.line, "a mid", high=limits.MAX_MID_BYTES),
        lite=session.first("ice-lite") is not None,
        trickle="trickle" in parse_options(*blocks),
    )


def write_fragment(fragment: IceFragment, *, kind: str = "audio", bundle: Sequence[str] = ()) -> str:
    """The body of our answer to an ICE restart. `kind` is that of the tagged m-line, `bundle` all mids."""
    if (fragment.ufrag is None) != (fragment.password is None):
        raise LocalSdpError("a fragment needs both ICE user fragment and password, or neither")
    lines = []
    if fragment.lite:
        lines.append("a=ice-lite")
    if fragment.trickle:
        lines.append("a=ice-options:trickle")
    if bundle:
        lines.append("a=group:BUNDLE " + " ".join(bundle))
    lines.append(f"m={kind} 9 {RTP_PROTOCOL} 0")
    if fragment.mid is not None:
        lines.append(f"a=mid:{fragment.mid}")
    if fragment.ufrag is not None:
        lines += [f"a=ice-ufrag:{fragment.ufrag}", f"a=ice-pwd:{fragment.password}"]
    lines += [f"a=candidate:{write_candidate(candidate)}" for candidate in fragment.candidates]
    if fragment.end_of_candidates:
        lines.append("a=end-of-candidates")
    return "\r\n".join(lines) + "\r\n"

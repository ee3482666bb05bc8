"""SDP bombs (threats H1, H6): refused or parsed within milliseconds, whatever they pile up.

The bound is coarse so that a busy machine does not fail it; anything quadratic takes seconds at these sizes.
"""

import contextlib
import time
from collections.abc import Callable

import pytest

from router.errors import RemoteSdpError
from router.rtc.negotiation import answer
from router.rtc.sdp import limits, parse, parse_fragment, write
from tests.rtc.sdp_vectors import SESSION, SMALL, local_parameters

BOUND_S = 0.5


def fill(line: str, start: str = SMALL) -> str:
    """As many numbered copies of a line as fit."""
    lines, size = [start], len(start)
    for number in range(limits.MAX_LINES):
        text = line.replace("#", str(number)) + "\n"
        if size + len(text) > limits.MAX_SDP_BYTES:
            break
        lines.append(text)
        size += len(text)
    return "".join(lines)


BOMBS: dict[str, Callable[[], str]] = {
    "one MiB": lambda: SMALL + "a=x\n" * 262144,
    "one line of 64 KiB": lambda: SMALL + "a=" + "x" * 60000,
    "1e5 lines": lambda: SMALL + "a\n" * 100_000,
    "candidates": lambda: fill("a=candidate:# 1 udp 1 192.0.2.1 9 typ host", SESSION),
    "candidates of a section": lambda: fill("a=candidate:1 1 udp # ::1 9 typ host"),
    "m-lines": lambda: fill("m=audio 9 UDP/TLS/RTP/SAVPF 0"),
    "rejected m-lines": lambda: fill("m=audio 0 UDP/TLS/RTP/SAVPF 0"),
    "groups": lambda: fill("a=group:BUNDLE 0 1", SESSION) + SMALL.removeprefix(SESSION),
    "ssrcs": lambda: fill("a=ssrc:# cname:x"),
    "ssrc of one": lambda: fill("a=ssrc:1 cname:x"),
    "fid": lambda: fill("a=ssrc-group:FID 1 #"),
    "sim": lambda: fill("a=ssrc-group:SIM " + " ".join(map(str, range(1000)))),
    "rids": lambda: fill("a=rid:r# send"),
    "simulcast": lambda: SMALL + "a=rid:a send\na=simulcast:send " + "a;" * 2000 + "a\n",
    "extensions": lambda: fill("a=extmap:# urn:x"),
    "feedback": lambda: fill("a=rtcp-fb:* x#"),
    "repeated feedback": lambda: fill("a=rtcp-fb:* nack", SMALL.replace("97\n", " ".join(map(str, range(95))) + "\n")),
    "rtpmaps": lambda: fill("a=rtpmap:98 x/1"),
    "fmtp": lambda: SMALL + ("a=fmtp:96 " + ";".join(f"k{number}" for number in range(700)) + "\n") * 14,
    "semicolons": lambda: SMALL + ("a=fmtp:96 " + ";" * 4000 + "\n") * 14,
    "spaces": lambda: SMALL + ("a=fmtp:96" + " " * 4000 + "\n") * 14,
    "formats": lambda: SMALL.replace("SAVPF 111", "SAVPF " + "111 " * 1000),
    "fingerprints": lambda: fill("a=fingerprint:sha-256 AB", SESSION),
    "unknown fingerprints": lambda: fill("a=fingerprint:md5 AB", SESSION),
    "ice options": lambda: SMALL + ("a=ice-options:" + "x," * 2000 + "\n") * 14,
    "hex": lambda: SMALL.replace("sha-256 ", "sha-256 " + "AB:" * 1200),
    "digits": lambda: SMALL + "a=ssrc:" + "9" * 4000 + " cname:x\n",
    "bandwidth": lambda: fill("b=AS:#"),
    "crlf": lambda: SMALL + "\r\n" * 4900,
    "carriage returns": lambda: SMALL + "\r" * 60000,
    "astral": lambda: SMALL + "s=" + "\U0001f4a3" * 4000 + "\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_or_parsed_at_once(name: str) -> None:
    text = BOMBS[name]()
    for read in (parse, parse_fragment):
        started = time.thread_time()
        with contextlib.suppress(RemoteSdpError):
            read(text)
        assert time.thread_time() - started < BOUND_S, f"{read.__name__} of {len(text)} bytes"


def test_limits_are_inclusive() -> None:
    parse(SMALL + "\n" * (limits.MAX_LINES - SMALL.count("\n")))
    with pytest.raises(RemoteSdpError, match="at most 5000 lines"):
        parse(SMALL + "\n" * (limits.MAX_LINES - SMALL.count("\n") + 1))
    parse(SMALL + "a=" + "x" * (limits.MAX_LINE_BYTES - 2) + "\n")
    with pytest.raises(RemoteSdpError, match="line 25: expected at most 4096"):
        parse(SMALL + "a=" + "x" * (limits.MAX_LINE_BYTES - 1) + "\n")
    candidates = "".join(f"a=candidate:{n} 1 udp 1 192.0.2.1 9 typ host\n" for n in range(limits.MAX_CANDIDATES))
    assert len(parse(SMALL.replace("a=mid:0\n", "a=mid:0\n" + candidates)).candidates) == limits.MAX_CANDIDATES


def test_text_of_64_kib_in_bytes_not_characters() -> None:
    text = SMALL + "".join(f"s={'é' * 2000}\n" for _ in range(17))
    assert len(text) < limits.MAX_SDP_BYTES < len(text.encode())
    with pytest.raises(RemoteSdpError, match="at most 65536 bytes"):
        parse(text)


def test_most_that_is_allowed_is_answered_at_once() -> None:
    """64 m-lines of every codec: the worst offer that passes."""
    types = range(limits.MAX_FORMATS)
    mids = [f"m{number}" for number in range(limits.MAX_SECTIONS)]
    codecs = "".join(f"a=rtpmap:{number} VP8/90000\n" for number in list(types)[:20])
    formats = " ".join(map(str, types))
    sections = (
        f"m=video 9 UDP/TLS/RTP/SAVPF {formats}\na=mid:{mid}\na=rtcp-mux\na=rtcp-fb:* nack\n{codecs}" for mid in mids
    )
    text = SESSION.replace("BUNDLE 0 1", "BUNDLE " + " ".join(mids)) + "".join(sections)
    assert len(text) < limits.MAX_SDP_BYTES
    started = time.thread_time()
    written = write(answer(parse(text), local=local_parameters()), session_id=1)
    assert time.thread_time() - started < BOUND_S
    assert written.count("m=video 9") == limits.MAX_SECTIONS

"""Trickle ICE fragments as clients send them, and ours as the strictest of them reads them."""

import re

import pytest

from router.errors import LocalSdpError, RemoteSdpError
from router.rtc.sdp import IceFragment, parse_candidate, parse_fragment, write_fragment
from tests.rtc.sdp_vectors import FRAGMENTS

PASSWORD = "P2uYro0UCOQ4zxjKXaWCBui1"


@pytest.mark.parametrize("name", FRAGMENTS)
def test_credentials_at_either_level(name: str) -> None:
    fragment = parse_fragment(FRAGMENTS[name])
    assert (fragment.ufrag, fragment.password) == ("EsAw", PASSWORD)
    assert fragment.candidates[0].address == "192.0.2.1"
    assert parse_fragment(FRAGMENTS[name].replace("\r\n", "\n")) == fragment


def test_mid_may_be_missing() -> None:
    assert parse_fragment(FRAGMENTS["simple-whip-client"]).mid is None
    assert parse_fragment(FRAGMENTS["rfc9725"]).mid == "0"


def test_end_of_candidates() -> None:
    assert parse_fragment(FRAGMENTS["rfc9725"]).end_of_candidates
    assert not parse_fragment(FRAGMENTS["simple-whip-client"]).end_of_candidates
    assert parse_fragment("m=audio 9 X 0\na=candidate:\n").end_of_candidates, "an empty candidate means the same"


def test_without_m_line() -> None:
    fragment = parse_fragment("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\na=candidate:1 1 udp 1 192.0.2.1 9 typ host")
    assert len(fragment.candidates) == 1
    assert fragment.ufrag is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=ice-ufrag:abcd\n", "expected a=ice-pwd"),
        ("a=ice-ufrag:ab\na=ice-pwd:0123456789012345678901\n", "a=ice-ufrag of 4"),
        (
            f"a=ice-ufrag:abcd\na=ice-pwd:{PASSWORD}\nm=audio 9 X 0\na=ice-ufrag:efgh\na=ice-pwd:{PASSWORD}\n",
            "expected one a=ice-ufrag",
        ),
        ("a=candidate:nonsense\n", "line 1: expected a candidate"),
        ("candidate:1 1 udp 1 192.0.2.1 9 typ host\n", "line 1: expected '<letter>=<value>'"),
        ("{}", "line 1: expected '<letter>=<value>'"),
    ],
)
def test_refused(text: str, expected: str) -> None:
    with pytest.raises(RemoteSdpError, match=re.escape(expected)):
        parse_fragment(text)


def test_candidates_of_many_sections_are_capped_together() -> None:
    lines = [f"a=candidate:{number} 1 udp 1 192.0.2.1 9 typ host\n" for number in range(65)]
    with pytest.raises(RemoteSdpError, match="at most 64"):
        parse_fragment("m=audio 9 X 0\n" + "".join(lines[:40]) + "m=video 9 X 0\n" + "".join(lines[40:]))


def test_written_for_the_strictest_reader() -> None:
    candidate = parse_candidate("1 1 udp 2130706431 192.0.2.9 5000 typ host")
    assert candidate is not None
    fragment = IceFragment("abcd", PASSWORD, (candidate,), end_of_candidates=True, mid="0", lite=True, trickle=True)
    text = write_fragment(fragment, kind="video", bundle=("0", "1"))
    assert text == (
        "a=ice-lite\r\na=ice-options:trickle\r\na=group:BUNDLE 0 1\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
        f"a=ice-ufrag:abcd\r\na=ice-pwd:{PASSWORD}\r\n"
        "a=candidate:1 1 udp 2130706431 192.0.2.9 5000 typ host\r\na=end-of-candidates\r\n"
    )
    assert parse_fragment(text) == fragment
    # whip-whep-js reads the reply to a restart by expressions like these.
    assert re.search(r"a=ice-ufrag:(.*)\r\n", text)
    assert re.search(r"a=ice-pwd:(.*)\r\n", text)


def test_half_of_the_credentials_is_our_mistake() -> None:
    with pytest.raises(LocalSdpError):
        write_fragment(IceFragment(ufrag="abcd"))

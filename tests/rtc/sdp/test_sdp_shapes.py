"""What is read by shapes is what is read line by line, at a fraction of the lines."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.errors import RemoteSdpError
from router.rtc.description import RTCDescription
from router.rtc.sdp import grammar, parse, shapes
from router.rtc.sdp.parse import _parse
from tests.fuzz.fuzz_sdp import CORPUS, mutate
from tests.rtc.sdp_vectors import MEDIA_OFFERS, OFFERS, SMALL

OTHER_PEER = {
    "a=ice-ufrag:": "zyxw",
    "a=ice-pwd:": "abcdefghijklmnopqrstuvwx",
    "a=fingerprint:": "sha-256 " + "CD:" * 31,
}


def read_line_by_line(text: str) -> RTCDescription:
    return _parse(*grammar.split_blocks(text))


def outcome(text: str, *, by_shapes: bool) -> object:
    try:
        return parse(text) if by_shapes else read_line_by_line(text)
    except RemoteSdpError as error:
        return str(error)


def as_another_peer(text: str) -> str:
    """The same text with credentials and fingerprint of somebody else."""
    lines = []
    for line in text.splitlines():
        prefix = next((prefix for prefix in OTHER_PEER if line.startswith(prefix)), None)
        lines.append(line if prefix is None else prefix + OTHER_PEER[prefix] + "CD" * (prefix == "a=fingerprint:"))
    return "\r\n".join(lines) + "\r\n"


@pytest.fixture(autouse=True)
def no_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "_known", {})


def count_lines(monkeypatch: pytest.MonkeyPatch, text: str) -> int:
    counted = []
    monkeypatch.setattr(grammar, "_check_line", lambda number, _line: counted.append(number))
    parse(text)
    monkeypatch.undo()
    return len(counted)


@pytest.mark.parametrize("name", MEDIA_OFFERS)
def test_first_and_later_readings_are_equal(name: str) -> None:
    text = OFFERS[name]
    other = as_another_peer(text)
    for each in (text, other, text):
        assert parse(each) == read_line_by_line(each)


@settings(deadline=None)
@given(st.sampled_from(CORPUS), st.randoms(use_true_random=False))
def test_mutated_texts_have_one_outcome(text: str, random_: random.Random) -> None:
    mutated = mutate(text, random_)
    expected = outcome(mutated, by_shapes=False)
    assert outcome(mutated, by_shapes=True) == expected
    assert outcome(mutated, by_shapes=True) == expected


def test_a_second_peer_costs_its_own_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    text = OFFERS["chromium-room"]
    parse(text)
    other = as_another_peer(text)
    own = sum(line.startswith(tuple(f"a={name}:" for name in shapes.OWN_NAMES)) for line in other.splitlines())
    session = other.split("m=")[0].count("\n")
    assert count_lines(monkeypatch, other) <= own + session < other.count("\n") / 2


def test_sections_of_peers_that_send_nothing_are_one_object() -> None:
    text = SMALL.replace("a=sendonly", "a=recvonly").replace("\n", "\r\n")
    assert parse(text).media[0] is parse(as_another_peer(text)).media[0]


def test_refusals_name_the_line_of_the_text() -> None:
    parse(SMALL)
    with pytest.raises(RemoteSdpError, match="SDP line 10:"):
        parse(SMALL.replace("m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 9 RTP/AVP"))


def test_an_unusual_spelling_is_read_line_by_line() -> None:
    text = SMALL.replace("a=rtcp-mux\n", "a=rtcp-mux\na=ssrc :7 cname:x\na=ssrc:8 cname:x\n", 1)
    assert parse(text) == read_line_by_line(text)
    assert parse(text).media[0].encodings[0].ssrc == 7


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "MAX_SHAPES", 4)
    for number in range(20):
        parse(SMALL.replace("a=rtcp-mux", f"a=rtcp-mux\na=x-{number}"))
    assert 0 < len(shapes._known) <= 4
    monkeypatch.setattr(shapes, "MAX_SHAPE_CHARACTERS", 10)
    shapes._known.clear()
    parse(SMALL)
    assert not shapes._known

"""What a node tells another: read as it was written, and nothing else is believed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cluster.entries import NodeAddress
from router.cluster.told import MAX_ROOMS, MAX_TOLD_BYTES, Told, read_told, write_told
from tests.cluster.test_entries import JSON

HERE = NodeAddress("N_1", "http://10.0.0.1:8081", "https://sfu-1.example.org")
OTHER = NodeAddress("N_2", "", "")
TOLD = [Told(HERE, True, 0.5, owner, known) for owner, known in ((HERE, True), (OTHER, True), (None, False))]
GOOD = write_told(HERE, True, 0.5, TOLD)


def read(fields: object, count: int = 3) -> list[Told]:
    return read_told(json.dumps(fields).encode(), count)


def test_what_was_told_is_read_also_from_a_newer_version() -> None:
    assert read(GOOD) == TOLD
    assert read({**GOOD, "more": 1, "rooms": [{**room, "more": 2} for room in GOOD["rooms"]]}) == TOLD


def test_the_longest_answer_fits() -> None:
    url = "https://" + "x" * 1_000
    long = NodeAddress("N" * 128, url, url)
    told = [Told(long, True, 2.0**50 / 3, long, True)] * MAX_ROOMS
    raw = json.dumps(write_told(long, True, told[0].load, told)).encode()
    assert read_told(raw, MAX_ROOMS) == told
    with pytest.raises(ValueError, match="too long"):
        read_told(raw + b" " * (MAX_TOLD_BYTES + 1 - len(raw)), MAX_ROOMS)


@pytest.mark.parametrize(
    "change",
    [
        {"by": None}, {"by": {**GOOD["by"], "id": "a b"}}, {"by": {**GOOD["by"], "admin_url": "file:///etc/passwd"}},
        {"by": {**GOOD["by"], "public_url": "javascript:alert(1)"}}, {"by": {**GOOD["by"], "public_url": "https://a\r\nb"}},
        {"by": {"id": "N_1"}}, {"by": {**GOOD["by"], "more": 1}}, {"serving": 1}, {"serving": None}, {"load": "1"},
        {"load": -1}, {"load": True}, {"load": 1e300}, {"rooms": {}}, {"rooms": []}, {"rooms": GOOD["rooms"][:2]},
        {"rooms": [None] * 3}, {"rooms": [{"owner": None, "known": 1}] * 3}, {"rooms": [{"known": True}] * 3},
        {"rooms": [{"owner": "N_1", "known": True}] * 3},
        {"rooms": [{"owner": {**GOOD["by"], "id": ""}, "known": True}] * 3},
    ],
)  # fmt: skip
def test_what_is_out_of_bounds_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of them
        read({**GOOD, **change})


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"5", b"[" * 100_000, b"\xff\xfe", b'{"by":NaN}'])
def test_strange_texts_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_told(raw, 1)


@given(st.binary(max_size=200), st.sampled_from(sorted(GOOD)), JSON)
def test_nothing_crashes(raw: bytes, name: str, value: object) -> None:
    for text in (raw, json.dumps({**GOOD, name: value}).encode()):
        try:
            told = read_told(text, 3)
        except ValueError:
            continue
        first = told[0]
        assert read(write_told(first.by, first.serving, first.load, told)) == told

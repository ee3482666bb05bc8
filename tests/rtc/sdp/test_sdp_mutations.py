"""Whatever the text: `RemoteSdpError` or a description, nothing else. The long run is tests/fuzz/fuzz_sdp.py."""

import contextlib
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from router.errors import RemoteSdpError
from router.rtc.sdp import parse, parse_fragment
from tests.fuzz.fuzz_sdp import CORPUS, check, mutate
from tests.rtc.sdp_vectors import SMALL


@settings(deadline=None)
@given(st.sampled_from(CORPUS), st.randoms(use_true_random=False))
def test_mutated_vectors(text: str, random_: random.Random) -> None:
    check(mutate(text, random_))


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec=None, exclude_categories=())))
def test_any_text_after_a_good_offer(text: str) -> None:
    for read in (parse, parse_fragment):
        for whole in (text, SMALL + text, SMALL + "a=" + text):
            with contextlib.suppress(RemoteSdpError):
                read(whole)


def test_truncated_anywhere() -> None:
    for end in range(len(SMALL)):
        check(SMALL[:end])


def test_every_line_missing_once() -> None:
    lines = SMALL.splitlines(keepends=True)
    taken = [check("".join(lines[:index] + lines[index + 1 :])) for index in range(len(lines))]
    assert any(taken)
    assert not all(taken)

"""Mutation fuzzer for SDP: `python -m tests.fuzz.fuzz_sdp [seconds] [seed] [file …]`.

Mutates the vectors and reads, answers and writes the result: nothing but `RemoteSdpError` may come out, what we answer
must read back as the same value, and no text may take long. A finding is printed with its seed, written beside this
file's crash folder, and ends the run with status 1. Give saved files to run those alone.
"""

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from router.errors import RemoteSdpError
from router.rtc.negotiation import answer
from router.rtc.sdp import parse, parse_fragment, write, write_fragment
from tests.rtc.sdp_vectors import FRAGMENTS, OFFERS, SMALL, local_parameters

CRASHES = Path(__file__).parent / "crashes"
SLOW_S = 0.5
CORPUS = [*OFFERS.values(), *FRAGMENTS.values(), SMALL]
LINES = sorted({line for text in CORPUS for line in text.splitlines()})
PIECES = [
    "",
    "0",
    "-1",
    "65536",
    "4294967296",
    "9" * 30,
    "~",
    "*",
    "/",
    ";",
    ",",
    "=",
    ":",
    " ",
    "\t",
    "\r",
    "\n",
    "\r\n",
]
PIECES += [
    "\x00",
    "\x7f",
    "\u2028",
    "\ud800",
    "\u0661",
    "\xa0",
    "a=",
    "m=",
    "v=0",
    "send",
    "recv",
    "BUNDLE",
    "%s",
    "inf",
]


def mutate(text: str, random_: random.Random) -> str:
    """One to eight changes, of lines or of characters."""
    for _ in range(random_.randint(1, 8)):
        text = random_.choice(MUTATIONS)(text, random_)
    return text


def _replace_piece(text: str, random_: random.Random) -> str:
    start = random_.randrange(len(text) + 1)
    return text[:start] + random_.choice(PIECES) + text[start + random_.randrange(4) :]


def _replace_character(text: str, random_: random.Random) -> str:
    start = random_.randrange(len(text) + 1)
    return text[:start] + chr(random_.randrange(128)) + text[start + 1 :]


def _replace_word(text: str, random_: random.Random) -> str:
    words = text.split(" ")
    words[random_.randrange(len(words))] = random_.choice(PIECES)
    return " ".join(words)


def _move_line(text: str, random_: random.Random) -> str:
    lines = text.split("\n")
    line = lines.pop(random_.randrange(len(lines)))
    lines.insert(random_.randrange(len(lines) + 1), line)
    return "\n".join(lines)


def _insert_line(text: str, random_: random.Random) -> str:
    lines = text.split("\n")
    lines.insert(random_.randrange(len(lines) + 1), random_.choice(LINES))
    return "\n".join(lines)


def _drop_line(text: str, random_: random.Random) -> str:
    lines = text.split("\n")
    del lines[random_.randrange(len(lines))]
    return "\n".join(lines)


def _repeat_span(text: str, random_: random.Random) -> str:
    start = random_.randrange(len(text) + 1)
    span = text[start : start + random_.randrange(200)]
    return text[:start] + span * random_.randrange(2, 20) + text[start:]


def _truncate(text: str, random_: random.Random) -> str:
    return text[: random_.randrange(len(text) + 1)]


MUTATIONS: list[Callable[[str, random.Random], str]] = [
    _replace_piece,
    _replace_character,
    _replace_word,
    _move_line,
    _insert_line,
    _drop_line,
    _repeat_span,
]
MUTATIONS = MUTATIONS * 3 + [_truncate]


def check(text: str) -> bool:
    """Whether the text was taken as an offer. Raises on a finding."""
    try:
        fragment = parse_fragment(text)
    except RemoteSdpError:
        pass
    else:
        assert parse_fragment(write_fragment(fragment)).candidates == fragment.candidates
    try:
        offer = parse(text)
        ours = answer(offer, local=local_parameters())
    except RemoteSdpError as error:
        if not str(error).isprintable():
            raise AssertionError("peer text must be escaped in messages") from error
        return False
    assert parse(write(ours, session_id=1)) == ours, "our answer reads back differently"
    assert [section.mid for section in ours.media] == [section.mid for section in offer.media]
    return True


def run(seconds: float, seed: int) -> int:
    """Fuzzes; the number of findings, which is 0 or 1."""
    random_ = random.Random(seed)
    started = time.perf_counter()
    tried = taken = 0
    while time.perf_counter() - started < seconds:
        text = mutate(random_.choice(CORPUS), random_)
        before = time.perf_counter()
        try:
            taken += check(text)
            assert time.perf_counter() - before < SLOW_S, "too slow"
        except Exception as error:  # whatever it is, it is a finding
            CRASHES.mkdir(exist_ok=True)
            path = CRASHES / f"sdp-{seed}-{tried}.sdp"
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
            print(f"finding after {tried} texts, seed {seed}: {error!r}; saved as {path}", file=sys.stderr)
            return 1
        tried += 1
    print(f"sdp: {tried} texts in {seconds:g} s, {taken} of them answered, seed {seed}")
    return 0


def main(arguments: list[str]) -> int:
    """Command line."""
    files = [Path(name) for name in arguments if Path(name).is_file()]
    if files:
        for path in files:
            print(path, check(path.read_bytes().decode("utf-8", "surrogatepass")))
        return 0
    seconds = float(arguments[0]) if arguments else 60.0
    seed = int(arguments[1]) if len(arguments) > 1 else random.SystemRandom().randrange(2**32)
    return run(seconds, seed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

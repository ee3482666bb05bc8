"""Tables on terminals of any width, in pipes, in encodings that lack letters, on full disks."""

import io
import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from router.errors import RouterError
from router.tables import plain, print_json, print_table

COLUMNS = ("id", "name", "locked", "created at")
ROWS = [["P_1", "茶 [bold]room[/]\x1b[2J\r\u202e", "", "2026-11-29"], ["P_2", "x" * 150, "", ""]]


def draw(monkeypatch: pytest.MonkeyPatch, width: int | None, rows: list[list[str]] = ROWS) -> list[str]:
    """Lines; with a width, of a terminal."""
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: width is not None)
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("COLUMNS", str(width or 40))
    monkeypatch.setenv("TERM", "xterm")
    print_table(COLUMNS, rows)
    return [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", out.getvalue()).splitlines()]


def test_in_a_pipe_a_row_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    head, first, second = draw(monkeypatch, None)
    assert head.split() == ["id", "name", "locked", "created", "at"]
    assert first.split()[:2] == ["P_1", "茶"]
    assert "x" * 150 in second


def test_a_narrow_terminal_gets_a_block_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = draw(monkeypatch, 36)
    assert max(map(cell_len, lines)) <= 36
    assert [line.split()[0] for line in lines[:3]] == ["id", "name", "created"]
    assert lines[3] == ""
    assert "locked" not in " ".join(lines)
    assert "".join(line.removeprefix(" name").strip() for line in lines[5:]) == "x" * 150


def test_empty_columns_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(draw(monkeypatch, 28, [["P_1", "tea", "", "2026-11-29"]])) == 2
    assert draw(monkeypatch, 60, []) == [" id  name  locked  created at"]


def test_long_texts_are_folded_while_ids_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = draw(monkeypatch, 60, [["P_52c5745333cab430", "a name of many words " * 3, "", "2026-11-29"]])
    assert len(lines) == 4
    assert max(map(len, lines)) <= 60
    assert lines[1].split()[0] == "P_52c5745333cab430"


def test_text_of_the_network_is_data(monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (None, 300, 60, 36):
        text = "\n".join(draw(monkeypatch, width))
        assert "[bold]room[/]" in text
        assert [letter for letter in "\x1b\r\u202e" if letter in text] == []


def test_joiners_of_emoji_and_persian_stay() -> None:
    family = "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
    assert plain(family + "\u200b") == family + "\N{REPLACEMENT CHARACTER}"


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        with pytest.raises(RouterError, match="cannot write to stdout: No space left"):
            print_json({})
        full.flush()  # what Python does at its end

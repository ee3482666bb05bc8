"""Tables and JSON on stdout. In tables, text from the network is data: never markup, never terminal control.

On a terminal that is too narrow for a table, empty columns are left out and long texts folded; if that does not help,
each row becomes a block of lines, NAME VALUE. Elsewhere a row is one line, however long, with all columns.
"""

import io
import json
import os
import sys
from collections.abc import Iterable
from typing import Any, Final

from router.errors import RouterError

LEAST_CELLS: Final = 10
"""Of a column that is folded, between words: an id stays whole."""
MOST_WORD: Final = 24
"""Longer ones are folded too."""
JOINERS: Final = "\u200c\u200d"
"""Invisible, but of Persian words and of emoji."""


def print_table(columns: Iterable[str], rows: Iterable[Iterable[Any]], *, styles: Iterable[str] = ()) -> None:
    """For people; `styles` colours rows on a terminal."""
    from rich.console import Group

    names = list(columns)
    cells = [[plain(str(cell)) for cell in row] for row in rows]
    row_styles = [*styles] or [""] * len(cells)
    width = terminal_width() or _measure(names, cells)
    if cells and _measure(names, cells) > width:
        names, cells = _leave_out_empty(names, cells)
    widths = _fold(names, cells, width)
    if widths or not cells:
        print_rich(_table(names, cells, row_styles, widths), width)
    else:
        print_rich(Group(*(_block(names, row, style) for row, style in zip(cells, row_styles, strict=True))), width)


def terminal_width() -> int | None:
    """In cells; None where stdout is none."""
    from rich.console import Console

    return Console().width if sys.stdout.isatty() else None


def print_rich(shown: Any, width: int) -> None:
    """Something of the library rich."""
    from rich.console import Console

    drawn = io.StringIO()
    terminal = sys.stdout.isatty()
    Console(file=drawn, force_terminal=terminal, width=width, markup=False, highlight=False).print(shown)
    _write(drawn.getvalue())


def print_line(text: str) -> None:
    """One line for people."""
    _write(plain(text) + "\n")


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """For programs."""
    _write(json.dumps(value, indent=indent) + "\n")


def _write(text: str) -> None:
    """To stdout, now. A full disk is told in one line; who does not read to the end (`head`) needs none."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at its end
        raise RouterError(f"cannot write to stdout: {error.strerror or error}") from None


def plain(text: str) -> str:
    """Text that moves no cursor.

    >>> plain("a" + chr(27) + "[2J")
    'a\N{REPLACEMENT CHARACTER}[2J'
    """
    return "".join(
        letter if letter.isprintable() or letter in JOINERS else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def _widths(names: list[str], cells: list[list[str]]) -> list[int]:
    from rich.cells import cell_len

    return [max(map(cell_len, column)) for column in zip(names, *cells, strict=True)]


def _measure(names: list[str], cells: list[list[str]]) -> int:
    """Cells of a terminal that a table takes."""
    return sum(2 + width for width in _widths(names, cells))


def _fold(names: list[str], cells: list[list[str]], width: int) -> list[int]:
    """How wide columns are so that all fit, the first of them as wide as they like; empty if they cannot."""
    wanted = _widths(names, cells)
    words = _widths(names, [[max(cell.split() or [""], key=len) for cell in row] for row in cells])
    least = [min(most, max(LEAST_CELLS, min(word, MOST_WORD))) for most, word in zip(wanted, words, strict=True)]
    spare = width - sum(2 + column for column in least)
    if spare < 0:
        return []
    for index, most in enumerate(wanted):
        more = min(spare, most - least[index])
        least[index] += more
        spare -= more
    return least


def _leave_out_empty(names: list[str], cells: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    kept = [index for index in range(len(names)) if any(row[index] for row in cells)]
    return [names[index] for index in kept], [[row[index] for index in kept] for row in cells]


def _table(names: list[str], cells: list[list[str]], styles: list[str], widths: list[int]) -> Any:
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for index, name in enumerate(names):
        table.add_column(name, overflow="fold", width=widths[index] if widths else None)
    for row, style in zip(cells, styles, strict=True):
        table.add_row(*row, style=style)
    return table


def _block(names: list[str], row: list[str], style: str) -> Any:
    from rich.padding import Padding
    from rich.table import Table

    table = Table(box=None, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, cell in zip(names, row, strict=True):
        if cell:
            table.add_row(name, cell, style=style)
    return Padding(table, (0, 0, 1, 0))

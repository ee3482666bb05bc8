"""Tables and JSON on stdout. In tables, text from the network is data: never markup, never terminal control."""

import json
import sys
from collections.abc import Iterable
from typing import Any, Final

PIPE_WIDTH: Final = 200


def print_table(columns: Iterable[str], rows: Iterable[Iterable[Any]], *, styles: Iterable[str] = ()) -> None:
    """For people; `styles` colours rows on a terminal. Without columns, rows are lines."""
    from rich.console import Console
    from rich.table import Table

    names = list(columns)
    table = Table(box=None, header_style="bold", show_header=bool(names))
    for column in names:
        table.add_column(column, overflow="fold")
    row_styles = iter(styles)
    for row in rows:
        table.add_row(*(plain(str(cell)) for cell in row), style=next(row_styles, None))
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    Console(markup=False, highlight=False, width=width).print(table)


def print_json(value: Any) -> None:
    """For programs."""
    print(json.dumps(value, indent=2))


def plain(text: str) -> str:
    """Text that moves no cursor.

    >>> plain("a" + chr(27) + "[2J")
    'a\N{REPLACEMENT CHARACTER}[2J'
    """
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)

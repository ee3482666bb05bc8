"""Tables for people. Text from the network is shown as data: never as markup, never as terminal control."""

import sys
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console
from rich.table import Table

PIPE_WIDTH: Final = 200


def print_table(columns: Iterable[str], rows: Iterable[Iterable[Any]], *, styles: Iterable[str] = ()) -> None:
    """On stdout; `styles` colours rows on a terminal."""
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    row_styles = iter(styles)
    for row in rows:
        table.add_row(*(_plain(str(cell)) for cell in row), style=next(row_styles, None))
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    Console(markup=False, highlight=False, width=width).print(table)


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)

"""A frame of `router top` as text: the node, other nodes, rooms in the order that was asked for.

What does not fit is left out whole: no figure is ever cut.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from router.commands.nodes import describe_load
from router.commands.top_reading import SORTS, Reading
from router.tables import plain

if TYPE_CHECKING:
    from router.commands.client import Item

FULL: Final = 0.9
BUSY: Final = 0.7
LOSSY: Final = 0.02
BAR: Final = 20
NARROW: Final = 60
MAX_NODES: Final = 10
ROOM_CHARACTERS: Final = 16
"""Of a room's name that are shown before other columns are."""
Columns = Mapping[str, Callable[["Item"], Any]]
FEW_COLUMNS: Final = ("rtt", "tracks", "lost in", "in", "region", "rooms", "limited", "lost out", "state", "quality")
"""What a narrow window leaves out, the first of them first."""


def bits(rate: float | None) -> str:
    """Bits per second for people.

    >>> bits(1_234_567), bits(950), bits(None)
    ('1.2 Mbit/s', '1 kbit/s', '')
    """
    if rate is None:
        return ""
    if rate >= 1e9:
        return f"{rate / 1e9:.2f} Gbit/s"
    return f"{rate / 1e6:.1f} Mbit/s" if rate >= 1e6 else f"{rate / 1e3:.0f} kbit/s"


def count(number: float) -> str:
    """A number of few digits.

    >>> count(12_345), count(7.2)
    ('12.3k', '7')
    """
    return f"{number / 1000:.1f}k" if number >= 10_000 else f"{number:.0f}"


def _share(part: float | None) -> str:
    return "" if part is None else f"{part:.1%}"


def _figure(name: str, show: Callable[[Any], Any]) -> Callable[["Item"], Any]:
    return lambda room: show((room.get("figures") or {}).get(name))


ROOM_COLUMNS: Final[Columns] = {
    "room": lambda room: room.get("name", ""),
    "people": lambda room: room.get("participants", ""),
    "tracks": lambda room: room.get("tracks", ""),
    "in": _figure("bitrate_in", bits),
    "out": _figure("bitrate_out", bits),
    "lost in": _figure("loss_in", _share),
    "lost out": _figure("loss_out", _share),
    "rtt": _figure("round_trip_time", lambda time_s: "" if time_s is None else f"{time_s * 1000:.0f} ms"),
    "limited": _figure("limited", lambda number: number or ""),
    "quality": _figure("quality", lambda word: word or ""),
}
NODE_COLUMNS: Final[Columns] = {
    "node": lambda node: node.get("id", ""),
    "state": lambda node: node.get("state", ""),
    "load": describe_load,
    "rooms": lambda node: node.get("rooms", ""),
    "people": lambda node: node.get("participants", ""),
    "region": lambda node: node.get("region", ""),
}


def view(
    reading: Reading, *, sort: str, backwards: bool, width: int | None, height: int | None, problem: str = ""
) -> RenderableType:
    """The frame in a window of this size, or as large as it is. With a problem, the reading is one of before."""
    head = [line for facts in _describe(reading, problem, width) for line in _pack(facts, width)]
    nodes = reading.nodes if len(reading.nodes) > 1 else ()
    rooms = reading.rooms[::-1] if backwards else reading.rooms
    if height is not None:
        head = head[: max(3, height // 2 - 1)]
        nodes = nodes[: max(0, min(MAX_NODES, height // 2 - len(head) - 2))]
        rooms = rooms[: max(0, height - len(head) - (2 + len(nodes) if nodes else 0) - 3)]
    stale = "dim" if problem else ""
    parts: list[RenderableType] = [*head]
    if nodes:
        parts += [Text(), _table(NODE_COLUMNS, nodes, width, ["bold" if node.get("here") else "" for node in nodes])]
    parts += [Text(), _table(ROOM_COLUMNS, rooms, width, [_room_style(room) for room in rooms], stale)]
    left = reading.total_rooms - len(rooms)
    more = f"{left} more  " if left > 0 else ""
    if height is not None:
        keys = "  ".join(f"{key} {name}" for key, (name, _) in SORTS.items())
        order = f"by {SORTS[sort][0]}{', reversed' if backwards else ''}"
        parts.append(_line(f"{more}{order}  q quit  r reverse  {keys}", "dim"))
    elif more:
        parts.append(_line(more, "dim"))
    return Group(*parts)


def _line(text: str = "", style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _pack(facts: Sequence[Text], width: int | None) -> Iterator[Text]:
    """Facts in as few lines as hold them whole."""
    line = _line()
    for fact in facts:
        if line and width is not None and line.cell_len + 2 + fact.cell_len > width:
            yield line
            line = _line()
        line.append("  " if line else "").append_text(fact)
    yield line


def _describe(reading: Reading, problem: str, width: int | None) -> Iterator[list[Text]]:
    """The router, its load, its quality: facts that belong together."""
    title = Text(f"fork-router {plain(reading.version)} at {plain(reading.url)}")
    if problem:
        yield [title, Text(plain(problem), style="bold red")]
    else:
        state = Text(plain(reading.state), style="green" if reading.state == "serving" else "bold yellow")
        counts = f"{reading.total_rooms} rooms", f"{reading.participants} participants", f"store {plain(reading.store)}"
        yield [title, state, *map(Text, counts)]
    node, stale = reading.node, "dim" if problem else ""
    load = _draw_load(node.load, BAR if width is None or width >= NARROW else BAR // 2)
    traffic = (
        f"peers {node.peers}",
        f"in {bits(node.bits_in)} {count(node.packets_in)} pkt/s",
        f"out {bits(node.bits_out)} {count(node.packets_out)} pkt/s",
    )
    yield [load, *(Text(fact, style=stale) for fact in traffic)]
    p99 = "?" if node.forward_p99_s is None else f"{node.forward_p99_s * 1000:g} ms"
    limited = ", ".join(f"{plain(name)} {number}" for name, number in node.limited.items())
    quality = (
        f"forwarded within {p99} (p99)",
        f"repaired {count(node.retransmitted)}/s",
        f"dropped {count(node.dropped)}/s",
        f"freezes {node.freezes:.1f}/s",
        f"limited slots: {limited or 'none'}",
    )
    yield [Text(fact, style=stale) for fact in quality]


def _draw_load(load: float | None, bar: int) -> Text:
    text = Text("load ")
    if load is None:
        return text.append("?")
    filled = round(bar * min(1.0, load))
    style = "red" if load >= FULL else "yellow" if load >= BUSY else "green"
    return text.append("█" * filled, style=style).append("░" * (bar - filled), style="dim").append(f" {load:.0%}")


def _table(
    columns: Columns, items: "Sequence[Item]", width: int | None, styles: Sequence[str], style: str = ""
) -> Table:
    """With as many columns as there is room for; the first is always there, cut if it must be."""
    shown = {name: [plain(str(read(item))) for item in items] for name, read in columns.items()}
    for name in FEW_COLUMNS:
        if width is None or _measure(shown) <= width:
            break
        shown.pop(name, None)
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False, style=style)
    for index, name in enumerate(shown):
        table.add_column(name, justify="right" if index else "left", no_wrap=True, overflow="ellipsis")
    if width is not None:
        table.columns[0].max_width = max(1, width - _measure(shown, 0))
    for row, row_style in zip(zip(*shown.values(), strict=True), styles, strict=True):
        table.add_row(*map(Text, row), style=row_style)
    return table


def _measure(shown: Mapping[str, Sequence[str]], longest_name: int = ROOM_CHARACTERS) -> int:
    """Cells of a table whose first column is cut at so many."""
    first, *others = (max(map(cell_len, (name, *cells))) for name, cells in shown.items())
    return min(first, longest_name) + sum(2 + other for other in others)


def _room_style(room: "Item") -> str:
    figures = room.get("figures") or {}
    lossy = max(figures.get("loss_in") or 0.0, figures.get("loss_out") or 0.0) >= LOSSY
    return "yellow" if lossy or figures.get("limited") else ""

"""A frame of `router top` as text: the node, other nodes, rooms in the order that was asked for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from router.commands.nodes import describe_load
from router.commands.top_reading import SORTS, NodeReading, Reading
from router.tables import plain

if TYPE_CHECKING:
    from router.commands.client import Item

FULL: Final = 0.9
BUSY: Final = 0.7
LOSSY: Final = 0.02
BAR: Final = 20
MAX_NODES: Final = 10
ROOM_COLUMNS: Final = ("room", "people", "tracks", "in", "out", "lost in", "lost out", "rtt", "limited", "quality")
NODE_COLUMNS: Final = ("node", "state", "load", "rooms", "people", "region")


def view(reading: Reading, *, sort: str, backwards: bool, height: int | None, problem: str = "") -> RenderableType:
    """The frame; `height` lines of it, or as many as it takes."""
    head: list[RenderableType] = [_head(reading, problem), *_node_lines(reading.node)]
    nodes = reading.nodes[:MAX_NODES] if len(reading.nodes) > 1 else ()
    if nodes:
        head += [Text(), _nodes(nodes)]
    used = 3 + (2 + len(nodes) if nodes else 0)
    rooms = reading.rooms[::-1] if backwards else reading.rooms
    shown = rooms if height is None else rooms[: max(0, height - used - 3)]
    parts = [*head, Text(), _rooms(shown)]
    left = reading.total_rooms - len(shown)
    more = f"{left} more  " if left > 0 else ""
    if height is None:
        return Group(*parts, Text(more, style="dim")) if more else Group(*parts)
    keys = "  ".join(f"{key} {name}" for key, (name, _) in SORTS.items())
    foot = f"{more}by {SORTS[sort][0]}{', reversed' if backwards else ''}  [{keys}  r reverse  q quit]"
    return Group(*parts, Text(foot, style="dim", no_wrap=True, overflow="ellipsis"))


def _head(reading: Reading, problem: str) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"fork-router {plain(reading.version)} at {plain(reading.url)}  ")
    if problem:
        text.append(plain(problem), style="bold red")
    else:
        text.append(plain(reading.state), style="green" if reading.state == "serving" else "bold yellow")
        text.append(f"  {reading.total_rooms} rooms  {reading.participants} participants  store {plain(reading.store)}")
    return text


def _node_lines(node: NodeReading) -> Iterator[Text]:
    load = Text("load ", no_wrap=True, overflow="ellipsis")
    if node.load is None:
        load.append("?")
    else:
        filled = round(BAR * min(1.0, node.load))
        style = "red" if node.load >= FULL else "yellow" if node.load >= BUSY else "green"
        load.append("█" * filled, style=style)
        load.append("░" * (BAR - filled), style="dim")
        load.append(f" {node.load:.0%}")
    load.append(f"  peers {node.peers}  in {bits(node.bits_in)} {count(node.packets_in)} pkt/s")
    load.append(f"  out {bits(node.bits_out)} {count(node.packets_out)} pkt/s")
    yield load
    p99 = "?" if node.forward_p99_s is None else f"{node.forward_p99_s * 1000:g} ms"
    limited = ", ".join(f"{plain(name)} {number}" for name, number in node.limited.items())
    yield Text(
        f"forwarded within {p99} (p99)  repaired {count(node.retransmitted)}/s  dropped {count(node.dropped)}/s  "
        f"freezes {node.freezes:.1f}/s  limited slots: {limited or 'none'}",
        no_wrap=True,
        overflow="ellipsis",
    )


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left", no_wrap=True, overflow="ellipsis")
    return table


def _nodes(nodes: "tuple[Item, ...]") -> Table:
    table = _table(*NODE_COLUMNS)
    for node in nodes:
        cells: list[Any] = [node.get("id", ""), node.get("state", ""), describe_load(node)]
        cells += [node.get("rooms", ""), node.get("participants", ""), node.get("region", "")]
        table.add_row(*(Text(plain(str(cell))) for cell in cells), style="bold" if node.get("here") else None)
    return table


def _rooms(rooms: "tuple[Item, ...]") -> Table:
    table = _table(*ROOM_COLUMNS)
    for room in rooms:
        figures = room.get("figures") or {}
        lossy = max(figures.get("loss_in") or 0.0, figures.get("loss_out") or 0.0) >= LOSSY
        round_trip_s, limited = figures.get("round_trip_time"), figures.get("limited") or 0
        cells = [
            room.get("name", ""),
            room.get("participants", ""),
            room.get("tracks", ""),
            bits(figures.get("bitrate_in")),
            bits(figures.get("bitrate_out")),
            _share(figures.get("loss_in")),
            _share(figures.get("loss_out")),
            "" if round_trip_s is None else f"{round_trip_s * 1000:.0f} ms",
            limited or "",
            figures.get("quality") or "",
        ]
        table.add_row(*(Text(plain(str(cell))) for cell in cells), style="yellow" if lossy or limited else None)
    return table


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

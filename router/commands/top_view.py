"""A frame of `router top` as text: the node, other nodes, rooms in the order that was asked for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from router.commands.top_reading import SORTS, NodeReading, Reading, RoomReading
from router.tables import plain

if TYPE_CHECKING:
    from router.commands.client import Item

FULL: Final = 0.9
BUSY: Final = 0.7
LOSSY: Final = 0.02
BAR: Final = 20
ROOM_COLUMNS: Final = ("room", "people", "sessions", "tracks", "in", "out", "lost in", "lost out", "rtt", "limited")


def view(reading: Reading, *, sort: str, backwards: bool, height: int | None, problem: str = "") -> RenderableType:
    """The frame; `height` lines of it, or as many as it takes."""
    head = [_head(reading, problem), *_node_lines(reading.node)]
    if len(reading.nodes) > 1:
        head.append(_nodes(reading.nodes))
    used = sum(1 + len(reading.nodes) if isinstance(part, Table) else 1 for part in head)
    rooms = sorted(reading.rooms, key=SORTS[sort][1], reverse=backwards)
    shown = rooms if height is None else rooms[: max(0, height - used - 3)]
    parts = [*head, Text(), _rooms(shown)]
    left = len(rooms) - len(shown)
    if height is not None:
        keys = "  ".join(f"{key} {name}" for key, (name, _) in SORTS.items())
        more = f"{left} more rooms  " if left else ""
        parts.append(Text(f"{more}by {SORTS[sort][0]}  [{keys}  r reverse  q quit]", style="dim", no_wrap=True))
    return Group(*parts)


def _head(reading: Reading, problem: str) -> Text:
    state = ("ready", "green") if reading.ready else (reading.not_ready, "bold yellow")
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"fork-router {plain(reading.version)}  {plain(reading.url)}  ")
    text.append(plain(problem or state[0]), style="bold red" if problem else state[1])
    return text


def _node_lines(node: NodeReading) -> Iterator[Text]:
    load = Text("load ", no_wrap=True)
    if node.load is None:
        load.append("?")
    else:
        filled = round(BAR * min(1.0, node.load))
        style = "red" if node.load >= FULL else "yellow" if node.load >= BUSY else "green"
        load.append("█" * filled, style=style)
        load.append("░" * (BAR - filled), style="dim")
        load.append(f" {node.load:.0%}")
    load.append(f"   peers {node.forks}   in {bits(node.bits_in)} {count(node.packets_in)} pkt/s")
    load.append(f"   out {bits(node.bits_out)} {count(node.packets_out)} pkt/s")
    yield load
    p99 = "?" if node.forward_p99_s is None else f"{node.forward_p99_s * 1000:g} ms"
    limited = ", ".join(f"{plain(name)} {number:g}" for name, number in node.limited.items() if name != "none" and number)
    yield Text(
        f"forwarded within {p99} (p99)   repaired {count(node.retransmitted)}/s   socket drops "
        f"{count(node.dropped_socket)}/s   refused {count(node.dropped_other)}/s   "
        f"loop lag {node.loop_lag_s * 1000:.0f} ms   limited slots: {limited or 'none'}",
        no_wrap=True,
        overflow="ellipsis",
    )


def _nodes(nodes: "tuple[Item, ...]") -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("node", "state", "load", "rooms", "people", "region"):
        table.add_column(name, no_wrap=True)
    for node in nodes:
        cells: list[Any] = [node.get("id", ""), node.get("state", "")]
        load = node.get("load")
        cells.append(f"{load:.0%}" if isinstance(load, int | float) else "")
        cells += [node.get("rooms", ""), node.get("participants", ""), node.get("region", "")]
        table.add_row(*(Text(plain(str(cell))) for cell in cells))
    return table


def _rooms(rooms: list[RoomReading]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for index, name in enumerate(ROOM_COLUMNS):
        table.add_column(name, justify="right" if index else "left", no_wrap=True, overflow="ellipsis")
    for room in rooms:
        lossy = max(room.loss_in or 0.0, room.loss_out or 0.0) >= LOSSY
        cells = [
            plain(room.name),
            str(room.participants),
            str(room.sessions),
            str(room.tracks),
            bits(room.bits_in),
            bits(room.bits_out),
            _share(room.loss_in),
            _share(room.loss_out),
            "" if room.round_trip_s is None else f"{room.round_trip_s * 1000:.0f} ms",
            "" if room.limited is None else str(room.limited),
        ]
        table.add_row(*map(Text, cells), style="yellow" if lossy or room.limited else None)
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

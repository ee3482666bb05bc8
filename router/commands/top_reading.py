"""What `router top` shows, read from the admin API: `/v1/overview` for the node and its rooms, `/v1/nodes` for others.

The overview costs the router the same however many watch. Its counters become rates between two readings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from router.commands.errors import AdminError

if TYPE_CHECKING:
    from router.commands.client import AdminClient, Item

MAX_ROOMS: Final = 100
"""Of one overview."""
SORTS: Final[Mapping[str, tuple[str, str]]] = {
    "n": ("name", "name"),
    "p": ("people", "size"),
    "b": ("bitrate", "bitrate"),
    "l": ("loss", "loss"),
    "w": ("quality", "quality"),
}
"""By their keys: how they are called, and what the overview calls them. The router sorts, for it may have very many."""


@dataclass(frozen=True, slots=True)
class NodeReading:
    """The router that answers. Rates are per second; None is what is not known yet."""

    load: float | None = None
    """Share of time that the busiest engine thread worked; 1 is full."""
    bits_in: float = 0.0
    bits_out: float = 0.0
    packets_in: float = 0.0
    packets_out: float = 0.0
    retransmitted: float = 0.0
    dropped: float = 0.0
    """By full buffers of the kernel."""
    freezes: float = 0.0
    forward_p99_s: float | None = None
    peers: int = 0
    limited: Mapping[str, int] = field(default_factory=dict)
    """Video slots by what limits them."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One frame."""

    url: str
    version: str
    state: str
    store: str
    node: NodeReading
    rooms: "tuple[Item, ...]"
    total_rooms: int
    participants: int
    nodes: "tuple[Item, ...]"


class Reader:
    """Reads one frame after the other."""

    def __init__(self, client: "AdminClient") -> None:
        self._client = client
        self._counters: Item | None = None

    def read(self, sort: str = "p") -> Reading:
        """The frame of now; `AdminError` when the router does not answer."""
        overview = self._client.read("/v1/overview", sort=SORTS[sort][1], limit=MAX_ROOMS)
        nodes = self._read_nodes()
        try:
            return self._understand(overview, nodes)
        except (AttributeError, KeyError, TypeError, ValueError):
            self._counters = None
            raise AdminError(f"the overview of the router at {self._client.url} is of another version") from None

    def _understand(self, overview: "Item", nodes: "tuple[Item, ...]") -> Reading:
        node = overview.get("node") or {}
        before, counters = self._counters, node.get("counters")
        self._counters = counters
        store = node.get("store") or {}
        return Reading(
            url=self._client.url,
            version=str(node.get("version", "")),
            state="engine gone" if counters is None else str(node.get("state", "")),
            store=f"{store.get('kind', '?')} {'up' if store.get('up') else 'down'}",
            node=read_node(before, counters) if counters else NodeReading(),
            rooms=tuple(overview.get("rooms", ())),
            total_rooms=overview.get("total", 0),
            participants=node.get("participants", 0),
            nodes=nodes,
        )

    def _read_nodes(self) -> "tuple[Item, ...]":
        """None while the store is away: that is told beside."""
        try:
            return tuple(self._client.read("/v1/nodes").get("items", ()))
        except AdminError:
            return ()


def read_node(before: "Item | None", after: "Item") -> NodeReading:
    """What the counters say; rates need earlier ones.

    >>> names = "bytes_in bytes_out rtp_in rtp_out retransmitted kernel_drops send_dropped freezes".split()
    >>> lists = {"busy_us": [0], "transports": [2], "forward_delay": [0, 0], "forward_delay_bounds_us": [50]}
    >>> before = {"time_us": 0, **dict.fromkeys(names, 0), **lists}
    >>> node = read_node(before, before | {"time_us": 1_000_000, "bytes_out": 1000, "busy_us": [500_000]})
    >>> node.bits_out, node.load, node.peers
    (8000.0, 0.5, 2)
    """
    elapsed_s = (after["time_us"] - before["time_us"]) / 1e6 if before else 0.0

    def rate(*names: str) -> float:
        if before is None or elapsed_s <= 0:
            return 0.0
        return float(sum(max(0, after[name] - before[name]) for name in names) / elapsed_s)

    return NodeReading(
        load=_read_load(before["busy_us"], after["busy_us"], elapsed_s) if before else None,
        bits_in=8 * rate("bytes_in"),
        bits_out=8 * rate("bytes_out"),
        packets_in=rate("rtp_in"),
        packets_out=rate("rtp_out"),
        retransmitted=rate("retransmitted"),
        dropped=rate("kernel_drops", "send_dropped"),
        freezes=rate("freezes"),
        forward_p99_s=_read_p99(before, after) if before else None,
        peers=sum(after["transports"]),
        limited={name: count for name, count in after.get("limited", {}).items() if name != "none" and count},
    )


def _read_load(before: Sequence[int], after: Sequence[int], elapsed_s: float) -> float | None:
    if elapsed_s <= 0 or len(before) != len(after) or not after:
        return None
    return max(later - earlier for earlier, later in zip(before, after, strict=True)) / 1e6 / elapsed_s


def _read_p99(before: "Item", after: "Item") -> float | None:
    """The upper bound of the bucket it lies in; None without packets, infinite beyond the last bound."""
    pairs = zip(before["forward_delay"], after["forward_delay"], strict=False)
    counts = [max(0, later - earlier) for earlier, later in pairs]
    bounds: list[Any] = [*after["forward_delay_bounds_us"], float("inf")]
    reached, wanted = 0, 0.99 * sum(counts)
    for count, bound in zip(counts, bounds, strict=False):
        reached += count
        if count and reached >= wanted:
            return float(bound) / 1e6
    return None

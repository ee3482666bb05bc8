"""What `router top` shows, read from the admin API: the node from its metrics, rooms from their statistics.

Counters become rates between two readings. Statistics cost the router work for every stream, so those of a reading
are read for rooms with at most `MAX_PARTICIPANTS` together, the first in the order that is shown.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from router import clock
from router.commands.errors import EXIT_UNKNOWN, AdminError
from router.commands.exposition import Samples, read_quantile

if TYPE_CHECKING:
    from router.commands.client import AdminClient, Item

MAX_PARTICIPANTS: Final = 300
MAX_ROOMS: Final = 60
NOTHING: Final = Samples({})


@dataclass(frozen=True, slots=True)
class NodeReading:
    """The router that answers."""

    load: float | None = None
    """Share of time that the busiest engine thread worked; 1 is full."""
    bits_in: float = 0.0
    bits_out: float = 0.0
    packets_in: float = 0.0
    packets_out: float = 0.0
    retransmitted: float = 0.0
    dropped_socket: float = 0.0
    """By kernel and send buffers."""
    dropped_other: float = 0.0
    """By the engine: not authentic, replayed, unknown."""
    forward_p99_s: float | None = None
    loop_lag_s: float = 0.0
    forks: int = 0
    limited: Mapping[str, float] = field(default_factory=dict)
    """Video slots by what limits them."""


@dataclass(frozen=True, slots=True)
class RoomReading:
    """One room; what was not read is None."""

    name: str
    participants: int
    sessions: int
    tracks: int
    bits_in: float | None = None
    bits_out: float | None = None
    loss_in: float | None = None
    loss_out: float | None = None
    round_trip_s: float | None = None
    limited: int | None = None
    """Slots that the receiver's link limits."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One frame."""

    url: str
    version: str
    ready: bool
    not_ready: str
    node: NodeReading
    rooms: tuple[RoomReading, ...]
    nodes: "tuple[Item, ...]"


SORTS: Final[Mapping[str, tuple[str, Callable[[RoomReading], Any]]]] = {
    "n": ("name", lambda room: room.name),
    "p": ("people", lambda room: -room.participants),
    "t": ("tracks", lambda room: -room.tracks),
    "i": ("in", lambda room: -(room.bits_in or 0)),
    "o": ("out", lambda room: -(room.bits_out or 0)),
    "l": ("loss", lambda room: -max(room.loss_in or 0, room.loss_out or 0)),
    "s": ("limited slots", lambda room: -(room.limited or 0)),
}
"""By their keys."""


class Reader:
    """Reads one frame after the other."""

    def __init__(self, client: "AdminClient", now_us: Callable[[], int] = clock.monotonic_us) -> None:
        self._client = client
        self._now_us = now_us
        self._at_us: int | None = None
        self._samples = NOTHING
        self._packets: dict[str, tuple[int, int]] = {}
        """Lost and received so far, by room."""
        self._has_nodes = True

    def read(self, sort: str = "p") -> Reading:
        """The frame of now; `AdminError` when the router does not answer."""
        samples, now_us = Samples.read(self._client.read_text("/metrics")), self._now_us()
        elapsed_s = (now_us - self._at_us) / 1e6 if self._at_us is not None else 0.0
        node = read_node(self._samples, samples, elapsed_s)
        self._samples, self._at_us = samples, now_us
        ready, why = self._read_readiness()
        rooms = self._read_rooms(sort)
        version = next(iter(samples.by("sfu_build_info", "version")), "")
        return Reading(self._client.url, version, ready, why, node, rooms, self._read_nodes())

    def _read_readiness(self) -> tuple[bool, str]:
        try:
            self._client.read("/readyz")
        except AdminError as error:
            return False, str(error)
        return True, ""

    def _read_nodes(self) -> "tuple[Item, ...]":
        if not self._has_nodes:
            return ()
        try:
            return tuple(self._client.read_all("/v1/nodes"))
        except AdminError as error:
            self._has_nodes = error.exit_code != EXIT_UNKNOWN  # a router of before
            return ()

    def _read_rooms(self, sort: str) -> tuple[RoomReading, ...]:
        plain = [_read_room(item) for item in self._client.read_all("/v1/rooms")]
        plain.sort(key=SORTS[sort][1] if sort in "npt" else SORTS["p"][1])
        left, packets, rooms = MAX_PARTICIPANTS, {}, []
        for index, room in enumerate(plain):
            if 0 < room.participants <= left and index < MAX_ROOMS:
                left -= room.participants
                room, packets[room.name] = self._read_streams(room)  # noqa: PLW2901 - the same room, known better
            rooms.append(room)
        self._packets = packets
        return tuple(rooms)

    def _read_streams(self, room: RoomReading) -> tuple[RoomReading, tuple[int, int]]:
        from router.commands.client import join_path

        before = self._packets.get(room.name, (0, 0))
        try:
            entries = list(self._client.read_all(join_path("rooms", room.name, "stats")))
        except AdminError:
            return room, before  # it closed since it was listed
        return read_streams(room, (stat for entry in entries for stat in entry.get("stats", ())), before)


def read_node(before: Samples, after: Samples, elapsed_s: float) -> NodeReading:
    """What the metrics say; rates need an earlier scrape."""

    def rate(name: str, **labels: str) -> float:
        change = after.total(name, **labels) - before.total(name, **labels)
        return max(0.0, change) / elapsed_s if elapsed_s > 0 else 0.0

    return NodeReading(
        load=_read_load(before, after, elapsed_s),
        bits_in=8 * rate("sfu_rtp_bytes_total", direction="in"),
        bits_out=8 * rate("sfu_rtp_bytes_total", direction="out"),
        packets_in=rate("sfu_rtp_packets_total", direction="in"),
        packets_out=rate("sfu_rtp_packets_total", direction="out"),
        retransmitted=rate("sfu_retransmitted_packets_total"),
        dropped_socket=rate("sfu_kernel_drops_total") + rate("sfu_send_dropped_total"),
        dropped_other=rate("sfu_rtp_packets_dropped_total"),
        forward_p99_s=read_quantile(
            0.99, before.by("sfu_forward_delay_seconds_bucket", "le"), after.by("sfu_forward_delay_seconds_bucket", "le")
        ),
        loop_lag_s=after.total("sfu_event_loop_lag_seconds"),
        forks=int(after.total("sfu_forks")),
        limited=after.by("sfu_video_slots_limited", "limited_by"),
    )


def _read_load(before: Samples, after: Samples, elapsed_s: float) -> float | None:
    earlier = before.by("sfu_worker_busy_seconds_total", "worker")
    later = after.by("sfu_worker_busy_seconds_total", "worker")
    if elapsed_s <= 0 or not later:
        return None
    return max(max(0.0, busy_s - earlier.get(worker, 0.0)) for worker, busy_s in later.items()) / elapsed_s


def _read_room(item: "Item") -> RoomReading:
    counts = (item.get(name, 0) for name in ("participants", "sessions", "tracks"))
    return RoomReading(str(item.get("name", "")), *(count if isinstance(count, int) else 0 for count in counts))


def read_streams(
    room: RoomReading, stats: "Iterable[Item]", before: tuple[int, int]
) -> tuple[RoomReading, tuple[int, int]]:
    """The room with what flows in it, and its packets so far: lost, received. `before` has those of the last reading."""
    bits = {"inbound-rtp": 0.0, "outbound-rtp": 0.0}
    lost = received = limited = 0
    losses: list[float] = []
    round_trips: list[float] = []
    for stat in stats:
        kind = stat.get("type")
        if kind in bits:
            bits[kind] += stat.get("bitrate", 0)
            lost += stat.get("packetsLost", 0)
            received += stat.get("packetsReceived", 0)
            limited += stat.get("limitedBy") == "bandwidth"
        elif kind == "remote-inbound-rtp":
            losses.append(stat.get("fractionLost", 0.0))
            round_trips.append(stat.get("roundTripTime", 0.0))
    newly_lost, newly_received = max(0, lost - before[0]), max(0, received - before[1])
    whole = newly_lost + newly_received
    return (
        RoomReading(
            room.name,
            room.participants,
            room.sessions,
            room.tracks,
            bits["inbound-rtp"],
            bits["outbound-rtp"],
            newly_lost / whole if whole else None,
            sum(losses) / len(losses) if losses else None,
            sum(round_trips) / len(round_trips) if round_trips else None,
            limited,
        ),
        (lost, received),
    )

"""Reads the engine's counters and the rooms once per scrape. No ids as labels: only workers, kinds and drop reasons."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from router.errors import EngineError
from router.rooms.registry import RoomRegistry
from router.rtc.description import Kind

if TYPE_CHECKING:
    from router._engine import WorkerCounters

FORWARD_DELAY_BOUNDS_US: Final = (50, 100, 250, 500, 1000, 2500, 5000, 10_000, 50_000)

_PER_WORKER: Final = (
    ("receive_batches", "sfu_receive_batches", "Calls that received at least one datagram."),
    ("send_batches", "sfu_send_batches", "Calls that sent at least one datagram."),
    ("kernel_drops", "sfu_kernel_drops", "Datagrams that the kernel dropped on full receive buffers."),
    ("send_errors", "sfu_send_errors", "Datagrams that the kernel refused to send."),
    ("gso_sends", "sfu_gso_messages", "Messages of several datagrams that the kernel segmented."),
    ("gso_segments", "sfu_gso_segments", "Datagrams of these messages."),
    ("gso_fallbacks", "sfu_gso_fallbacks", "Messages refused by kernel or device, whose datagrams went one by one."),
    ("padded_packets", "sfu_rtp_padded_packets", "RTP packets padded to the size of their neighbours."),
    ("padding_bytes", "sfu_rtp_padding_bytes", "Bytes of that padding."),
    ("send_waits", "sfu_send_waits", "How often a full send buffer was waited for."),
    ("events_dropped", "sfu_engine_events_dropped", "Events for Python that found their queue full."),
    ("retransmitted_packets", "sfu_retransmitted_packets", "Packets sent again because a receiver missed them."),
)
_BY_DIRECTION: Final = (
    ("rtp_packets", "sfu_rtp_packets", "RTP packets: authentic ones received, all sent; repairs included."),
    ("rtp_bytes", "sfu_rtp_bytes", "Bytes of these packets, with RTP header and SRTP tag, without UDP and IP headers."),
    ("datagrams", "sfu_datagrams", "Datagrams of any protocol: STUN, DTLS, RTP and RTCP."),
    ("datagram_bytes", "sfu_datagram_bytes", "Bytes of these datagrams, without UDP and IP headers."),
    ("nack", "sfu_rtcp_nack", "Generic NACK messages."),
    ("pli", "sfu_rtcp_pli", "Picture loss indications."),
    ("fir", "sfu_rtcp_fir", "Full intra requests."),
)


class RouterCollector(Collector):
    """One snapshot a scrape."""

    def __init__(self, registry: RoomRegistry, read_counters: "Callable[[], Sequence[WorkerCounters]]") -> None:
        self._registry = registry
        self._read_counters = read_counters

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._collect_rooms()
        try:
            workers = self._read_counters()
        except EngineError:
            yield GaugeMetricFamily("sfu_engine_up", "1 while the engine answers.", value=0)
            return
        yield GaugeMetricFamily("sfu_engine_up", "1 while the engine answers.", value=1)
        yield from _collect_directions(workers)
        yield from _collect_workers(workers)
        yield _collect_drops(workers)
        yield _collect_send_drops(workers)
        yield _collect_forward_delay(workers)

    def _collect_rooms(self) -> Iterator[Metric]:
        rooms = tuple(self._registry.rooms.values())
        sessions = [session for room in rooms for session in room.sessions]
        tracks: Counter[Kind] = Counter(track.kind for session in sessions for track in session.tracks.values())
        shown: Counter[Kind] = Counter(
            slot.kind for s in sessions for mid, slot in s.slots.items() if s.track_in(mid) is not None
        )
        yield GaugeMetricFamily("sfu_rooms", "Open rooms.", value=len(rooms))
        yield GaugeMetricFamily("sfu_participants", "Participants.", value=sum(len(r.participants) for r in rooms))
        yield GaugeMetricFamily("sfu_forks", "Sessions, one fork each.", value=len(sessions))
        yield _by_kind("sfu_tracks_published", "Published tracks.", tracks)
        yield _by_kind("sfu_subscriptions", "Slots that show a track.", shown)


def _by_kind(name: str, text: str, counts: Mapping[Kind, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["kind"])
    kinds: tuple[Kind, ...] = ("audio", "video")
    for kind in kinds:
        family.add_metric([kind], counts.get(kind, 0))
    return family


def _total(workers: "Sequence[WorkerCounters]", name: str) -> int:
    return sum(worker[name] for worker in workers)  # type: ignore[literal-required] # names are from the tables above


def _collect_directions(workers: "Sequence[WorkerCounters]") -> Iterator[Metric]:
    for key, name, text in _BY_DIRECTION:
        family = CounterMetricFamily(name, text, labels=["direction"])
        names = {"in": f"{key}_received", "out": f"{key}_sent"}
        for direction, counter in names.items():
            family.add_metric([direction], _total(workers, counter))
        yield family


def _collect_workers(workers: "Sequence[WorkerCounters]") -> Iterator[Metric]:
    for key, name, text in _PER_WORKER:
        family = CounterMetricFamily(name, text, labels=["worker"])
        for worker in workers:
            family.add_metric([str(worker["worker"])], worker[key])  # type: ignore[literal-required] # as above
        yield family
    busy = CounterMetricFamily("sfu_worker_busy_seconds", "Time a worker spent working.", labels=["worker"])
    transports = GaugeMetricFamily("sfu_transports", "Peers in the engine.", labels=["worker"])
    for worker in workers:
        busy.add_metric([str(worker["worker"])], worker["busy_us"] / 1e6)
        transports.add_metric([str(worker["worker"])], worker["transports"])
    yield busy
    yield transports


def _collect_drops(workers: "Sequence[WorkerCounters]") -> Metric:
    family = CounterMetricFamily("sfu_rtp_packets_dropped", "Packets dropped, by reason.", labels=["reason"])
    reasons: Counter[str] = Counter()
    for worker in workers:
        reasons.update(worker["dropped"])
    for reason, count in sorted(reasons.items()):
        family.add_metric([reason], count)
    return family


def _collect_send_drops(workers: "Sequence[WorkerCounters]") -> Metric:
    text = "Datagrams dropped because the send buffer was full, by what they carried."
    family = CounterMetricFamily("sfu_send_dropped", text, labels=["class"])
    for name in workers[0]["send_dropped"] if workers else ():
        family.add_metric([name], sum(worker["send_dropped"][name] for worker in workers))
    return family


def _collect_forward_delay(workers: "Sequence[WorkerCounters]") -> Metric:
    """The engine keeps buckets and no sum; an invented sum would be worse than none."""
    name = "sfu_forward_delay_seconds"
    family = HistogramMetricFamily(name, "Time from receiving a packet to sending it.")
    bounds = [*(str(bound / 1e6) for bound in FORWARD_DELAY_BOUNDS_US), "+Inf"]
    total = 0
    for index, bound in enumerate(bounds):
        total += sum(worker["forward_delay_us"][index] for worker in workers)
        family.add_sample(f"{name}_bucket", {"le": bound}, total)
    family.add_sample(f"{name}_count", {}, total)
    return family

"""Reads the engine's counters and the rooms once per scrape. No ids as labels: only workers, kinds and drop reasons."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from router.errors import EngineError
from router.rooms.registry import RoomRegistry

if TYPE_CHECKING:
    from router._engine import WorkerCounters
    from router.engine_stats import ByKind, Scores, Spread, Ways

SCORE_BOUNDS: Final = (1.2, 2.0, 2.58, 3.1, 3.6, 4.0, 4.3)
FORWARD_DELAY_BOUNDS_US: Final = (50, 100, 250, 500, 1000, 2500, 5000, 10_000, 50_000)
LOSS_BOUNDS: Final = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
JITTER_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.5)
ROUND_TRIP_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 2.0)
KINDS: Final = ("audio", "video")
DIRECTIONS: Final = {"in": "received", "out": "sent"}
_WAYS: Final = (
    ("loss", "sfu_rtp_loss_ratio", LOSS_BOUNDS, "Part of packets lost for good, of each track and slot, every 2 s."),
    ("jitter", "sfu_rtp_jitter_seconds", JITTER_BOUNDS_S, "Interarrival jitter of each track and slot, every 2 s."),
    ("round_trip", "sfu_round_trip_seconds", ROUND_TRIP_BOUNDS_S, "Round trip of each track and slot, every 2 s."),
)

_PER_WORKER: Final = (
    ("receive_batches", "sfu_receive_batches", "Calls that received at least one datagram."),
    ("send_batches", "sfu_send_batches", "Calls that sent at least one datagram."),
    ("kernel_drops", "sfu_kernel_drops", "Datagrams that the kernel dropped on full receive buffers."),
    ("gro_datagrams", "sfu_gro_datagrams", "Datagrams received in which the kernel had joined several packets."),
    ("gro_segments", "sfu_gro_segments", "Packets of these datagrams."),
    ("send_errors", "sfu_send_errors", "Datagrams that the kernel refused to send."),
    ("mirror_packets_sent", "sfu_mirror_packets", "Packets handed to other workers."),
    ("mirror_dropped", "sfu_mirror_packets_dropped", "Packets for other workers that found no room."),
    ("gso_sends", "sfu_gso_messages", "Messages of several datagrams that the kernel segmented."),
    ("gso_segments", "sfu_gso_segments", "Datagrams of these messages."),
    ("gso_fallbacks", "sfu_gso_fallbacks", "Messages refused by kernel or device, whose datagrams went one by one."),
    ("padded_packets", "sfu_rtp_padded_packets", "RTP packets padded to the size of their neighbours."),
    ("padding_bytes", "sfu_rtp_padding_bytes", "Bytes of that padding."),
    ("send_waits", "sfu_send_waits", "How often a full send buffer was waited for."),
    ("panics", "sfu_engine_panics", "Bugs caught in the engine; each cost one peer."),
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
        yield _collect_scores(workers)
        yield from _collect_ways(workers)
        yield _now_by_kind(workers, "tracks", "sfu_tracks_published", "Published tracks.")
        yield _now_by_kind(workers, "subscriptions", "sfu_subscriptions", "Slots that show a track.")
        yield from _collect_pictures(workers)

    def _collect_rooms(self) -> Iterator[Metric]:
        """No participant is looked at: a scrape costs the same with one and with thousands."""
        registry = self._registry
        participants = sum(len(room.participants) for room in registry.rooms.values())
        yield GaugeMetricFamily("sfu_rooms", "Open rooms.", value=len(registry.rooms))
        yield GaugeMetricFamily("sfu_participants", "Participants.", value=participants)
        yield GaugeMetricFamily("sfu_forks", "Sessions, one fork each.", value=registry.session_count)


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
    cpus = GaugeMetricFamily("sfu_worker_cpu", "CPU that a worker is pinned to, -1: none.", labels=["worker"])
    mirrors = GaugeMetricFamily("sfu_mirrors", "Tracks of other workers that a worker mirrors.", labels=["worker"])
    for worker in workers:
        busy.add_metric([str(worker["worker"])], worker["busy_us"] / 1e6)
        transports.add_metric([str(worker["worker"])], worker["transports"])
        cpus.add_metric([str(worker["worker"])], -1 if worker["cpu"] is None else worker["cpu"])
        mirrors.add_metric([str(worker["worker"])], worker["mirrors"])
    yield from (busy, transports, cpus, mirrors)
    for direction in ("receive", "send"):
        text = f"What the kernel granted the worker's socket that has the smallest {direction} buffer."
        granted = GaugeMetricFamily(f"sfu_{direction}_buffer_bytes", text, labels=["worker"])
        for worker in workers:
            granted.add_metric([str(worker["worker"])], worker[f"{direction}_buffer_bytes"])  # type: ignore[literal-required] # as above
        yield granted


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
    name = "sfu_forward_delay_seconds"
    family = HistogramMetricFamily(name, "Time from a packet's arrival at the machine to its sending.")
    bounds = [*(str(bound / 1e6) for bound in FORWARD_DELAY_BOUNDS_US), "+Inf"]
    total = 0
    for index, bound in enumerate(bounds):
        total += sum(worker["forward_delay_us"][index] for worker in workers)
        family.add_sample(f"{name}_bucket", {"le": bound}, total)
    family.add_sample(f"{name}_count", {}, total)
    family.add_sample(f"{name}_sum", {}, sum(worker["forward_delay_sum_us"] for worker in workers) / 1e6)
    return family


def _collect_ways(workers: "Sequence[WorkerCounters]") -> Iterator[Metric]:
    ways: dict[str, list[Ways]] = {
        direction: [worker["census"][key] for worker in workers]  # type: ignore[literal-required] # keys of Census
        for direction, key in DIRECTIONS.items()
    }
    for key, name, bounds, text in _WAYS:
        family = HistogramMetricFamily(name, text, labels=["direction"])
        for direction, all_ways in ways.items():
            spreads: list[Spread] = [way[key] for way in all_ways]  # type: ignore[literal-required] # keys of Ways
            counts = [sum(spread["buckets"][index] for spread in spreads) for index in range(len(bounds) + 1)]
            buckets = zip([*map(str, bounds), "+Inf"], itertools.accumulate(counts), strict=True)
            family.add_metric([direction], list(buckets), sum(spread["sum"] for spread in spreads))
        yield family
    lost = CounterMetricFamily("sfu_rtp_packets_lost", "Packets lost at first.", labels=["kind", "direction"])
    for direction, all_ways in ways.items():
        for kind in KINDS:
            count = sum(way["lost_packets"][kind] for way in all_ways)
            lost.add_metric([kind, direction], count)
    yield lost


def _now_by_kind(workers: "Sequence[WorkerCounters]", key: str, name: str, text: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["kind"])
    counts: list[ByKind] = [worker["census"][key] for worker in workers]  # type: ignore[literal-required] # keys of Census
    for kind in KINDS:
        family.add_metric([kind], sum(count[kind] for count in counts))
    return family


def _collect_scores(workers: "Sequence[WorkerCounters]") -> Metric:
    name = "sfu_quality_score"
    text = "Quality of tracks, judged every two seconds: as they arrive (in), for each receiver (out); 1 to 4.5."
    family = HistogramMetricFamily(name, text, labels=["kind", "direction"])
    bounds = [*map(str, SCORE_BOUNDS), "+Inf"]
    for kind in ("audio", "video"):
        for direction, key in (("in", f"{kind}_received"), ("out", f"{kind}_sent")):
            all_scores: list[Scores] = [worker["census"][key] for worker in workers]  # type: ignore[literal-required] # keys of Census
            counts = [sum(scores["buckets"][index] for scores in all_scores) for index in range(len(bounds))]
            buckets = list(zip(bounds, itertools.accumulate(counts), strict=True))
            family.add_metric([kind, direction], buckets, sum(scores["sum"] for scores in all_scores))
    return family


def _collect_pictures(workers: "Sequence[WorkerCounters]") -> Iterator[Metric]:
    freezes = sum(worker["census"]["freezes"] for worker in workers)
    frozen_s = sum(worker["census"]["frozen_us"] for worker in workers) / 1e6
    yield CounterMetricFamily("sfu_freezes", "Freezes of receivers' pictures, as far as the router knows.", freezes)
    yield CounterMetricFamily("sfu_frozen_seconds", "How long these pictures stood still.", frozen_s)
    text = "Video slots that are assigned a track, by what keeps them from its best."
    yield _sum_by("sfu_video_slots_limited", text, "limited_by", [worker["census"]["limited"] for worker in workers])
    text = "Video slots that are assigned a track, by the shorter side of the picture shown, up to so many pixels."
    yield _sum_by("sfu_video_slots_shown", text, "height", [worker["census"]["pictures"] for worker in workers])


def _sum_by(name: str, text: str, label: str, counts: Sequence[Mapping[Any, int]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key in counts[0] if counts else ():
        family.add_metric([key], sum(count[key] for count in counts))
    return family

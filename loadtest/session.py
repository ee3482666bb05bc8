"""One server while it is measured: its start, the people who join it, and windows of measurement."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from loadtest import _native, proc
from loadtest.client import Client, Identity, Track
from loadtest.load import Load, Traffic
from loadtest.result import GeneratorUse, Latency, Step
from loadtest.scenario import Audio, Scenario, Video
from loadtest.servers import Plan, Server, Wanted
from loadtest.verdict import Circumstances, judge

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where; None leaves it to the kernel, as on a machine of one core."""

    server: int | None
    generator: int | None

    @classmethod
    def choose(cls) -> Self:
        """The first core for the server, the last for the generator."""
        count = os.cpu_count() or 1
        return cls(0, count - 1) if count > 1 else cls(None, None)


@dataclass(slots=True)
class Sample:
    """Everything read at one moment."""

    at_s: float
    user_s: float
    system_s: float
    server_busy_s: float
    generator_busy_s: float
    drops: int
    counts: "_native.Snapshot"


@dataclass(slots=True)
class Session:
    """A started server with those who joined."""

    server: Server
    scenario: Scenario
    cores: Cores
    load: Load
    notify: Notify
    identity: Identity = field(default_factory=Identity.create)
    receivers: int = 0
    publishing: int = 0
    scale: float = 1.0
    joined: dict[str, list[int]] = field(default_factory=dict)

    @property
    def traffic(self) -> Traffic:
        """What tracks send."""
        return Traffic(self.scenario.video or Video(), self.scenario.audio or Audio())

    def tracks(self) -> list[Track]:
        """Those of one publisher."""
        tracks = [Track("audio")] if self.scenario.audio else []
        return tracks + ([Track("video", self.scenario.video.codec)] if self.scenario.video else [])

    def wanted(self, participants: int) -> Wanted:
        """What one receiver wants when so many publish."""
        return Wanted(participants if self.scenario.audio else 0, participants if self.scenario.video else 0)

    async def publish(self, participant: str) -> None:
        """One more publisher, sending at once."""
        client = Client(self.identity, self.server.client_host)
        await self._connect(client, self.server.publish(client, participant, self.tracks()))
        self._keep(participant, client)
        self.publishing += 1

    async def subscribe(self, participant: str, wanted: Wanted) -> None:
        """One more receiver."""
        client = Client(self.identity, self.server.client_host)
        await self._connect(client, self.server.subscribe(client, participant, wanted))
        self._keep(participant, client)
        self.receivers += 1

    async def join(self, participant: str, wanted: Wanted, *, publishes: bool) -> None:
        """One who sends and receives on one connection."""
        client = Client(self.identity, self.server.client_host)
        tracks = self.tracks() if publishes else []
        await self._connect(client, self.server.join(client, participant, tracks, wanted))
        self._keep(participant, client)
        self.publishing += publishes
        self.receivers += 1

    def vanish(self, participant: str) -> None:
        """Its sockets are closed without a word."""
        for number in self.joined.pop(participant, ()):
            self.load.remove(number)
        self.receivers -= 1

    async def in_parallel(self, what: Callable[[int], Awaitable[None]], numbers: range) -> None:
        """Joins many, some at a time."""
        gate = asyncio.Semaphore(self.scenario.parallel)

        async def one(number: int) -> None:
            async with gate:
                await what(number)

        await asyncio.gather(*(one(number) for number in numbers))

    async def _connect(self, client: Client, joining: Awaitable[None]) -> None:
        try:
            await joining
        except BaseException:
            client.close()
            raise

    def _keep(self, participant: str, client: Client) -> None:
        self.joined.setdefault(participant, []).append(self.load.add(client, self.traffic))

    # -- Measuring ------------------------------------------------------------------------------------------------

    def set_scale(self, scale: float) -> None:
        """Makes video so much faster than the scenario says."""
        self.scale = scale
        self.load.set_scale(scale)

    def due_per_s(self) -> float:
        """Packets a second that publishers shall send."""
        video, audio = self.scenario.video, self.scenario.audio
        each = (video.packets_per_s * self.scale if video else 0) + (audio.packets_per_s if audio else 0)
        return each * self.publishing

    def is_steady(self) -> bool:
        """Whether what is due can be told beforehand."""
        video, audio = self.scenario.video, self.scenario.audio
        return not (video and video.shape == "camera") and not (audio and audio.dtx)

    def sample(self) -> Sample:
        """Reads everything; the counters of the generator last."""
        user, system = proc.cpu_s(self.server.pids)
        of_server, of_generator = _busy_s(self.cores.server), _busy_s(self.cores.generator)
        return Sample(
            time.perf_counter(),
            user,
            system,
            of_server,
            of_generator,
            proc.udp_drops(self.server.pids),
            self.load.snapshot(),
        )

    async def measure(self, seconds: float, subscriptions: int | None = None) -> Step:
        """One window. Of `subscriptions` tracks (None: unknown, as with slots) nothing may be missing."""
        self.load.begin()
        before = self.sample()
        await asyncio.sleep(seconds)
        after = self.sample()
        return describe_step(self, before, after, subscriptions)


def _busy_s(core: int | None) -> float:
    return 0.0 if core is None else proc.core_busy_s(core)


def describe_step(session: Session, before: Sample, after: Sample, subscriptions: int | None) -> Step:
    """The figures of a window."""
    counts, seconds = after.counts, after.at_s - before.at_s
    packets = max(counts["unique"], 1)
    user, system = after.user_s - before.user_s, after.system_s - before.system_s
    generator = describe_generator(session, before, after)
    server_busy = (after.server_busy_s - before.server_busy_s) / seconds
    seen = Circumstances(
        generator=generator,
        server_cpu=(user + system) / seconds,
        server_core_busy=server_busy,
        socket_drops=max(after.drops - before.drops, 0),
        wrong=counts["wrong"] + counts["undecryptable"],
        checked=counts["checked"],
        received=counts["received"],
    )
    memory = proc.memory(session.server.pids)
    return Step(
        receivers=session.receivers,
        subscriptions=subscriptions if subscriptions is not None else counts["streams"],
        load=round(session.scale, 6),
        seconds=round(seconds, 3),
        packets_sent=counts["sent"],
        packets_received=counts["received"],
        packets_per_s=round(counts["unique"] / seconds, 1),
        bits_per_s=round(counts["received_bytes"] * 8 / seconds),
        loss=round(loss_of(session, counts, subscriptions, seconds), 6),
        duplicates=counts["duplicates"],
        reordered=counts["reordered"],
        wrong=seen.wrong,
        checked=counts["checked"],
        server_user_us_per_packet=round(user * 1e6 / packets, 3),
        server_system_us_per_packet=round(system * 1e6 / packets, 3),
        server_cpu_us_per_packet=round((user + system) * 1e6 / packets, 3),
        server_cpu=round(seen.server_cpu, 4),
        server_core_busy=round(server_busy, 4),
        server_pss_kib=memory.pss_kib,
        server_rss_kib=memory.rss_kib,
        latency=describe_latency(counts["latency"]),
        generator=generator,
        socket_drops=seen.socket_drops,
        inconclusive=judge(seen),
    )


EDGE_S = 0.05
"""What may be on its way at either edge of a window: the burst of a frame, however late it was handled."""


def loss_of(session: Session, counts: "_native.Snapshot", subscriptions: int | None, seconds: float) -> float:
    """By gaps; and, where it is known who gets what, by what is missing at all (streams that stopped have no gaps)."""
    gaps = counts["lost"] / max(counts["expected"], 1)
    if subscriptions is None or not session.publishing:
        return gaps
    tracks = session.publishing * session.scenario.tracks_per_publisher
    expected = counts["sent"] * subscriptions / tracks
    missing = 1 - counts["unique"] / max(expected, 1) - EDGE_S / seconds
    return max(gaps, missing if missing > 0.005 else 0.0)


def describe_generator(session: Session, before: Sample, after: Sample) -> GeneratorUse:
    """How it fared."""
    counts, seconds = after.counts, after.at_s - before.at_s
    due = session.due_per_s() * seconds
    # Frames leave whole, so a window may hold one more or less of each track.
    slack = 64 * session.publishing
    share = min((counts["sent"] + slack) / max(due, 1), 1.0) if session.is_steady() else 1.0
    return GeneratorUse(
        core_busy=round((after.generator_busy_s - before.generator_busy_s) / seconds, 4),
        thread_cpu=round((counts["cpu_us"] - before.counts["cpu_us"]) / 1e6 / seconds, 4),
        lateness_p99_us=counts["lateness"]["p99_ns"] / 1000,
        skipped_frames=counts["skipped"] - before.counts["skipped"],
        sent_share=round(share, 4),
        overflowed=counts["overflowed"],
        send_failures=counts["send_failures"],
    )


def describe_latency(histogram: "_native.HistogramSnapshot") -> Latency:
    """In microseconds."""
    return Latency(
        samples=histogram["total"],
        p50_us=histogram["p50_ns"] / 1000,
        p90_us=histogram["p90_ns"] / 1000,
        p99_us=histogram["p99_ns"] / 1000,
        p999_us=histogram["p999_ns"] / 1000,
        max_us=histogram["max_ns"] / 1000,
        buckets=histogram["buckets"],
    )


@asynccontextmanager
async def open_session_of(
    server: Server, scenario: Scenario, cores: Cores, notify: Notify, participants: int
) -> AsyncIterator[Session]:
    """Starts the server and the generator, and ends both."""
    tracks = (participants if scenario.kind == "all-to-all" else scenario.publishers) * scenario.tracks_per_publisher
    load = Load(
        cores.generator,
        report_interval_s=scenario.report_interval_s,
        check_interval_s=scenario.check_interval_s,
        coalesces=scenario.coalesces,
    )
    try:
        notify(f"starting {server.name}")
        await server.start(Plan(cores.server, participants, tracks))
        load.set_running(True)
        yield Session(server, scenario, cores, load, notify)
    finally:
        load.close()
        await server.stop()

"""One slow receiver among ten: nine native clients beside the router, one Chromium behind 0.5 Mbit/s.

Three phases: the nine alone, with the slow one, alone again. What the nine get depends on the publisher's encoder as
well, so it is told as bits a second and as share of what the publisher sent in its highest layer meanwhile; the two
phases without the slow one say how much the figures vary by themselves.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from loadtest import proc
from loadtest.client import Client, Identity, Line
from loadtest.http import post
from loadtest.links.readings import cores
from loadtest.links.scenes import SLOW
from loadtest.links.stage import SLOT, Stage, Watcher, open_watcher
from loadtest.links.summary import MIN_IDLE
from loadtest.load import Load, Traffic
from loadtest.scenario import Audio, Video

OTHERS = 9
SETTLE_S = 5.0


@dataclass(frozen=True, slots=True)
class Phase:
    """A while with or without the slow one."""

    name: str
    others_bps: float
    """Received by each of the others on average."""
    of_published: float
    """The same by what the publisher sent in its highest layer."""
    slow_bps: float | None
    slow_height: int | None
    idle: float


@dataclass(frozen=True, slots=True)
class SlowResult:
    """All phases."""

    phases: list[Phase]
    change: float
    """Of the others' bitrate while the slow one is there."""
    change_of_published: float
    noise: float
    """Difference between the two phases without it."""
    inconclusive: list[str] = field(default_factory=list)


@asynccontextmanager
async def native_watchers(stage: Stage, count: int) -> AsyncIterator[Load]:
    """So many clients that receive and say that their links carry anything."""
    load, identity = Load(None), Identity.create()
    try:
        for number in range(count):
            name = f"native-{number}"
            client = Client(identity, stage.space.outside)
            offer = client.create_offer([Line("audio", receives=True), Line("video", receives=True)])
            address, token = (stage.router.address, stage.router.port), stage.router.token("links", name)
            client.accept_answer(await post(*address, "/whep/links", token, offer))
            await client.connect()
            load.add(client, Traffic(Video(), Audio()))
        yield load
    finally:
        load.close()


@dataclass(slots=True)
class _Window:
    """Counters at one moment."""

    time_s: float
    received_bytes: int
    published_bytes: int
    slow_bytes: int
    busy_s: float

    @classmethod
    async def take(cls, stage: Stage, load: Load, slow: Watcher | None) -> "_Window":
        sent = (await stage.publisher.evaluate("readSent()"))["streams"]
        video = await _read_video(slow)
        return cls(
            time_s=asyncio.get_running_loop().time(),
            received_bytes=load.snapshot()["received_bytes"],
            published_bytes=next(stream["bytesSent"] for stream in sent if stream["rid"] in ("f", "")),
            slow_bytes=video.get("bytesReceived", 0) + video.get("headerBytesReceived", 0),
            busy_s=sum(proc.core_busy_s(core) for core in range(cores())),
        )


async def _read_video(watcher: Watcher | None) -> dict[str, int]:
    if watcher is None:
        return {}
    video: dict[str, int] = (await watcher.window.evaluate(f"readReceived('{SLOT}')"))["video"]
    return video


async def _measure(stage: Stage, load: Load, slow: Watcher | None, name: str, seconds: float) -> Phase:
    await asyncio.sleep(SETTLE_S)
    load.begin()
    before = await _Window.take(stage, load, slow)
    await asyncio.sleep(seconds)
    after = await _Window.take(stage, load, slow)
    lasted = after.time_s - before.time_s
    others = 8 * (after.received_bytes - before.received_bytes) / OTHERS / lasted
    published = 8 * (after.published_bytes - before.published_bytes) / lasted
    return Phase(
        name=name,
        others_bps=round(others),
        of_published=round(others / published, 4) if published else 0.0,
        slow_bps=round(8 * (after.slow_bytes - before.slow_bytes) / lasted) if slow else None,
        slow_height=(await _read_video(slow)).get("frameHeight") if slow else None,
        idle=max(0.0, round(1 - (after.busy_s - before.busy_s) / lasted / cores(), 3)),
    )


def compare(phases: list[Phase]) -> SlowResult:
    """The middle phase has the slow one."""
    before, slow, after = phases
    alone = (before.others_bps + after.others_bps) / 2
    alone_of_published = (before.of_published + after.of_published) / 2
    busy = [phase for phase in phases if phase.idle < MIN_IDLE]
    return SlowResult(
        phases=phases,
        change=slow.others_bps / alone - 1,
        change_of_published=slow.of_published / alone_of_published - 1,
        noise=abs(after.others_bps / before.others_bps - 1),
        inconclusive=[f"{phase.name}: the machine was idle {phase.idle:.0%} of the time" for phase in busy],
    )


async def run_slow_receiver(stage: Stage, seconds: float) -> SlowResult:
    """A third of the time for each phase."""
    phases = []
    async with native_watchers(stage, OTHERS) as load:
        phases.append(await _measure(stage, load, None, "nine", seconds / 3))
        async with AsyncExitStack() as stack:
            slow = await stack.enter_async_context(open_watcher(stage, "slow", SLOW.steps[0], SLOW.seed))
            phases.append(await _measure(stage, load, slow, "nine and a slow one", seconds / 3))
        phases.append(await _measure(stage, load, None, "nine again", seconds / 3))
    return compare(phases)

"""Layers switched two hundred times a minute: a watcher's slot is wished small and large in turns over the events API.

There is no link in between. Every decoded frame is looked at: gaps, changes of size, torn pictures, and what the
decoder refused. The picture has no noise: three key frames of it a second are more than an encoder's bitrate, and what
is seen then are the frames it leaves out. Chromium's encoders answer a request for a key frame each 300 ms at most, so
that simulcast cannot change layers much more than 180 times a minute.
"""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

from loadtest import proc
from loadtest.events import Events
from loadtest.links.camera import HEIGHT, WIDTH, Camera
from loadtest.links.readings import cores
from loadtest.links.scenes import CLEAN
from loadtest.links.stage import SLOT, NotEncoded, Stage, Watcher, open_stage, open_watcher
from loadtest.links.summary import MIN_IDLE

WATCHER = "switcher"
SWITCHES_PER_MINUTE = 200
SMALL = (WIDTH // 4, HEIGHT // 4)
SMALL_SCALABLE = (WIDTH // 2, HEIGHT // 2)
LARGE = (WIDTH, HEIGHT)
STALL_MS = 500
LAST_S = 1.0
"""After the last wish, until the figures are read."""


@dataclass(frozen=True, slots=True)
class SwitchingResult:
    """Of one camera."""

    camera: str
    seconds: float = 0.0
    wishes: int = 0
    resizes: int = 0
    """Changes of the picture's size on the screen."""
    frames: int = 0
    heights: dict[str, int] = field(default_factory=dict)
    longest_gap_ms: int = 0
    stalls: int = 0
    """Gaps over 500 ms."""
    undecoded: int = 0
    """Frames received and neither decoded nor dropped."""
    torn: int = 0
    """Pictures whose stamp is not whole. Those of VP9 are so without any router: libvpx smears its highest layer."""
    plis: int = 0
    """Key frames that the decoder asked for."""
    freezes: int = 0
    idle: float = 1.0
    skipped: str = ""
    inconclusive: list[str] = field(default_factory=list)


async def _wish_in_turns(stage: Stage, watcher: Watcher, seconds: float) -> int:
    """Small and large, at the rate; how many wishes there were."""
    small = SMALL_SCALABLE if stage.camera.scalability else SMALL
    loop, wishes = asyncio.get_running_loop(), 0
    async with Events.open(stage.join(WATCHER)) as events:
        start_s = loop.time()
        while loop.time() - start_s < seconds:
            width, height = LARGE if wishes % 2 else small
            slots = {SLOT: {"width": width, "height": height}}
            await events.send({"type": "wish", "session": watcher.session, "slots": slots})
            wishes += 1
            await asyncio.sleep(start_s + wishes * 60 / SWITCHES_PER_MINUTE - loop.time())
        await asyncio.sleep(LAST_S)
        if refused := [message for _, message in events.messages if message["type"] == "error"]:
            raise RuntimeError(f"wishes were refused: {refused[0]}")
    return wishes


async def switch_layers(stage: Stage, seconds: float) -> SwitchingResult:
    """One camera, so long."""
    loop = asyncio.get_running_loop()
    async with open_watcher(stage, WATCHER, CLEAN.steps[0], CLEAN.seed) as watcher:
        before = await watcher.window.evaluate(f"readDecoder('{SLOT}')")
        await watcher.window.evaluate(f"watchPicture('{SLOT}')")
        start_s, busy_s = loop.time(), _busy_s()
        wishes = await _wish_in_turns(stage, watcher, seconds)
        lasted = loop.time() - start_s
        idle = 1 - (_busy_s() - busy_s) / lasted / cores()
        seen = await watcher.window.evaluate("watched")
        after = await watcher.window.evaluate(f"readDecoder('{SLOT}')")
    grown = {name: after[name] - before[name] for name in after}
    return replace(_result(stage.camera.name, grown, seen, idle), seconds=round(lasted, 1), wishes=wishes)


def _busy_s() -> float:
    return sum(proc.core_busy_s(core) for core in range(cores()))


def _result(camera: str, grown: dict[str, Any], seen: dict[str, Any], idle: float) -> SwitchingResult:
    return SwitchingResult(
        camera=camera,
        resizes=seen["resizes"],
        frames=seen["frames"],
        heights=seen["heights"],
        longest_gap_ms=round(seen["longestGapMs"]),
        stalls=seen["stalls"],
        undecoded=max(0, grown["framesReceived"] - grown["framesDecoded"] - grown["framesDropped"]),
        torn=seen["torn"],
        plis=grown["pliCount"],
        freezes=grown["freezeCount"],
        idle=max(0.0, round(idle, 3)),
        inconclusive=[f"the machine was idle {max(idle, 0):.0%} of the time"] if idle < MIN_IDLE else [],
    )


async def run_switching(camera: Camera, seconds: float) -> SwitchingResult:
    """On a stage of its own; a camera that this Chromium has not is skipped by name."""
    try:
        async with open_stage(replace(camera, grain=False)) as stage:
            return await switch_layers(stage, seconds)
    except NotEncoded as error:
        return SwitchingResult(camera=camera.name, skipped=f"skipped: {error}")

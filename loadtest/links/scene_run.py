"""One scene from beginning to end: the link changes when the scene says, and everybody is asked twice a second."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise

from loadtest.links.readings import Reading, take_reading
from loadtest.links.samples import Sample, make_sample
from loadtest.links.scenes import Scene
from loadtest.links.stage import Stage, Watcher, open_watcher
from loadtest.links.summary import Summary, summarise

SAMPLE_S = 0.5
WATCHER = "Eve"


@dataclass(frozen=True, slots=True)
class SceneRun:
    """What came of it."""

    scene: Scene
    seconds: float
    samples: list[Sample]
    summary: Summary


async def _follow(watcher: Watcher, scene: Scene, seconds: float, start_s: float) -> None:
    loop = asyncio.get_running_loop()
    for step in scene.steps:
        await asyncio.sleep(start_s + step.begins_s(seconds) - loop.time())
        watcher.follow(step)


async def _observe(stage: Stage, watcher: Watcher, seconds: float, start_s: float) -> list[Reading]:
    loop = asyncio.get_running_loop()
    readings = [await take_reading(stage, watcher, start_s)]
    while readings[-1].time_s < seconds:
        due = start_s + len(readings) * SAMPLE_S
        await asyncio.sleep(due - loop.time())
        readings.append(await take_reading(stage, watcher, start_s))
    return readings


async def run_scene(stage: Stage, scene: Scene, seconds: float) -> SceneRun:
    """A watcher joins behind the scene's link and watches so long."""
    async with open_watcher(stage, f"{WATCHER}-{scene.name}", scene.steps[0], scene.seed) as watcher:
        start_s = asyncio.get_running_loop().time()
        following = asyncio.create_task(_follow(watcher, scene, seconds, start_s))
        readings = await _observe(stage, watcher, seconds, start_s)
        await following
    samples = [
        make_sample(before, after, scene.capacity_bps(before.time_s, seconds)) for before, after in pairwise(readings)
    ]
    return SceneRun(scene, seconds, samples, summarise(readings[0], readings[-1], samples))

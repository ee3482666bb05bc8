"""A Chromium behind a link that falls from 2 to 0.5 Mbit/s and rises again: quality follows, the picture goes on.

The whole story with other links, figures and pictures is `python -m loadtest.bench_links scenes`.
"""

from collections.abc import Sequence

import pytest

from loadtest.links.camera import HEIGHT, Camera
from loadtest.links.samples import Sample
from loadtest.links.scene_run import run_scene
from loadtest.links.scenes import Scene, Step, bottleneck
from loadtest.links.stage import missing, open_stage

SECONDS = 34.0
FALLS, RISES = 6 / 34, 14 / 34
"""After the rise there is time for a raise that did not hold to be tried again, and for the next probe."""
SCENE = Scene(
    "fall",
    "2, 0.5, 2 Mbit/s",
    201,
    (
        Step(bottleneck(2_000_000)),
        Step(bottleneck(500_000), share=FALLS),
        Step(bottleneck(2_000_000), share=RISES),
    ),
)
ADAPTS_S = 3.0
MAX_GAP_MS = 2000
MAX_QUEUE_MS = 150
"""Of the 200 ms that the bottleneck holds, median once the router has seen the fall."""

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def between(samples: Sequence[Sample], start: float, end: float) -> list[Sample]:
    """Those of a part of the run, by shares of it."""
    return [sample for sample in samples if start * SECONDS <= sample.time_s < end * SECONDS]


def best_height(samples: Sequence[Sample]) -> int:
    return max(sample.height for sample in samples)


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_quality_follows_the_link() -> None:
    async with open_stage(Camera()) as stage:
        run = await run_scene(stage, SCENE, SECONDS)
    print(run.summary)
    print([(sample.time_s, sample.height, sample.queue_ms, sample.reason) for sample in run.samples])
    fallen = between(run.samples, FALLS + ADAPTS_S / SECONDS, RISES)
    assert best_height(between(run.samples, 0, FALLS)) == HEIGHT
    assert best_height(fallen) < HEIGHT
    assert sorted(sample.queue_ms for sample in fallen)[len(fallen) // 2] < MAX_QUEUE_MS
    assert best_height(between(run.samples, RISES, 1.1)) == HEIGHT
    assert run.summary.longest_gap_ms < MAX_GAP_MS

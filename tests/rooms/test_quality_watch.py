"""Who is looked at when, what is the worst of a participant, and a bound on the work."""

from typing import Any, cast

import pytest

from router.errors import ConnectionClosedError
from router.rooms import Session
from router.rooms.chronicle import GOOD, Judgement
from router.rooms.quality_watch import MAX_PER_TICK, QualityWatch, judge
from tests.rooms.fakes import World, fake

Quality = dict[str, Any] | None


def quality(category: str, impairment: str = "loss") -> Quality:
    return {"score": 2.0, "category": category, "impairment": impairment, "model": "e-model"}


def show(session: Session, received: list[Quality], sent: list[Quality]) -> list[int]:
    """What the engine says of it from now on; how often it was asked is appended to."""
    asked: list[int] = []

    async def get_stats() -> Any:
        asked.append(1)
        return {"producers": [{"quality": one} for one in received], "slots": [{"quality": one} for one in sent]}

    cast(Any, fake(session)).get_stats = get_stats
    return asked


async def test_the_worst_counts_and_silence_does_not() -> None:
    world = World()
    ada = await world.publish("ada")
    show(ada, [quality("good", "none"), None], [quality("fair"), quality("poor", "size"), None])
    assert await judge(ada.participant) == Judgement("poor", "size", "out")
    show(ada, [quality("good", "delay")], [])
    assert await judge(ada.participant) == GOOD
    show(ada, [None], [])
    assert await judge(ada.participant) is None


async def test_a_session_that_went_away_meanwhile_is_passed_over() -> None:
    world = World()
    ada, again = await world.publish("ada"), await world.publish("ada")

    async def gone() -> Any:
        raise ConnectionClosedError("gone")

    cast(Any, fake(ada)).get_stats = gone
    show(again, [quality("lost")], [])
    assert await judge(ada.participant) == Judgement("lost", "loss", "in")


@pytest.mark.parametrize(("people", "interval_s", "a_tick"), [(20, 1.0, 2), (20, 5.0, 1), (150, 0.5, MAX_PER_TICK)])
async def test_everybody_gets_a_turn_and_a_tick_has_a_bound(people: int, interval_s: float, a_tick: int) -> None:
    world = World()
    asked = [show(await world.publish(f"p{number}"), [quality("poor")], []) for number in range(people)]
    watch = QualityWatch(world.registry, interval_s)
    before = 0
    for _ in range(2 * people // a_tick + 4):
        await watch.look()
        now = sum(map(len, asked))
        assert now - before <= a_tick
        before = now
    assert all(len(times) >= 2 for times in asked)
    changed = [entry for entry in world.registry.events if entry.kind == "quality_changed"]
    assert len(changed) == people


async def test_an_interval_of_0_looks_at_nobody() -> None:
    watch = QualityWatch(World().registry, 0.0)
    watch.start()
    assert watch._task is None
    await watch.close()

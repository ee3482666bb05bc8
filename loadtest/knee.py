"""The search for the highest rate that a server forwards with acceptable loss, and latency at half and 90 % of it."""

import asyncio

from loadtest.result import KneeResult, Step
from loadtest.scenario import Knee
from loadtest.session import Session
from loadtest.verdict import judge_generator

WARM_UP_S = 1.0
DRAIN_S = 1.0


async def find_knee(session: Session, knee: Knee, subscriptions: int) -> KneeResult:
    """Doubles until packets are lost, then halves the interval between the last good rate and the first bad one."""
    assert session.scenario.video
    rate_at_one = session.scenario.video.packets_per_s * subscriptions
    steps: list[Step] = []
    good: Step | None = None
    low, high = 0.0, 0.0
    limited_by = "search"

    async def attempt(rate: float) -> Step:
        session.set_scale(rate / rate_at_one)
        session.notify(f"knee: {rate:,.0f} packets/s")
        await asyncio.sleep(WARM_UP_S)
        step = await session.measure(knee.step_s, subscriptions)
        steps.append(step)
        return step

    rate = knee.start_packets_per_s
    while rate <= knee.max_packets_per_s and not high:
        step = await attempt(rate)
        if is_good(step, knee):
            good, low, rate = step, rate, rate * 2
        else:
            high, limited_by = rate, who_limits(step)
            await _drain(session, low or knee.start_packets_per_s / 4)
    for _ in range(knee.halvings if high else 0):
        rate = (low + high) / 2
        step = await attempt(rate)
        if is_good(step, knee):
            good, low = step, rate
        else:
            high, limited_by = rate, who_limits(step)
            await _drain(session, low or rate / 4)
    return await _describe(session, knee, subscriptions, steps, good, low, limited_by)


def is_good(step: Step, knee: Knee) -> bool:
    """Whether the rate was forwarded: little loss, and all that was due was sent."""
    return step.loss < knee.max_loss and step.packets_received > 0 and not judge_generator(step.generator)


def who_limits(step: Step) -> str:
    """The generator, if it was at its limit; the server otherwise."""
    return "generator" if judge_generator(step.generator) else "server"


async def _drain(session: Session, rate: float) -> None:
    """Lets queues of an overloaded server run empty before the next attempt."""
    assert session.scenario.video
    session.set_scale(rate / (session.scenario.video.packets_per_s * max(session.receivers, 1)))
    await asyncio.sleep(DRAIN_S)


async def _describe(
    session: Session, knee: Knee, subscriptions: int, steps: list[Step], good: Step | None, low: float, limited_by: str
) -> KneeResult:
    assert session.scenario.video
    base = session.scenario.video.packets_per_s * subscriptions
    at: list[Step] = []
    for share in (0.5, 0.9):
        session.set_scale(max(low, 1000.0) * share / base)
        session.notify(f"latency at {share:.0%} of the knee")
        await asyncio.sleep(WARM_UP_S)
        at.append(await session.measure(max(knee.step_s, session.scenario.seconds / 2), subscriptions))
    return KneeResult.model_validate(
        {
            "packets_per_s": good.packets_per_s if good else 0.0,
            "loss": good.loss if good else steps[0].loss,
            "limited_by": limited_by,
            "steps": steps,
            "at_half": at[0],
            "at_ninety": at[1],
        }
    )

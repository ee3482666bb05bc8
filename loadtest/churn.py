"""Receivers that come and go beside those that stay: some say goodbye, some vanish."""

import asyncio
import random

from loadtest.client import ConnectError
from loadtest.result import ChurnResult
from loadtest.scenario import Churn
from loadtest.session import Session


async def keep_churning(session: Session, churn: Churn, seconds: float) -> ChurnResult:
    """Joins at the rate asked for, until the time is over and the last of them has gone."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    result = ChurnResult(joins=0, aborts=0, failed_joins=0, pss_growth_kib=0, descriptors_growth=0)
    # Seeded, so that two servers see the same.
    draw = random.Random(1)
    stays = []
    number = 0
    while loop.time() - started < seconds:
        stays.append(asyncio.ensure_future(_stay(session, churn, f"passer-{number}", draw.random(), result)))
        number += 1
        await asyncio.sleep(max(started + number / churn.joins_per_s - loop.time(), 0))
    await asyncio.gather(*stays)
    return result


async def _stay(session: Session, churn: Churn, participant: str, luck: float, result: ChurnResult) -> None:
    try:
        await session.subscribe(participant, session.wanted(session.scenario.publishers))
    except (ConnectError, OSError, RuntimeError):
        result.failed_joins += 1
        return
    result.joins += 1
    await asyncio.sleep(churn.stay_s * (0.5 + luck))
    session.vanish(participant)
    if luck < churn.abort_share:
        result.aborts += 1
    else:
        await session.server.leave(participant)

"""What one more peer leaves behind in Python, counted: objects, bytes, tasks, timers. None of it is timed.

The limits are a little above what was counted; a change that exceeds one makes every peer dearer and should know why.
"""

import asyncio
import gc
import secrets
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from loadtest.peer import RoomOffer, write_offer
from loadtest.peer.description import MEDIA
from loadtest.peer.room_offer import AnswerWriter, mint_nonce
from router.signaling.forks import FORK_UFRAG
from tests.signaling.public import SDP, bearer
from tests.signaling.real_router import RealRouter, real_router

PEERS = 20
WARM_UP = 5
FINGERPRINT = ":".join(["AB"] * 32)
MAX_OBJECTS = {"whep": 86, "offer": 97}
"""Those that the garbage collector has to walk over. How a join went, for metrics and diagnosis, is seven of them."""
MAX_BYTES = {"whep": 14_000, "offer": 16_600}
MAX_TIMERS = 2
"""The wait for its connection, and the end of its grant."""

Enter = Callable[[RealRouter, int], Awaitable[None]]


@pytest.fixture
async def router() -> AsyncIterator[RealRouter]:
    async with real_router() as opened:
        yield opened


async def enter_by_whep(router: RealRouter, number: int) -> None:
    offer = write_offer(secrets.token_hex(4), secrets.token_hex(16), FINGERPRINT, MEDIA)
    headers = {"Content-Type": SDP, **bearer(f"p{number}")}
    assert (await router.http.post("/whep/lobby", content=offer, headers=headers)).status_code == 201


async def enter_by_offer(router: RealRouter, number: int) -> None:
    headers = {"Content-Type": SDP, **bearer(f"p{number}")}
    offer = RoomOffer.parse((await router.http.get("/rooms/lobby/offer", headers=headers)).text)
    writer = AnswerWriter(secrets.token_hex(4), secrets.token_hex(16), FINGERPRINT)
    headers[FORK_UFRAG] = offer.context_id + mint_nonce()
    answer = writer.write(offer, {"mic": secrets.randbits(32)})
    assert (await router.http.post("/rooms/lobby/forks", content=answer, headers=headers)).status_code == 201


ENTER: dict[str, Enter] = {"whep": enter_by_whep, "offer": enter_by_offer}


async def count_objects(router: RealRouter, enter: Enter, numbers: range) -> float:
    gc.collect()
    before = len(gc.get_objects())
    for number in numbers:
        await enter(router, number)
    gc.collect()
    return (len(gc.get_objects()) - before) / len(numbers)


async def count_bytes(router: RealRouter, enter: Enter, numbers: range) -> float:
    gc.collect()
    tracemalloc.start()
    try:
        for number in numbers:
            await enter(router, number)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / len(numbers)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("way", ENTER)
async def test_a_peer_is_few_objects_and_no_task(router: RealRouter, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    enter = ENTER[way]
    for number in range(WARM_UP):
        await enter(router, number)
    tasks, timers, call_later = len(asyncio.all_tasks()), list[float](), router.registry.call_later

    def count_timer(delay_s: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        timers.append(delay_s)
        return call_later(delay_s, callback)

    monkeypatch.setattr(router.registry, "call_later", count_timer)

    objects = await count_objects(router, enter, range(WARM_UP, WARM_UP + PEERS))

    assert objects <= MAX_OBJECTS[way]
    assert len(asyncio.all_tasks()) == tasks
    assert len(timers) <= MAX_TIMERS * PEERS


@pytest.mark.parametrize("way", ENTER)
async def test_a_peer_is_few_bytes(router: RealRouter, way: str) -> None:
    enter = ENTER[way]
    for number in range(WARM_UP):
        await enter(router, number)

    assert await count_bytes(router, enter, range(WARM_UP, WARM_UP + PEERS)) <= MAX_BYTES[way]

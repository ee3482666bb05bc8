import asyncio
import ctypes
import gc
from collections.abc import Iterator

import pytest

from router.memory import THRESHOLDS, keep_trimmed, suit_collector


@pytest.fixture
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_what_is_there_at_start_is_not_looked_at_again() -> None:
    suit_collector()
    assert gc.get_freeze_count() > 1_000
    assert gc.get_threshold() == THRESHOLDS


async def test_free_memory_is_given_back_until_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Library:
        @staticmethod
        def malloc_trim(_pad: int) -> int:
            loop.call_soon_threadsafe(trimmed.set)
            return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Library)
    trimming = asyncio.create_task(keep_trimmed(0))
    await asyncio.wait_for(trimmed.wait(), 5)
    trimming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trimming


async def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    await asyncio.wait_for(keep_trimmed(0), 5)

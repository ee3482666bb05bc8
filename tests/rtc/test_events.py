import asyncio
import logging

import pytest

from router.errors import ConfigError
from router.rtc.events import MAX_HANDLER_TASKS, EventEmitter, HandlerAttribute


class Door(EventEmitter):
    EVENTS = ("opened", "closed")
    onopened = HandlerAttribute("opened")


def test_handlers_run_in_order_and_can_be_removed() -> None:
    door, seen = Door(), []
    first = door.on("opened", lambda who: seen.append(("first", who)))
    door.onopened = lambda who: seen.append(("attribute", who))
    door.emit("opened", 1)
    door.off("opened", first)
    door.emit("opened", 2)
    door.onopened = None
    door.emit("opened", 3)
    assert seen == [("first", 1), ("attribute", 1), ("attribute", 2)]
    assert not door.has_handlers("opened")


def test_a_raising_handler_is_logged_and_the_others_still_run(caplog: pytest.LogCaptureFixture) -> None:
    door, seen = Door(), []
    door.on("opened", lambda: 1 / 0)
    door.on("opened", lambda: seen.append("reached"))
    with caplog.at_level(logging.ERROR):
        door.emit("opened")
    assert seen == ["reached"]
    assert "ZeroDivisionError" in caplog.text


async def test_async_handlers_are_owned_and_cancelled() -> None:
    door, state = Door(), []

    async def handler() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            state.append("cancelled")
            raise

    door.on("opened", handler)
    door.emit("opened")
    await asyncio.sleep(0)
    door.cancel_handlers()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert state == ["cancelled"]
    assert not door._tasks


async def test_a_raising_async_handler_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    door = Door()

    async def handler() -> None:
        raise ValueError("async trouble")

    door.on("opened", handler)
    with caplog.at_level(logging.ERROR):
        door.emit("opened")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert "async trouble" in caplog.text


async def test_hanging_handlers_are_bounded() -> None:
    door = Door()

    async def handler() -> None:
        await asyncio.Event().wait()

    door.on("opened", handler)
    for _ in range(MAX_HANDLER_TASKS + 10):
        door.emit("opened")
    assert len(door._tasks) == MAX_HANDLER_TASKS
    tasks = tuple(door._tasks)
    door.cancel_handlers()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_unknown_events_and_things_that_cannot_be_called_are_refused() -> None:
    with pytest.raises(ConfigError, match="slammed"):
        Door().on("slammed", print)
    with pytest.raises(ConfigError, match="callable"):
        Door().on("opened", "text")  # type: ignore[type-var]

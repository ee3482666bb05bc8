"""Questions that are under way are shared: one for all who ask, its error for all, and nobody's end is another's."""

import asyncio

import pytest

from router.cluster.single_flight import SingleFlight
from router.cluster.store import StoreError


async def settle() -> None:
    """Lets everybody who can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


class Questions:
    """Answers when told to, with the number of the question."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.ended: list[str] = []
        self.released = asyncio.Event()
        self.error: Exception | None = None
        self.flights = SingleFlight(self._answer)

    async def _answer(self, about: str) -> int:
        self.asked.append(about)
        number = len(self.asked)
        try:
            await self.released.wait()
            if self.error is not None:
                raise self.error
            return number
        finally:
            self.ended.append(about)

    async def ask_together(self, count: int, about: str = "a") -> list[asyncio.Task[int]]:
        """So many who ask, all of whom wait."""
        tasks = [asyncio.create_task(self.flights.ask(about)) for _ in range(count)]
        await settle()
        return tasks


async def test_all_who_ask_meanwhile_get_one_answer_and_the_next_one_another() -> None:
    questions = Questions()
    tasks = await questions.ask_together(200)
    others = await questions.ask_together(3, "b")
    questions.released.set()
    assert await asyncio.gather(*tasks, *others) == [1] * 200 + [2] * 3
    assert await questions.flights.ask("a") == 3, "an answer is nobody's after it was given"
    assert questions.asked == ["a", "b", "a"]
    assert questions.flights._flights == {}


async def test_whoever_asks_again_while_others_are_still_being_told_gets_another_answer() -> None:
    questions = Questions()

    async def ask_twice() -> tuple[int, int]:
        return await questions.flights.ask("a"), await questions.flights.ask("a")

    tasks = [asyncio.create_task(ask_twice()) for _ in range(3)]
    await settle()
    questions.released.set()
    assert await asyncio.gather(*tasks) == [(1, 2)] * 3


async def test_an_error_reaches_all_and_is_kept_for_nobody() -> None:
    questions = Questions()
    questions.error = StoreError("timeout")
    tasks = await questions.ask_together(200)
    questions.released.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {StoreError}
    questions.error = None
    assert await questions.flights.ask("a") == 2


@pytest.mark.parametrize("gone", [[0], [199], [*range(199)]])
async def test_whoever_goes_takes_nothing_from_the_others(gone: list[int]) -> None:
    questions = Questions()
    tasks = await questions.ask_together(200)
    for number in gone:
        tasks[number].cancel()
    await settle()
    assert questions.ended == []
    questions.released.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    left = [result for number, result in enumerate(results) if number not in gone]
    assert left == [1] * (200 - len(gone))
    assert all(isinstance(results[number], asyncio.CancelledError) for number in gone)


async def test_a_question_ends_with_the_last_who_waits_and_is_asked_anew() -> None:
    questions = Questions()
    tasks = await questions.ask_together(5)
    for task in tasks:
        task.cancel()
    await settle()
    assert questions.ended == ["a"]
    assert questions.flights._flights == {}
    (again,) = await questions.ask_together(1)
    questions.released.set()
    assert await again == 2


async def test_whoever_asks_while_a_question_is_being_given_up_is_answered() -> None:
    """In every order of the cancellations and the new question."""
    for pauses in range(6):
        questions = Questions()
        (first,) = await questions.ask_together(1)
        first.cancel()
        for _ in range(pauses):
            await asyncio.sleep(0)
        (second,) = await questions.ask_together(1)
        questions.released.set()
        assert await second in (1, 2)
        assert questions.flights._flights == {}


async def test_a_deadline_of_one_who_asks_is_his_own() -> None:
    questions = Questions()
    (patient,) = await questions.ask_together(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await questions.flights.ask("a")
    questions.released.set()
    assert await patient == 1

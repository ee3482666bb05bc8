import asyncio

from router.signaling.turnstile import Turnstile


async def turns_of(turnstile: Turnstile, count: int) -> list[int]:
    """The turn of the loop in which each of them passed."""
    turn = 0
    passed: list[int] = []

    def on_turn() -> None:
        nonlocal turn
        turn += 1
        if len(passed) < count:
            asyncio.get_running_loop().call_soon(on_turn)

    async def enter() -> None:
        await turnstile.wait()
        passed.append(turn)

    entering = [asyncio.create_task(enter()) for _ in range(count)]
    asyncio.get_running_loop().call_soon(on_turn)
    await asyncio.gather(*entering)
    return passed


async def test_one_passes_in_each_turn_of_the_loop() -> None:
    passed = await turns_of(Turnstile(), 20)
    assert passed == sorted(passed), "in order"
    assert len(set(passed)) == 20


async def test_who_comes_alone_does_not_wait() -> None:
    turnstile = Turnstile()
    for _ in range(3):
        waiting = turnstile.wait()
        try:
            waiting.send(None)
        except StopIteration:
            await asyncio.sleep(0)
        else:
            raise AssertionError("it waited")


async def test_who_gives_up_takes_no_turn() -> None:
    turnstile = Turnstile()
    await turnstile.wait()
    first, second = (asyncio.create_task(turnstile.wait()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait_for(second, 1)
    await asyncio.sleep(0)
    await asyncio.wait_for(turnstile.wait(), 1)

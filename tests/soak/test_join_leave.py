"""Thousands of joins and leaves with random aborts: everything that is held returns exactly to where it was.

300 of them in ordinary tests; `make soak` has 10,000 and looks at memory too. SOAK_SEED repeats a run, SOAK_CYCLES sets
the length.
"""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.router_process import RouterProcess, run_router
from tests.soak.counted_router import HELD
from tests.soak.cycles import Cycles

SEED = int(os.environ.get("SOAK_SEED", time.time_ns() % 1_000_000))
CYCLES = int(os.environ.get("SOAK_CYCLES", "10000"))
ROUNDS = 8
WARM_UP_ROUNDS = 3
"""They fill allocators and bounded tables."""
MAX_GROWTH_BYTES_PER_CYCLE = 1024
DRAIN_TIMEOUT_S = 90.0
PAGE = os.sysconf("SC_PAGE_SIZE")
SETTINGS = {
    "ROUTER_MEDIA__TIMEOUT_S": "4",
    "ROUTER_PUBLIC__REQUESTS_PER_S": "0",
    "ROUTER_ROOMS__MAX_PARTICIPANTS": "10000",
    "ROUTER_ROOMS__EMPTY_TIMEOUT_S": "1",
    "ROUTER_LOG__LEVEL": "warning",
}


async def read_held(router: RouterProcess) -> dict[str, int]:
    """What the router holds now, and its rooms."""
    told = len([line for line in router.log if line.startswith(HELD)])
    os.kill(router.process.pid, signal.SIGUSR1)
    async with asyncio.timeout(10):
        while len(lines := [line for line in router.log if line.startswith(HELD)]) == told:
            router.logged.clear()
            await router.logged.wait()
    held: dict[str, int] = json.loads(lines[-1].removeprefix(HELD))
    return held


async def wait_held(router: RouterProcess, baseline: dict[str, int]) -> None:
    """Until it holds what it held."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DRAIN_TIMEOUT_S
    while (held := await read_held(router)) != baseline:
        more = {name: (baseline[name], count) for name, count in held.items() if count != baseline[name]}
        assert loop.time() < deadline, f"was and is: {more}, SOAK_SEED={SEED}"
        await asyncio.sleep(0.5)


def resident_bytes(router: RouterProcess) -> int:
    """Resident memory."""
    return int(Path(f"/proc/{router.process.pid}/statm").read_text().split()[1]) * PAGE


async def soak(rounds: int, cycles: int) -> list[int]:
    """Memory after each round. The first one opens what stays open, such as threads of a pool."""
    print(f"SOAK_SEED={SEED}")
    memory = []
    async with run_router(module="tests.soak.counted_router", settings=SETTINGS) as router:
        empty = await read_held(router)
        crowd = Cycles(router, SEED)
        await crowd.run(32)
        settled = {"threads", "system threads", "descriptors"}
        await wait_quiet(router, {name: count for name, count in empty.items() if name not in settled})
        baseline = await read_held(router)
        for _ in range(rounds):
            await crowd.run(cycles)
            await wait_held(router, baseline)
            memory.append(resident_bytes(router))
    return memory


async def wait_quiet(router: RouterProcess, empty: dict[str, int]) -> None:
    """Until nobody is left, whatever else was opened."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DRAIN_TIMEOUT_S
    while (held := await read_held(router)) != {**held, **empty}:
        assert loop.time() < deadline, f"still there: {held}, at first {empty}"
        await asyncio.sleep(0.5)


@pytest.mark.timeout(150)
async def test_three_hundred_joins_are_given_back() -> None:
    await soak(1, 300)


@pytest.mark.soak
async def test_ten_thousand_joins_are_given_back() -> None:
    memory = await soak(ROUNDS, CYCLES // ROUNDS)
    growth = memory[-1] - memory[WARM_UP_ROUNDS - 1]
    per_cycle = growth / (CYCLES // ROUNDS * (ROUNDS - WARM_UP_ROUNDS))
    print(f"memory after each round: {memory}, {per_cycle:.0f} bytes per cycle")
    assert per_cycle < MAX_GROWTH_BYTES_PER_CYCLE

"""Thousands of joins and leaves with random aborts: peers, descriptors and memory return to where they were.

`make soak` runs it; SOAK_CYCLES sets the cycles of one round (1000), SOAK_SEED repeats a run. Each cycle leaves by
DELETE, vanishes after the handshake, vanishes before its first check, or stops in the middle of DTLS.
"""

import asyncio
import os
import random
import time

import httpx
import pytest

from loadtest.peer import Answer, Identity, Peer
from loadtest.process import ADMIN_TOKEN, RouterUnderTest, run_router

CYCLES = int(os.environ.get("SOAK_CYCLES", "1000"))
SEED = int(os.environ.get("SOAK_SEED", time.time_ns() % 1_000_000))
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "6"))
WARM_UP_ROUNDS = 3
PARALLEL = 16
MAX_GROWTH_BYTES_PER_CYCLE = 2048
DRAIN_TIMEOUT_S = 90.0
GAUGES = ("sfu_participants", "sfu_forks", 'sfu_transports{worker="0"}')
ENDINGS = ("delete", "vanish", "silent", "half-handshake")
SETTINGS = {
    "ROUTER_MEDIA__TIMEOUT_S": "5",
    "ROUTER_PUBLIC__REQUESTS_PER_S": "0",
    "ROUTER_ROOMS__MAX_PARTICIPANTS": "10000",
    "ROUTER_ROOMS__EMPTY_TIMEOUT_S": "1",
}


async def live_cycle(
    router: RouterUnderTest, http: httpx.AsyncClient, identity: Identity, number: int, how: str
) -> None:
    """One participant, from POST to its end."""
    room = f"soak-{number % 7}"
    headers = {"Authorization": f"Bearer {router.token(room, f'p{number}')}", "Content-Type": "application/sdp"}
    peer = Peer(identity)
    response = await http.post(f"/whep/{room}", content=peer.offer(), headers=headers)
    assert response.status_code == 201, response.text
    if how == "silent":
        return
    connecting = asyncio.create_task(peer.connect(Answer.parse(response.text)))
    try:
        if how == "half-handshake":
            await asyncio.wait([connecting], timeout=0.002)
            return
        await asyncio.wait_for(connecting, 20)
        if how == "delete":
            assert (await http.delete(response.headers["Location"], headers=headers)).status_code == 200
    finally:
        connecting.cancel()
        peer.close()


async def run_round(router: RouterUnderTest, http: httpx.AsyncClient, identity: Identity, numbers: range) -> None:
    """Cycles in parallel, in an order and with endings that the seed decides."""
    choice, gate = random.Random(f"{SEED}-{numbers.start}"), asyncio.Semaphore(PARALLEL)

    async def one(number: int, how: str) -> None:
        async with gate:
            await live_cycle(router, http, identity, number, how)

    await asyncio.gather(*(one(number, choice.choice(ENDINGS)) for number in numbers))


async def wait_drained(router: RouterUnderTest) -> None:
    """Until no participant, fork or transport is left."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DRAIN_TIMEOUT_S
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as http:
        while True:
            text = (await http.get(f"http://{router.host}:{router.admin_port}/metrics")).text
            values = [line.split()[-1] for line in text.splitlines() if line.startswith(GAUGES)]
            if len(values) == len(GAUGES) and set(values) == {"0.0"}:
                return
            assert loop.time() < deadline, f"still there: {values}"
            await asyncio.sleep(0.5)


@pytest.mark.soak
async def test_everything_is_given_back() -> None:
    print(f"SOAK_SEED={SEED}")
    async with run_router(core=None, settings=SETTINGS) as router:
        identity, memory, files = Identity.create(), [], []
        async with httpx.AsyncClient(base_url=f"http://{router.host}:{router.port}", timeout=30) as http:
            for number in range(ROUNDS):
                await run_round(router, http, identity, range(number * CYCLES, (number + 1) * CYCLES))
                await wait_drained(router)
                memory.append(router.resident_bytes())
                files.append(router.open_files())
        print(f"memory after each round: {memory}, descriptors: {files}")
        # The first rounds fill allocators and bounded tables.
        growth = memory[-1] - memory[WARM_UP_ROUNDS - 1]
        assert growth / (CYCLES * (ROUNDS - WARM_UP_ROUNDS)) < MAX_GROWTH_BYTES_PER_CYCLE
        assert files[-1] <= files[0] + 2

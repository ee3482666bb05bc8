"""Joins per second, router CPU per join, and memory per idle peer: `python -m loadtest.bench_join`.

A router process is pinned to one core, the clients to the other. Each client joins fully: HTTP POST with its token, an
authenticated check, DTLS, SRTP keys. A first wave warms up, a second is timed, then all stay and memory is read.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from loadtest.http import post
from loadtest.peer import Answer, Identity, Peer
from loadtest.process import RouterUnderTest, run_router

ROOM = "bench"


@dataclass(frozen=True, slots=True)
class JoinResult:
    """What one run measured."""

    joins: int
    seconds: float
    joins_per_second: float
    router_cpu_ms_per_join: float
    joins_per_router_core_second: float
    idle_peers: int
    memory_kib_per_idle_peer: float
    idle_cpu_us_per_peer_second: float


async def join_one(router: RouterUnderTest, identity: Identity, number: int, gate: asyncio.Semaphore) -> Peer:
    """One client from nothing to keyed."""
    peer = Peer(identity)
    async with gate:
        token = router.token(ROOM, f"client-{number}")
        reply = await post(router.host, router.port, f"/whep/{ROOM}", token, peer.offer())
        await peer.connect(Answer.parse(reply))
    return peer


async def join_many(router: RouterUnderTest, identity: Identity, numbers: range, parallel: int) -> list[Peer]:
    """A wave of clients, `parallel` at a time."""
    gate = asyncio.Semaphore(parallel)
    return await asyncio.gather(*(join_one(router, identity, number, gate) for number in numbers))


async def measure(router: RouterUnderTest, joins: int, parallel: int, idle_s: float) -> JoinResult:
    """Two equal waves, each followed by idle time: the second is timed, and what it left behind is the memory."""
    identity = Identity.create()
    peers = await join_many(router, identity, range(joins), parallel)
    await asyncio.sleep(idle_s)
    memory, cpu, start = router.resident_bytes(), router.cpu_s(), time.perf_counter()
    peers += await join_many(router, identity, range(joins, 2 * joins), parallel)
    seconds, cpu_s = time.perf_counter() - start, router.cpu_s() - cpu
    cpu = router.cpu_s()
    await asyncio.sleep(idle_s)
    idle_cpu = router.cpu_s() - cpu
    grown = router.resident_bytes() - memory
    for peer in peers:
        peer.close()
    return JoinResult(
        joins=joins,
        seconds=round(seconds, 3),
        joins_per_second=round(joins / seconds, 1),
        router_cpu_ms_per_join=round(1000 * cpu_s / joins, 3),
        joins_per_router_core_second=round(joins / cpu_s, 1),
        idle_peers=len(peers),
        memory_kib_per_idle_peer=round(grown / joins / 1024, 1),
        idle_cpu_us_per_peer_second=round(1e6 * idle_cpu / idle_s / len(peers), 1),
    )


async def run(joins: int, parallel: int, idle_s: float) -> JoinResult:
    """Starts a router with room enough for everybody and measures it."""
    caps = {"ROUTER_ROOMS__MAX_PARTICIPANTS": str(3 * joins), "ROUTER_PUBLIC__REQUESTS_PER_S": "0"}
    async with run_router(core=0, settings=caps) as router:
        return await measure(router, joins, parallel, idle_s)


def main(arguments: Sequence[str] | None = None) -> JoinResult:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--joins", type=int, default=400)
    parser.add_argument("--parallel", type=int, default=32)
    parser.add_argument("--idle", type=float, default=15.0, help="seconds of idle time to measure")
    options = parser.parse_args(arguments)
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    result = asyncio.run(run(options.joins, options.parallel, options.idle))
    print(json.dumps(asdict(result), indent=2))
    return result


if __name__ == "__main__":
    main()

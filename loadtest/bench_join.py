"""What joining costs, and what those who joined cost: `python -m loadtest.bench_join`.

A router process is pinned to one core, the clients to the other. Each client joins fully: HTTP POST with its token, an
authenticated check, DTLS, SRTP keys; by WHEP with two m-lines, or by the room's static offer with sixteen. A first wave
warms up, a second is timed, then all stay, and memory and CPU are read while nothing happens.

Two figures of speed, not to be mixed up: joins per second of the clock, which is the generator's speed when the
generator was busier than the router (then the line says `inconclusive`), and joins per second of the router's CPU time,
which is what one core could do.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from loadtest.http import post
from loadtest.peer import Answer, Identity, Join, Peer, RoomPeer
from loadtest.process import RouterUnderTest, run_router
from router import _engine

ROOM = "bench"
WAYS = ("whep", "offer")
ROUTER_CORE, GENERATOR_CORE = 0, 1
SETTLE_S = 45.0
"""The router keeps what handshakes need for ten seconds, and gives free memory back every thirty."""
BUSY = 0.9
"""Share of a core above which its owner was the bottleneck."""


@dataclass(frozen=True, slots=True)
class JoinResult:
    """What one run measured."""

    way: str
    joins: int
    joins_per_second: float
    """By the clock."""
    router_busy: float
    generator_busy: float
    verdict: str
    """Of the figure before: the router's own, or inconclusive."""
    router_cpu_ms_per_join: float
    joins_per_router_core_second: float
    """By the router's CPU time."""
    idle_peers: int
    memory_kib_per_idle_peer: float
    """Resident, of the second wave."""
    idle_cpu_us_per_peer_second: float


class Wave:
    """Joins of one way into one room."""

    def __init__(self, router: RouterUnderTest, way: str, parallel: int) -> None:
        self._router = router
        self._way = way
        self._gate = asyncio.Semaphore(parallel)
        self._identity = Identity.create()
        self._offer: str | None = None
        self.peers: list[Peer] = []

    async def join(self, count: int) -> None:
        """So many more, some at a time."""
        first = len(self.peers)
        await asyncio.gather(*(self._enter(number) for number in range(first, first + count)))

    async def _enter(self, number: int) -> None:
        enter = self._enter_by_whep if self._way == "whep" else self._enter_by_offer
        async with self._gate:
            self.peers.append(await enter(number))

    async def _enter_by_whep(self, number: int) -> Peer:
        peer = Peer(self._identity)
        token = self._router.token(ROOM, f"client-{number}")
        reply = await post(self._router.host, self._router.port, f"/whep/{ROOM}", token, peer.offer())
        await peer.connect(Answer.parse(reply))
        return peer

    async def _enter_by_offer(self, number: int) -> Peer:
        address = (self._router.host, self._router.port)
        join = Join(address, ROOM, self._router.token(ROOM, f"client-{number}"))
        if self._offer is None:
            self._offer = await join.fetch_offer()
        return (await RoomPeer.enter(join, number, self._identity, self._offer)).peer


async def measure(router: RouterUnderTest, way: str, joins: int, parallel: int, idle_s: float) -> JoinResult:
    """Two equal waves, each followed by idle time: the second is timed, and what it left behind is the memory."""
    wave = Wave(router, way, parallel)
    await wave.join(joins)
    await asyncio.sleep(SETTLE_S)
    memory, cpu_us, own_s, start = router.resident_bytes(), router.cpu_us(), time.process_time(), time.perf_counter()
    await wave.join(joins)
    seconds, own_s = time.perf_counter() - start, time.process_time() - own_s
    cpu_s = (router.cpu_us() - cpu_us) / 1e6
    await asyncio.sleep(SETTLE_S)
    grown = router.resident_bytes() - memory
    cpu_us = router.cpu_us()
    await asyncio.sleep(idle_s)
    idle_us = router.cpu_us() - cpu_us
    for peer in wave.peers:
        peer.close()
    return JoinResult(
        way=way,
        joins=joins,
        joins_per_second=round(joins / seconds, 1),
        router_busy=round(cpu_s / seconds, 2),
        generator_busy=round(own_s / seconds, 2),
        verdict="router" if cpu_s / seconds >= BUSY else "inconclusive: the router's core was not busy",
        router_cpu_ms_per_join=round(1000 * cpu_s / joins, 3),
        joins_per_router_core_second=round(joins / cpu_s, 1),
        idle_peers=len(wave.peers),
        memory_kib_per_idle_peer=round(grown / joins / 1024, 1),
        idle_cpu_us_per_peer_second=round(idle_us / idle_s / len(wave.peers), 1),
    )


async def run(way: str, joins: int, parallel: int, idle_s: float) -> JoinResult:
    """Starts a router with room enough for everybody and measures it."""
    settings = {
        "ROUTER_ROOMS__MAX_PARTICIPANTS": str(3 * joins),
        "ROUTER_PUBLIC__REQUESTS_PER_S": "0",
        "ROUTER_ROOMS__FORKS_PER_S": "100000",
        "ROUTER_ROOMS__FORKS_PER_S_PER_ADDRESS": "100000",
    }
    async with run_router(core=ROUTER_CORE, settings=settings) as router:
        return await measure(router, way, joins, parallel, idle_s)


def pin_generator() -> None:
    """Keeps this process off the router's core, with as many descriptors as there may be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {GENERATOR_CORE})


def main(arguments: Sequence[str] | None = None) -> list[JoinResult]:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", choices=WAYS, nargs="*", default=WAYS)
    parser.add_argument("--joins", type=int, default=400, help="in each of the two waves")
    parser.add_argument("--parallel", type=int, default=32)
    parser.add_argument("--idle", type=float, default=15.0, help="seconds of idle time to measure")
    options = parser.parse_args(arguments)
    pin_generator()
    print(f"machine: {platform.platform()}; build: {_engine.build_info()}; cores: {ROUTER_CORE}, {GENERATOR_CORE}")
    results = []
    for way in options.way:
        results.append(asyncio.run(run(way, options.joins, options.parallel, options.idle)))
        print(json.dumps(asdict(results[-1]), indent=2), flush=True)
    return results


if __name__ == "__main__":
    main()

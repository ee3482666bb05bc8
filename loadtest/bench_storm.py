"""Everybody joins one room at once: `python -m loadtest.bench_storm`.

Each participant joins by the static offer with a microphone (ICE, DTLS, answer) and opens the events WebSocket. Told:
whether all of them got in, how long until all knew all, whether every roster is right in the end, and how late the
router's event loop was at worst. Router and generator have a core each.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field

from websockets.exceptions import ConnectionClosed

from loadtest.bench_join import ROUTER_CORE, pin_generator
from loadtest.events import Events, Message
from loadtest.peer import Identity, Join, RoomPeer
from loadtest.process import RouterUnderTest, run_router

ROOM = "storm"
AGREE_TIMEOUT_S = 120.0
LAG = "sfu_event_loop_lag_seconds"
OPENING = 48
"""WebSockets that authenticate at a time: the router takes 64 of one address, and here all have the same one."""
LAG_INTERVAL_S = 5.0
"""The gauge is the worst of ten seconds."""


@dataclass(slots=True)
class Follower:
    """What one participant knows of the roster (as client.js does: deltas of known versions are skipped)."""

    version: int = -1
    known: set[str] = field(default_factory=set)
    gaps: int = 0

    def handle(self, message: Message) -> None:
        """A welcome, or one delta."""
        kind, version = message["type"], message.get("version")
        if kind == "welcome":
            self.version = version or 0
            self.known = {participant["identity"] for participant in message["participants"]}
        elif version is not None and version > self.version:
            self.gaps += version != self.version + 1
            self.version = version
            if kind == "joined":
                self.known.add(message["participant"]["identity"])


@dataclass(frozen=True, slots=True)
class StormResult:
    """What one storm did."""

    participants: int
    failures: int
    seconds_until_joined: float
    seconds_until_all_knew_all: float
    wrong_rosters: int
    gaps: int
    router_cpu_ms_per_join: float
    worst_loop_lag_s: float


@dataclass(slots=True)
class Storm:
    """One room and those who run into it."""

    router: RouterUnderTest
    stack: AsyncExitStack
    identity: Identity = field(default_factory=Identity.create)
    followers: list[Follower] = field(default_factory=list)
    opening: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(OPENING))
    failures: int = 0
    worst_lag_s: float = 0.0

    async def enter(self, number: int, offer: str) -> None:
        """One participant; a failure is counted."""
        address = (self.router.host, self.router.port)
        join = Join(address, ROOM, self.router.token(ROOM, f"p{number}"))
        follower = Follower()
        try:
            peer = await RoomPeer.enter(join, number, self.identity, offer)
            self.stack.callback(peer.close)
            peer.peer.become_sink()
            async with self.opening:
                events = await self.stack.enter_async_context(Events.open(join, keeps=False))
                events.on_message = follower.handle
                while not events.counts["welcome"]:  # noqa: ASYNC110 - the events know no waiting for a count
                    await asyncio.sleep(0.02)
        except (OSError, RuntimeError, TimeoutError, ConnectionClosed) as error:
            self.failures += 1
            print(f"participant {number}: {error!r}")
            return
        self.followers.append(follower)

    async def watch_lag(self) -> None:
        """Keeps the worst lateness of the loop, until cancelled."""
        while True:
            self.worst_lag_s = max(self.worst_lag_s, (await self.router.metrics()).get(LAG, 0.0))
            await asyncio.sleep(LAG_INTERVAL_S)

    async def agree(self, count: int) -> None:
        """Until everybody knows everybody, or the time is over."""
        deadline = time.perf_counter() + AGREE_TIMEOUT_S
        while self.wrong(count) and time.perf_counter() < deadline:  # noqa: ASYNC110 - a look now and then is enough
            await asyncio.sleep(0.2)

    def wrong(self, count: int) -> int:
        """Rosters that lack somebody."""
        return sum(len(follower.known) != count for follower in self.followers)


async def measure(router: RouterUnderTest, count: int) -> StormResult:
    """The storm, then its result."""
    async with AsyncExitStack() as stack:
        storm = Storm(router, stack)
        offer = await Join((router.host, router.port), ROOM, router.token(ROOM, "first")).fetch_offer()
        watching = asyncio.create_task(storm.watch_lag())
        stack.callback(watching.cancel)
        cpu_us, start = router.cpu_us(), time.perf_counter()
        await asyncio.gather(*(storm.enter(number, offer) for number in range(count)))
        joined_s = time.perf_counter() - start
        await storm.agree(count - storm.failures)
        agreed_s, cpu_us = time.perf_counter() - start, router.cpu_us() - cpu_us
        await asyncio.sleep(LAG_INTERVAL_S)
        return StormResult(
            participants=count,
            failures=storm.failures,
            seconds_until_joined=round(joined_s, 2),
            seconds_until_all_knew_all=round(agreed_s, 2),
            wrong_rosters=storm.wrong(count - storm.failures),
            gaps=sum(follower.gaps for follower in storm.followers),
            router_cpu_ms_per_join=round(cpu_us / 1e3 / count, 2),
            worst_loop_lag_s=round(storm.worst_lag_s, 3),
        )


async def run(count: int) -> StormResult:
    """In a router with room enough."""
    settings = {
        "ROUTER_ROOMS__MAX_PARTICIPANTS": str(2 * count),
        "ROUTER_PUBLIC__REQUESTS_PER_S": "0",
    }
    async with run_router(core=ROUTER_CORE, settings=settings) as router:
        return await measure(router, count)


def main(arguments: Sequence[str] | None = None) -> StormResult:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--participants", type=int, default=1000)
    options = parser.parse_args(arguments)
    pin_generator()
    result = asyncio.run(run(options.participants))
    print(json.dumps(asdict(result), indent=2))
    return result


if __name__ == "__main__":
    main()

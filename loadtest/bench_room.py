"""What joins and forks cost in small rooms and in large ones: `python -m loadtest.bench_room`.

Everybody joins by the static offer with a microphone to publish. With the events WebSockets open, a join is counted in
messages and bytes, to the joiner and to each of the others, and in router CPU. Then, without them, ten people speak
(RFC 6464 levels that wander), the others are muted and send nothing: the router's CPU by fork and by packet that it
forwards. To compare rooms and not load, as many forks are spread over rooms of 20 as stand in the room of 1000.
Receivers are sockets that nobody reads. Router and generator have a core each.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import statistics
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass

from loadtest.events import Events
from loadtest.peer import Identity, Join, RoomPeer
from loadtest.process import RouterUnderTest, run_router
from router import _engine

ROUTER_CORE, GENERATOR_CORE = 0, 1
PARALLEL_JOINS = 16
SPEAKERS = 10
PACKETS_PER_S = 10
"""Of each speaker: few, so that one core carries three voices to a thousand."""
LEVELS = (20, 60)
LEVEL_CHANGE = 0.05
QUIET_S = 2.0
JOINS_COUNTED = 20
FORWARD_S = 10.0
LIMIT = 1.2
"""The issue's: a fork of the room of 1000 costs at most so much more than one in a room of 20."""
SETTINGS = {
    "ROUTER_ROOMS__MAX_PARTICIPANTS": "2000",
    "ROUTER_PUBLIC__REQUESTS_PER_S": "0",
}


@dataclass(frozen=True, slots=True)
class JoinCost:
    """Per join, in a room that had `participants`."""

    participants: int
    router_cpu_ms: float
    messages_to_joiner: float
    bytes_to_joiner: float
    messages_to_each_other: float
    bytes_to_each_other: float


@dataclass(frozen=True, slots=True)
class ForwardCost:
    """While ten people speak in each room."""

    rooms: int
    participants: int
    sent_share: float
    """Of the packets due: below 1 the generator's core was busy with something else."""
    packets_per_second: float
    router_cpu_us_per_packet: float
    router_cpu_us_per_fork_second: float
    idle_cpu_us_per_fork_second: float
    core_busy: float


class Crowd:
    """The people of some rooms, each with a WebSocket if they watch."""

    def __init__(self, router: RouterUnderTest, stack: AsyncExitStack, *, watches: bool) -> None:
        self._router = router
        self._stack = stack
        self._watches = watches
        self._identity = Identity.create()
        self._offers: dict[str, str] = {}
        self.peers: list[RoomPeer] = []
        self.events: list[Events] = []

    async def fill(self, room: str, count: int) -> None:
        """`count` people join, some at a time."""
        gate = asyncio.Semaphore(PARALLEL_JOINS)

        async def enter_gated() -> None:
            async with gate:
                await self.enter(room)

        await asyncio.gather(*(enter_gated() for _ in range(count)))

    async def enter(self, room: str) -> None:
        """One joins by the room's offer, which everybody shares, and stays as a sink."""
        number = len(self.peers) + 1
        join = Join((self._router.host, self._router.port), room, self._router.token(room, f"p{random.random()}"))
        if room not in self._offers:
            self._offers[room] = await join.fetch_offer()
        peer = await RoomPeer.enter(join, number, self._identity, self._offers[room])
        self._stack.callback(peer.close)
        peer.peer.become_sink()
        self.peers.append(peer)
        if self._watches:
            self.events.append(await self._stack.enter_async_context(Events.open(join, keeps=False)))


async def quiet(events: Sequence[Events]) -> None:
    """Waits until no message has come for a while."""
    before = -1
    while (now := sum(each.counts.total() for each in events)) != before:
        before = now
        await asyncio.sleep(QUIET_S)


@dataclass(frozen=True, slots=True)
class Heard:
    """What WebSockets have received so far."""

    messages: int
    bytes: int

    @classmethod
    def sum(cls, events: Sequence[Events]) -> "Heard":
        """Of all of them."""
        return cls(sum(each.counts.total() for each in events), sum(each.bytes for each in events))


async def measure_join(router: RouterUnderTest, participants: int) -> JoinCost:
    """Fills a room, then counts what further joins cost, one after the other."""
    room, loop = f"join-{participants}", asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        crowd = Crowd(router, stack, watches=True)
        await crowd.fill(room, participants)
        await quiet(crowd.events)
        idle_us_per_s = await cpu_of(router, asyncio.sleep(QUIET_S)) / QUIET_S
        before, start = Heard.sum(crowd.events), loop.time()
        cpu_us = await cpu_of(router, join_some(crowd, room)) - idle_us_per_s * (loop.time() - start)
        others, joiners = crowd.events[:participants], crowd.events[participants:]
        after, own = Heard.sum(others), Heard.sum(joiners)
        messages_each = (after.messages - before.messages) / JOINS_COUNTED / participants
        bytes_each = (after.bytes - before.bytes) / JOINS_COUNTED / participants
        # Each joiner also heard of those after it, as the others did: of half of them on average.
        later = (JOINS_COUNTED - 1) / 2
        replies = statistics.mean(len(json.dumps(peer.welcome)) for peer in crowd.peers[participants:])
        return JoinCost(
            participants=participants,
            router_cpu_ms=round(cpu_us / 1e3 / JOINS_COUNTED, 2),
            messages_to_joiner=round(1 + own.messages / JOINS_COUNTED - later * messages_each, 1),
            bytes_to_joiner=round(replies + own.bytes / JOINS_COUNTED - later * bytes_each),
            messages_to_each_other=round(messages_each, 2),
            bytes_to_each_other=round(bytes_each),
        )


async def join_some(crowd: Crowd, room: str) -> None:
    """The joins that are counted, until the last message about them has come."""
    for _ in range(JOINS_COUNTED):
        await crowd.enter(room)
    await quiet(crowd.events)


async def cpu_of(router: RouterUnderTest, waiting: Awaitable[None]) -> float:
    """The router's CPU while something is awaited, in microseconds."""
    before = router.cpu_us()
    await waiting
    return router.cpu_us() - before


async def talk(speakers: Sequence[RoomPeer], seconds: float) -> float:
    """All of them send their packets evenly spread; who is loudest wanders. The share that was sent in time."""
    loop, choice = asyncio.get_running_loop(), random.Random(1)
    interval = 1 / (PACKETS_PER_S * len(speakers))
    start, sent = loop.time(), 0
    while (elapsed := loop.time() - start) < seconds:
        while sent * interval <= elapsed:
            speaker = speakers[sent % len(speakers)]
            assert speaker.voice
            if choice.random() < LEVEL_CHANGE:
                speaker.voice.level = choice.randint(*LEVELS)
            speaker.speak()
            sent += 1
        await asyncio.sleep(interval)
    return sent * interval / seconds


async def measure_forwarding(router: RouterUnderTest, rooms: int, participants: int) -> ForwardCost:
    """Rooms of one size, ten speakers in each."""
    async with AsyncExitStack() as stack:
        crowd = Crowd(router, stack, watches=False)
        speakers: list[RoomPeer] = []
        for number in range(rooms):
            first = len(crowd.peers)
            await crowd.fill(f"talk-{participants}-{rooms}-{number}", participants)
            speakers += crowd.peers[first : first + SPEAKERS]
        for speaker in speakers:
            assert speaker.voice
            speaker.voice.level = LEVELS[0]
        await asyncio.sleep(QUIET_S)
        idle_us = await cpu_of(router, asyncio.sleep(QUIET_S)) / QUIET_S
        await talk(speakers, QUIET_S)
        before = await router.metrics()
        cpu_before = router.cpu_us()
        sent_share = await talk(speakers, FORWARD_S)
        cpu_us = router.cpu_us() - cpu_before
        after = await router.metrics()
        sent = 'sfu_rtp_packets_total{direction="out"}'
        packets, forks = after[sent] - before[sent], rooms * participants
        return ForwardCost(
            rooms=rooms,
            participants=participants,
            sent_share=round(sent_share, 3),
            packets_per_second=round(packets / FORWARD_S),
            router_cpu_us_per_packet=round(cpu_us / packets, 2),
            router_cpu_us_per_fork_second=round(cpu_us / FORWARD_S / forks, 1),
            idle_cpu_us_per_fork_second=round(idle_us / forks, 1),
            core_busy=round(cpu_us / FORWARD_S / 1e6, 3),
        )


async def run(join_sizes: Sequence[int], small: int, large: int) -> tuple[list[JoinCost], list[ForwardCost]]:
    """A router of its own for each figure, so that no room pays for the one before it."""
    joins, forwards = [], []
    for size in join_sizes:
        async with run_router(core=ROUTER_CORE, settings=SETTINGS) as router:
            joins.append(await measure_join(router, size))
    for rooms, participants in ((1, small), (large // small, small), (1, large)):
        async with run_router(core=ROUTER_CORE, settings=SETTINGS) as router:
            forwards.append(await measure_forwarding(router, rooms, participants))
    return joins, forwards


def print_table(rows: Sequence[JoinCost] | Sequence[ForwardCost]) -> None:
    """One line a run."""
    table = [asdict(row) for row in rows]
    print("".join(f"{name:>30}" for name in table[0]))
    for row in table:
        print("".join(f"{value:>30}" for value in row.values()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--joins", type=int, nargs="*", default=(10, 100, 1000), help="room sizes to join")
    parser.add_argument("--small", type=int, default=20)
    parser.add_argument("--large", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of tables")
    options = parser.parse_args(arguments)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {GENERATOR_CORE})
    joins, forwards = asyncio.run(run(options.joins, options.small, options.large))
    if options.json:
        print(json.dumps({"joins": [asdict(row) for row in joins], "forwarding": [asdict(row) for row in forwards]}))
        return
    print(f"machine: {platform.platform()}; build: {_engine.build_info()}")
    for rows in (joins, forwards):
        if rows:
            print_table(rows)
    _, small, large = forwards
    # By packet, since a fork gets the same number of them in both; a busy generator would blur the figure by fork.
    ratio = large.router_cpu_us_per_packet / small.router_cpu_us_per_packet
    print(f"a fork of the room of {options.large} costs {ratio:.2f} of one in rooms of {options.small} (limit {LIMIT})")


if __name__ == "__main__":
    main()

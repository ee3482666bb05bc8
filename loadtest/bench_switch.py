"""From a wish to the first frame of the new source in a video slot: `python -m loadtest.bench_switch`.

A receiver pins two publishers to one slot in turns over the events WebSocket. All are load peers on loopback, and the
publishers answer a request for a key frame at once, so what is measured is the router: wish, assignment, request,
switch. A browser's encoder adds the time until its next frame.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

from loadtest.events import Events, Message
from loadtest.peer import Identity, Join, RoomPeer, Shown
from loadtest.process import RouterUnderTest, run_router
from router import _engine

ROOM, SLOT = "switch", "v0"
TIMEOUT_S = 5.0
BETWEEN_S = 0.7
"""Longer than the throttle of requests for key frames (500 ms): what is measured is one switch, not many at once."""


@dataclass(frozen=True, slots=True)
class SwitchResult:
    """Milliseconds from sending the wish to receiving the first packet of the new source's key frame."""

    switches: int
    median_ms: float
    p95_ms: float
    max_ms: float
    key_frames_first: int
    """How many switches began with a key frame: all of them."""


def find_video_track(welcome: Message, identity: str) -> str:
    """The id of a participant's camera track."""
    person = next(each for each in welcome["participants"] if each["identity"] == identity)
    return str(next(track["id"] for track in person["tracks"] if track["kind"] == "video"))


class Watcher:
    """The receiver, its slot and its wishes."""

    def __init__(self, peer: RoomPeer, events: Events) -> None:
        self._peer = peer
        self._events = events

    async def pin(self, track_id: str, sender: int) -> tuple[float, Shown]:
        """Pins a track; the time until the slot shows its sender, in seconds, and what came first."""
        loop = asyncio.get_running_loop()
        shown: asyncio.Future[Shown] = loop.create_future()

        def on_change(change: Shown) -> None:
            if change.mid == SLOT and change.sender == sender and not shown.done():
                shown.set_result(change)

        self._peer.reception.on_change = on_change
        start = loop.time()
        slots = {SLOT: {"track_id": track_id}}
        await self._events.send({"type": "wish", "session": self._peer.welcome["session"], "slots": slots})
        first = await asyncio.wait_for(shown, TIMEOUT_S)
        return first.time_s - start, first


@asynccontextmanager
async def publisher(router: RouterUnderTest, number: int) -> AsyncIterator[RoomPeer]:
    """Somebody with a camera."""
    name = f"publisher-{number}"
    join = Join((router.host, router.port), ROOM, router.token(ROOM, name), publish=("cam",), slots=())
    peer = await RoomPeer.enter(join, number, Identity.create())
    peer.answers_requests = True
    filming = asyncio.create_task(peer.keep_filming())
    try:
        yield peer
    finally:
        filming.cancel()
        peer.close()


async def measure(router: RouterUnderTest, switches: int) -> SwitchResult:
    """Two publishers, one receiver, wishes in turns."""
    async with publisher(router, 1), publisher(router, 2):
        join = Join((router.host, router.port), ROOM, router.token(ROOM, "receiver"), publish=("mic",))
        peer = await RoomPeer.enter(join, 3, Identity.create())
        async with Events.open(join) as events:
            _, welcome = await events.wait(lambda message: message["type"] == "welcome")
            tracks = {number: find_video_track(welcome, f"publisher-{number}") for number in (1, 2)}
            watcher = Watcher(peer, events)
            # The slot may show either of them already.
            await asyncio.sleep(1)
            shown = peer.reception.current.get(SLOT)
            first = 2 if shown and shown.sender == 1 else 1
            times, keys = [], 0
            for number in range(switches):
                sender = first if number % 2 == 0 else 3 - first
                seconds, change = await watcher.pin(tracks[sender], sender)
                times.append(seconds * 1e3)
                keys += change.key_frame
                await asyncio.sleep(BETWEEN_S)
        peer.close()
    return SwitchResult(
        switches=switches,
        median_ms=round(statistics.median(times), 2),
        p95_ms=round(sorted(times)[int(len(times) * 0.95)], 2),
        max_ms=round(max(times), 2),
        key_frames_first=keys,
    )


async def run(switches: int) -> SwitchResult:
    """A router on a core of its own."""
    async with run_router(core=0, settings={"ROUTER_PUBLIC__REQUESTS_PER_S": "0"}) as router:
        return await measure(router, switches)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--switches", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    options = parser.parse_args(arguments)
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    result = asdict(asyncio.run(run(options.switches)))
    if options.json:
        print(json.dumps(result))
        return
    print(f"machine: {platform.platform()}; build: {_engine.build_info()}")
    for name, value in result.items():
        print(f"{name:>20}  {value}")


if __name__ == "__main__":
    main()

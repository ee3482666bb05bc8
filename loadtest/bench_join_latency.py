"""From an offer in hand to the first decoded frame: `python -m loadtest.bench_join_latency`.

A real Chromium joins a room in which somebody already publishes, by the room's static offer and by WHEP in turns, over
an emulated link with 0, 25 and 100 ms of round trip. The clock starts at the first WebRTC call, with the page loaded,
its TCP connection open and the static offer in hand; WHEP gets the same number of slots. The publisher is near the
router and answers a request for a key frame at once, so what grows with the link is the joiner's round trips: once by
the slope of the times, once by counting flights on the link. Needs root (network namespaces) and Chromium.
"""

import argparse
import asyncio
import json
import platform
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Page

from loadtest.link import Link, Seen, Shape, count_round_trips, create_link
from loadtest.link.tun import available
from loadtest.peer import Identity, Join, RoomOffer, RoomPeer
from loadtest.peer.film import render_film
from loadtest.process import RouterUnderTest, run_router
from router import _engine
from tests.e2e.chromium import EXECUTABLE, executable_inside, launch_chromium
from tests.e2e.netns import create_namespace

ROOM = "latency"
ROUND_TRIPS_MS = (0, 25, 100)
WAYS = ("offer", "whep")
STEPS = ("ice", "dtls", "answered", "frame")
PAGE_SCRIPT = (Path(__file__).parent / "join_page.js").read_text()
COUNTED = ("tcp", "http", "stun", "dtls")
SETTLE_S = 0.4
"""Twice between joins, so that no request for a key frame meets the throttle of the one before it (500 ms)."""


@dataclass(slots=True)
class Joins:
    """All joins of one way over one round trip."""

    times_ms: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})
    round_trips: dict[str, list[int]] = field(default_factory=lambda: {protocol: [] for protocol in COUNTED})

    def add(self, times_ms: dict[str, float], trace: list[Seen]) -> None:
        """One join."""
        for step, values in self.times_ms.items():
            values.append(times_ms[step])
        seen = until_first_media(trace)
        for protocol, counts in self.round_trips.items():
            counts.append(count_round_trips(seen, protocol))

    def median(self, step: str) -> float:
        """In milliseconds."""
        return statistics.median(self.times_ms[step])


def until_first_media(trace: list[Seen]) -> list[Seen]:
    """What crossed the link before the router's first RTP packet did. Checks after the first of DTLS keep consent."""
    seen: list[Seen] = []
    for packet in trace:
        if packet.protocol == "rtp" and packet.sender == "far":
            break
        if packet.protocol != "stun" or not any(earlier.protocol == "dtls" for earlier in seen):
            seen.append(packet)
    return seen


@asynccontextmanager
async def publisher(router: RouterUnderTest) -> AsyncIterator[None]:
    """Somebody with a camera, near the router."""
    join = Join((router.host, router.port), ROOM, router.token(ROOM, "publisher"), publish=("cam",), slots=())
    peer = await RoomPeer.enter(join, 1, Identity.create())
    assert peer.camera
    peer.camera.film, peer.answers_requests = render_film(1), True
    filming = asyncio.create_task(peer.keep_filming())
    try:
        yield
    finally:
        filming.cancel()
        await peer.leave()


@asynccontextmanager
async def joiner(router: RouterUnderTest, link: Link) -> AsyncIterator[Page]:
    """A page of the router's origin in a Chromium behind the link."""

    with executable_inside(link) as program:
        async with launch_chromium(executable=program) as browser:
            page = await browser.new_page()
            await page.add_init_script(PAGE_SCRIPT)
            # The demo page stays idle; a page from elsewhere may not reach a private address.
            await page.goto(f"http://{router.host}:{router.port}/")
            yield page


async def join_once(page: Page, link: Link, options: dict[str, object], way: str, joins: Joins | None) -> None:
    """Joins and leaves; None for a warm-up."""
    offer = await page.evaluate("fetchOffer", ROOM)
    await asyncio.sleep(SETTLE_S)
    link.take_trace()
    times = await page.evaluate("([way, options]) => join(way, options)", [way, {**options, "offer": offer}])
    if joins:
        joins.add(times, link.take_trace())
    await page.evaluate("leave()")
    await asyncio.sleep(SETTLE_S)


async def measure(
    router: RouterUnderTest, link: Link, count: int, round_trips_ms: Sequence[int]
) -> dict[tuple[str, int], Joins]:
    """`count` joins of each way over each round trip, the ways in turns."""
    found = {(way, rtt): Joins() for way in WAYS for rtt in round_trips_ms}
    async with publisher(router), joiner(router, link) as page:
        offer = RoomOffer.parse(await page.evaluate("fetchOffer", ROOM))
        slots = {f"{kind}Slots": len(offer.slots(kind)) for kind in ("audio", "video")}
        for rtt in round_trips_ms:
            link.set_shape(Shape(delay_us=500 * rtt))
            for number in range(-1, count):
                for way in WAYS:
                    token = router.token(ROOM, f"{way}-{rtt}-{number}")
                    options = {"room": ROOM, "token": token, **slots}
                    await join_once(page, link, options, way, found[way, rtt] if number >= 0 else None)
    return found


def fit_round_trips(found: dict[tuple[str, int], Joins], way: str, step: str) -> float:
    """Slope of the medians between the shortest and the longest round trip."""
    rtts = [rtt for each, rtt in found if each == way]
    grown = found[way, max(rtts)].median(step) - found[way, min(rtts)].median(step)
    return grown / (max(rtts) - min(rtts))


def describe(found: dict[tuple[str, int], Joins]) -> dict[str, object]:
    """All figures as plain values."""
    rtts = sorted({rtt for _, rtt in found})
    return {
        way: {
            "ms": {rtt: {step: round(found[way, rtt].median(step), 1) for step in STEPS} for rtt in rtts},
            "frame_ms": {rtt: [round(ms, 1) for ms in sorted(found[way, rtt].times_ms["frame"])] for rtt in rtts},
            "round_trips_by_slope": {step: round(fit_round_trips(found, way, step), 2) for step in STEPS},
            "round_trips_on_the_link": {
                protocol: statistics.median(found[way, max(rtts)].round_trips[protocol]) for protocol in COUNTED
            },
        }
        for way in WAYS
    }


def print_table(found: dict[tuple[str, int], Joins]) -> None:
    """Medians, then the round trips."""
    print(f"{'':8}{'rtt ms':>8}" + "".join(f"{step + ' ms':>14}" for step in STEPS) + f"{'frame range':>18}")
    for (way, rtt), joins in found.items():
        frames = joins.times_ms["frame"]
        medians = "".join(f"{joins.median(step):14.1f}" for step in STEPS)
        print(f"{way:8}{rtt:8}{medians}{min(frames):10.0f} to {max(frames):.0f}")
    longest = max(rtt for _, rtt in found)
    for way in WAYS:
        slopes = ", ".join(f"{step} {fit_round_trips(found, way, step):.2f}" for step in STEPS)
        counts = {protocol: statistics.median(found[way, longest].round_trips[protocol]) for protocol in COUNTED}
        flights = ", ".join(f"{protocol} {count:g}" for protocol, count in counts.items())
        print(f"{way}: round trips by slope: {slopes}; on the link before the first media packet: {flights}")


async def run(count: int, seed: int, round_trips_ms: Sequence[int]) -> dict[tuple[str, int], Joins]:
    """Router in one namespace, Chromium in another, the link between them, the publisher beside the router."""
    settings = {"ROUTER_PUBLIC__REQUESTS_PER_S": "0"}
    async with AsyncExitStack() as stack:
        space = stack.enter_context(create_namespace())
        router = await stack.enter_async_context(
            run_router(core=None, settings=settings, host=space.inside, prefix=space.command())
        )
        link = stack.enter_context(create_link(space.name, space.inside, shape=Shape(), seed=seed))
        return await measure(router, link, count, round_trips_ms)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--joins", type=int, default=15, help="of each way over each round trip")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rtt", type=int, nargs="+", default=ROUND_TRIPS_MS, help="milliseconds, two or more")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    options = parser.parse_args(arguments)
    if not available() or not Path(EXECUTABLE).exists():
        print("bench_join_latency: skipped: needs root, network namespaces, /dev/net/tun and Chromium")
        return
    found = asyncio.run(run(options.joins, options.seed, options.rtt))
    if options.json:
        print(json.dumps(describe(found)))
        return
    build = _engine.build_info()
    print(f"machine: {platform.platform()}; build: {build}; joins: {options.joins} each; seed: {options.seed}")
    print_table(found)


if __name__ == "__main__":
    main()

"""One offer for everybody: three Chromium windows, a Firefox and load peers answer the same text; people come and go.

Whom a slot shows is asked of the browser itself, by `getContributingSources()`, and held against the stamped picture it
decodes. After joining, no page makes, sets, sends or receives a session description again.
"""

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from loadtest.events import Events
from loadtest.peer import Join
from tests.e2e.bidi import launch_firefox
from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.crowd import Guests, WhoIsWho
from tests.e2e.netns import create_namespace
from tests.e2e.pages import STATIC_OFFER_PAGE
from tests.e2e.router_process import RouterProcess, run_router
from tests.e2e.watch import Browser, wait_for

ROOM = "one-offer"
SEED = 3
FRAMES_PER_SECOND = 8
"""Of every camera: four browsers and all their pictures share the machine."""
SAMPLE_S = 0.4
ALL_SLOTS_SHOWN = "readSlots().filter((slot) => slot.stamp?.valid && slot.contributor).length === 9"
STABLE_SAMPLES = 4
"""A picture is decoded later than the packets that name its sender arrive; busy cores take a while."""
PATIENCE_S = 90.0
"""Of a busy machine, until every slot has been seen to settle."""
VIDEO_SLOTS = {f"v{place}" for place in range(9)}
FRESH_MS = 1000
PEOPLE = {"Ada": 1, "Bob": 2, "Cyd": 3, "Dan": 4}
FIRST_GUEST = 10
SILENT, TALKING = 127, 30


@dataclass(slots=True)
class Observations:
    """What one browser's slots said over time, one row of slots a sample."""

    samples: list[dict[str, dict[str, Any]]] = field(default_factory=list)

    def add(self, slots: list[dict[str, Any]]) -> None:
        """Keeps the slots whose packets are recent."""
        fresh = (slot for slot in slots if slot["contributor"] is not None and slot["age"] < FRESH_MS)
        self.samples.append({slot["mid"]: slot for slot in fresh})

    def settled(self) -> list[dict[str, Any]]:
        """Readings of slots that named the same source for some samples before and one after."""
        found = []
        for end in range(STABLE_SAMPLES, len(self.samples) + 1):
            window = self.samples[end - STABLE_SAMPLES : end]
            for mid, slot in window[-2].items():
                named = [row[mid]["contributor"] for row in window if mid in row]
                if named == [slot["contributor"]] * STABLE_SAMPLES:
                    found.append(slot)
        return found

    def covers_all_slots(self) -> bool:
        """Whether every video slot has settled on somebody at some time."""
        return {slot["mid"] for slot in self.settled() if slot["stamp"] is not None} >= VIDEO_SLOTS


async def fetch_offer(router: RouterProcess) -> str:
    """The room's offer, twice the same."""
    headers = {"Authorization": f"Bearer {router.token(ROOM, 'reader')}"}
    async with httpx.AsyncClient(base_url=router.url) as http:
        first, second = [await http.get(f"/rooms/{ROOM}/offer", headers=headers) for _ in range(2)]
        assert first.content == second.content
        assert first.headers["ETag"] == second.headers["ETag"]
        again = {"If-None-Match": first.headers["ETag"]}
        assert (await http.get(f"/rooms/{ROOM}/offer", headers=again)).status_code == 304
    return first.text


async def join(browser: Browser, router: RouterProcess, name: str) -> None:
    """Opens the page with a stamped camera and joins."""
    await browser.add_init_script(
        f"{STATIC_OFFER_PAGE}; installSlots(); installStamp({PEOPLE[name]}, {FRAMES_PER_SECOND});"
    )
    await browser.goto(f"{router.url}/")
    await browser.evaluate(f"joinByOffer({json.dumps({'room': ROOM, 'token': router.token(ROOM, name)})})")
    await wait_for(browser, "joined.connection.connectionState === 'connected'", f"{name} connected")


@asynccontextmanager
async def four_browsers(router: RouterProcess) -> AsyncIterator[dict[str, Browser]]:
    """Three windows of one Chromium, and a Firefox."""
    async with AsyncExitStack() as stack:
        chromium = await stack.enter_async_context(launch_chromium(router.url))
        people: dict[str, Browser] = {}
        for name in PEOPLE:
            is_last = name == list(PEOPLE)[-1]
            people[name] = await stack.enter_async_context(launch_firefox()) if is_last else await Window.open(chromium)
            await join(people[name], router, name)
        yield people


async def come_and_go(guests: Guests, number: int, over: asyncio.Event) -> None:
    """Somebody leaves, somebody comes, about once a second, until it is over; a third of them talks."""
    choice = random.Random(SEED)
    while not over.is_set():
        await guests.leave(choice.choice(guests.present))
        await asyncio.sleep(choice.uniform(0.2, 1.0))
        await guests.enter(number, level=choice.choice((SILENT, SILENT, TALKING)))
        number += 1
        await asyncio.sleep(choice.uniform(0.2, 1.0))


async def observe(people: dict[str, Browser], observed: dict[str, Observations], seconds: float) -> None:
    """Samples every browser's slots, for so long, and until each slot has been looked at."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end or (
        loop.time() < end + PATIENCE_S and not all(each.covers_all_slots() for each in observed.values())
    ):
        readings = await asyncio.gather(*(browser.evaluate("readSlots()") for browser in people.values()))
        for name, slots in zip(people, readings, strict=True):
            observed[name].add(slots)
        await asyncio.sleep(SAMPLE_S)


def check_names(name: str, observed: Observations, who: WhoIsWho) -> Counter[str]:
    """Each settled slot names somebody else's track of its kind, and shows their picture; readings by slot."""
    stamps = {**PEOPLE, **{f"guest-{number}": number for number in range(FIRST_GUEST, 256)}}
    checked: Counter[str] = Counter()
    for slot in observed.settled():
        contributor = slot["contributor"]
        owner = who.owners.get(contributor)
        assert owner is not None, f"{name}: {slot} names nobody in the roster"
        assert owner != name, f"{name} is shown to themselves: {slot}"
        assert who.tracks[contributor]["kind"] == slot["kind"]
        if slot["kind"] == "video":
            if slot["stamp"] is None:
                continue
            assert slot["stamp"]["valid"], f"{name} decodes a torn picture of {owner}: {slot}"
            assert slot["stamp"]["id"] == stamps[owner], f"{name} sees somebody else as {owner}: {slot}"
        checked[slot["mid"]] += 1
    return checked


async def check_descriptions(name: str, browser: Browser, offer: str) -> None:
    """The page received this very offer, answered once, and that was all."""
    seen = await browser.evaluate("readDescriptions()")
    by_kind: dict[str, list[str]] = defaultdict(list)
    for each in seen:
        by_kind[each["what"]].append(each["text"])
    assert by_kind.pop("response") == [offer], f"{name} was served another offer"
    (answered,) = by_kind.pop("setRemoteDescription")
    context_id = offer.partition("a=ice-ufrag:")[2].partition("\r\n")[0]
    nonce = answered.partition(f"a=ice-ufrag:{context_id}")[2].partition("\r\n")[0]
    assert len(nonce) >= 11
    assert answered.replace(context_id + nonce, context_id) == offer, f"{name} answered another offer"
    assert {kind: len(texts) for kind, texts in by_kind.items()} == {"setLocalDescription": 1, "request": 1}


async def run(router: RouterProcess, *, guests_count: int, seconds: float) -> None:
    """The whole meeting."""
    offer = await fetch_offer(router)
    who = WhoIsWho()
    guests = Guests(router, ROOM, offer, FRAMES_PER_SECOND)
    observer = Join((router.address, router.port), ROOM, router.token(ROOM, "observer"))
    async with Events.open(observer) as events, four_browsers(router) as people:
        events.on_message = who.on_message
        for _, message in events.messages:
            who.on_message(message)
        try:
            for number in range(FIRST_GUEST, FIRST_GUEST + guests_count):
                await guests.enter(number, level=TALKING if number % 4 == 0 else SILENT)
            for name, browser in people.items():
                await wait_for(browser, ALL_SLOTS_SHOWN, f"{name} seeing nine people")
            observed = {name: Observations() for name in people}
            over = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(come_and_go(guests, FIRST_GUEST + guests_count, over))
                await observe(people, observed, seconds)
                over.set()
            for name, browser in people.items():
                checked = check_names(name, observed[name], who)
                print(f"{name}: {dict(checked)}")
                assert checked.keys() >= VIDEO_SLOTS, f"{name} had empty slots: {checked}"
                assert any(mid.startswith("a") for mid in checked), f"{name} heard nobody: {checked}"
                await check_descriptions(name, browser, offer)
                assert browser.errors == []
            check_guests(guests, who)
        finally:
            await guests.leave_all()


def check_guests(guests: Guests, who: WhoIsWho) -> None:
    """Among load peers each packet is stamped: the named contributor sent it."""
    seen = 0
    for guest in guests.present:
        for shown in guest.peer.reception.changes:
            assert shown.contributor is not None
            assert who.owners[shown.contributor] == f"guest-{shown.sender}", f"{guest.name}: {shown}"
            seen += 1
    assert seen > 0


@pytest.mark.browser
@pytest.mark.firefox
@pytest.mark.timeout(240)
async def test_everybody_answers_the_same_offer() -> None:
    with create_namespace() as namespace:
        async with run_router(namespace) as router:
            await run(router, guests_count=8, seconds=12)


@pytest.mark.browser
@pytest.mark.firefox
@pytest.mark.soak
async def test_forty_guests_for_a_minute() -> None:
    with create_namespace() as namespace:
        async with run_router(namespace) as router:
            await run(router, guests_count=40, seconds=60)

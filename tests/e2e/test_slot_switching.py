"""One video slot of a Chromium, switched between two Chromium publishers: the picture goes on, whatever the codec.

Every decoded frame is looked at: the longest gap, torn or foreign (green) pictures, and what the decoder counts.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from loadtest.events import Events
from loadtest.peer import Join
from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.crowd import WhoIsWho
from tests.e2e.pages import STATIC_OFFER_PAGE
from tests.e2e.router_process import RouterProcess, run_router
from tests.e2e.watch import wait_for

ROOM, SLOT = "switching", "v0"
STAMPS = {"Ada": 1, "Bob": 2}
FRAMES_PER_SECOND = 20
MAX_STALL_MS = 1000.0
MAX_UNDECODED = 10
"""Frames received and neither decoded nor dropped when the figures are read: those still in the decoder."""
MAX_TORN = 0.3
"""Of VP9's pictures: libvpx leaves blocks of the picture before in some, also from one page to itself (measured)."""
SWITCHES = int(os.environ.get("SWITCHES", "100"))
HOLD_S = 0.4


@dataclass(frozen=True, slots=True)
class Stage:
    """Two publishers and the one who watches them."""

    watcher: Window
    session: str
    events: Events
    tracks: dict[str, str]

    async def pin(self, name: str) -> None:
        """Wishes for a publisher's camera and waits for the picture."""
        slots = {SLOT: {"track_id": self.tracks[name]}}
        await self.events.send({"type": "wish", "session": self.session, "slots": slots})
        await wait_for(self.watcher, f"window.watched?.lastId === {STAMPS[name]}", f"the picture of {name}")


async def open_page(window: Window, router: RouterProcess, stamp: int) -> None:
    """The idle page with a stamped camera."""
    camera = f"installStamp({stamp}, {FRAMES_PER_SECOND})"
    await window.add_init_script(f"{STATIC_OFFER_PAGE}; installSlots(); {camera};")
    await window.goto(f"{router.url}/")


async def join(window: Window, router: RouterProcess, name: str, **options: Any) -> str:
    """Joins by the static offer; the session."""
    settings = {"room": ROOM, "token": router.token(ROOM, name), **options}
    session = (await window.evaluate(f"joinByOffer({json.dumps(settings)})"))["session"]
    await wait_for(window, "joined.connection.connectionState === 'connected'", f"{name} connected")
    return str(session)


@asynccontextmanager
async def stage(router: RouterProcess, codecs: dict[str, str]) -> AsyncIterator[Stage]:
    """Everybody has joined, and the watcher's slot shows Ada."""
    join_events = Join((router.address, router.port), ROOM, router.token(ROOM, "Eve"))
    async with launch_chromium(router.url) as chromium, Events.open(join_events) as events:
        who, windows = WhoIsWho(), []
        for name, codec in codecs.items():
            windows.append(await Window.open(chromium))
            await open_page(windows[-1], router, STAMPS[name])
            offered = "RTCRtpSender.getCapabilities('video').codecs.map((codec) => codec.mimeType.toLowerCase())"
            if f"video/{codec.lower()}" not in await windows[-1].evaluate(offered):
                pytest.skip(f"this Chromium does not encode {codec}")
            await join(windows[-1], router, name, codec=codec)
        watcher = await Window.open(chromium)
        await open_page(watcher, router, 9)
        session = await join(watcher, router, "Eve", publishes=False)
        await wait_for(watcher, "readSlots().filter((slot) => slot.stamp?.valid).length === 2", "both pictures")
        for _, message in events.messages:
            who.on_message(message)
        tracks = {name: who.track_of(name, "camera")["id"] for name in codecs}
        await watcher.evaluate(f"watchPicture('{SLOT}')")
        yield Stage(watcher, session, events, tracks)
        assert [error for window in (*windows, watcher) for error in window.errors] == []


async def switch(codecs: dict[str, str], count: int) -> None:
    """Pins the two in turns, `count` times, and holds the figures against what viewers would forgive."""
    async with run_router() as router, stage(router, codecs) as play:
        names = list(codecs)
        await play.pin(names[0])
        before = await play.watcher.evaluate(f"readDecoder('{SLOT}')")
        await play.watcher.evaluate(f"watchPicture('{SLOT}')")
        for number in range(1, count + 1):
            await play.pin(names[number % 2])
            await asyncio.sleep(HOLD_S)
        seen = await play.watcher.evaluate("watched")
        after = await play.watcher.evaluate(f"readDecoder('{SLOT}')")
        seen.pop("shown")
        print(f"{codecs}: {count} switches, {seen}, {after}")
        check_pictures(seen, count, MAX_TORN if "VP9" in codecs.values() else 0.0)
        check_decoder(before, after, count)


def check_pictures(seen: dict[str, Any], count: int, max_torn: float) -> None:
    """No stall, no torn picture, nobody but the two."""
    assert seen["longestGapMs"] < MAX_STALL_MS, f"the picture stood still: {seen}"
    assert seen["torn"] <= max_torn * seen["frames"], f"broken pictures: {seen}"
    assert {int(number) for number in seen["ids"]} == set(STAMPS.values()), f"somebody else's picture: {seen}"
    assert seen["frames"] > count


def check_decoder(before: dict[str, Any], after: dict[str, Any], count: int) -> None:
    """A key frame a switch, and every frame that was received whole was decoded."""
    grown = {name: after[name] - before[name] for name in after}
    assert grown["keyFramesDecoded"] >= count
    missing = grown["framesReceived"] - grown["framesDecoded"] - grown["framesDropped"]
    assert missing <= MAX_UNDECODED, f"the decoder refused frames: {grown}"
    assert grown["totalFreezesDuration"] < count * MAX_STALL_MS / 1000 / 10, f"freezes: {grown}"


@pytest.mark.browser
@pytest.mark.timeout(150)
@pytest.mark.parametrize("codecs", [{"Ada": "VP8", "Bob": "VP8"}, {"Ada": "VP8", "Bob": "VP9"}])
async def test_a_slot_is_switched(codecs: dict[str, str]) -> None:
    await switch(codecs, 12)


@pytest.mark.browser
@pytest.mark.soak
@pytest.mark.parametrize("codec", ["VP8", "H264", "VP9", "AV1"])
async def test_a_slot_is_switched_a_hundred_times(codec: str) -> None:
    await switch({"Ada": codec, "Bob": codec}, SWITCHES)


@pytest.mark.browser
@pytest.mark.soak
@pytest.mark.parametrize("codec", ["H264", "VP9", "AV1"])
async def test_a_slot_is_switched_between_codecs(codec: str) -> None:
    await switch({"Ada": "VP8", "Bob": codec}, SWITCHES)

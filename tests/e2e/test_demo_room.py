"""Two Chromium windows and a Firefox in one room: each sees and hears both others, by stamped pictures and figures."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.bidi import launch_firefox
from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.netns import create_namespace
from tests.e2e.router_process import RouterProcess, run_router
from tests.e2e.watch import Browser, enter, wait_for

OBSERVE_S = float(os.environ.get("OBSERVE_S", "12"))
MIN_FRAMES_PER_SECOND = 20.0
OTHER_IS_MUTED = """[...document.querySelectorAll('.tile')].some(
  (tile) => tile.dataset.participant !== 'me' && !tile.querySelector('.mute').hasAttribute('hidden'))"""


@asynccontextmanager
async def two_chromium_and_firefox(router: RouterProcess) -> AsyncIterator[dict[str, Browser]]:
    """Ada and Bob in Chromium, Cyd in Firefox, all in one room."""
    async with AsyncExitStack() as stack:
        chromium = await stack.enter_async_context(launch_chromium(router.url))
        firefox = await stack.enter_async_context(launch_firefox())
        people: dict[str, Browser] = {
            "Ada": await Window.open(chromium),
            "Bob": await Window.open(chromium),
            "Cyd": firefox,
        }
        for stamp, (name, browser) in enumerate(people.items(), start=1):
            await enter(browser, router, "stamps", name, stamp)
        for name, browser in people.items():
            await wait_for(browser, "window.readStamps().length === 2", f"{name} seeing two pictures")
        yield people


def check_stamps(people: dict[str, Browser], name: str, stamps: list[dict[str, Any]]) -> None:
    """Each tile shows the picture of the person it names."""
    ids = {person: stamp for stamp, person in enumerate(people, start=1)}
    assert {stamp["name"] for stamp in stamps} == set(people) - {name}
    for stamp in stamps:
        assert stamp["valid"], f"{name} shows a torn picture of {stamp['name']}: {stamp}"
        assert stamp["id"] == ids[stamp["name"]], f"{name} shows somebody else as {stamp['name']}: {stamp}"


def check_reception(name: str, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    """Two pictures at full frame rate and two voices, over the whole time."""
    earlier = {stat["mid"]: stat for stat in before}
    pictures = [stat for stat in after if stat["kind"] == "video" and stat["framesDecoded"] > 0]
    voices = [stat for stat in after if stat["kind"] == "audio" and stat["mid"] in earlier]
    assert len(pictures) == 2
    for stat in pictures:
        start = earlier[stat["mid"]]
        seconds = (stat["timestamp"] - start["timestamp"]) / 1000
        rate = (stat["framesDecoded"] - start["framesDecoded"]) / seconds
        assert rate >= MIN_FRAMES_PER_SECOND, f"{name} decodes {rate:.1f} frames/s on m-line {stat['mid']}: {stat}"
    heard = [stat for stat in voices if stat["audioEnergy"] > earlier[stat["mid"]]["audioEnergy"]]
    assert len(heard) == 2, f"{name} hears {len(heard)} voices: {voices}"


@pytest.mark.browser
@pytest.mark.firefox
@pytest.mark.timeout(180)
async def test_three_browsers_see_and_hear_each_other(output: Path) -> None:
    with create_namespace() as namespace:
        async with run_router(namespace) as router, two_chromium_and_firefox(router) as people:
            before = {name: await browser.evaluate("readReception()") for name, browser in people.items()}
            await asyncio.sleep(OBSERVE_S)
            for name, browser in people.items():
                check_stamps(people, name, await browser.evaluate("readStamps()"))
                check_reception(name, before[name], await browser.evaluate("readReception()"))
                await browser.screenshot(output / f"room-{name}.png")
                assert browser.errors == []
            room = await router.admin("/v1/rooms/stamps")
            assert room["participants"] == 3


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_demo_room_on_a_phone(output: Path) -> None:
    async with run_router() as router, launch_chromium() as chromium:
        ada, bob = await Window.open(chromium, width=390, height=844), await Window.open(chromium)
        for stamp, (name, window) in enumerate({"Ada": ada, "Bob": bob}.items(), start=1):
            await enter(window, router, "phone", name, stamp)
        await wait_for(ada, "window.readStamps().length === 1", "Ada seeing Bob")
        await wait_for(ada, "document.querySelectorAll('.tile.speaking').length > 0", "somebody speaking")
        await ada.page.click("#toggle-stats")
        await wait_for(ada, "document.querySelectorAll('#stats-rows tr').length >= 3", "statistics")
        await ada.screenshot(output / "phone.png")
        assert not await ada.evaluate("document.documentElement.scrollWidth > innerWidth")
        await bob.page.click("#toggle-microphone")
        await wait_for(ada, OTHER_IS_MUTED, "Bob shown as muted")
        await bob.page.click("#toggle-screen")
        await wait_for(ada, "document.querySelectorAll('.tile.screen.has-picture').length === 1", "Bob's screen")
        await bob.page.click("#leave")
        await wait_for(ada, "document.querySelectorAll('.tile').length === 1", "Bob gone")
        assert ada.errors == []
        assert bob.errors == []


@asynccontextmanager
async def another_site() -> AsyncIterator[str]:
    """The address of an empty page that is not the router's."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<link rel=icon href=data:,><p>another site")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.browser
async def test_a_page_of_another_origin_uses_the_client() -> None:
    async with run_router() as router, another_site() as site, launch_chromium() as chromium:
        window = await Window.open(chromium)
        await window.goto(site)
        options = f"{{baseUrl: '{router.url}', room: 'shared', token: '{router.token('shared', 'Ada')}'}}"
        join = f"import('{router.url}/client.js').then(async ({{Room}}) => (window.room = new Room({options})).join())"
        await window.evaluate(join)
        await wait_for(window, "room.participants.size === 1", "the roster over the WebSocket")
        await window.evaluate("room.leave()")
        assert window.errors == []

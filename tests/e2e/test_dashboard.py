"""The dashboard in Chromium: a real call as it shows it, who may see it, and what it says when the router is gone."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, Route

from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import RouterProcess, free_port, run_router
from tests.e2e.watch import wait_for

READER = "a token of the dashboard's tests that may only read"
SETTINGS = {"ROUTER_ADMIN__TOKENS": json.dumps({"wall": {"token": READER, "scope": "read"}})}
ROOM = "weekly & <b>more…"
MALLORY = "<img src=x onerror=window.hacked=1>"

STATE = "document.getElementById('state').dataset.state"
SENT = "[...document.querySelectorAll('.card')].find((card) => card.querySelector('h2').textContent === 'Sent')"
LINKS = """.row-link[href^='#/rooms/']"""
"""To rooms and people; nodes have others."""
NAMES = f"""[...document.querySelectorAll("{LINKS}")].map((link) => link.textContent)"""
BANNER = "document.getElementById('banner').checkVisibility() && document.getElementById('banner-text').textContent"
HAS_REASON = """[...document.querySelectorAll('.below .reason')].some(
  (reason) => reason.textContent.includes('speaker') && reason.closest('tr').querySelector('a.plain')?.href)"""
PARTS = {"ice": {"verdict": "broken", "sentence": "a firewall, <i>perhaps</i>", "facts": {}}}
JUDGED = {"verdict": "broken", "sentence": "no check was answered"}
DIAGNOSIS = {
    "room": ROOM,
    "participant_id": "P_0000000000000000",
    "identity": "ada",
    **JUDGED,
    "sessions": [
        {"endpoint": "fork", "state": "new", "age_s": 75.5, "ended": None, **JUDGED, "sections": PARTS},
    ],
}
"""As `…/diagnosis` answers."""
CHART_DRAWN = "[...document.querySelectorAll('.chart path.line')].some((path) => path.getAttribute('d').includes('L'))"


async def join(chromium: Browser, router: RouterProcess, name: str, *, camera: bool = True) -> Window:
    """Somebody with microphone, and perhaps camera, in the demo room."""
    window = await Window.open(chromium, width=320, height=240)
    token = router.token(ROOM, name)
    await window.goto(
        f"{router.url}/?join=1&room={quote(ROOM, safe='')}&name={quote(name)}&camera={camera:d}&token={token}"
    )
    return window


async def open_dashboard(chromium: Browser, router: RouterProcess, *, width: int = 1280, height: int = 900) -> Window:
    window = await Window.open(chromium, width=width, height=height)
    await window.goto(f"http://{router.address}:{router.admin_port}/dashboard")
    return window


async def sign_in(window: Window, token: str) -> None:
    await window.page.fill("#token", token)
    await window.page.press("#token", "Enter")


async def wait_live(window: Window) -> None:
    await wait_for(window, f"{STATE} === 'live' && document.body.dataset.state === 'live'", "the dashboard live")


def unexpected(window: Window) -> list[str]:
    """What the console complained about, but for answers that are no success, which Chromium tells by itself."""
    return [error for error in window.errors if not error.startswith("Failed to load resource")]


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_a_call_of_three_and_a_router_that_stops(output: Path) -> None:
    port, admin_port = free_port(), free_port()
    async with launch_chromium() as chromium:
        async with run_router(settings=SETTINGS, port=port, admin_port=admin_port) as router:
            dashboard = await open_dashboard(chromium, router)
            await wait_for(dashboard, "document.activeElement?.id === 'token'", "the token asked for")
            await sign_in(dashboard, "another token, which this router never had")
            await wait_for(
                dashboard, "document.querySelector('.error')?.textContent.includes('does not accept')", "why"
            )
            await sign_in(dashboard, READER)
            await wait_live(dashboard)
            await wait_for(dashboard, "document.body.innerText.includes('No room is open.')", "no room yet")
            people = [await join(chromium, router, name, camera=name != MALLORY) for name in ("Ada", "Bob", MALLORY)]
            await dashboard.page.route("**/diagnosis", lambda route: route.fulfill(json=DIAGNOSIS))
            await watch_call(dashboard, output)
            assert READER not in await dashboard.evaluate(
                "location.href + document.cookie + JSON.stringify(localStorage)"
            )
            await dashboard.page.click("#crumbs a >> nth=0")
            await wait_live(dashboard)
            for person in people:
                await person.page.close()
        await wait_for(dashboard, f"({BANNER} || '').includes('does not answer')", "the router missed")
        assert await dashboard.evaluate(STATE) == "stale"
        async with run_router(settings=SETTINGS, port=port, admin_port=admin_port):
            await wait_live(dashboard)
            assert not await dashboard.evaluate(BANNER)
            await wait_for(dashboard, f"{NAMES}.length === 0", "the rooms of the router before gone")
        assert unexpected(dashboard) == []


async def watch_call(dashboard: Window, output: Path) -> None:
    """From the list of rooms down to one participant."""
    await wait_for(dashboard, f"{NAMES}.includes({json.dumps(ROOM)})", "the room, by its name to the letter")
    await wait_for(dashboard, f"/[1-9].*bit/.test({SENT}.querySelector('.figure').textContent)", "bits that are sent")
    await wait_for(dashboard, f"{SENT}.querySelector('.line').getAttribute('d').includes('L')", "a line that goes on")
    await wait_for(dashboard, "document.querySelectorAll('.feed li').length > 3", "events")
    await dashboard.screenshot(output / "dashboard-rooms.png")
    await dashboard.page.click(LINKS)
    wanted = json.dumps(sorted(["Ada", "Bob", MALLORY]))
    await wait_for(dashboard, f"JSON.stringify({NAMES}.sort()) === JSON.stringify({wanted})", "the three by name")
    await dashboard.screenshot(output / "dashboard-room.png")
    await dashboard.page.click(".row-link:has-text('Ada')")
    await wait_for(dashboard, "document.querySelector('h1').textContent === 'Ada'", "Ada")
    await wait_for(dashboard, HAS_REASON, "a slot that says whom it shows and why")
    await wait_for(dashboard, "document.body.innerText.includes('Camera')", "what she sends")
    await wait_for(dashboard, "document.querySelector('.verdicts')?.innerText.includes('<i>perhaps</i>')", "diagnosis")
    await wait_for(dashboard, CHART_DRAWN, "charts")
    await dashboard.screenshot(output / "dashboard-person.png")
    assert await dashboard.evaluate("window.hacked === undefined && !document.querySelector('#view img')")
    await dashboard.page.set_viewport_size({"width": 390, "height": 844})
    assert await dashboard.evaluate("document.documentElement.scrollWidth") <= 390
    await dashboard.page.set_viewport_size({"width": 1280, "height": 900})


# -- what a test router cannot easily be brought to ------------------------------------------------------------------


@asynccontextmanager
async def signed_in(**answers: Callable[[Route], Any]) -> AsyncIterator[Window]:
    """A dashboard at a router without rooms, with these answers in place of some of its own."""
    async with launch_chromium() as chromium, run_router(settings=SETTINGS) as router:
        window = await open_dashboard(chromium, router, width=390, height=844)
        for name, answer in answers.items():
            await window.page.route(f"**/v1/{name}*", answer)
        await sign_in(window, READER)
        yield window


def room_line(number: int) -> dict[str, Any]:
    figures = {"measured": 2, "bitrate_in": 1000 * number, "bitrate_out": 2_345_678, "loss_in": 0.1, "loss_out": None}
    more = {"round_trip_time": 0.02, "estimate": None, "limited": 1, "quality": "poor"}
    line = {"name": "r" * 10_000 + str(number), "created_at": "2026-11-28T10:00:00Z", "participants": 2, "sessions": 2}
    return {**line, "tracks": 4, "locked": True, "figures": {**figures, **more}}


@pytest.mark.browser
@pytest.mark.timeout(90)
async def test_a_thousand_rooms_refusals_and_a_hidden_tab() -> None:
    asked: list[str] = []
    refusal: dict[str, Any] = {}

    async def answer_overview(route: Route) -> None:
        asked.append(route.request.url)
        if refusal:
            await route.fulfill(status=refusal["status"], json=refusal)
            return
        body = await (await route.fetch()).json()
        await route.fulfill(json={**body, "rooms": [room_line(n) for n in range(25)], "total": 1000})

    async def answer_nodes(route: Route) -> None:
        node = {"load": 0.42, "rooms": 7, "participants": 9, "version": "9.9.9", "region": "eu"}
        items = [{**node, "id": "N_other", "state": "draining"}, {**node, "id": "N_more", "state": "serving"}]
        await route.fulfill(json={"items": items, "complete": True})

    async with signed_in(overview=answer_overview, nodes=answer_nodes) as window:
        await wait_live(window)
        await wait_for(window, "document.body.innerText.includes('1\u201325 of 1,000')", "pages")
        assert await window.evaluate(f"{NAMES}.length") == 25
        assert await window.evaluate("document.documentElement.scrollWidth") <= 390
        assert await window.evaluate(
            "['N_other', '42 %', 'draining'].every((t) => document.body.innerText.includes(t))"
        )
        await window.page.click("text=Next")
        await wait_for(window, "document.body.innerText.includes('26\u201350 of 1,000')", "the second page")
        assert "offset=25" in asked[-1]
        await window.page.fill("input[type=search]", "a/b&c")
        await wait_for(
            window, "document.body.innerText.includes('1\u201325 of 1,000')", "the first page of what is found"
        )
        assert "search=a%2Fb%26c" in asked[-1]
        assert not any(READER in url for url in asked)

        refusal.update(status=403, detail="ask somebody else")
        await wait_for(
            window, f"({BANNER} || '').includes('may not read this: ask somebody else')", "why it is refused"
        )
        refusal.clear()
        await wait_live(window)

        await window.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
        await window.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await wait_for(window, f"{STATE} === 'paused'", "a pause")
        await window.page.wait_for_timeout(300)  # an answer may be under way
        before = len(asked)
        await window.page.wait_for_timeout(2500)
        assert len(asked) == before
        await window.evaluate("Object.defineProperty(document, 'hidden', {value: false, configurable: true})")
        await window.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await wait_live(window)
        assert len(asked) > before
        await window.page.click("#sign-out")
        await wait_for(window, "document.activeElement?.id === 'token'", "the token asked for again")
        assert await window.evaluate("sessionStorage.length") == 0
        assert unexpected(window) == []

"""Moderation in the demo room: who has the right gets a menu on each tile and the lock, all see what it does.

At the end an operator gives the room a text and closes it, after which nobody comes back by themselves.
"""

import asyncio
from typing import Any

import httpx
import pytest

from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import ADMIN_TOKEN, RouterProcess, run_router
from tests.e2e.watch import wait_for

ROOM = "moderated"
HAS_MENU = "[...document.querySelectorAll('.tile .moderate')].some((menu) => menu.checkVisibility())"
OTHER_TILE = ".tile:not([data-participant=me])"
BOB_IS_MUTED = f"!document.querySelector('{OTHER_TILE} .mute').hasAttribute('hidden')"
TOAST = "document.getElementById('toast').textContent"
LOBBY_ERROR = "document.body.dataset.view === 'lobby' && document.getElementById('lobby-error').textContent"


async def join(window: Window, router: RouterProcess, name: str, *, moderate: bool = False) -> None:
    """Joins with a microphone, and perhaps the right to moderate."""
    token = router.token(ROOM, name, moderate=moderate)
    await window.goto(f"{router.url}/?join=1&camera=0&room={ROOM}&name={name}&token={token}")


async def use_menu(window: Window, entry: str) -> None:
    """The menu on the only other tile."""
    await window.page.hover(OTHER_TILE)
    await window.page.click(f"{OTHER_TILE} .moderate summary")
    await window.page.click(f"{OTHER_TILE} .moderate button:has-text('{entry}')")


async def operate(router: RouterProcess, method: str, path: str, **options: Any) -> httpx.Response:
    """A request on the admin plane."""
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as client:
        return await client.request(method, f"http://{router.address}:{router.admin_port}{path}", **options)


@pytest.mark.browser
@pytest.mark.timeout(90)
async def test_a_moderator_mutes_locks_and_removes() -> None:
    async with run_router() as router, launch_chromium() as chromium:
        ada, bob, cyd = [await Window.open(chromium) for _ in range(3)]
        await join(ada, router, "Ada", moderate=True)
        await join(bob, router, "Bob")
        await wait_for(ada, "room?.contributors().some(({participant}) => participant?.name === 'Bob')", "Bob heard")
        assert await ada.evaluate(HAS_MENU)
        assert not await bob.evaluate(HAS_MENU)
        assert not await bob.evaluate("document.getElementById('lock').checkVisibility()")

        await use_menu(ada, "Mute")
        await wait_for(bob, f"{TOAST} === 'A moderator has muted your microphone.'", "Bob told")
        await wait_for(
            ada, "!document.querySelectorAll('.tile')[1].querySelector('.mute').hidden", "Bob shown as muted"
        )
        await use_menu(ada, "Let speak")
        await wait_for(bob, f"{TOAST} === 'Your microphone may be heard again.'", "Bob told")

        await ada.page.click("#lock")
        await wait_for(bob, "document.getElementById('locked').checkVisibility()", "the lock shown")
        await join(cyd, router, "Cyd")
        await wait_for(cyd, f"({LOBBY_ERROR} || '').includes('locked')", "Cyd kept out")

        await use_menu(ada, "Remove")
        await wait_for(bob, f"({LOBBY_ERROR} || '').includes('removed')", "Bob out")
        await wait_for(ada, "document.querySelectorAll('.tile').length === 1", "Bob gone")
        assert await bob.evaluate("room.state") == "closed"

        changed = {"metadata": "tea"}
        assert (await operate(router, "PATCH", f"/v1/rooms/{ROOM}", json=changed)).status_code == 200
        await wait_for(ada, "room.metadata === 'tea'", "the room's text")
        assert (await operate(router, "DELETE", f"/v1/rooms/{ROOM}")).status_code == 204
        await wait_for(ada, f"({LOBBY_ERROR} || '').includes('closed')", "Ada told of the end")
        assert await ada.evaluate("room.state") == "closed"
        await asyncio.sleep(1.0)  # a client that came back would do so after 300 to 800 ms
        assert (await operate(router, "GET", f"/v1/rooms/{ROOM}")).status_code == 404
        assert ada.errors == []
        assert bob.errors == []

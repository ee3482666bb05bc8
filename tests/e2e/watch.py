"""What the browser tests have in common: a browser as they see it, entering a room, waiting on a page's state."""

import asyncio
from pathlib import Path
from typing import Any, Protocol

from tests.e2e.router_process import RouterProcess

JOIN_TIMEOUT_S = 40.0
STAMP = (Path(__file__).parent / "stamp.js").read_text()


class Browser(Protocol):
    """What the two kinds of browser have in common."""

    errors: list[str]

    async def add_init_script(self, source: str) -> None: ...
    async def goto(self, url: str) -> None: ...
    async def evaluate(self, expression: str) -> Any: ...
    async def screenshot(self, path: Path) -> None: ...


async def enter(browser: Browser, router: RouterProcess, room: str, name: str, stamp: int) -> None:
    """Opens the demo room with a stamped camera."""
    await browser.add_init_script(f"{STAMP}; installStamp({stamp});")
    await browser.goto(router.page(room, name))


async def wait_for(browser: Browser, expression: str, what: str, timeout_s: float = JOIN_TIMEOUT_S) -> None:
    """Waits on a state of the page; a page has no event that a test outside it could await."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not await browser.evaluate(expression):
        if asyncio.get_running_loop().time() > deadline:
            state = await browser.evaluate("({text: document.body.innerText, state: window.room?.state})")
            raise AssertionError(f"{what} did not come true: {state}, console: {browser.errors}")
        await asyncio.sleep(0.2)

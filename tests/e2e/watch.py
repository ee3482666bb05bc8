"""What the browser tests have in common: a browser as they see it, entering a room, waiting on a page's state."""

import asyncio
from pathlib import Path
from typing import Any, Protocol

from tests.e2e.router_process import RouterProcess

JOIN_TIMEOUT_S = 40.0
STAMP = (Path(__file__).parent / "stamp.js").read_text()
DESCRIBE_PAGE = """({
  text: document.body?.innerText,
  state: window.room?.state,
  timings: window.room?.timings,
  connection: window.room?.peerConnection?.connectionState,
  requests: performance.getEntriesByType("resource").slice(-8)
    .map(({ name, startTime, responseEnd }) => [name.slice(0, 80), Math.round(startTime), Math.round(responseEnd)]),
  now: Math.round(performance.now()),
})"""
"""What a page tells of itself when something has not come true on it, or on another one."""


class Browser(Protocol):
    """What the two kinds of browser have in common."""

    errors: list[str]

    async def add_init_script(self, source: str) -> None: ...
    async def goto(self, url: str) -> None: ...
    async def evaluate(self, expression: str) -> Any: ...
    async def evaluate_everywhere(self, expression: str) -> list[Any]: ...
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
            pages = "\n".join(map(str, await browser.evaluate_everywhere(DESCRIBE_PAGE)))
            raise AssertionError(f"{what} did not come true; console: {browser.errors}; all pages:\n{pages}")
        await asyncio.sleep(0.2)

"""Debian's headless Chromium through playwright, with WebRTC on every interface and no call home."""

import asyncio
import shlex
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from loadtest.link import Link

EXECUTABLE = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
]

HANGS_AFTER_S = 5.0
SMALL_SIMULCAST = "--force-fieldtrials=WebRTC-LegacySimulcastLayerLimit/Disabled/"
"""Three layers also of pictures below 960x540, for machines that cannot encode larger ones in time."""


@contextmanager
def executable_inside(link: Link) -> Iterator[str]:
    """A program that starts Chromium behind a link."""
    with tempfile.TemporaryDirectory(prefix="chromium-") as folder:
        program = Path(folder) / "chromium"
        program.write_text(f'#!/bin/sh\nexec {shlex.join(link.command(EXECUTABLE))} "$@"\n')
        program.chmod(0o700)
        yield str(program)


@asynccontextmanager
async def launch_chromium(
    *secure_origins: str, executable: str = EXECUTABLE, more: Sequence[str] = ()
) -> AsyncIterator[Browser]:
    """A browser that treats these plain-HTTP origins as secure, so that they may use devices."""
    arguments = [*ARGUMENTS, *more]
    if secure_origins:
        arguments.append(f"--unsafely-treat-insecure-origin-as-secure={','.join(secure_origins)}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Window:
    """One browser window with what its console complained about."""

    page: Page
    errors: list[str] = field(default_factory=list)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    @classmethod
    async def open(cls, browser: Browser, *, width: int = 800, height: int = 520) -> "Window":
        """A window in a context of its own, so that nothing is shared with other windows."""
        context = await browser.new_context(viewport={"width": width, "height": height})
        window = cls(await context.new_page())
        window.page.on("console", window._on_console)
        window.page.on("pageerror", lambda error: window.errors.append(str(error)))
        return window

    async def add_init_script(self, source: str) -> None:
        """Runs `source` before any script of each page."""
        await self.page.add_init_script(source)

    async def goto(self, url: str) -> None:
        """Loads a page."""
        await self.page.goto(url)

    async def evaluate(self, expression: str) -> Any:
        """The JSON value of an expression; promises are awaited."""
        return await self.page.evaluate(f"(async () => ({expression}))()")

    async def evaluate_everywhere(self, expression: str) -> list[Any]:
        """As `evaluate`, on this page and all others of the browser; a page that hangs is said to."""
        browser = self.page.context.browser
        contexts = browser.contexts if browser else []
        answers: list[Any] = []
        for page in (page for context in contexts for page in context.pages):
            try:
                answers.append(await asyncio.wait_for(Window(page).evaluate(expression), HANGS_AFTER_S))
            except TimeoutError:
                answers.append(f"{page.url} hangs")
        return answers

    async def screenshot(self, path: Path) -> None:
        """A PNG of the viewport."""
        await self.page.screenshot(path=path)

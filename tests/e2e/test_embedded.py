"""The application of `router/examples`, run as its page says: two of its users meet in Chromium."""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import free_port
from tests.e2e.watch import wait_for

ROOT = Path(__file__).parents[2]
PICTURES = """[...document.querySelectorAll('figure')].filter(
  (tile) => tile.querySelector('video').videoWidth > 0).map((tile) => tile.textContent.trim())"""


@asynccontextmanager
async def run_application(*, admin_port: int) -> AsyncIterator[str]:
    port = free_port()
    settings = {
        "ROUTER_AUTH__SECRETS": secrets.token_hex(32),
        "ROUTER_ADMIN__TOKEN": secrets.token_hex(16),
        "ROUTER_ADMIN__PORT": str(admin_port),
        "ROUTER_MEDIA__UDP_PORT": "0",
        "ROUTER_MEDIA__ADDRESSES": "127.0.0.1",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router.examples.embedded", str(port), cwd=ROOT, env={**os.environ, **settings}
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(30), httpx.AsyncClient() as client:
            while True:
                assert process.returncode is None
                try:
                    assert (await client.get(url)).status_code == 200
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        yield url
    finally:
        process.terminate()
        code = await process.wait()
    assert code in (0, -15)


@pytest.mark.browser
async def test_users_of_the_application_meet() -> None:
    admin_port = free_port()
    async with run_application(admin_port=admin_port) as url, launch_chromium(url) as browser:
        windows = {name: await Window.open(browser) for name in ("ada", "bob")}
        for name, window in windows.items():
            await window.goto(url)
            await window.page.fill("[name=name]", name)
            await window.page.click("#sign-in button")
            await window.page.click("#join")
        await wait_for(windows["ada"], f"({PICTURES}).join() === 'Bob'", "Ada seeing Bob")
        await wait_for(windows["bob"], f"({PICTURES}).join() === 'Ada'", "Bob seeing Ada")
        people = await windows["ada"].evaluate("fetch('/people').then((answer) => answer.json())")
        assert [person["user"] for person in people] == ["ada", "bob"]
        assert all("camera" in person["sends"] for person in people)
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.post("/join")).status_code == 401
            located = (await client.get("/media/client.js")).headers["content-type"]
            assert located.startswith("text/javascript")
            assert (await client.get(f"http://127.0.0.1:{admin_port}/readyz")).json()["status"] == "ready"
        assert windows["bob"].errors == []

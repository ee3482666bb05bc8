"""The dashboard of one node shows the others: what the registry knows, their rooms, and who is in these."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.cluster.redis_servers import RedisServer, needs_redis
from tests.e2e.chromium import launch_chromium
from tests.e2e.router_process import RouterProcess, free_port, run_router
from tests.e2e.test_dashboard import NAMES, READER, SETTINGS, join, open_dashboard, sign_in, unexpected, wait_live
from tests.e2e.watch import wait_for

TEXT = "document.body.innerText"
NODE_ROWS = "[...document.querySelectorAll('tr')].map((row) => row.innerText)"


@asynccontextmanager
async def run_node(redis: RedisServer, name: str, *, told: bool = True) -> AsyncIterator[RouterProcess]:
    port = free_port()
    node = {"URL": redis.url, "NODE": name, **({"ADMIN_URL": f"http://127.0.0.1:{port}"} if told else {})}
    settings = {**SETTINGS, **{f"ROUTER_REDIS__{key}": value for key, value in node.items()}}
    async with run_router(settings=settings, admin_port=port) as router:
        yield router


@needs_redis
@pytest.mark.browser
@pytest.mark.timeout(180)
async def test_rooms_and_people_of_another_node(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path)
    await redis.start()
    try:
        async with (
            launch_chromium() as chromium,
            run_node(redis, "sfu-a") as there,
            run_node(redis, "sfu-b") as here,
            run_node(redis, "sfu-c", told=False),
        ):
            await join(chromium, there, "Ada", camera=False)
            window = await open_dashboard(chromium, here)
            await sign_in(window, READER)
            await wait_live(window)
            await wait_for(window, f"{NODE_ROWS}.some((row) => /sfu-a.*1\\s+1\\s.*ago/s.test(row))", "a node's figures")
            assert await window.evaluate(f"/serves this page/.test({NODE_ROWS}.find((row) => row.includes('sfu-b')))")
            assert await window.evaluate(f"/no admin URL/.test({NODE_ROWS}.find((row) => row.includes('sfu-c')))")
            assert not await window.evaluate("[...document.querySelectorAll('a[href]')].some((a) => a.text == 'sfu-c')")
            assert await window.evaluate(f"{TEXT}.includes('of 1 at 3 nodes') && {TEXT}.includes('No room is open.')")

            await window.page.click(".row-link:has-text('sfu-a')")
            await wait_for(window, f"{NAMES}.some((name) => name.startsWith('weekly'))", "its room")
            assert await window.evaluate("document.querySelector('h1').textContent") == "sfu-a"
            assert await window.evaluate(f"{TEXT}.includes('Those of sfu-a')")
            await window.page.click(".row-link:has-text('weekly')")
            await wait_for(window, f"{NAMES}.includes('Ada')", "who is in it")
            await wait_for(window, f"{TEXT}.includes('At sfu-a')", "where it is")
            await window.page.click(".row-link:has-text('Ada')")
            await wait_for(
                window, f"document.querySelector('h1').textContent === 'Ada' && {TEXT}.includes('connected')", "Ada"
            )
            await window.page.click("#crumbs a >> nth=0")
            await wait_for(window, f"{TEXT}.includes('No room is open.')", "this node again")
            assert await window.evaluate("document.getElementById('node').textContent.startsWith('sfu-b')")
            assert not await window.evaluate("document.getElementById('toast').checkVisibility()"), (
                "still the same router"
            )
            assert unexpected(window) == []
            assert json.dumps(READER) not in await window.evaluate("location.href")
    finally:
        await redis.kill()

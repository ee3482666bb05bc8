"""A router that goes away under a call: the page says so, and goes on at another router by itself."""

import signal
from pathlib import Path

import pytest

from tests.cluster.redis_servers import RedisServer, needs_redis, run_servers
from tests.cluster.waiting import until
from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import RouterProcess, free_port, run_router
from tests.e2e.watch import enter, wait_for

SEES_OTHER = "window.readStamps().length === 1"
LINE = "document.getElementById('draining')"


def settings(server: RedisServer, name: str, port: int, admin_port: int) -> dict[str, str]:
    return {
        "ROUTER_REDIS__URL": server.url,
        "ROUTER_REDIS__NODE": name,
        "ROUTER_REDIS__ADMIN_URL": f"http://127.0.0.1:{admin_port}",
        "ROUTER_PUBLIC__URL": f"http://127.0.0.1:{port}",
        "ROUTER_DRAIN__DEADLINE_S": "3" if name == "one" else "0",
    }


@pytest.mark.browser
@needs_redis
@pytest.mark.timeout(90)
async def test_people_are_told_and_meet_again_at_another_router(tmp_path: Path) -> None:
    ports = [(free_port(), free_port()) for _ in range(2)]
    async with run_servers([RedisServer(tmp_path)]) as (server,), launch_chromium() as chromium:
        given = [settings(server, name, *pair) for name, pair in zip(("one", "two"), ports, strict=True)]
        async with (
            run_router(port=ports[1][0], admin_port=ports[1][1], settings=given[1]) as two,
            run_router(port=ports[0][0], admin_port=ports[0][1], settings=given[0]) as one,
        ):
            ada, bob = await Window.open(chromium), await Window.open(chromium)
            for stamp, (name, window) in enumerate({"Ada": ada, "Bob": bob}.items(), start=1):
                await enter(window, one, "moving", name, stamp)
            for window in (ada, bob):
                await wait_for(window, SEES_OTHER, "the other's picture")
            one.process.send_signal(signal.SIGTERM)
            await wait_for(ada, f"{LINE}.textContent.startsWith('maintenance') && !{LINE}.hidden", "being told")
            assert await ada.evaluate(SEES_OTHER), "the call goes on"
            assert await one.process.wait() == 0

            async def both_are_there() -> bool:
                return await count(two) == 2

            await until(both_are_there, 20)
            for window in (ada, bob):
                await wait_for(window, f"room.state === 'connected' && {SEES_OTHER}", "the other's picture again")
                assert await window.evaluate(f"{LINE}.hidden && room.draining === null")


async def count(router: RouterProcess) -> int:
    rooms = (await router.admin("/v1/rooms"))["items"]
    return sum(room["participants"] for room in rooms if room["name"] == "moving")

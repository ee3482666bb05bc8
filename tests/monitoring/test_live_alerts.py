"""A real Prometheus scrapes a call of three browsers: each of three faults fires its alert and no other.

The rules are the project's own, thirty times as fast (`prometheus.py`).
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.cluster.redis_servers import RedisServer, needs_redis
from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import RouterProcess, run_router
from tests.e2e.watch import enter, wait_for
from tests.monitoring.prometheus import PROMETHEUS, Prometheus, run_prometheus

FIRST_SCRAPES_S = 20.0
HEALTH_S = 15.0
FIRES_WITHIN_S = 45.0
CLEARS_WITHIN_S = 60.0
OF_THIS_MACHINE = {"SfuReceiveBufferSmall"}
"""What its kernel grants is no fault of ours."""
OF_LATENESS = {
    "SfuEventLoopLag",
    "SfuMediaLate",
    "SfuQualityPoor",
    "SfuPicturesFreeze",
    "SfuRetransmissionsHigh",
    "SfuPacketLossHigh",
}
"""True where three browsers, and whatever else runs, have more to do than the machine can."""

pytestmark = [
    pytest.mark.soak,
    pytest.mark.browser,
    needs_redis,
    pytest.mark.skipif(PROMETHEUS is None, reason="needs prometheus: helm/install-tools prometheus"),
    pytest.mark.timeout(600),
]


def is_overloaded() -> bool:
    """More than twice as many want to run as can."""
    return os.getloadavg()[0] > 2 * (os.cpu_count() or 1)


class Watch:
    """What fires, beside what this machine always fires."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self.seen: set[str] = set()
        self._expected = ""

    async def look(self) -> set[str]:
        """Remembers all that has fired."""
        firing = await self._prometheus.alerts() - OF_THIS_MACHINE
        if is_overloaded():
            firing -= OF_LATENESS - {self._expected}
        self.seen |= firing
        return firing

    async def wait(self, done: Callable[[set[str]], bool], timeout_s: float) -> None:
        """Until `done` holds of what fires."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not done(firing := await self.look()):
            if loop.time() > deadline:
                raise TimeoutError(f"firing: {firing}, fired: {self.seen}")
            await asyncio.sleep(0.25)

    async def stay_silent(self, seconds: float) -> None:
        """Nothing fires meanwhile."""
        self.seen.clear()
        with contextlib.suppress(TimeoutError):
            await self.wait(lambda firing: bool(firing), seconds)
        assert self.seen == set()

    async def expect(self, alert: str, fault: Awaitable[None]) -> None:
        """The fault fires this alert, and until it has cleared no other."""
        self.seen.clear()
        self._expected = alert
        running = asyncio.ensure_future(fault)
        try:
            await self.wait(lambda firing: alert in firing, FIRES_WITHIN_S)
        finally:
            await running
        await self.wait(lambda firing: not firing, CLEARS_WITHIN_S)
        assert self.seen == {alert}


async def join_with_wrong_tokens(router: RouterProcess) -> None:
    """As when a backend signs with a key of yesterday."""
    headers = {"Authorization": "Bearer not-a-token", "Content-Type": "application/sdp"}
    async with httpx.AsyncClient(headers=headers) as client:
        for _ in range(100):
            response = await client.post(f"{router.url}/whep/call", content="v=0\r\n")
            assert response.status_code == 401
            await asyncio.sleep(0.3)


async def interrupt_redis(redis: RedisServer) -> None:
    """Killed, and back after a while."""
    await redis.kill()
    await asyncio.sleep(15)
    await redis.start()


async def block_loop(router: RouterProcess) -> None:
    """Python does nothing for three seconds; scrapes wait as long."""
    router.process.send_signal(signal.SIGUSR1)
    await router.wait_log("event loop released", 20)


@asynccontextmanager
async def run_call(folder: Path) -> AsyncIterator[tuple[RouterProcess, RedisServer, Prometheus]]:
    """Three browsers see each other, a Prometheus sees the router."""
    async with AsyncExitStack() as stack:
        redis = RedisServer(folder)
        await redis.start()
        stack.push_async_callback(redis.kill)
        settings = {"ROUTER_REDIS__URL": redis.url, "BLOCK_S": "3"}
        router = await stack.enter_async_context(run_router(module="tests.e2e.blocking_router", settings=settings))
        chromium = await stack.enter_async_context(launch_chromium())
        windows = [await Window.open(chromium, width=480, height=320) for _ in range(3)]
        for stamp, window in enumerate(windows, start=1):
            await enter(window, router, "call", f"guest {stamp}", stamp)
        for window in windows:
            await wait_for(window, "window.readStamps().length === 2", "both others", 60)
        prometheus = await stack.enter_async_context(run_prometheus(folder, router))
        yield router, redis, prometheus


async def test_each_fault_fires_its_alert_and_no_other(tmp_path: Path) -> None:
    async with run_call(tmp_path) as (router, redis, prometheus):
        watch = Watch(prometheus)
        # A Prometheus that has just begun misses everything, and says so.
        await watch.wait(lambda firing: not firing, FIRST_SCRAPES_S)
        await asyncio.sleep(FIRST_SCRAPES_S / 4)
        await watch.wait(lambda firing: not firing, FIRST_SCRAPES_S)
        await watch.stay_silent(HEALTH_S)
        assert await prometheus.query("max_over_time(sfu_participants[30s])") == [3]
        assert await prometheus.query('sfu:rtp_packets:rate5m{direction="out"} > 50')
        await watch.expect("SfuJoinsFailing", join_with_wrong_tokens(router))
        await watch.expect("SfuRedisUnavailable", interrupt_redis(redis))
        await watch.expect("SfuEventLoopLag", block_loop(router))

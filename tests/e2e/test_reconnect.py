"""The client comes back by itself: by an ICE restart after the link was gone, by a new session after the router was."""

import pytest

from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.netns import Namespace, available, create_namespace, run_ip
from tests.e2e.router_process import RouterProcess, free_port, run_router
from tests.e2e.watch import enter, wait_for

WATCH_STATES = "(window.states = [], room.addEventListener('statechange', (e) => states.push(e.detail.state)), true)"
SEES_OTHER = "window.readStamps().length === 1"


async def meet(ada: Window, bob: Window, router: RouterProcess) -> None:
    """Both in one room, seeing each other."""
    for stamp, (name, window) in enumerate({"Ada": ada, "Bob": bob}.items(), start=1):
        await enter(window, router, "again", name, stamp)
    for window in (ada, bob):
        await wait_for(window, SEES_OTHER, "the other's picture")
        await window.evaluate(WATCH_STATES)


def set_link(space: Namespace, state: str) -> None:
    """Takes the router's end of the link up or down."""
    run_ip("-n", space.name, "link", "set", "eth0", state)


@pytest.mark.browser
@pytest.mark.skipif(not available(), reason="needs root and network namespaces")
@pytest.mark.timeout(120)
async def test_the_link_comes_back() -> None:
    with create_namespace() as space:
        async with run_router(space) as router, launch_chromium(router.url) as chromium:
            ada, bob = await Window.open(chromium), await Window.open(chromium)
            await meet(ada, bob, router)
            set_link(space, "down")
            await wait_for(ada, "states.includes('reconnecting')", "Ada noticing")
            set_link(space, "up")
            for window in (ada, bob):
                await wait_for(window, "room.state === 'connected'", "coming back")
            frames = "(await readReception()).reduce((sum, stat) => sum + stat.framesDecoded, 0)"
            before = await ada.evaluate(frames)
            await wait_for(ada, f"{frames} > {before} + 20", "Bob's picture moving again")
            joins = [line for line in router.log if '"session joined"' in line]
            assert len(joins) == 2, "an ICE restart keeps the session"


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_the_router_comes_back() -> None:
    port, admin_port = free_port(), free_port()
    async with launch_chromium() as chromium:
        ada, bob = await Window.open(chromium), await Window.open(chromium)
        async with run_router(port=port, admin_port=admin_port) as router:
            await meet(ada, bob, router)
            router.process.kill()
        await wait_for(ada, "states.includes('reconnecting')", "Ada noticing")
        async with run_router(port=port, admin_port=admin_port):
            for window in (ada, bob):
                await wait_for(window, "room.state === 'connected'", "coming back")
                await wait_for(window, SEES_OTHER, "the other's picture again")
            stamp = (await ada.evaluate("window.readStamps()"))[0]
            assert stamp["name"] == "Bob"
            assert stamp["valid"]

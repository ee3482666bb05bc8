"""Browsers in one room of two engine workers: everybody sees everybody, whatever worker they are on."""

import pytest

from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import RouterProcess, run_router
from tests.e2e.watch import enter, wait_for

SETTINGS = {"ROUTER_MEDIA__WORKERS": "2", "ROUTER_ROOMS__SPREAD_ABOVE": "0"}
OTHERS = "readStamps().filter(({valid}) => valid).map(({id}) => id).sort().join(' ')"
HEARD = "room.contributors().filter(({kind}) => kind === 'audio').length"


async def metric(router: RouterProcess, name: str) -> list[float]:
    """Its value for each worker."""
    lines = (await router.admin_text("/metrics")).splitlines()
    return [float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + "{")]


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_everybody_sees_everybody_across_workers() -> None:
    async with run_router(settings=SETTINGS) as router, launch_chromium() as chromium:
        windows = [await Window.open(chromium) for _ in range(3)]
        for stamp, window in enumerate(windows, start=1):
            await enter(window, router, "spread", f"guest{stamp}", stamp)
            await wait_for(window, "room?.state === 'connected'", f"guest {stamp} in the room")
        for own, window in enumerate(windows, start=1):
            others = " ".join(str(stamp) for stamp in (1, 2, 3) if stamp != own)
            await wait_for(window, f"{OTHERS} === '{others}'", f"guest {own} seeing {others}")
            assert window.errors == []
        assert sorted(await metric(router, "sfu_transports")) == [1, 2]
        assert sum(await metric(router, "sfu_mirrors")) >= 3
        assert await metric(router, "sfu_mirror_packets_dropped_total") == [0, 0]
        for window in windows:
            await window.goto("about:blank")

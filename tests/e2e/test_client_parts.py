"""The client's parts alone, in Chromium: roster, wishes, slots, events channel, demand, SDP (client_parts.js)."""

from pathlib import Path

import pytest

from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import run_router

CHECKS = (Path(__file__).parent / "client_parts.js").read_text()
RUN_ALL = """Promise.all(Object.entries(clientChecks).map(([name, check]) =>
  check().then(() => [name, "ok"], (error) => [name, String(error.stack)])))"""


@pytest.mark.browser
async def test_parts_of_the_client() -> None:
    async with run_router() as router, launch_chromium() as chromium:
        window = await Window.open(chromium)
        await window.goto(f"{router.url}/")
        await window.evaluate(f"(() => {{ {CHECKS} }})()")
        results = await window.evaluate(RUN_ALL)
        assert len(results) == 9
        assert {name: result for name, result in results if result != "ok"} == {}
        assert window.errors == []

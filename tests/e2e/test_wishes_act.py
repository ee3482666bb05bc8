"""What a receiver wishes acts within a second, without a new description: sizes, bits, pauses, in Chromium."""

import pytest

from tests.e2e.camera_stage import NOW, PAUSE, RESUME, SETTLED_S, call, want
from tests.e2e.chromium import Window
from tests.e2e.router_process import run_router
from tests.e2e.watch import wait_for

SECOND_MS = 1000.0
BITS = f"(Object.keys(frames_shown).forEach((it) => delete frames_shown[it]), room.setRates('v0', RATES), {NOW})"


async def shown(eve: Window, asked: float, width: int) -> float:
    """Milliseconds until a picture of this width was there."""
    await wait_for(eve, f"frames_shown[{width}]", f"a picture of {width}")
    return float((await eve.evaluate("frames_shown"))[str(width)]["first"]) - asked


@pytest.mark.browser
@pytest.mark.timeout(150)
async def test_wishes_act_within_a_second() -> None:
    async with run_router() as router, call(router) as (_, eve):
        await wait_for(eve, "frames_shown[960]", "the large picture", SETTLED_S)
        took = {"size down": await shown(eve, await want(eve, 240), 240)}
        took["size of a tile"] = await shown(eve, await want(eve, 300, covering=480), 480)
        took["size up"] = await shown(eve, await want(eve, 960), 960)
        # Less than the large picture ever takes: it costs 200 to 450 kbit/s, as the encoder has it.
        asked = await eve.evaluate(BITS.replace("RATES", "{ maxBitrate: 120_000 }"))
        smaller = "Object.keys(frames_shown).map(Number).find((width) => width < 960)"
        await wait_for(eve, smaller, "a smaller picture")
        took["bits down"] = await shown(eve, asked, await eve.evaluate(smaller))
        await eve.evaluate("new Promise((done) => setTimeout(done, 3_000))")
        asked = await eve.evaluate(BITS.replace("RATES", "{ maxBitrate: null }"))
        took["bits up"] = await shown(eve, asked, 960)
        asked = await eve.evaluate(PAUSE)
        await eve.evaluate("new Promise((done) => setTimeout(done, 3_000))")
        took["pause"] = await eve.evaluate("last_frame") - asked
        took["resume"] = await shown(eve, await eve.evaluate(RESUME), 960)
        print({name: round(ms) for name, ms in took.items()})
        assert max(took.values()) < SECOND_MS
        assert await eve.evaluate("descriptions") == 2, "the offer and its answer"

"""Layers that nobody is shown pause at a publisher with client.js within 2 s, and are back within 1 s; WHIP goes on."""

import pytest

from tests.e2e.camera_stage import PAUSE, RESUME, ROOM, SENDING, WATCH, call, join, wait_sending, want
from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import run_router
from tests.e2e.watch import wait_for

MAX_PAUSE_MS = 2000.0
MAX_RETURN_MS = 1000.0


@pytest.mark.browser
@pytest.mark.timeout(180)
async def test_layers_pause_and_come_back() -> None:
    async with run_router() as router, call(router) as (ada, eve):
        await wait_sending(ada, "f")
        asked = await want(eve, 240)
        layers = await wait_sending(ada, "q")
        paused = layers["f"]["last"] - asked
        asked = await want(eve, 960)
        await wait_for(eve, "frames_shown[960]", "the large picture")
        shown = (await eve.evaluate("frames_shown"))["960"]["first"] - asked
        returned = (await ada.evaluate("layers"))["f"]["first"] - asked
        print(f"paused after {paused} ms, sent again after {returned} ms, shown after {shown} ms")
        assert paused < MAX_PAUSE_MS
        assert returned < MAX_RETURN_MS
        assert shown < MAX_RETURN_MS


@pytest.mark.browser
@pytest.mark.timeout(180)
async def test_a_camera_that_nobody_sees_is_still_there() -> None:
    async with run_router() as router, call(router) as (ada, eve):
        await wait_sending(ada, "f")
        asked = await eve.evaluate(PAUSE)
        layers = await wait_sending(ada)
        paused = layers["f"]["last"] - asked
        # Longer than a camera may be silent.
        await eve.evaluate("new Promise((done) => setTimeout(done, 20_000))")
        assert await eve.evaluate("[...room.participants.values()].some(({tracks}) => tracks.some((it) => it.live))")
        asked = await eve.evaluate(RESUME)
        await wait_for(eve, "frames_shown[960]", "the picture")
        shown = (await eve.evaluate("frames_shown"))["960"]["first"] - asked
        print(f"paused after {paused:.0f} ms, shown again after {shown:.0f} ms")
        assert paused < MAX_PAUSE_MS
        assert shown < MAX_RETURN_MS


@pytest.mark.browser
@pytest.mark.timeout(180)
async def test_what_the_page_switched_off_stays_off_and_a_lost_channel_sends_everything() -> None:
    async with run_router() as router, call(router) as (ada, eve):
        await wait_sending(ada, "f")
        await ada.evaluate("""(async () => {
          const sender = room.peerConnection.getSenders().find(({ track }) => track?.kind === 'video');
          const parameters = sender.getParameters();
          parameters.encodings.find(({ rid }) => rid === 'f').active = false;
          await sender.setParameters(parameters);
        })()""")
        await want(eve, 480)
        await wait_sending(ada, "h")
        await want(eve, 960)
        await eve.evaluate("new Promise((done) => setTimeout(done, 5_000))")
        assert await ada.evaluate(SENDING) == ["h"]
        # A connection that ends: nobody could tell what is wanted.
        await ada.evaluate("room.setToken('no token')")
        await wait_sending(ada, "q", "h")


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_a_plain_whip_publisher_goes_on() -> None:
    async with run_router() as router, launch_chromium(router.url) as chromium:
        ada = await Window.open(chromium)
        await ada.goto(f"{router.url}/")
        publish = f"client.whipPublish('{router.url}/whip/{ROOM}', '{router.token(ROOM, 'Ada')}', stream)"
        await ada.evaluate(f"""import('/client.js').then(async (client) => {{
          const stream = await navigator.mediaDevices.getUserMedia({{ video: true }});
          window.session = await {publish};
        }})""")
        sent = """(async () => [...(await session.pc.getStats()).values()]
          .find((stat) => stat.type === 'outbound-rtp' && stat.kind === 'video')?.framesSent ?? 0)()"""
        await wait_for(ada, f"{sent}.then((frames) => frames > 10)", "sending")
        before = await ada.evaluate(sent)
        await ada.evaluate("new Promise((done) => setTimeout(done, 5_000))")
        assert await ada.evaluate(sent) > before + 50, "with nobody there"
        eve = await Window.open(chromium)
        await join(eve, router, "Eve", publish=False)
        await eve.evaluate(WATCH)
        await wait_for(eve, "Object.keys(frames_shown).length > 0", "the picture")
        assert ada.errors + eve.errors == []

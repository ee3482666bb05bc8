"""Layers that nobody is shown pause at a publisher with client.js, within 2 s, and are back within 1 s; WHIP goes on.

Times are the browsers' own: of the receiver's wish, of the last and the first bytes of each layer, and of frames shown.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import RouterProcess, run_router
from tests.e2e.watch import wait_for

ROOM = "unwatched"
LAYERS = ("q", "h", "f")
MAX_PAUSE_MS = 2000.0
MAX_RETURN_MS = 1000.0

JOIN = """import('/client.js').then(async ({ Room }) => {
  window.room = new Room(OPTIONS);
  await room.join();
})"""

PUBLISH = """room.publishCamera({ width: 960, height: 540, frameRate: 15 }).then(() => {
  const layers = (window.layers = {});
  const now = () => performance.timeOrigin + performance.now();
  setInterval(async () => {
    for (const stat of (await room.peerConnection.getStats()).values()) {
      if (stat.type !== 'outbound-rtp' || stat.kind !== 'video' || !stat.rid) continue;
      const layer = (layers[stat.rid] ??= { bytes: 0, last: 0, first: 0 });
      if (stat.bytesSent === layer.bytes) continue;
      if (now() - layer.last > 500) layer.first = now();
      Object.assign(layer, { bytes: stat.bytesSent, last: now() });
    }
  }, 40);
})"""
"""Of each layer: when bytes were seen last, and when they began after a pause."""

SENDING = """(() => {
  const now = performance.timeOrigin + performance.now();
  return Object.entries(layers).filter(([, { last }]) => now - last < 500).map(([rid]) => rid).sort();
})()"""

WATCH = """(() => {
  const video = document.createElement('video');
  video.srcObject = new MediaStream(room.receivedTracks().filter(({ mid }) => mid === 'v0').map(({ track }) => track));
  Object.assign(video, { muted: true, autoplay: true });
  document.body.append(video);
  const frames = (window.frames_shown = {});
  const onFrame = (now, { width }) => {
    frames[width] = { first: frames[width]?.first ?? performance.timeOrigin + now };
    video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
})()"""

NOW = "performance.timeOrigin + performance.now()"
PAUSE = f"(room.pause('v0'), {NOW})"
RESUME = f"(frames_shown[960] = undefined, room.pause('v0', false), {NOW})"
SIZE = f"(frames_shown[WIDTH] = undefined, room.setSize('v0', WIDTH, WIDTH), {NOW})"


async def join(window: Window, router: RouterProcess, name: str, **options: Any) -> None:
    await window.goto(f"{router.url}/")
    settings = {"room": ROOM, "token": router.token(ROOM, name), **options}
    await window.evaluate(JOIN.replace("OPTIONS", json.dumps(settings)))


async def wait_sending(ada: Window, *rids: str) -> dict[str, Any]:
    """Until exactly these layers are sent; what is known of all."""
    await wait_for(ada, f"JSON.stringify({SENDING}) === '{json.dumps(sorted(rids), separators=(',', ':'))}'", str(rids))
    return dict(await ada.evaluate("layers"))


async def want(eve: Window, width: int) -> float:
    """Eve shows it at this size from now on; when that was."""
    return float(await eve.evaluate(SIZE.replace("WIDTH", str(width))))


@asynccontextmanager
async def call(router: RouterProcess) -> AsyncIterator[tuple[Window, Window]]:
    """Ada publishes, Eve is shown it."""
    async with launch_chromium(router.url) as chromium:
        ada, eve = await Window.open(chromium), await Window.open(chromium)
        await join(ada, router, "Ada")
        await ada.evaluate(PUBLISH)
        # In one slot: what is paused in one is shown in another.
        await join(eve, router, "Eve", publish=False, slots={"video": 1})
        await eve.evaluate(WATCH)
        yield ada, eve
        assert ada.errors + eve.errors == []


@pytest.mark.browser
@pytest.mark.timeout(150)
async def test_layers_pause_and_come_back() -> None:
    async with run_router() as router, call(router) as (ada, eve):
        await wait_sending(ada, "f")
        pauses, returns, shows = [], [], []
        for _ in range(2):
            asked = await want(eve, 240)
            layers = await wait_sending(ada, "q")
            pauses.append(layers["f"]["last"] - asked)
            # What is woken often is paused later.
            await eve.evaluate("new Promise((done) => setTimeout(done, 31_000))")
            asked = await want(eve, 960)
            await wait_for(eve, "frames_shown[960]", "the large picture")
            shows.append((await eve.evaluate("frames_shown"))["960"]["first"] - asked)
            returns.append((await ada.evaluate("layers"))["f"]["first"] - asked)
        print(f"paused after {pauses} ms, sent again after {returns} ms, shown after {shows} ms")
        assert max(pauses) < MAX_PAUSE_MS
        assert max(returns) < MAX_RETURN_MS
        assert max(shows) < MAX_RETURN_MS


@pytest.mark.browser
@pytest.mark.timeout(90)
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
@pytest.mark.timeout(120)
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

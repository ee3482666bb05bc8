"""A camera of three layers in Chromium, and one other Chromium that shows it in its only slot, both by client.js.

Times are the browsers' own: of what the receiver asked for, of the last and the first bytes of each layer, of frames.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import RouterProcess
from tests.e2e.watch import wait_for

ROOM = "layers"

JOIN = """import('/client.js').then(async ({ Room }) => {
  window.descriptions = 0;
  for (const name of ['setLocalDescription', 'setRemoteDescription']) {
    const original = RTCPeerConnection.prototype[name];
    RTCPeerConnection.prototype[name] = function (...given) {
      window.descriptions++;
      return original.apply(this, given);
    };
  }
  window.room = new Room(OPTIONS);
  await room.join();
})"""

SETTLED_S = 40.0
"""Chromium's first probes of its uplink fail where arrivals are told wrongly; it takes up to 40 s then."""
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
    window.last_frame = performance.timeOrigin + now;
    frames[width] = { first: frames[width]?.first ?? performance.timeOrigin + now };
    video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
})()"""

NOW = "performance.timeOrigin + performance.now()"
PAUSE = f"(room.pause('v0'), {NOW})"
RESUME = f"(frames_shown[960] = undefined, room.pause('v0', false), {NOW})"
SIZE = f"(frames_shown[COVERING] = undefined, room.setSize('v0', WIDTH, WIDTH), {NOW})"


async def join(window: Window, router: RouterProcess, name: str, **options: Any) -> None:
    await window.goto(f"{router.url}/")
    settings = {"room": ROOM, "token": router.token(ROOM, name), **options}
    await window.evaluate(JOIN.replace("OPTIONS", json.dumps(settings)))


async def wait_sending(ada: Window, *rids: str) -> dict[str, Any]:
    """Until exactly these layers are sent; what is known of all."""
    sent = f"JSON.stringify({SENDING}) === '{json.dumps(sorted(rids), separators=(',', ':'))}'"
    await wait_for(ada, sent, str(rids), SETTLED_S)
    return dict(await ada.evaluate("layers"))


async def want(eve: Window, width: int, covering: int | None = None) -> float:
    """Eve shows it in a square of this size from now on, which one as wide as `covering` covers; when that was."""
    wish = SIZE.replace("COVERING", str(covering or width))
    return float(await eve.evaluate(wish.replace("WIDTH", str(width))))


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

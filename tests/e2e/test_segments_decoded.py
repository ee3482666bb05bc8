"""What leaves as segmented runs, padded to one size, is decoded by Chromium as if nothing had been done to it.

A film in bursts of several packets a frame and a Chromium's own camera and microphone are watched by two Chromiums.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from loadtest.peer import Identity, Join, RoomPeer
from loadtest.peer.film import render_film
from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.pages import STATIC_OFFER_PAGE
from tests.e2e.router_process import ADMIN_TOKEN, RouterProcess, run_router
from tests.e2e.watch import wait_for

ROOM, FILM, CAMERA = "segments", 3, 4
SETTLE_S, WATCH_S = 2.0, 4.0
MIN_PACKETS_PER_S = 12
"""Of each stream: the stamped camera draws 20 small pictures a second, on a busy machine fewer."""
MAX_UNDECODED = 10
"""Frames received and neither decoded nor dropped when the figures are read: those still in the decoder."""
MAX_CONCEALED = 0.01
"""Share of audio samples: a busy machine, not the router, starves a jitter buffer now and then."""
READ_INBOUND = """
(async () => {
  const names = ["kind", "packetsReceived", "packetsLost", "framesReceived", "framesDecoded", "framesDropped",
    "nackCount", "pliCount", "firCount", "totalSamplesReceived", "concealedSamples", "silentConcealedSamples"];
  const pick = (stat) => Object.fromEntries(names.map((name) => [name, stat[name] ?? 0]));
  const stats = [...(await joined.connection.getStats()).values()];
  const inbound = stats.filter(({ type, packetsReceived }) => type === "inbound-rtp" && packetsReceived > 0);
  return Object.fromEntries(inbound.map((each) => [each.mid, pick(each)]));
})()
"""

Figures = dict[str, dict[str, Any]]


async def open_window(window: Window, router: RouterProcess, name: str, *, publishes: bool) -> None:
    """Joins with a stamped camera, or only to watch."""
    await window.add_init_script(f"{STATIC_OFFER_PAGE}; installSlots(); installStamp({CAMERA}, 20);")
    await window.goto(f"{router.url}/")
    options = {"room": ROOM, "token": router.token(ROOM, name), "publishes": publishes, "codec": "VP8"}
    await window.evaluate(f"joinByOffer({json.dumps(options)})")
    await wait_for(window, "joined.connection.connectionState === 'connected'", f"{name} connected")


async def read_metrics(router: RouterProcess) -> dict[str, float]:
    """One scrape: value by name and labels."""
    url, headers = f"http://{router.address}:{router.admin_port}/metrics", {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with httpx.AsyncClient() as client:
        text = (await client.get(url, headers=headers)).text
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def check_inbound(before: Figures, after: Figures) -> None:
    """Nothing lost, nothing asked for again, all decoded."""
    assert sorted(figures["kind"] for figures in after.values()) == ["audio", "video", "video"]
    for mid, figures in after.items():
        grown = {name: value - before[mid][name] for name, value in figures.items() if name != "kind"}
        print(mid, grown)
        assert grown["packetsReceived"] > WATCH_S * MIN_PACKETS_PER_S
        assert grown["packetsLost"] == 0, grown
        assert [grown["nackCount"], grown["pliCount"], grown["firCount"]] == [0, 0, 0], grown
        undecoded = grown["framesReceived"] - grown["framesDecoded"] - grown["framesDropped"]
        assert undecoded <= MAX_UNDECODED, grown
        concealed = grown["concealedSamples"] - grown["silentConcealedSamples"]
        assert concealed <= MAX_CONCEALED * grown["totalSamplesReceived"], grown


@asynccontextmanager
async def send_film(router: RouterProcess) -> AsyncIterator[None]:
    """Somebody whose camera's frames are of several packets each."""
    join = Join((router.address, router.port), ROOM, router.token(ROOM, "film"), publish=("cam",), slots=())
    film = await RoomPeer.enter(join, FILM, Identity.create())
    assert film.camera
    film.camera.film = render_film(FILM, bits_per_second=1_500_000)
    filming = asyncio.create_task(film.keep_filming())
    try:
        yield
    finally:
        filming.cancel()
        film.close()


@pytest.mark.browser
@pytest.mark.timeout(150)
async def test_segments_and_padding_are_invisible() -> None:
    async with run_router() as router, launch_chromium(router.url) as chromium, send_film(router):
        windows = [await Window.open(chromium) for _ in range(3)]
        await asyncio.gather(
            *(open_window(window, router, f"w{i}", publishes=i == 0) for i, window in enumerate(windows))
        )
        watchers = windows[1:]
        stamps = "new Set(readSlots().filter((slot) => slot.stamp?.valid).map((slot) => slot.stamp.id))"
        for window in watchers:
            await wait_for(window, f"{stamps}.size === 2", "both pictures")
        await asyncio.sleep(SETTLE_S)
        counted = await read_metrics(router)
        before = [await window.evaluate(READ_INBOUND) for window in watchers]
        await watchers[0].evaluate("watchPicture('v0')")
        await asyncio.sleep(WATCH_S)
        seen = await watchers[0].evaluate("watched")
        after = [await window.evaluate(READ_INBOUND) for window in watchers]
        grown = {name: value - counted.get(name, 0) for name, value in (await read_metrics(router)).items()}
        assert grown['sfu_gso_segments_total{worker="0"}'] > 500
        assert grown['sfu_rtp_padded_packets_total{worker="0"}'] > 100
        assert grown['sfu_gso_fallbacks_total{worker="0"}'] == 0
        for old, new in zip(before, after, strict=True):
            check_inbound(old, new)
        assert seen["torn"] == 0
        assert seen["frames"] > WATCH_S * 5
        assert [error for window in windows for error in window.errors] == []

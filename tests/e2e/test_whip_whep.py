"""One aiortc publisher by WHIP; Chromium, Firefox and aiortc play it by WHEP, with nothing but the standard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from tests.e2e.bidi import launch_firefox
from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.netns import create_namespace
from tests.e2e.router_process import RouterProcess, run_router
from tests.e2e.watch import Browser, wait_for
from tests.rtc.peers import make_peer

ROOM = "broadcast"
PLAY = """
  window.session = await client.whepPlay(ARGUMENTS);
  const video = document.createElement('video');
  document.body.append(video);
  video.srcObject = session.stream;
  await video.play();
"""
PLAYED = """(async () => [...(await window.session.pc.getStats()).values()]
  .filter((stat) => stat.type === 'inbound-rtp')
  .every((stat) => stat.kind === 'video' ? stat.framesDecoded > 30 : stat.totalSamplesReceived > 48000))()"""


async def exchange(router: RouterProcess, pc: RTCPeerConnection, endpoint: str, name: str) -> str:
    """One POST; the session's URL."""
    await pc.setLocalDescription(await pc.createOffer())
    headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {router.token(ROOM, name)}"}
    async with httpx.AsyncClient() as http:
        url = f"{router.url}/{endpoint}/{ROOM}"
        response = await http.post(url, content=pc.localDescription.sdp, headers=headers)
    assert response.status_code == 201, response.text
    await pc.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
    return str(response.headers["Location"])


@asynccontextmanager
async def publisher(router: RouterProcess) -> AsyncIterator[None]:
    """aiortc with its test picture and silence."""
    pc = make_peer()
    pc.addTransceiver(AudioStreamTrack(), "sendonly")
    pc.addTransceiver(VideoStreamTrack(), "sendonly")
    try:
        location = await exchange(router, pc, "whip", "publisher")
        yield
        headers = {"Authorization": f"Bearer {router.token(ROOM, 'publisher')}"}
        async with httpx.AsyncClient(base_url=router.url) as http:
            assert (await http.delete(location, headers=headers)).status_code == 200
    finally:
        await pc.close()


async def play_in_browser(router: RouterProcess, browser: Browser, name: str) -> None:
    """`whepPlay` on a page of the router's origin."""
    await browser.goto(f"{router.url}/")
    url, token = f"{router.url}/whep/{ROOM}", router.token(ROOM, name)
    play = PLAY.replace("ARGUMENTS", f"'{url}', '{token}'")
    await browser.evaluate(f"import('/client.js').then(async (client) => {{ {play} }})")
    await wait_for(browser, PLAYED, f"{name} decoding picture and sound")
    await browser.evaluate("session.stop()")


async def play_in_aiortc(router: RouterProcess) -> None:
    """Takes thirty frames of each kind."""
    pc = make_peer()
    for kind in ("audio", "video"):
        pc.addTransceiver(kind, "recvonly")
    try:
        await exchange(router, pc, "whep", "aiortc")
        async with asyncio.timeout(20):
            for receiver in pc.getReceivers():
                for _ in range(30):
                    await receiver.track.recv()
    finally:
        await pc.close()


@pytest.mark.browser
@pytest.mark.firefox
@pytest.mark.timeout(150)
async def test_one_broadcast_three_kinds_of_player() -> None:
    with create_namespace() as space:
        async with run_router(space) as router, publisher(router):
            await play_in_aiortc(router)
            async with launch_chromium(router.url) as chromium:
                await play_in_browser(router, await Window.open(chromium), "chromium")
            async with launch_firefox() as firefox:
                await play_in_browser(router, firefox, "firefox")

"""Redundant audio (RED) from one Chromium to another, and as plain opus to one that did not agree on it."""

import json
from typing import Any

import pytest

from tests.e2e.camera_stage import join
from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import RouterProcess, run_router
from tests.e2e.watch import wait_for

AUDIO = """(async () => {
  const report = await (window.room?.peerConnection ?? window.session.pc ?? window.session).getStats();
  const stats = [...report.values()].filter((it) => it.type === 'TYPE' && it.kind === 'audio' && it.codecId);
  const moving = stats.filter((it) => (it.packetsSent ?? it.packetsReceived) > 100);
  return moving.map((it) => ({ codec: report.get(it.codecId).mimeType, energy: it.totalAudioEnergy ?? 0 }))[0] ?? null;
})()"""

PLAY_OPUS = """(async () => {
  const pc = (window.session = new RTCPeerConnection());
  const transceiver = pc.addTransceiver('audio', { direction: 'recvonly' });
  const { codecs } = RTCRtpReceiver.getCapabilities('audio');
  transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType === 'audio/opus'));
  const player = new Audio();
  pc.ontrack = ({ track }) => Object.assign(player, { srcObject: new MediaStream([track]), autoplay: true });
  await pc.setLocalDescription();
  const headers = { 'Content-Type': 'application/sdp', Authorization: 'Bearer TOKEN' };
  const response = await fetch('URL', { method: 'POST', headers, body: pc.localDescription.sdp });
  await pc.setRemoteDescription({ type: 'answer', sdp: await response.text() });
})()"""


async def hear(window: Window, kind: str, codec: str) -> dict[str, Any]:
    """Until a hundred packets of sound went in this direction; in which codec."""
    audio = AUDIO.replace("TYPE", kind)
    await wait_for(window, f"{audio}.then((it) => it !== null)", f"{kind} of {codec}")
    found: dict[str, Any] = await window.evaluate(audio)
    assert found["codec"] == codec
    return found


async def play_opus(window: Window, router: RouterProcess, name: str) -> None:
    await window.goto(f"{router.url}/")
    place = {"TOKEN": router.token("layers", name), "URL": f"{router.url}/whep/layers"}
    script = PLAY_OPUS
    for key, value in place.items():
        script = script.replace(key, value)
    await window.evaluate(script)


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_both_ends_have_it() -> None:
    async with run_router() as router, launch_chromium(router.url) as chromium:
        ada, bob, cyd = [await Window.open(chromium) for _ in range(3)]
        await join(ada, router, "Ada")
        await ada.evaluate("room.publishMicrophone({ echoCancellation: false, noiseSuppression: false })")
        await join(bob, router, "Bob", publish=False)
        await play_opus(cyd, router, "Cyd")
        await hear(ada, "outbound-rtp", "audio/red")
        assert (await hear(bob, "inbound-rtp", "audio/red"))["energy"] > 0
        assert (await hear(cyd, "inbound-rtp", "audio/opus"))["energy"] > 0


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_a_publisher_that_prefers_opus_sends_opus() -> None:
    async with run_router() as router, launch_chromium(router.url) as chromium:
        ada, bob = [await Window.open(chromium) for _ in range(2)]
        await ada.goto(f"{router.url}/")
        place = json.dumps([f"{router.url}/whip/layers", router.token("layers", "Ada")])
        await ada.evaluate(f"""import('/client.js').then(async (client) => {{
          const stream = await navigator.mediaDevices.getUserMedia({{ audio: true }});
          window.session = await client.whipPublish(...{place}, stream);
        }})""")
        await join(bob, router, "Bob", publish=False)
        await hear(ada, "outbound-rtp", "audio/opus")
        assert (await hear(bob, "inbound-rtp", "audio/opus"))["energy"] > 0

"""Redundant audio (RED) from one Chromium to another, and as plain opus to one that did not agree on it."""

import json

import pytest

from tests.e2e.camera_stage import join
from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import RouterProcess, run_router
from tests.e2e.watch import wait_for

HEARD = """(async () => {
  for (const { track } of window.session ? [] : room.receivedTracks().filter(({ track }) => track.kind === 'audio')) {
    window.players ??= new Map();
    if (players.has(track)) continue;
    players.set(track, Object.assign(new Audio(), { srcObject: new MediaStream([track]), autoplay: true }));
  }
  const report = await (window.session ?? room.peerConnection).getStats();
  const stats = [...report.values()].filter((it) => it.type === 'inbound-rtp' && it.kind === 'audio');
  return stats.some((it) => it.packetsReceived > 200 && it.totalAudioEnergy > 0);
})()"""
"""Plays what comes; whether somebody is heard."""

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


async def read_codecs(router: RouterProcess) -> list[tuple[str, str]]:
    """Direction and codec of all sound that moves, as the router sees it; a browser names what is inside of RED."""
    stats = await router.admin("/v1/rooms/layers/stats")
    found = []
    for participant in stats["items"]:
        by_id = {stat["id"]: stat for stat in participant["stats"]}
        for stat in by_id.values():
            packets = stat.get("packetsReceived") or stat.get("packetsSent") or 0
            if stat.get("kind") == "audio" and stat["type"] in ("inbound-rtp", "outbound-rtp") and packets > 100:
                found.append((stat["type"], by_id[stat["codecId"]]["mimeType"]))
    return sorted(found)


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
        for listener in (bob, cyd):
            await wait_for(listener, HEARD, "sound")
        assert await read_codecs(router) == [
            ("inbound-rtp", "audio/red"),
            ("outbound-rtp", "audio/opus"),
            ("outbound-rtp", "audio/red"),
        ]


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
        await wait_for(bob, HEARD, "sound")
        assert await read_codecs(router) == [("inbound-rtp", "audio/opus"), ("outbound-rtp", "audio/opus")]

"""Independent peers take our answers: Chromium, Firefox ESR and aiortc apply them to offers of their own."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiortc import RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from router.rtc.negotiation import answer
from router.rtc.sdp import parse, write
from tests.rtc.peers import make_peer
from tests.rtc.sdp_vectors import local_parameters

CASES = ["whip", "simulcast", "whep", "room", "many"]
PAGE = """<!doctype html><script>
const layers = [{rid: 'q', scaleResolutionDownBy: 4}, {rid: 'h', scaleResolutionDownBy: 2}, {rid: 'f'}];
const cases = {
  whip: pc => { for (const kind of ['audio', 'video']) pc.addTransceiver(kind, {direction: 'sendonly'}); },
  simulcast: pc => { pc.addTransceiver('video', {direction: 'sendonly', sendEncodings: layers}); },
  whep: pc => { for (const kind of ['audio', 'video']) pc.addTransceiver(kind, {direction: 'recvonly'}); },
  room: pc => {
    pc.createDataChannel('refused');
    pc.addTransceiver('audio'); pc.addTransceiver('video', {sendEncodings: layers});
    pc.addTransceiver('video', {direction: 'recvonly'}); pc.addTransceiver('audio', {direction: 'recvonly'});
  },
  many: pc => { for (let i = 0; i < 12; i++) pc.addTransceiver(i < 3 ? 'audio' : 'video', {direction: 'recvonly'}); },
};
const open = {};
async function offer(name) {
  const pc = open[name] = new RTCPeerConnection(); cases[name](pc);
  await pc.setLocalDescription(await pc.createOffer());
  return pc.localDescription.sdp;
}
async function take(name, sdp) {
  const pc = open[name], streams = [];
  pc.ontrack = event => streams.push(event.streams.map(stream => stream.id).join());
  await pc.setRemoteDescription({type: 'answer', sdp});
  const out = {state: pc.signalingState, streams, transceivers: pc.getTransceivers().map(t => ({
    mid: t.mid, direction: t.currentDirection, kind: t.receiver.track.kind,
    rids: t.sender.getParameters().encodings.filter(e => e.active).map(e => e.rid),
    codecs: (t.sender.getParameters().codecs || []).map(c => c.mimeType.split('/')[1].toLowerCase()),
    extensions: (t.sender.getParameters().headerExtensions || []).map(e => e.uri.split(':').pop()),
    stopped: t.stopped || false,
  }))};
  pc.close();
  return out;
}
async function post(path, body) { return (await fetch(path, {method: 'POST', body: JSON.stringify(body)})).json(); }
async function main() {
  for (const name of Object.keys(cases)) {
    try { await post('/result', {name, result: await take(name, await post('/offer', {sdp: await offer(name)}))}); }
    catch (error) { await post('/result', {name, result: {state: String(error)}}); }
  }
}
if (location.search === '?run') main();
</script>"""


def answer_text(offer: str) -> str:
    return write(answer(parse(offer), local=local_parameters(stream_id="room-stream")), session_id=2**62)


def check_result(name: str, result: dict[str, Any]) -> None:
    assert result["state"] == "stable", f"{name}: {result['state']}"
    by_mid = {item["mid"]: item for item in result["transceivers"]}
    directions = [item["direction"] for item in result["transceivers"]]
    if name == "whip":
        assert directions == ["sendonly", "sendonly"]
        assert by_mid["0"]["codecs"][0] == "opus"
        assert by_mid["1"]["codecs"][0] == "vp8"
    elif name == "simulcast":
        assert by_mid["0"]["rids"] == ["q", "h", "f"], "all layers were accepted"
    elif name == "whep":
        assert directions == ["recvonly", "recvonly"]
        assert result["streams"] == ["room-stream", "room-stream"]
    elif name == "room":
        assert directions == ["sendrecv", "sendrecv", "recvonly", "recvonly"]
        video = next(item for item in result["transceivers"] if item["kind"] == "video")
        assert video["rids"] == ["q", "h", "f"]
        if video["extensions"]:  # Firefox does not list them
            assert {"mid", "rtp-stream-id"} <= set(video["extensions"]), "although our answer says recvonly for rid"
        assert len(set(result["streams"])) == 3, "people do not share a stream, but for the first of each kind"
    else:
        assert directions == ["recvonly"] * 12


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
async def test_chromium_takes_our_answers() -> None:
    from playwright.async_api import Route, async_playwright

    async def serve(route: Route) -> None:
        await route.fulfill(body=PAGE, content_type="text/html")

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = await browser.new_page()
        await page.route("**/*", serve)
        await page.goto("http://localhost/")
        for name in CASES:
            text = answer_text(await page.evaluate("name => offer(name)", name))
            check_result(name, await page.evaluate("([name, sdp]) => take(name, sdp)", [name, text]))
        await browser.close()


class Exchange:
    """A tiny HTTP/1.1 server that answers the page's offers and collects what became of them."""

    def __init__(self) -> None:
        self.results: dict[str, dict[str, Any]] = {}
        self.done = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0)
        body = await reader.readexactly(length)
        kind, reply = "text/html", PAGE
        if head.startswith("POST"):
            message = json.loads(body)
            kind, reply = "application/json", "null"
            if "sdp" in message:
                reply = json.dumps(answer_text(message["sdp"]))
            else:
                self.results[message["name"]] = message["result"]
        if len(self.results) == len(CASES):
            self.done.set()
        content = reply.encode()
        header = (
            f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(header.encode() + content)
        await writer.drain()
        writer.close()


@pytest.fixture
async def exchange() -> AsyncIterator[tuple[Exchange, str]]:
    exchange = Exchange()
    server = await asyncio.start_server(exchange.handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield exchange, f"http://127.0.0.1:{port}/?run"


@pytest.mark.firefox
@pytest.mark.skipif(shutil.which("firefox-esr") is None, reason="needs Debian's firefox-esr")
async def test_firefox_takes_our_answers(exchange: tuple[Exchange, str], tmp_path: Path) -> None:
    served, url = exchange
    profile = tmp_path / "profile"
    profile.mkdir()
    firefox = await asyncio.create_subprocess_exec(
        *("firefox-esr", "--headless", "--profile", str(profile), url),
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await asyncio.wait_for(served.done.wait(), 50)
    finally:
        firefox.terminate()
        await firefox.wait()
    for name in CASES:
        check_result(name, served.results[name])


@pytest.mark.parametrize("case", ["publish", "play", "video"])
async def test_aiortc_takes_our_answers(case: str) -> None:
    # No data channel: aiortc 1.16 knows no rejected m-line, neither with nor without ICE credentials in it.
    peer = make_peer()
    if case == "publish":
        peer.addTrack(AudioStreamTrack())
        peer.addTrack(VideoStreamTrack())
    elif case == "play":
        peer.addTransceiver("audio", direction="recvonly")
        peer.addTransceiver("video", direction="recvonly")
    else:
        peer.addTrack(VideoStreamTrack())
    try:
        await peer.setLocalDescription(await peer.createOffer())
        await peer.setRemoteDescription(
            RTCSessionDescription(sdp=answer_text(peer.localDescription.sdp), type="answer")
        )
        assert peer.signalingState == "stable"
        expected = {"publish": "sendrecv", "play": "recvonly", "video": "sendrecv"}[case]
        assert {item.currentDirection for item in peer.getTransceivers()} == {expected}
    finally:
        await peer.close()

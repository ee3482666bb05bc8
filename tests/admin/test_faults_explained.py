"""Each fault of a call, made for real with aiortc peers, is explained by the peer's diagnosis; and so is what works."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from aiortc.rtp import RtcpPsfbPacket, pack_remb_fci
from av import VideoFrame
from pylibsrtp import Policy, Session

from router.config import load_settings
from router.server import RouterServer
from tests.rtc.peers import make_peer

pytestmark = pytest.mark.e2e

FREE = {"public": {"port": 0}, "admin": {"port": 0}, "media": {"udp_port": 0, "addresses": ["127.0.0.1"]}}


class Stage:
    """A router, its two ports, and peers by name."""

    def __init__(self, public: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
        self.public, self.admin = public, admin
        self.peers: dict[str, RTCPeerConnection] = {}
        self.answers: dict[str, str] = {}

    async def join(
        self,
        name: str,
        *tracks: Any,
        receive: str | None = None,
        edit: Callable[[str], str] = str,
        connect: bool = True,
    ) -> RTCPeerConnection:
        """Publishes tracks, or receives one of a kind; `edit` changes the offer on its way."""
        peer = self.peers[name] = make_peer()
        for track in tracks:
            peer.addTrack(track)
        if receive:
            peer.addTransceiver(receive, direction="recvonly")
        token = (await self.public.get("/dev/token", params={"room": "a", "name": name})).json()["token"]
        await peer.setLocalDescription(await peer.createOffer())
        headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {token}"}
        path = "/whep/a" if receive else "/whip/a"
        answer = await self.public.post(path, content=edit(peer.localDescription.sdp), headers=headers)
        assert answer.status_code == 201, answer.text
        self.answers[name] = answer.text
        if connect:
            await self.connect(name)
        return peer

    async def connect(self, name: str) -> None:
        """The answer reaches the peer, which begins."""
        await self.peers[name].setRemoteDescription(RTCSessionDescription(self.answers[name], "answer"))

    async def find(self, name: str) -> str:
        """The path of a participant's diagnosis, also of one that left."""
        page = (await self.admin.get("/v1/rooms/a/diagnosis")).json()
        participants = (await self.admin.get("/v1/rooms/a/participants")).json()
        names = {it["identity"]: it["name"] for it in participants.get("items", [])}
        found = [it for it in page["items"] if name in (names.get(it["identity"]), it["identity"])]
        return f"/v1/rooms/a/participants/{found[0]['participant_id']}"

    async def await_section(self, path: str, section: str, verdict: str) -> dict[str, Any]:
        """The section, once it says so."""
        body: Any = None
        try:
            async with asyncio.timeout(15):
                while True:
                    body = (await self.admin.get(f"{path}/diagnosis")).json()
                    found = body["sessions"][0]["sections"][section]
                    if found["verdict"] == verdict:
                        return dict(found)
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{section} never became {verdict}: {body}") from None


@asynccontextmanager
async def stage(**settings: Any) -> AsyncIterator[Stage]:
    async with RouterServer(load_settings(flags={"dev": True, **FREE, **settings})) as server:
        public = httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.public_port}")
        admin = httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.admin_port}", timeout=30)
        async with public, admin:
            opened = Stage(public, admin)
            yield opened
            await asyncio.gather(*(peer.close() for peer in opened.peers.values()))


def forge_fingerprint(sdp: str) -> str:
    return re.sub(r"(a=fingerprint:\S+ )..:..", r"\g<1>00:00", sdp)


def encrypt_with_other_keys(peer: RTCPeerConnection) -> None:
    """What a peer does that lost its keys."""
    dtls = peer.getSenders()[0].transport
    policy = Policy(
        key=bytes(30), ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=Policy.SRTP_PROFILE_AES128_CM_SHA1_80
    )
    dtls._tx_srtp = Session(policy)


class NoiseTrack(VideoStreamTrack):
    """What no encoder makes small."""

    async def recv(self) -> VideoFrame:
        pts, time_base = await self.next_timestamp()
        frame = VideoFrame(320, 240, "yuv420p")
        for plane in frame.planes:
            plane.update(os.urandom(plane.buffer_size))
        frame.pts, frame.time_base = pts, time_base
        return frame


async def ask_for_little(peer: RTCPeerConnection, bitrate_bps: int) -> None:
    """What a receiver on a thin link says (REMB), again and again."""
    receiver = peer.getReceivers()[0]
    fci = pack_remb_fci(bitrate_bps, list(vars(receiver)["_RTCRtpReceiver__remote_streams"]))
    while True:
        await receiver._send_rtcp(RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=fci))
        await asyncio.sleep(0.1)


async def test_faults_are_explained() -> None:
    async with stage() as it:
        # Peers that the answer never reaches send no check.
        await it.join("silent", AudioStreamTrack(), connect=False)
        await it.join("forged", AudioStreamTrack(), edit=forge_fingerprint)
        stopping = await it.join("stopping", AudioStreamTrack())
        rekeyed = await it.join("rekeyed", AudioStreamTrack())
        await it.join("camera", NoiseTrack())
        starved = await it.join("starved", receive="video")
        paths = {name: await it.find(name) for name in it.peers if name != "forged"}

        # While all is well, it says so.
        assert "kbit/s" in (await it.await_section(paths["stopping"], "streams_up", "ok"))["sentence"]
        path_of = await it.await_section(paths["stopping"], "ice", "ok")
        assert path_of["facts"]["paths"][0]["answers_received"] >= 1
        assert "fingerprint is right" in (await it.await_section(paths["stopping"], "dtls", "ok"))["sentence"]
        await it.await_section(paths["rekeyed"], "srtp", "ok")
        await it.await_section(paths["starved"], "streams_down", "ok")

        stopping.getSenders()[0].replaceTrack(None)
        encrypt_with_other_keys(rekeyed)
        thin_link = asyncio.create_task(ask_for_little(starved, 30_000))

        silent = await it.await_section(paths["silent"], "ice", "broken")
        assert re.match(
            r"no STUN check arrived from the peer for \d+ s: UDP blocked, or announced address wrong: 127\.0\.0\.1:\d+ "
            r"\(loopback",
            silent["sentence"],
        )
        assert "the last packet came" in (await it.await_section(paths["stopping"], "streams_up", "broken"))["sentence"]
        assert "failed authentication" in (await it.await_section(paths["rekeyed"], "srtp", "broken"))["sentence"]
        thin = await it.await_section(paths["starved"], "streams_down", "broken")
        thin_link.cancel()
        assert "limited by remb" in thin["sentence"], thin

        # One who was never let in has left, and is explained nevertheless.
        page = (await it.admin.get("/v1/rooms/a/diagnosis")).json()
        (forged,) = [item for item in page["items"] if item["ended"]]
        assert forged["verdict"] == "broken"
        assert "a=fingerprint" in forged["sentence"]
        assert "certificate" in forged["ended"]["reason"]
        path = f"/v1/rooms/a/participants/{forged['participant_id']}/diagnosis"
        html = await it.admin.get(path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        assert html.headers["content-type"].startswith("text/html")
        assert "a=fingerprint" in html.text
        assert "<script" not in html.text
        assert "http" not in (await it.admin.get(f"{path}.html")).text.replace("http-equiv", "")

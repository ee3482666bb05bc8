"""WHIP and WHEP with aiortc as the other side, over real sockets, through the engine."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path

import httpx
import pytest
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from av import AudioFrame, VideoFrame

from router.metrics import Metrics
from router.rooms import RoomLimits, RoomRegistry
from router.rtc import MediaEngine, RTCConnection, RTCSocket, RTCSocketOptions
from router.rtc.sdp import parse_fragment
from router.signaling import PublicState, SignalingSettings, create_public_app
from tests.signaling.public import FRAGMENT, SDP, TOKENS, bearer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

WIDTH, HEIGHT = 64, 48


class ColourTrack(VideoStreamTrack):
    """A picture of one grey, by which a receiver tells who sent it."""

    def __init__(self, luma: int) -> None:
        super().__init__()
        self.luma = luma

    async def recv(self) -> VideoFrame:
        pts, time_base = await self.next_timestamp()
        frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane, value in zip(frame.planes, (self.luma, 128, 128), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.pts, frame.time_base = pts, Fraction(time_base)
        return frame


class Router:
    """A registry on the real engine, and a client of its public application."""

    def __init__(self, registry: RoomRegistry, http: httpx.AsyncClient) -> None:
        self.registry = registry
        self.http = http

    async def post(self, peer: RTCPeerConnection, path: str, identity: str, change: Callable[[str], str] = str) -> str:
        """Offers, applies the answer, returns the session's URL."""
        await peer.setLocalDescription(await peer.createOffer())
        offer = change(peer.localDescription.sdp)
        headers = {"Content-Type": SDP, **bearer(identity)}
        response = await self.http.post(path, content=offer, headers=headers)
        assert response.status_code == 201, response.text
        await peer.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
        return response.headers["Location"]


@asynccontextmanager
async def router(limits: RoomLimits | None = None) -> AsyncIterator[Router]:
    async with MediaEngine() as engine:
        udp = RTCSocket(options=RTCSocketOptions(address="127.0.0.1"), engine=engine)
        await udp.bind()
        keeper = RTCConnection()
        keeper.add_socket(udp)

        def open_origin() -> RTCConnection:
            origin = RTCConnection()
            origin.add_socket(udp)
            return origin

        registry = RoomRegistry(open_origin, limits=limits, metrics=Metrics())
        app = create_public_app(PublicState(registry, TOKENS, SignalingSettings()))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://router.test") as http:
            yield Router(registry, http)
        await registry.close()
        await keeper.close()


@asynccontextmanager
async def peer() -> AsyncIterator[RTCPeerConnection]:
    # With another policy aiortc takes the candidates of the last m-line of a kind, and only the first has any.
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_COMPAT))
    try:
        yield connection
    finally:
        await connection.close()


async def connected(connection: RTCPeerConnection) -> None:
    done = asyncio.Event()

    @connection.on("connectionstatechange")
    def on_change() -> None:
        if connection.connectionState == "connected":
            done.set()

    on_change()
    async with asyncio.timeout(15):
        await done.wait()


def all_live(sfu: Router, identity: str) -> Callable[[], bool]:
    participant = sfu.registry.rooms["lobby"].participants[identity]
    return lambda: all(track.live for track in participant.tracks)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 - the registry has no event for every state a test may ask for
            await asyncio.sleep(0.02)


async def see(receiver: RTCRtpReceiver, luma: int) -> None:
    """Decodes until the picture is this grey."""
    async with asyncio.timeout(20):
        while True:
            frame = await receiver.track.recv()
            assert isinstance(frame, VideoFrame)
            if abs(bytes(frame.planes[0])[0] - luma) < 12:
                return


def publisher(connection: RTCPeerConnection, luma: int) -> None:
    connection.addTrack(AudioStreamTrack())
    connection.addTrack(ColourTrack(luma))


def player(connection: RTCPeerConnection, *kinds: str) -> list[RTCRtpReceiver]:
    """Their tracks come with the answer."""
    return [connection.addTransceiver(kind, direction="recvonly").receiver for kind in kinds]


async def test_whip_to_whep_shows_pictures_and_plays_sound() -> None:
    async with router() as sfu, peer() as ada, peer() as eve:
        publisher(ada, 200)
        url = await sfu.post(ada, "/whip/lobby", "ada")
        await connected(ada)
        await until(all_live(sfu, "ada"))

        audio, video = player(eve, "audio", "video")
        await sfu.post(eve, "/whep/lobby", "eve")
        await connected(eve)
        await see(video, 200)
        async with asyncio.timeout(10):
            assert isinstance(await audio.track.recv(), AudioFrame)

        assert (await sfu.http.delete(url, headers=bearer("ada"))).status_code == 200
        assert list(sfu.registry.rooms["lobby"].participants) == ["eve"]


async def test_a_player_sees_several_and_is_refilled_when_one_leaves() -> None:
    async with router() as sfu, peer() as ada, peer() as bob, peer() as cyd, peer() as eve:
        urls = {}
        for connection, identity, luma in ((ada, "ada", 60), (bob, "bob", 140), (cyd, "cyd", 220)):
            connection.addTrack(ColourTrack(luma))
            urls[identity] = await sfu.post(connection, "/whip/lobby", identity)
            await connected(connection)
            await until(all_live(sfu, identity))
        first, second = player(eve, "video", "video")
        await sfu.post(eve, "/whep/lobby", "eve")
        await connected(eve)
        await see(first, 60)
        await see(second, 140)

        await sfu.http.delete(urls["ada"], headers=bearer("ada"))
        await see(first, 220)
        await see(second, 140)


async def test_one_post_joins_both_ways() -> None:
    async with router() as sfu, peer() as ada, peer() as bob:
        seen = {}
        for connection, identity, luma in ((ada, "ada", 80), (bob, "bob", 180)):
            connection.addTransceiver(ColourTrack(luma), direction="sendonly")
            (seen[identity],) = player(connection, "video")
            await sfu.post(connection, "/whep/lobby", identity)
        await see(seen["ada"], 180)
        await see(seen["bob"], 80)


async def test_an_offer_without_candidates_connects_by_peer_reflexive_checks() -> None:
    def without_candidates(offer: str) -> str:
        return re.sub(r"a=(candidate|end-of-candidates).*\r\n", "", offer)

    async with router() as sfu, peer() as obs:
        publisher(obs, 100)
        await sfu.post(obs, "/whip/lobby", "obs", without_candidates)
        await connected(obs)
        await until(lambda: sfu.registry.rooms["lobby"].sessions[0].state == "connected")


async def test_the_offer_of_obs_is_answered() -> None:
    offer = (Path(__file__).parent.parent / "vectors/sdp/obs-whip.sdp").read_bytes()
    async with router() as sfu:
        headers = {"Content-Type": SDP, **bearer("obs")}
        response = await sfu.http.post("/whip/lobby", content=offer, headers=headers)
        assert response.status_code == 201
        assert "a=candidate:" in response.text
        assert "H264" in response.text


async def test_who_offers_and_never_connects_is_removed() -> None:
    async with router(RoomLimits(connect_timeout_s=0.1)) as sfu, peer() as ghost:
        publisher(ghost, 100)
        await ghost.setLocalDescription(await ghost.createOffer())
        headers = {"Content-Type": SDP, **bearer("ghost")}
        await sfu.http.post("/whip/lobby", content=ghost.localDescription.sdp, headers=headers)
        assert sfu.registry.rooms["lobby"].participants
        await until(lambda: not sfu.registry.rooms["lobby"].participants)


async def test_a_restart_patch_gives_the_credentials_that_are_in_force() -> None:
    async with router() as sfu, peer() as ada:
        publisher(ada, 100)
        url = await sfu.post(ada, "/whip/lobby", "ada")
        await connected(ada)
        fragment = (
            "a=ice-ufrag:fresh\r\na=ice-pwd:freshPasswordOf22Chars0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
        )
        headers = {"Content-Type": FRAGMENT, "If-Match": "*", **bearer("ada")}
        response = await sfu.http.patch(url, content=fragment, headers=headers)

        assert response.status_code == 200
        told = parse_fragment(response.text)
        (session,) = sfu.registry.rooms["lobby"].sessions
        assert (told.ufrag, told.password) == (session.local.ufrag, session.local.password)
        assert told.candidates
        assert session.state == "connected"
        again = await sfu.http.patch(url, content=fragment, headers=headers)
        assert again.status_code == 204, "the same credentials trickle"

"""The admin plane of a running router with one aiortc peer that publishes and one that plays."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from router.config import load_settings
from router.server import RouterServer
from tests.cluster.waiting import until
from tests.rtc.peers import make_peer

pytestmark = pytest.mark.e2e

FREE = {"public": {"port": 0}, "admin": {"port": 0}, "media": {"udp_port": 0, "addresses": ["127.0.0.1"]}}


async def join(http: httpx.AsyncClient, path: str, name: str, peer: RTCPeerConnection) -> None:
    token = (await http.get("/dev/token", params={"room": "a", "name": name})).json()["token"]
    await peer.setLocalDescription(await peer.createOffer())
    headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {token}"}
    answer = await http.post(path, content=peer.localDescription.sdp, headers=headers)
    assert answer.status_code == 201, answer.text
    await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))


async def read_until(http: httpx.AsyncClient, path: str, holds: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(20):
        while True:
            body = (await http.get(path)).json()
            if holds(body):
                return body
            await asyncio.sleep(0.05)


def find(body: Any, name: str, kind: str) -> dict[str, Any]:
    """The object of this type of the participant, {} while there is none."""
    for person in body["items"]:
        for stat in person["stats"]:
            if person["name"] == name and stat["type"] == kind:
                return dict(stat)
    return {}


def _is_heard(body: Any) -> bool:
    """Packets go out by the engine; which track it is, is known to the room an event later."""
    sent = find(body, "bob", "outbound-rtp")
    return sent.get("packetsSent", 0) > 5 and "trackIdentifier" in sent


async def test_stats_and_metrics_of_a_call() -> None:
    player, publisher = make_peer(), make_peer()
    async with RouterServer(load_settings(flags={"dev": True, **FREE})) as server:
        public = httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.public_port}")
        admin = httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.admin_port}")
        async with public, admin:
            publisher.addTrack(AudioStreamTrack())
            await join(public, "/whip/a", "ada", publisher)
            player.addTransceiver("audio", direction="recvonly")
            await join(public, "/whep/a", "bob", player)
            body = await read_until(admin, "/v1/rooms/a/stats", _is_heard)
            sent, received = find(body, "ada", "inbound-rtp"), find(body, "bob", "outbound-rtp")
            assert sent["packetsReceived"] > 5
            assert sent["trackIdentifier"] == received["trackIdentifier"]
            assert received["active"]
            assert received["reason"]
            assert find(body, "bob", "codec")["mimeType"] == "audio/opus"
            assert find(body, "bob", "transport")["dtlsState"] == "connected"
            assert find(body, "bob", "candidate-pair")["state"] == "succeeded"

            async def is_judged() -> bool:
                """The engine looks at each track every two seconds."""
                text = (await admin.get("/metrics")).text
                counts = [f'{name}{{kind="audio"}} 1.0' for name in ("sfu_tracks_published", "sfu_subscriptions")]
                return all(count in text for count in counts)

            await until(is_judged, within_s=10)
            metrics = (await admin.get("/metrics")).text
            assert "sfu_participants 2.0" in metrics
            assert 'sfu_dtls_handshakes_total{result="ok"}' in metrics
            room = (await admin.get("/v1/rooms/a")).json()
            assert (room["participants"], room["tracks"]) == (2, 1)
        await asyncio.gather(player.close(), publisher.close())

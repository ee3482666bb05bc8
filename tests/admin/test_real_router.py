"""The admin API on real rooms: real engine, ICE and DTLS of a hand-made peer, both applications on one registry."""

import itertools
import struct
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.admin.conftest import TOKEN, Router, open_client
from tests.rooms.fakes import play_offer, publish_offer
from tests.rtc.peers import wait_for
from tests.signaling.offer_peer import OfferPeer
from tests.signaling.public import SDP, bearer, check_problem, text
from tests.signaling.real_router import RealRouter, real_router
from tests.signaling.test_forks import join

pytestmark = pytest.mark.e2e


def speech(sequence: int) -> bytes:
    """An opus packet of the m-line `mic`, named by its MID (extension 4 of the static offer, RFC 8285)."""
    head = struct.pack("!BBHII", 0x90, 111, sequence, sequence * 960, 77)
    return head + b"\xbe\xde\x00\x01" + bytes([4 << 4 | 2]) + b"mic" + b"payload"


@pytest.fixture
async def real() -> AsyncIterator[RealRouter]:
    async with real_router() as opened:
        yield opened


@pytest.fixture
async def operator(real: RealRouter) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(Router(real.registry).app()) as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        yield client


async def test_a_room_offers_what_it_was_made_with(real: RealRouter, operator: httpx.AsyncClient) -> None:
    body = {"name": "lobby", "audio_slots": 1, "video_slots": 2, "codecs": ["opus", "VP9"]}
    assert (await operator.post("/v1/rooms", json=body)).status_code == 201
    peer = await join(real)
    assert [section.mid for section in peer.description.media] == ["mic", "cam", "scr", "snd", "a0", "v0", "v1"]
    assert {codec.name for section in peer.description.media for codec in section.codecs} == {"opus", "VP9"}
    room = (await operator.get("/v1/rooms/lobby")).json()
    assert (room["participants"], room["tracks"]) == (1, 4)
    peer.close()


async def test_a_locked_room_takes_nobody_on_any_way_in(real: RealRouter, operator: httpx.AsyncClient) -> None:
    peer = await join(real)
    newcomer = await OfferPeer.open()
    await newcomer.fetch(real.http, identity="eve")
    assert (await operator.post("/v1/rooms/lobby/lock")).json()["locked"] is True
    headers = {"Content-Type": SDP, **bearer("eve")}
    for reply in (
        await newcomer.post_answer(real.http, "eve"),
        await real.http.post("/whip/lobby", content=text(publish_offer()), headers=headers),
        await real.http.post("/whep/lobby", content=text(play_offer()), headers=headers),
        await real.http.post("/whep/lobby?counter-offer=1", content="", headers=headers),
        await real.http.get("/rooms/lobby/roster", headers=bearer("eve")),
    ):
        check_problem(reply, 403, "room-locked")
    assert list(real.registry.rooms["lobby"].participants) == ["ada"]
    await operator.post("/v1/rooms/lobby/unlock")
    assert (await newcomer.post_answer(real.http, "eve")).status_code == 201
    for one in (peer, newcomer):
        one.close()


async def test_a_muted_source_is_dropped_by_the_engine(real: RealRouter, operator: httpx.AsyncClient) -> None:
    peer = await join(real)
    (participant,) = (await operator.get("/v1/rooms/lobby/participants")).json()["items"]
    path = f"/v1/rooms/lobby/participants/{participant['id']}"
    reply = await operator.post(f"{path}/mute", json={"muted": True, "source": "microphone"})
    (track,) = reply.json()["items"]
    assert (track["mid"], track["moderated"]) == ("mic", True)
    srtp, sequences = peer.protect(), itertools.count()

    def speak() -> tuple[int, int]:
        """One more packet; how many came so far, and how many of them were dropped for the mute."""
        peer.send(peer.port, srtp.protect(speech(next(sequences))))
        return real.engine.native.counters()[0]["rtp_packets_received"], real.dropped("producer-paused")

    await wait_for(lambda: speak()[1] >= 10)
    await operator.post(f"{path}/mute", json={"muted": False})
    await wait_for(lambda: speak()[0] >= 2 * real.dropped("producer-paused"))
    peer.close()


async def test_closing_a_room_ends_its_peers(real: RealRouter, operator: httpx.AsyncClient) -> None:
    peer = await join(real)
    assert real.engine.native.counters()[0]["transports"] == 1
    assert (await operator.delete("/v1/rooms/lobby")).status_code == 204
    assert real.engine.native.counters()[0]["transports"] == 0
    assert "lobby" not in real.registry.rooms
    peer.close()

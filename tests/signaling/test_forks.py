"""Joining by the static offer, with hand-made peers through the real engine."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from router.rooms import RoomLimits
from router.rtc import RTCCertificate, RTCDescription
from tests.rtc.dtls_peer import rtp
from tests.rtc.peers import wait_for
from tests.signaling.offer_peer import OfferPeer, silence
from tests.signaling.public import FRAGMENT, bearer, check_problem
from tests.signaling.real_router import RealRouter, real_router

pytestmark = pytest.mark.e2e
PUBLISHED = ("mic", "cam", "scr", "snd")


@pytest.fixture
async def router() -> AsyncIterator[RealRouter]:
    async with real_router() as opened:
        yield opened


async def open_peer(router: RealRouter, identity: str = "ada") -> OfferPeer:
    peer = await OfferPeer.open()
    await peer.fetch(router.http, identity=identity)
    return peer


async def begin(peer: OfferPeer) -> None:
    """A check, and DTLS up to its end: all that a browser does while its answer is on the way."""
    peer.send_check()
    await wait_for(lambda: any(data[:2] == b"\x01\x01" for data in peer.received))
    peer.start_dtls()
    await wait_for(lambda: peer.session is not None and peer.session.state == "connected")


async def join(router: RealRouter, identity: str = "ada") -> OfferPeer:
    peer = await open_peer(router, identity)
    await begin(peer)
    assert (await peer.post_answer(router.http, identity)).status_code == 201
    return peer


async def test_the_first_check_makes_the_fork_and_dtls_does_not_wait_for_the_answer(router: RealRouter) -> None:
    peer = await open_peer(router)
    room = router.registry.rooms["lobby"]
    await begin(peer)
    assert len(room.forks.pending) == 1
    assert not room.participants

    response = await peer.post_answer(router.http)

    assert response.status_code == 201, response.text
    (session,) = room.sessions
    assert session.state == "connected"
    assert len(room.forks.pending) == 0
    assert response.headers["Location"] == f"/rooms/lobby/forks/{session.id}"
    assert response.headers["ETag"] == session.etag
    told = response.json()
    assert (told["session"], told["participant"]) == (session.id, session.participant.id)
    assert [slot["mid"] for slot in told["slots"]] == ["a0", "a1", "a2", *(f"v{n}" for n in range(9))]
    assert {track.mid: track.source for track in session.tracks.values()} == {
        "mic": "microphone",
        "cam": "camera",
        "scr": "screen",
        "snd": "screen-audio",
    }
    peer.close()


async def test_the_answer_may_come_before_the_first_check(router: RealRouter) -> None:
    peer = await open_peer(router)
    assert (await peer.post_answer(router.http)).status_code == 201
    await begin(peer)
    (session,) = router.registry.rooms["lobby"].sessions
    await wait_for(lambda: session.state == "connected")
    peer.close()


async def test_many_forks_answer_one_offer(router: RealRouter) -> None:
    peers = [await join(router, f"person{number}") for number in range(8)]
    room = router.registry.rooms["lobby"]
    assert len({peer.text for peer in peers}) == 1
    assert [session.state for session in room.sessions] == ["connected"] * 8
    assert router.engine.native.counters()[0]["transports"] == 8
    for peer in peers:
        peer.close()


async def test_no_media_passes_before_the_answer(router: RealRouter) -> None:
    listener = await join(router, "eve")
    peer = await open_peer(router)
    await begin(peer)
    srtp = peer.protect()
    heard = len(listener.received)
    for sequence in range(20):
        peer.send(peer.port, srtp.protect(rtp(sequence, ssrc=77)))
    await wait_for(lambda: router.dropped("rtp-before-keys") == 20)
    assert router.engine.native.counters()[0]["rtp_packets_received"] == 0
    assert not [data for data in listener.received[heard:] if 128 <= data[0] < 192]

    assert (await peer.post_answer(router.http)).status_code == 201
    for sequence in range(20, 40):
        peer.send(peer.port, srtp.protect(rtp(sequence, ssrc=77)))
    await wait_for(lambda: router.engine.native.counters()[0]["rtp_packets_received"] == 20)
    peer.close()
    listener.close()


async def test_a_certificate_other_than_the_answers_gets_no_keys(router: RealRouter) -> None:
    peer = await open_peer(router)
    await begin(peer)
    peer.certificate = RTCCertificate.generate(now_s=1_800_000_000)

    response = await peer.post_answer(router.http)

    check_problem(response, 409, "connection-closed")
    await wait_for(lambda: router.engine.native.counters()[0]["transports"] == 0)
    assert not router.registry.rooms["lobby"].participants
    peer.close()


async def test_a_fork_without_its_answer_dies() -> None:
    async with real_router(RoomLimits(answer_timeout_s=0.2)) as router:
        peer = await open_peer(router)
        await begin(peer)
        assert router.engine.native.counters()[0]["transports"] == 1
        await wait_for(lambda: router.engine.native.counters()[0]["transports"] == 0, 2.0)
        assert router.count("sfu_forks_refused_total", reason="no-answer") == 1
        assert len(router.registry.rooms["lobby"].forks.pending) == 0
        # Whoever was only slow is not locked out.
        assert (await peer.post_answer(router.http)).status_code == 201
        peer.close()


async def test_who_only_listens_says_so_in_the_answer(router: RealRouter) -> None:
    peer = await open_peer(router, "eve")
    check_problem(await peer.post_answer(router.http, "eve", publish=False), 403, "may-not-publish")
    response = await peer.post_answer(router.http, "eve", publish=False, change=silence(*PUBLISHED))
    assert response.status_code == 201, response.text
    (session,) = router.registry.rooms["lobby"].sessions
    assert not session.tracks
    assert len(session.slots) == 12
    peer.close()


async def test_who_only_publishes_says_so_in_the_answer(router: RealRouter) -> None:
    slots = [f"a{n}" for n in range(3)] + [f"v{n}" for n in range(9)]
    peer = await open_peer(router)
    check_problem(await peer.post_answer(router.http, subscribe=False), 403, "may-not-subscribe")
    response = await peer.post_answer(router.http, subscribe=False, change=silence(*slots))
    assert response.status_code == 201, response.text
    everything = await open_peer(router, "bob")
    nothing = await everything.post_answer(router.http, "bob", change=silence(*PUBLISHED, *slots))
    check_problem(nothing, 422, "unusable-m-line")
    peer.close()
    everything.close()


async def test_delete_leaves_and_a_restart_keeps_the_session(router: RealRouter) -> None:
    peer = await join(router)
    room = router.registry.rooms["lobby"]
    (session,) = room.sessions
    url = f"/rooms/lobby/forks/{session.id}"
    fragment = "a=ice-ufrag:fresh\r\na=ice-pwd:anotherPasswordOf32Characters012\r\n"
    headers = {"Content-Type": FRAGMENT, "If-Match": "*", **bearer()}

    restarted = await router.http.patch(url, content=fragment, headers=headers)
    assert restarted.status_code == 200, restarted.text
    assert (await router.http.delete(url, headers=bearer("mallory"))).status_code == 403
    assert (await router.http.delete(url, headers=bearer())).status_code == 200
    assert (await router.http.delete(url, headers=bearer())).status_code == 200
    assert not room.sessions
    peer.close()


async def test_a_second_session_of_one_person_is_another_fork(router: RealRouter) -> None:
    first, second = await join(router), await join(router)
    (participant,) = router.registry.rooms["lobby"].participants.values()
    assert len(participant.sessions) == 2
    first.close()
    second.close()


async def test_closing_the_room_ends_forks_that_wait(router: RealRouter) -> None:
    peer = await open_peer(router)
    await begin(peer)
    await router.registry.rooms["lobby"].close()
    await wait_for(lambda: router.engine.native.counters()[0]["transports"] == 0)
    check_problem(await peer.post_answer(router.http), 409, "stale-offer")
    peer.close()
    await asyncio.sleep(0)


def reduce_rtp(answer: RTCDescription) -> RTCDescription:
    """An answer that accepts only VP8 and no RTX."""
    media = []
    for section in answer.media:
        codecs = [codec for codec in section.codecs if codec.name in ("opus", "VP8")]
        media.append(replace(section, codecs=tuple(replace(codec, rtx_payload_type=None) for codec in codecs)))
    return replace(answer, media=tuple(media))


async def test_what_the_answer_leaves_out_is_not_used(router: RealRouter) -> None:
    peer = await open_peer(router)
    assert (await peer.post_answer(router.http, change=reduce_rtp)).status_code == 201
    (session,) = router.registry.rooms["lobby"].sessions
    for section in session.local.media:
        assert {codec.name for codec in section.codecs} <= {"opus", "VP8"}
        assert all(encoding.rtx_ssrc is None for encoding in section.encodings)
    peer.close()

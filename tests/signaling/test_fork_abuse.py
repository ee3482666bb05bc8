"""Abuse of the static offer: each is refused with a clear cause and counted, and the victim's call goes on.

Each defence is shown to be needed in `router/engine-rs/docs/threats.md`.
"""

import secrets
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from router.metrics import default_metrics
from router.rooms import RoomLimits
from router.rtc import RTCDescription
from tests.rtc.dtls_peer import rtp
from tests.rtc.peers import StunClient, wait_for, write_check
from tests.signaling.offer_peer import OfferPeer
from tests.signaling.public import bearer, check_problem
from tests.signaling.real_router import RealRouter, real_router
from tests.signaling.test_forks import begin, join, open_peer

pytestmark = pytest.mark.e2e


@pytest.fixture
async def router() -> AsyncIterator[RealRouter]:
    async with real_router() as opened:
        yield opened


def checks_dropped(reason: str) -> float:
    value = default_metrics().registry.get_sample_value("sfu_ice_checks_dropped_total", {"reason": reason})
    return value or 0.0


class Call:
    """A victim that publishes audio: every packet must arrive, on one path, in one session."""

    def __init__(self, router: RealRouter, peer: OfferPeer) -> None:
        self.router = router
        self.peer = peer
        self.srtp = peer.protect()
        self.sequence = 0
        (self.session,) = [
            session for session in router.registry.rooms["lobby"].sessions if session.participant.identity == "victim"
        ]

    @classmethod
    async def start(cls, router: RealRouter) -> "Call":
        return cls(router, await join(router, "victim"))

    async def check_unharmed(self) -> None:
        """Fifty more packets arrive, and media still goes to the victim alone."""
        before = (await self.session.connection.get_stats())["packets_received"]
        for _ in range(50):
            self.sequence += 1
            self.peer.send(self.peer.port, self.srtp.protect(rtp(self.sequence, ssrc=99)))
        await wait_for(lambda: self.router.engine.native.counters()[0]["rtp_packets_received"] >= self.sequence)
        stats = await self.session.connection.get_stats()
        assert stats["packets_received"] >= before + 50
        assert stats["remote_address"] == self.peer.address
        assert self.session.state == "connected"


# -- checks --------------------------------------------------------------------------------------------------------


async def test_a_check_with_somebody_elses_nonce(router: RealRouter) -> None:
    victim = await Call.start(router)
    mallory, before = await open_peer(router, "mallory"), checks_dropped("foreign-peer")
    for _ in range(20):
        mallory.send_check(nonce=victim.peer.nonce)
    await wait_for(lambda: checks_dropped("foreign-peer") == before + 20)
    assert not mallory.received
    await victim.check_unharmed()
    victim.peer.close()
    mallory.close()


async def test_a_nonce_taken_before_its_owners_answer_is_of_no_use(router: RealRouter) -> None:
    """Mallory, who has heard the nonce somehow, is first with a check; the owner is told, and starts over."""
    victim, mallory = await open_peer(router, "victim"), await open_peer(router, "mallory")
    mallory.send_check(nonce=victim.nonce)
    await wait_for(lambda: mallory.received)
    check_problem(await victim.post_answer(router.http, "victim"), 409, "not-your-fork")
    assert router.count("sfu_forks_refused_total", reason="not-your-fork") == 1
    victim.nonce = secrets.token_hex(11)
    await begin(victim)
    assert (await victim.post_answer(router.http, "victim")).status_code == 201
    victim.close()
    mallory.close()


async def test_a_replayed_check_moves_nothing(router: RealRouter) -> None:
    victim, tap = await Call.start(router), await StunClient.open()
    check = victim.peer.send_check()
    for _ in range(20):
        tap.send(victim.peer.port, check)
    await victim.check_unharmed()
    media = [data for data in tap.received if 128 <= data[0] < 192 or 20 <= data[0] < 64]
    assert not media
    assert len(router.registry.rooms["lobby"].sessions) == 1
    victim.peer.close()
    tap.close()


async def test_a_replayed_check_before_the_answer_makes_no_second_fork(router: RealRouter) -> None:
    peer, tap = await open_peer(router), await StunClient.open()
    check = peer.send_check()
    await wait_for(lambda: peer.received)
    tap.send(peer.port, check)
    await wait_for(lambda: tap.received)
    assert len(router.registry.rooms["lobby"].forks.pending) == 1
    await begin(peer)
    assert (await peer.post_answer(router.http)).status_code == 201
    assert not [data for data in tap.received if data[0] >= 20]
    peer.close()
    tap.close()


async def test_ten_thousand_checks_with_random_nonces_and_the_right_password() -> None:
    """An insider's flood: it makes as many forks as its rate allows, they die, and nobody notices."""
    limits = RoomLimits(answer_timeout_s=1.0, forks_per_s_per_address=5.0, fork_burst_per_address=20)
    async with real_router(limits) as router:
        victim, mallory = await Call.start(router), await open_peer(router, "mallory")
        forks = router.registry.rooms["lobby"].forks
        offer, most = mallory.description, 0
        for number in range(10_000):
            mallory.check(mallory.port, offer.ufrag + secrets.token_hex(11), offer.password, remote="mall")
            if number % 50 == 0:
                await victim.check_unharmed()
            most = max(most, len(forks.pending))
        assert 0 < most <= 20 + 5 * 60
        assert router.engine.native.counters()[0]["transports"] <= 1 + most
        refused = router.count("sfu_forks_refused_total", reason="rate-limited")
        assert refused > 1_000
        await wait_for(lambda: len(forks.pending) == 0)
        assert router.engine.native.counters()[0]["transports"] == 1
        await victim.check_unharmed()
        victim.peer.close()
        mallory.close()


async def test_at_most_so_many_forks_wait() -> None:
    limits = RoomLimits(max_pending_forks=3, forks_per_s_per_address=0.0, forks_per_s=0.0)
    async with real_router(limits) as router:
        mallory = await open_peer(router, "mallory")
        for _ in range(10):
            mallory.send_check(nonce=secrets.token_hex(11))
        await wait_for(lambda: router.count("sfu_forks_refused_total", reason="too-many-pending") == 7)
        assert len(router.registry.rooms["lobby"].forks.pending) == 3
        late = await open_peer(router, "late")
        assert (await late.post_answer(router.http, "late")).status_code == 201, "an answer needs no place"
        mallory.close()
        late.close()


@pytest.mark.parametrize("nonce", ["abcd", "a" * 10, "a" * 65, "a" * 200, "with-a-dash-in-it", ""])
async def test_checks_with_odd_nonces(router: RealRouter, nonce: str) -> None:
    victim = await Call.start(router)
    mallory, before = await open_peer(router, "mallory"), checks_dropped("unknown-fork")
    if nonce:
        mallory.send_check(nonce=nonce)
        await wait_for(lambda: checks_dropped("unknown-fork") == before + 1)
    else:
        # The offer's own fragment is the origin's, which has no peer.
        mallory.send_check(nonce=nonce)
    assert len(router.registry.rooms["lobby"].forks.pending) == 0
    await victim.check_unharmed()
    assert not mallory.received
    victim.peer.close()
    mallory.close()


async def test_checks_without_the_password(router: RealRouter) -> None:
    victim = await Call.start(router)
    mallory, before = await StunClient.open(), checks_dropped("bad-integrity")
    ufrag = victim.peer.description.ufrag + secrets.token_hex(11)
    for _ in range(100):
        mallory.send(victim.peer.port, write_check(ufrag, "not-the-password-of-the-offer"))
    await wait_for(lambda: checks_dropped("bad-integrity") == before + 100)
    assert not mallory.received
    assert len(router.registry.rooms["lobby"].forks.pending) == 0
    await victim.check_unharmed()
    victim.peer.close()
    mallory.close()


# -- answers -------------------------------------------------------------------------------------------------------


async def test_an_answer_for_a_fork_that_is_not_mine(router: RealRouter) -> None:
    victim, mallory = await open_peer(router, "victim"), await open_peer(router, "mallory")
    await begin(victim)
    response = await mallory.post_answer(router.http, "mallory", ufrag=victim.fork_ufrag)
    check_problem(response, 409, "not-your-fork")
    assert (await victim.post_answer(router.http, "victim")).status_code == 201
    (session,) = router.registry.rooms["lobby"].sessions
    assert session.participant.identity == "victim"
    assert session.state == "connected"
    victim.close()
    mallory.close()


async def test_a_second_answer(router: RealRouter) -> None:
    victim = await Call.start(router)
    mallory = await open_peer(router, "mallory")
    check_problem(await victim.peer.post_answer(router.http, "victim"), 409, "already-answered")
    response = await mallory.post_answer(router.http, "mallory", ufrag=victim.peer.fork_ufrag)
    check_problem(response, 409, "already-answered")
    assert router.count("sfu_forks_refused_total", reason="already-answered") == 2
    await victim.check_unharmed()
    victim.peer.close()
    mallory.close()


def without_last(answer: RTCDescription) -> RTCDescription:
    return replace(answer, media=answer.media[:-1])


def with_one_more(answer: RTCDescription) -> RTCDescription:
    return replace(answer, media=(*answer.media, replace(answer.media[-1], mid="v99")))


def reordered(answer: RTCDescription) -> RTCDescription:
    media = list(answer.media)
    media[4], media[5] = media[5], media[4]
    return replace(answer, media=tuple(media))


def of_another_kind(answer: RTCDescription) -> RTCDescription:
    media = list(answer.media)
    media[0] = replace(media[1], mid="mic")
    return replace(answer, media=tuple(media))


def sending_in_a_slot(answer: RTCDescription) -> RTCDescription:
    media = [replace(section, direction="sendrecv") if section.mid == "v0" else section for section in answer.media]
    return replace(answer, media=tuple(media))


def undecided_role(answer: RTCDescription) -> RTCDescription:
    return replace(answer, dtls_role="actpass")


@pytest.mark.parametrize(
    "change", [without_last, with_one_more, reordered, of_another_kind, sending_in_a_slot, undecided_role]
)
async def test_an_answer_that_does_not_answer_the_offer(router: RealRouter, change: object) -> None:
    peer = await open_peer(router)
    await begin(peer)
    response = await peer.post_answer(router.http, change=change)  # type: ignore[arg-type]
    check_problem(response, 422, "answer-mismatch")
    assert router.count("sfu_forks_refused_total", reason="answer-mismatch") == 1
    assert not router.registry.rooms["lobby"].participants
    assert (await peer.post_answer(router.http)).status_code == 201, "the fork still waits for a better one"
    peer.close()


async def test_a_token_for_another_room(router: RealRouter) -> None:
    victim = await open_peer(router, "victim")
    await begin(victim)
    response = await victim.post_answer(router.http, "mallory", token_room="elsewhere")
    check_problem(response, 403, "wrong-room")
    anonymous = await router.http.post("/rooms/lobby/forks", content=victim.answer())
    check_problem(anonymous, 401, "unauthorized")
    assert (await victim.post_answer(router.http, "victim")).status_code == 201
    victim.close()


@pytest.mark.parametrize("nonce", ["abcd", "", "a" * 10, "a" * 65, "a" * 240, "a" * 300, "not letters", "a-b" * 5])
async def test_answers_with_odd_nonces(router: RealRouter, nonce: str) -> None:
    peer = await open_peer(router)
    response = await peer.post_answer(router.http, ufrag=peer.description.ufrag + nonce)
    check_problem(response, 400, "bad-nonce")
    assert not router.registry.rooms["lobby"].sessions
    peer.close()


async def test_an_answer_to_an_offer_that_was_replaced(router: RealRouter) -> None:
    peer = await open_peer(router)
    await router.registry.rooms["lobby"].close()
    check_problem(await peer.post_answer(router.http), 409, "stale-offer")
    await peer.fetch(router.http)
    assert (await peer.post_answer(router.http)).status_code == 201
    peer.close()


async def test_an_answer_without_the_header(router: RealRouter) -> None:
    peer = await open_peer(router)
    headers = {"Content-Type": "application/sdp", **bearer()}
    check_problem(
        await router.http.post("/rooms/lobby/forks", content=peer.answer(), headers=headers), 400, "bad-nonce"
    )
    peer.close()

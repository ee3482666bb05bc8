"""Rights against raw SRTP: what may not flow is dropped by the engine and counted, during the whole call."""

import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pylibsrtp import Session as Srtp

from router.rooms import JoinGrant, Session
from router.rooms.sources import Source
from router.signaling import SignalingSettings
from tests.rtc.peers import wait_for
from tests.signaling.offer_peer import OfferPeer, silence
from tests.signaling.public import SDP, TOKENS, check_problem
from tests.signaling.real_router import RealRouter, real_router
from tests.signaling.test_forks import begin, open_peer

pytestmark = pytest.mark.e2e
PATIENCE_S = 1.0
"""What the issue allows."""
MICROPHONE = ("cam", "scr", "snd")
"""m-lines to silence for whoever only speaks."""


@pytest.fixture
async def router() -> AsyncIterator[RealRouter]:
    async with real_router(settings=SignalingSettings()) as opened:
        yield opened


LARGE = 600
"""Bytes of payload by which a packet is known wherever it arrives."""


def write_rtp(sequence: int, mid: str, *, ssrc: int, payload_type: int = 111, size: int = 40) -> bytes:
    """With MID and a loud audio level, as the static offer numbers them (extensions 4 and 1)."""
    extension = bytes([4 << 4 | len(mid) - 1]) + mid.encode() + bytes([1 << 4, 0x80 | 20])
    extension += bytes(-len(extension) % 4)
    header = struct.pack("!BBHII", 0x90, payload_type, sequence & 0xFFFF, sequence * 960 & 0xFFFFFFFF, ssrc)
    return header + struct.pack("!HH", 0xBEDE, len(extension) // 4) + extension + bytes(size)


class Member:
    """Somebody in the room who sends what they like."""

    def __init__(self, router: RealRouter, peer: OfferPeer, session: Session) -> None:
        self.router = router
        self.peer = peer
        self.session = session
        self.srtp: Srtp = peer.protect()
        self.sequence = 0

    def speak(self, count: int = 10, mid: str = "mic", *, ssrc: int = 4_001, **how: int) -> None:
        for _ in range(count):
            self.sequence += 1
            packet = write_rtp(self.sequence, mid, ssrc=ssrc, **how)
            self.peer.send(self.peer.port, self.srtp.protect(packet))

    @property
    def heard(self) -> int:
        """RTP that came."""
        return len(self._rtp())

    @property
    def heard_large(self) -> int:
        """Of that, packets with a large payload."""
        return sum(len(data) > LARGE for data in self._rtp())

    def _rtp(self) -> list[bytes]:
        """RFC 7983 first, then RFC 5761 section 4 to leave RTCP out."""
        return [data for data in self.peer.received if 128 <= data[0] < 192 and not 64 <= data[1] & 0x7F < 96]


async def join(router: RealRouter, identity: str, *silent: str, token: str = "", **rights: Any) -> Member:
    peer = await open_peer(router, identity)
    given = token or TOKENS.issue(JoinGrant("lobby", identity, **rights))
    headers = {"Content-Type": SDP, "Fork-Ufrag": peer.fork_ufrag, "Authorization": f"Bearer {given}"}
    response = await router.http.post("/rooms/lobby/forks", content=peer.answer(silence(*silent)), headers=headers)
    assert response.status_code == 201, response.text
    await begin(peer)
    sessions = router.registry.rooms["lobby"].sessions
    (session,) = [one for one in sessions if one.id == response.json()["session"]]
    await wait_for(lambda: session.state == "connected")
    return Member(router, peer, session)


async def hears(listener: Member, speaker: Member, *, mid: str = "mic") -> None:
    """Until a packet of the speaker arrives."""
    before = listener.heard

    def speak() -> bool:
        speaker.speak(2, mid)
        return listener.heard > before

    await wait_for(speak, PATIENCE_S * 5)


async def silent_from_now(listener: Member, speaker: Member, reason: str, router: RealRouter) -> None:
    """What is sent is dropped for that reason, and none of it arrives."""
    before = router.dropped(reason)

    def is_dropped() -> bool:
        speaker.speak(1)
        return router.dropped(reason) > before

    await wait_for(is_dropped, PATIENCE_S)
    dropped = router.dropped(reason)
    speaker.speak(20, size=LARGE)
    await wait_for(lambda: router.dropped(reason) >= dropped + 20, PATIENCE_S)
    assert listener.heard_large == 0


async def test_a_source_without_right_is_refused_and_dropped_when_sent_raw(router: RealRouter) -> None:
    only_microphone: frozenset[Source] = frozenset({"microphone"})
    peer = await open_peer(router, "ada")
    token = TOKENS.issue(JoinGrant("lobby", "ada", publish_sources=only_microphone))
    headers = {"Content-Type": SDP, "Fork-Ufrag": peer.fork_ufrag, "Authorization": f"Bearer {token}"}
    refused = await router.http.post("/rooms/lobby/forks", content=peer.answer(), headers=headers)
    check_problem(refused, 403, "may-not-publish-source")
    peer.close()

    ada = await join(router, "ada", *MICROPHONE, publish_sources=only_microphone)
    eve = await join(router, "eve", "mic", *MICROPHONE, may_publish=False)
    await hears(eve, ada)
    dropped = router.dropped("unknown-stream")
    ada.speak(20, "snd", ssrc=4_002, size=LARGE)
    await wait_for(lambda: router.dropped("unknown-stream") >= dropped + 20, PATIENCE_S)
    ada.speak(20, "cam", ssrc=4_003, payload_type=96, size=LARGE)
    await wait_for(lambda: router.dropped("unknown-stream") >= dropped + 40, PATIENCE_S)
    await hears(eve, ada)
    assert eve.heard_large == 0
    assert [track.mid for track in ada.session.tracks.values()] == ["mic"]
    for member in (ada, eve):
        member.peer.close()


async def test_the_right_to_publish_taken_and_given_during_the_call(router: RealRouter) -> None:
    ada, eve = await join(router, "ada"), await join(router, "eve")
    await hears(eve, ada)
    room = router.registry.rooms["lobby"]
    room.grants.change(ada.session.participant, may_publish=False)
    await silent_from_now(eve, ada, "producer-paused", router)
    assert ada.session.participant.describe()["tracks"] == []
    room.grants.change(ada.session.participant, may_publish=True)
    await hears(eve, ada)
    room.grants.change(ada.session.participant, hidden=True)
    await silent_from_now(eve, ada, "producer-paused", router)
    for member in (ada, eve):
        member.peer.close()


async def test_the_right_to_subscribe_taken_and_given_during_the_call(router: RealRouter) -> None:
    ada, eve, bob = await join(router, "ada"), await join(router, "eve"), await join(router, "bob")
    await hears(eve, ada)
    room = router.registry.rooms["lobby"]
    room.grants.change(eve.session.participant, may_subscribe=False)
    await hears(bob, ada)
    ada.speak(5, size=LARGE)
    await wait_for(lambda: bob.heard_large > 0, PATIENCE_S)
    await hears(bob, ada)
    assert eve.heard_large == 0
    assert {slot["reason"] for slot in eve.session.describe_slots()} == {"no right to subscribe"}
    room.grants.change(eve.session.participant, may_subscribe=True)
    await hears(eve, ada)
    for member in (ada, eve, bob):
        member.peer.close()


async def test_a_token_revoked_during_the_call_ends_it(router: RealRouter) -> None:
    token = TOKENS.issue(JoinGrant("lobby", "ada"))
    ada, eve = await join(router, "ada", token=token), await join(router, "eve")
    await hears(eve, ada)
    router.registry.revocations.revoke_token(TOKENS.verify(token).token_id)
    await wait_for(lambda: router.engine.native.counters()[0]["transports"] == 1, PATIENCE_S)
    ada.speak(20, size=LARGE)
    await wait_for(lambda: router.dropped("unknown-tuple") >= 20, PATIENCE_S)
    assert eve.heard_large == 0
    assert list(router.registry.rooms["lobby"].participants) == ["eve"]
    for member in (ada, eve):
        member.peer.close()


async def test_a_hidden_participant_hears_and_is_in_no_roster(router: RealRouter) -> None:
    ada = await join(router, "ada")
    ghost = await join(router, "ghost", "mic", *MICROPHONE, hidden=True, recorder=True)
    await hears(ghost, ada)
    response = await router.http.get(
        "/rooms/lobby/roster", headers={"Authorization": f"Bearer {TOKENS.issue(JoinGrant('lobby', 'eve'))}"}
    )
    assert [participant["identity"] for participant in response.json()["participants"]] == ["ada"]
    for member in (ada, ghost):
        member.peer.close()

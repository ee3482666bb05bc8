"""Rights during a call: by source, changed by operators and newer tokens, hidden, revoked."""

import json
from typing import Any

import pytest

from router.errors import ForbiddenError
from router.rooms import JoinGrant, Session
from router.rooms.revocation import Revocation
from tests.rooms.fakes import FakeTrack, FakeWatcher, World, fake, offer, play_offer, publish_offer, section, shown


def grant(identity: str = "ada", issued_at_s: float = 1.0, **rights: Any) -> JoinGrant:
    return JoinGrant("lobby", identity, issued_at_s=issued_at_s, **rights)


async def join(world: World, given: JoinGrant, *kinds: Any, play: bool = False) -> Session:
    description = (play_offer if play else publish_offer)(*kinds)
    session = await world.registry.join("lobby", given, description, "whep")
    fake(session).connect()
    await world.settle()
    return session


def media(session: Session, mid: str) -> FakeTrack:
    return next(track for stream in fake(session).streams for track in stream.tracks if track.mid == mid)


@pytest.mark.parametrize(
    ("sources", "kind", "granted"),
    [
        ({"microphone"}, "audio", True),
        ({"microphone"}, "video", False),
        ({"camera"}, "video", True),
        ({"screen"}, "video", True),
        ({"screen"}, "audio", False),
        ({"screen-audio"}, "audio", True),
    ],
)
async def test_a_kind_without_an_allowed_source_is_refused(sources: set[str], kind: Any, granted: bool) -> None:
    world = World()
    given = grant(publish_sources=frozenset(sources))
    if granted:
        assert (await join(world, given, kind)).tracks
        return
    with pytest.raises(ForbiddenError) as caught:
        await join(world, given, kind)
    assert caught.value.slug == "may-not-publish-source"


@pytest.mark.parametrize(("mid", "allowed"), [("cam", "camera"), ("scr", "screen")])
async def test_the_mids_of_our_own_offer_name_the_source(mid: str, allowed: Any) -> None:
    world = World()
    lines = offer(section(mid, "video", "sendonly"))
    await world.registry.join("lobby", grant(publish_sources=frozenset({allowed})), lines, "whep")
    other: Any = "camera" if allowed == "screen" else "screen"
    with pytest.raises(ForbiddenError):
        await world.registry.join("lobby", grant("bob", publish_sources=frozenset({other})), lines, "whep")


async def test_half_of_a_sendrecv_line_remains() -> None:
    world = World()
    both = offer(section("0", "audio", "sendrecv"), section("1", "video", "sendrecv"))
    session = await world.registry.join("lobby", grant(publish_sources=frozenset({"microphone"})), both, "whep")
    assert [track.mid for track in session.tracks.values()] == ["0"]
    assert list(session.slots) == ["0", "1"]


async def test_a_microphone_is_no_camera_whatever_it_says() -> None:
    world = World()
    session = await join(world, grant(publish_sources=frozenset({"microphone", "camera"})))
    with pytest.raises(ForbiddenError):
        world.room.declare_tracks(session, {"1": {"source": "screen"}})
    world.room.declare_tracks(session, {"1": {"source": "camera"}})
    world.room.grants.change(session.participant, publish_sources=frozenset({"microphone", "screen"}))
    assert media(session, "1").muted
    with pytest.raises(ForbiddenError):
        world.room.declare_tracks(session, {"1": {"source": "screen"}})
    assert not media(session, "0").muted


async def test_publishing_stops_and_comes_back_without_negotiation() -> None:
    world = World()
    ada = await join(world, grant())
    eve = await join(world, grant("eve"), "video", play=True)
    watcher = FakeWatcher("bob")
    world.room.watch(watcher)
    assert shown(eve) == ["ada"]
    world.room.grants.change(ada.participant, may_publish=False)
    await world.settle()
    assert [media(ada, mid).muted for mid in ("0", "1")] == [True, True]
    assert shown(eve) == [None]
    assert watcher.messages[-1]["participant"]["tracks"] == []
    world.room.moderation.mute(grant("host", may_moderate=True), ada.tracks["1"].id, True)
    world.room.grants.change(ada.participant, may_publish=True)
    await world.settle()
    assert [media(ada, mid).muted for mid in ("0", "1")] == [False, True], "a moderator's mute is another matter"


async def test_who_may_not_subscribe_is_forwarded_nothing() -> None:
    world = World()
    await join(world, grant())
    eve = await join(world, grant("eve"), play=True)
    world.room.grants.change(eve.participant, may_subscribe=False)
    await world.settle()
    assert shown(eve) == [None]
    number = eve.participant.number
    assert world.room.speakers.silenced == [(("0",), number)]  # type: ignore[attr-defined]
    world.room.grants.change(eve.participant, may_subscribe=True)
    await world.settle()
    assert shown(eve) == ["ada"]
    assert world.room.speakers.listeners[-1] == (("0",), number)  # type: ignore[attr-defined]


async def test_a_change_counts_for_older_tokens_and_a_newer_one_brings_its_own() -> None:
    world = World()
    session = await join(world, grant(issued_at_s=1.0))
    world.room.grants.change(session.participant, may_publish=False)
    await world.registry.end_session("lobby", session.id, "ada")
    await join(world, grant("bob"))
    with pytest.raises(ForbiddenError):
        await join(world, grant(issued_at_s=1.0))
    assert (await join(world, grant(issued_at_s=2.0**40))).tracks


async def test_a_participant_is_told_its_rights_and_others_are_not() -> None:
    world = World()
    session = await join(world, grant())
    own, other = FakeWatcher("ada"), FakeWatcher("eve")
    for watcher in (own, other):
        world.room.watch(watcher)
    world.room.grants.change(session.participant, may_moderate=True, publish_sources=frozenset({"screen"}))
    (told,) = [message for message in own.messages if message["type"] == "rights"]
    assert told["rights"]["roomAdmin"] is True
    assert told["rights"]["canPublishSources"] == ["screen_share"]
    assert "rights" not in {message["type"] for message in other.messages}


async def test_a_newer_token_replaces_rights_and_an_older_one_does_not() -> None:
    world = World()
    session = await join(world, grant(issued_at_s=10.0))
    grants = world.room.grants
    grants.renew(session, grant(issued_at_s=5.0, may_publish=False))
    assert not media(session, "0").muted
    grants.renew(session, grant(issued_at_s=20.0, may_publish=False))
    assert media(session, "0").muted
    grants.renew(session, grant(issued_at_s=15.0))
    assert media(session, "0").muted, "showing an older token widens nothing"
    grants.renew(session, grant(issued_at_s=30.0))
    assert not media(session, "0").muted


async def test_hidden_and_seen_again() -> None:
    world = World()
    ada = await join(world, grant())
    watcher = FakeWatcher("eve")
    world.room.watch(watcher)
    ghost = await join(world, grant("ghost", hidden=True, recorder=True), play=True)
    state = json.loads(world.room.roster.write_state(None))
    assert [participant["identity"] for participant in state["participants"]] == ["ada"]
    assert len(watcher.messages) == 1, "nobody heard of it"
    world.room.grants.change(ghost.participant, hidden=False)
    joined = watcher.messages[-1]
    assert (joined["type"], joined["participant"]["recorder"]) == ("joined", True)
    world.room.grants.change(ada.participant, hidden=True)
    left = watcher.messages[-1]
    assert (left["type"], left["participant_id"], left["reason"]) == ("left", ada.participant.id, "hidden")
    assert media(ada, "0").muted
    before = len(watcher.messages)
    await world.registry.end_session("lobby", ada.id, "ada")
    assert len(watcher.messages) == before


async def test_moderation_goes_by_the_rights_in_force() -> None:
    world = World()
    ada = await join(world, grant())
    host = grant("host", may_moderate=True)
    session = await join(world, host, play=True)
    world.room.grants.change(session.participant, may_moderate=False)
    with pytest.raises(ForbiddenError):
        world.room.moderation.mute(host, ada.tracks["0"].id, True)
    world.room.grants.change(ada.participant, may_moderate=True)
    world.room.moderation.lock(grant(), True)
    assert world.room.roster.locked


async def test_describing_oneself_needs_the_right_to() -> None:
    world = World()
    session = await join(world, grant())
    with pytest.raises(ForbiddenError) as caught:
        world.room.describe_participant(grant(), name="Countess")
    assert caught.value.slug == "may-not-update-metadata"
    world.room.grants.change(session.participant, may_update_own_metadata=True)
    world.room.describe_participant(grant(), name="Countess", metadata="{}")
    assert (session.participant.name, session.participant.metadata) == ("Countess", "{}")


async def test_revoked_sessions_end_and_others_stay_as_long_as_their_own_tokens() -> None:
    world = World()
    first = await join(world, grant(token_id="t1", expires_at_s=1e12))
    second = await join(world, grant(token_id="t2", expires_at_s=1e11))
    eve = await join(world, grant("eve", token_id="t3"), play=True)
    assert second.participant.expires_at_s == 1e12
    world.registry.revocations.revoke_token("t1")
    await world.settle()
    assert [session.state for session in (first, second, eve)] == ["ended", "connected", "connected"]
    assert second.participant.expires_at_s == 1e11
    world.room.grants.prolong(grant(issued_at_s=0.5, token_id="t0", expires_at_s=2e12))
    assert second.participant.expires_at_s == 2e12
    world.registry.revocations.revoke_token("t0")
    assert second.participant.expires_at_s == 1e11
    world.registry.revocations.revoke_identity("eve", "another room")
    assert list(world.room.participants) == ["ada", "eve"]
    world.registry.revocations.revoked.learn(Revocation("", "", "eve", 2.0**40, 2.0**41))
    assert list(world.room.participants) == ["ada"]


async def test_who_is_hidden_by_one_token_is_not_shown_by_another() -> None:
    world = World()
    ada = await join(world, grant(issued_at_s=1.0))
    assert not media(ada, "0").muted
    await join(world, grant(issued_at_s=2.0, hidden=True), play=True)
    assert media(ada, "0").muted


async def test_the_rights_of_a_revoked_token_end_with_it() -> None:
    world = World()
    kept = await join(world, grant(issued_at_s=1.0, token_id="t1"))
    await join(world, grant(issued_at_s=2.0, token_id="t2", may_moderate=True, hidden=True), play=True)
    assert (kept.participant.rights.may_moderate, media(kept, "0").muted) == (True, True)
    world.registry.revocations.revoke_token("t2")
    assert (kept.participant.rights.may_moderate, media(kept, "0").muted) == (False, False)


async def test_changed_rights_are_remembered_within_a_cap() -> None:
    from router.rooms import RoomLimits

    world = World(RoomLimits(max_changed_rights=1))
    sessions = [await join(world, grant(name)) for name in ("ada", "bob")]
    for session in sessions:
        world.room.grants.change(session.participant, may_publish=False)
    assert world.room.grants.in_force(grant("ada")).may_publish
    assert not world.room.grants.in_force(grant("bob")).may_publish

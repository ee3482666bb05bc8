"""Muting, removing, locking: who may, what it does, what is remembered and for how long."""

import logging
from collections.abc import Callable

import pytest

from router.errors import ForbiddenError, NotFoundError, RouterError, UnauthorizedError
from router.rooms import JoinGrant, RoomLimits, Session
from router.rooms.revocation import REMOVED, Revocation
from router.rooms.revocations import Revocations
from tests.rooms.fakes import FakeTrack, FakeWatcher, World, fake, publish_offer, shown

HOST = JoinGrant("lobby", "host", may_moderate=True)
PLAIN = JoinGrant("lobby", "eve")


def media(session: Session, mid: str) -> FakeTrack:
    return next(track for stream in fake(session).streams for track in stream.tracks if track.mid == mid)


async def rejoin(world: World, identity: str, issued_at_s: float = 0.0) -> Session:
    grant = JoinGrant("lobby", identity, issued_at_s=issued_at_s)
    session = await world.registry.join("lobby", grant, publish_offer(), "whep")
    fake(session).connect()
    return session


def refusal(call: Callable[[], object]) -> tuple[type[RouterError], str]:
    with pytest.raises(RouterError) as caught:
        call()
    return type(caught.value), caught.value.slug


async def test_only_moderators_moderate() -> None:
    world = World()
    ada = await world.publish("ada")
    moderation = world.room.moderation
    calls: list[Callable[[], None]] = [
        lambda: moderation.mute(PLAIN, ada.tracks["0"].id, True),
        lambda: moderation.remove(PLAIN, ada.participant.id),
        lambda: moderation.lock(PLAIN, True),
    ]
    for call in calls:
        assert refusal(call) == (ForbiddenError, "may-not-moderate")
    assert not media(ada, "0").muted
    assert world.room.participants["ada"] is ada.participant
    assert not world.room.roster.locked


async def test_unknown_targets() -> None:
    world = World()
    await world.publish("ada")
    moderation = world.room.moderation
    assert refusal(lambda: moderation.mute(HOST, "T_ffffffff", True)) == (NotFoundError, "unknown-track")
    assert refusal(lambda: moderation.remove(HOST, "P_0")) == (NotFoundError, "unknown-participant")


async def test_a_muted_track_is_not_forwarded_whatever_its_publisher_declares() -> None:
    world = World()
    ada = await world.publish("ada")
    eve = await world.play("eve", "video")
    await world.settle()
    watcher = FakeWatcher("eve")
    world.room.watch(watcher)
    track = ada.tracks["1"]
    world.room.moderation.mute(HOST, track.id, True)
    await world.settle()
    assert media(ada, "1").muted
    assert shown(eve) == [None]
    told = watcher.messages[-2]["participant"]["tracks"]
    assert [(one["mid"], one["moderated"]) for one in told] == [("0", False), ("1", True)]

    world.room.declare_tracks(ada, {"1": {"muted": False}})
    fake(ada).set_live(False)
    fake(ada).set_live(True)
    await world.settle()
    assert media(ada, "1").muted
    assert shown(eve) == [None]

    world.room.moderation.mute(HOST, track.id, False)
    await world.settle()
    assert not media(ada, "1").muted
    assert shown(eve) == ["ada"]


async def test_a_mute_survives_coming_back_until_it_is_taken_back() -> None:
    world = World()
    ada = await world.publish("ada")
    await world.publish("bob")
    world.room.moderation.mute(HOST, ada.tracks["0"].id, True)
    await world.registry.end_session("lobby", ada.id, "ada")
    again = await rejoin(world, "ada")
    assert (media(again, "0").muted, media(again, "1").muted) == (True, False)
    assert again.participant.describe()["tracks"][0]["moderated"]

    world.room.moderation.mute(HOST, again.tracks["0"].id, False)
    await world.registry.end_session("lobby", again.id, "ada")
    assert not media(await rejoin(world, "ada"), "0").muted


async def test_mutes_are_remembered_within_a_cap() -> None:
    world = World(RoomLimits(max_moderated_tracks=2))
    sessions = [await world.publish(name, "audio") for name in ("ada", "bob", "cyd")]
    for session in sessions:
        world.room.moderation.mute(HOST, session.tracks["0"].id, True)
    await world.publish("host")
    for session in sessions:
        await world.registry.end_session("lobby", session.id, session.participant.identity)
    again = [await rejoin(world, name) for name in ("ada", "bob", "cyd")]
    assert [media(session, "0").muted for session in again] == [False, True, True]


async def test_a_removed_participant_goes_with_all_sessions_and_sockets() -> None:
    world = World()
    first, second = await world.publish("ada"), await world.publish("ada")
    eve = await world.play("eve", "video")
    own, other = FakeWatcher("ada"), FakeWatcher("eve")
    world.room.watch(own)
    world.room.watch(other)
    world.room.moderation.remove(HOST, first.participant.id)
    await world.settle()
    assert [fake(first).closed, fake(second).closed, fake(eve).closed] == [1, 1, 0]
    assert own.ended is not None
    assert own.ended[0] == "removed"
    assert other.ended is None
    left = next(message for message in other.messages if message["type"] == "left")
    assert left["reason"] == "removed"
    assert shown(eve) == [None]


async def test_who_was_removed_needs_a_newer_token_also_in_a_new_room_of_the_name() -> None:
    now_s = 1_000.5
    world = World(revocations=Revocations(now_s=lambda: now_s))
    ada = await world.publish("ada")
    await world.publish("bob")
    world.room.moderation.remove(HOST, ada.participant.id)
    for issued_at_s in (0.0, 999.0, 1_000.0):
        with pytest.raises(ForbiddenError) as caught:
            await rejoin(world, "ada", issued_at_s)
        assert caught.value.slug == "removed"
    await rejoin(world, "ada", 1_001.0)

    await world.room.close()
    await world.publish("bob")
    with pytest.raises(ForbiddenError):
        await rejoin(world, "ada", 1_000.0)
    await world.publish("ada", room="other room")
    now_s += 86_401
    await rejoin(world, "ada", 0.0)


async def test_a_removal_without_a_ban_bans_nobody() -> None:
    world = World()
    ada = await world.publish("ada")
    await world.publish("bob")
    world.room.moderation.remove(HOST, ada.participant.id, ban=False)
    assert ada.end_reason == "removed"
    assert len(world.registry.revocations) == 0
    await rejoin(world, "ada", 0.0)


async def test_a_ban_of_another_node_puts_out_who_is_here_as_removed() -> None:
    """The room was split: Redis was away, and both nodes opened it."""
    world = World(revocations=Revocations(now_s=lambda: 1_000.0))
    old, eve = await rejoin(world, "ada", 998.0), await world.publish("eve")
    elsewhere = Revocation("", "lobby", "ada", 999.5, 2_000.0, REMOVED)
    assert world.registry.revocations.removed.learn(elsewhere)
    assert (old.state, old.end_reason) == ("ended", "removed")
    assert eve.state != "ended"
    assert refusal(lambda: world.room.moderation.check_entry(JoinGrant("lobby", "ada"))) == (ForbiddenError, "removed")


async def test_what_was_revoked_since_the_token_was_verified_lets_nobody_in() -> None:
    """A join waits for its body, for its turn and for other nodes in between."""
    world = World()
    await world.publish("bob")
    verified = JoinGrant("lobby", "eve", token_id="t1")
    world.registry.revocations.revoke_token("t1")
    with pytest.raises(UnauthorizedError) as caught:
        await world.registry.join("lobby", verified, publish_offer(), "whep")
    assert caught.value.slug == "token-revoked"


async def test_a_lock_keeps_newcomers_out_and_lets_those_inside_come_back() -> None:
    world = World()
    ada = await world.publish("ada")
    await world.publish("bob")
    watcher = FakeWatcher("bob")
    world.room.watch(watcher)
    for _ in range(2):
        world.room.moderation.lock(HOST, True)
    with pytest.raises(ForbiddenError) as caught:
        await world.publish("eve")
    assert caught.value.slug == "room-locked"

    await world.registry.end_session("lobby", ada.id, "ada")
    await world.publish("ada")
    await world.registry.join("lobby", HOST, publish_offer(), "whep")
    for _ in range(2):
        world.room.moderation.lock(HOST, False)
    await world.publish("eve")
    assert [m["locked"] for m in watcher.messages if m["type"] == "locked"] == [True, False]


async def test_who_was_removed_from_a_locked_room_is_no_longer_of_it() -> None:
    world = World()
    ada = await world.publish("ada")
    world.room.moderation.lock(HOST, True)
    world.room.moderation.remove(HOST, ada.participant.id)
    with pytest.raises(ForbiddenError) as caught:
        world.room.moderation.check_entry(JoinGrant("lobby", "ada", issued_at_s=2.0**40))
    assert caught.value.slug == "room-locked"


async def test_every_action_is_logged_and_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    ada, host = await world.publish("ada"), await world.publish("host")
    moderation = world.room.moderation
    with caplog.at_level(logging.INFO, "router.rooms.moderation"):
        for muted in (True, True, False, False):
            moderation.mute(HOST, ada.tracks["0"].id, muted)
        moderation.lock(HOST, True)
        moderation.lock(HOST, False)
        moderation.remove(HOST, ada.participant.id)
    records = [(vars(r)["action"], vars(r)["actor"], vars(r)["target"]) for r in caplog.records]
    me, target = host.participant.id, ada.participant.id
    assert records == [
        ("mute", me, target),
        ("unmute", me, target),
        ("lock", me, None),
        ("unlock", me, None),
        ("remove", me, target),
    ]
    samples = next(iter(world.registry.metrics.moderation.collect())).samples
    assert {sample.labels["action"]: sample.value for sample in samples} == dict.fromkeys(
        ("mute", "unmute", "lock", "unlock", "remove"), 1.0
    )

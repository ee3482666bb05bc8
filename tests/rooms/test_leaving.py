"""Everything ends once: sessions, rooms, the registry; on a fake media layer with timers that tests turn."""

from collections import Counter

import pytest

from router import clock
from router.errors import ForbiddenError, NotFoundError
from router.rooms import JoinGrant, RoomLimits
from tests.rooms.fakes import CANDIDATE, FakeWatcher, World, fake, publish_offer, shown


async def test_a_lost_peer_leaves_and_is_closed_once() -> None:
    world = World()
    ada = await world.publish("ada")
    eve = await world.play("eve", "video")
    await world.settle()
    fake(ada).emit("disconnected", None, "consent-expired")
    await world.settle()

    assert shown(eve) == [None]
    assert "ada" not in world.room.participants
    assert fake(ada).closed == 1
    await world.registry.end_session("lobby", ada.id, "ada")
    assert fake(ada).closed == 1


async def test_a_session_that_never_connects_is_removed_in_time() -> None:
    world = World()
    session = await world.registry.join("lobby", JoinGrant("lobby", "ada"), publish_offer(), "whip")
    world.timers.advance(29.9)
    assert world.room.sessions == [session]
    world.timers.advance(0.2)
    await world.settle()

    assert session.state == "ended"
    assert fake(session).closed == 1


async def test_a_connected_session_outlives_the_connect_timeout() -> None:
    world = World()
    session = await world.publish("ada")
    world.timers.advance(3_600)
    assert session.state == "connected"


async def test_a_participant_leaves_when_the_last_of_its_grants_expires() -> None:
    world = World()
    now_s = clock.wall_s()
    grants = [JoinGrant("lobby", "ada", expires_at_s=now_s + seconds) for seconds in (100, 50, 300)]
    first = await world.registry.join("lobby", grants[0], publish_offer(), "whep")
    fake(first).connect()
    second = await world.registry.join("lobby", grants[1], publish_offer(), "whep")
    fake(second).connect()
    watcher = FakeWatcher("eve")
    world.room.watch(watcher)
    world.timers.advance(98)
    assert world.room.sessions == [first, second]
    world.room.grants.prolong(grants[2])
    world.timers.advance(299)  # counted from the renewal: the wall clock is the real one
    assert world.room.sessions == [first, second]
    world.timers.advance(3)
    await world.settle()
    assert world.room.sessions == []
    assert fake(first).closed == fake(second).closed == 1
    assert '"reason":"token-expired"' in watcher.texts[-1]


async def test_who_left_before_expiry_leaves_no_timer() -> None:
    world = World()
    grant = JoinGrant("lobby", "ada", expires_at_s=clock.wall_s() + 100)
    session = await world.registry.join("lobby", grant, publish_offer(), "whep")
    await world.registry.end_session("lobby", session.id, "ada")
    world.timers.advance(60)
    await world.settle()
    assert not world.timers.waiting


async def test_ended_sessions_are_remembered_within_a_cap() -> None:
    world = World(RoomLimits(max_ended_sessions=2))
    ids = []
    for identity in ("ada", "bob", "cyd"):
        session = await world.publish(identity)
        ids.append(session.id)
        await world.registry.end_session("lobby", session.id, identity)

    await world.registry.end_session("lobby", ids[2], "cyd")
    with pytest.raises(NotFoundError):
        await world.registry.end_session("lobby", ids[0], "ada")
    with pytest.raises(ForbiddenError):
        await world.registry.end_session("lobby", ids[2], "ada")


async def test_an_empty_room_closes_after_a_delay_and_not_before() -> None:
    world = World(RoomLimits(empty_room_delay_s=10))
    ada = await world.publish("ada")
    await world.registry.end_session("lobby", ada.id, "ada")
    world.timers.advance(9)
    bob = await world.publish("bob")
    world.timers.advance(60)
    assert "lobby" in world.registry.rooms
    await world.registry.end_session("lobby", bob.id, "bob")
    watcher = FakeWatcher("eve")
    world.room.watch(watcher)
    world.timers.advance(60)
    assert "lobby" in world.registry.rooms, "somebody watches"
    world.room.unwatch(watcher)
    world.timers.advance(10)
    await world.settle()

    assert not world.registry.rooms
    assert [origin.closed for origin in world.origins] == [1]
    assert not world.timers.waiting


async def test_closing_the_registry_closes_everything_once() -> None:
    world = World()
    for room in ("lobby", "second"):
        await world.publish("ada", room=room)
        await world.play("eve", room=room)
    watcher = FakeWatcher("ada")
    world.room.watch(watcher)
    await world.registry.close()
    await world.registry.close()

    closed = Counter(fork.closed for origin in world.origins for fork in (origin, *origin.forks))
    assert closed == {1: 6}
    assert watcher.ended is not None
    assert watcher.ended[0] == "shutting-down"
    assert not world.timers.waiting


async def test_a_failing_close_does_not_keep_the_rest_open(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    ada = await world.publish("ada")

    async def explode() -> None:
        raise OSError("no")

    monkeypatch.setattr(fake(ada), "close", explode)
    await world.registry.close()
    assert world.origins[0].closed == 1


async def test_candidates_are_capped_per_session() -> None:
    world = World(RoomLimits(max_candidates_per_session=3))
    session = await world.publish("ada")
    for _ in range(5):
        session.trickle([CANDIDATE, CANDIDATE], end_of_candidates=False)
    session.trickle([], end_of_candidates=True)

    assert fake(session).remote_candidates == [CANDIDATE] * 3 + [None]

"""Who may join how, and who then sees whom, on a fake media layer."""

import pytest

from router.errors import (
    CapacityError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RequestError,
    RouterError,
    UnprocessableError,
)
from router.rooms import JoinGrant, RoomLimits, Session, Settlement
from router.rooms.offers import OfferingEndpoint
from router.rtc.description import MediaDirection, RTCDescription, RTCMediaSection
from tests.rooms.fakes import FakeWatcher, World, fake, offer, play_offer, publish_offer, section, shown


async def test_everybody_sees_the_others_in_order_of_joining() -> None:
    world = World()
    await world.publish("ada")
    await world.publish("bob")
    eve = await world.play("eve", "video", "video", "video")
    await world.settle()
    assert shown(eve) == ["ada", "bob", None]

    await world.publish("cyd")
    await world.settle()
    assert shown(eve) == ["ada", "bob", "cyd"]


async def test_nobody_sees_themselves_even_with_two_sessions() -> None:
    world = World()
    await world.publish("ada")
    own = await world.play("ada", "video")
    await world.settle()
    assert shown(own) == [None]


async def test_a_slot_sticks_and_is_refilled_by_the_next_waiting() -> None:
    world = World()
    ada = await world.publish("ada", "video")
    await world.publish("bob", "video")
    await world.publish("cyd", "video")
    eve = await world.play("eve", "video", "video")
    await world.settle()
    assert shown(eve) == ["ada", "bob"]

    await world.registry.end_session("lobby", ada.id, "ada")
    assert shown(eve) == ["cyd", "bob"]


async def test_only_live_tracks_get_slots_and_silence_releases_them() -> None:
    world = World()
    ada = await world.registry.join("lobby", JoinGrant("lobby", "ada"), publish_offer("video"), "whip")
    eve = await world.play("eve", "video")
    await world.settle()
    assert shown(eve) == [None]

    fake(ada).connect()
    await world.settle()
    assert shown(eve) == ["ada"]

    fake(ada).set_live(False)
    await world.settle()
    assert shown(eve) == [None]


async def test_a_track_that_no_codec_carries_leaves_the_slot_to_the_next() -> None:
    world = World()
    av1 = offer(section("0", "video", "sendonly", "AV1"))
    ada = await world.registry.join("lobby", JoinGrant("lobby", "ada"), av1, "whip")
    fake(ada).connect()
    await world.publish("bob", "video")
    eve = await world.play("eve", "video", "video")
    await world.settle()
    assert shown(eve) == ["bob", None]


async def test_one_post_joins_both_ways() -> None:
    world = World()
    lines = section("0", "audio", "sendrecv"), section("1", "video", "sendonly"), section("2", "video", "recvonly")
    ada = await world.registry.join("lobby", JoinGrant("lobby", "ada"), offer(*lines), "whep")
    bob = await world.registry.join("lobby", JoinGrant("lobby", "bob"), offer(*lines), "whep")
    fake(ada).connect()
    fake(bob).connect()
    await world.settle()

    assert list(ada.tracks) == ["0", "1"]
    assert list(ada.slots) == ["0", "2"]
    assert shown(ada) == ["bob"]
    assert shown(bob) == ["ada"]


async def test_a_hundred_joins_are_one_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.publish("ada", "video")
    await world.settle()
    room, calls = world.room, 0
    original = Settlement.settle

    def count(settlement: Settlement) -> None:
        nonlocal calls
        calls += 1
        original(settlement)

    monkeypatch.setattr(Settlement, "settle", count)
    monkeypatch.setattr(room.settlement, "_now_us", lambda: 0)
    for i in range(100):
        await world.play(f"p{i}", "video")
    await world.settle()

    assert calls == 1
    assert all(shown(session) == ["ada"] for session in room.sessions if session.slots)


async def test_a_join_that_changes_nothing_looks_at_the_newcomer_only(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.publish("ada", "video")
    await world.publish("bob", "video")
    earlier = await world.play("eve", "video")
    await world.settle()
    looked_at: list[Session] = []
    original = Settlement._settle_session

    def record(settlement: Settlement, session: Session) -> None:
        looked_at.append(session)
        original(settlement, session)

    monkeypatch.setattr(Settlement, "_settle_session", record)
    newcomer = await world.play("fred", "video")
    await world.settle()
    assert looked_at == [newcomer]
    assert shown(newcomer) == ["ada"]

    await world.publish("cyd", "video")
    await world.settle()
    assert looked_at == [newcomer]
    await world.registry.end_session("lobby", world.room.sessions[0].id, "ada")
    assert looked_at == [newcomer, earlier, newcomer]
    assert shown(earlier) == ["bob"]


# -- WHIP --------------------------------------------------------------------------------------------------------


async def test_whip_answers_sendrecv_with_recvonly() -> None:
    world = World()
    both = offer(section("0", "audio", "sendrecv"))
    session = await world.registry.join("lobby", JoinGrant("lobby", "ada"), both, "whip")

    assert session.local.media[0].direction == "recvonly"
    assert not session.slots


@pytest.mark.parametrize(
    ("sections", "slug"),
    [
        ([section("0", "audio", "sendonly"), section("1", "audio", "sendonly")], "too-many-tracks"),
        ([section("0", "audio", "recvonly")], "wrong-direction"),
        ([section("0", "audio", "inactive")], "wrong-direction"),
        ([section("0", "audio", "sendonly"), RTCMediaSection("1", "data", "sendrecv")], "unusable-m-line"),
        ([], "nothing-offered"),
    ],
)
async def test_whip_refuses_the_whole_offer(sections: list[RTCMediaSection], slug: str) -> None:
    world = World()
    with pytest.raises(UnprocessableError) as caught:
        await world.registry.join("lobby", JoinGrant("lobby", "ada"), offer(*sections), "whip")
    assert caught.value.slug == slug
    assert not world.registry.rooms, "an offer that must be refused opens no room"


@pytest.mark.parametrize(("endpoint", "joins"), [("whip", False), ("whep", True)])
async def test_an_unusable_line_refuses_whip_but_not_whep(endpoint: OfferingEndpoint, joins: bool) -> None:
    world = World()
    half = offer(section("0", "audio", "sendonly"), section("1", "video", "sendonly", "unknown"))
    if joins:
        session = await world.registry.join("lobby", JoinGrant("lobby", "ada"), half, endpoint)
        assert list(session.tracks) == ["0"]
        return
    with pytest.raises(UnprocessableError):
        await world.registry.join("lobby", JoinGrant("lobby", "ada"), half, endpoint)
    assert [fork.closed for fork in world.origins[0].forks] == [1]
    assert not world.room.participants


# -- rights ------------------------------------------------------------------------------------------------------

PUBLISH_ONLY = JoinGrant("lobby", "ada", may_publish=True, may_subscribe=False)
SUBSCRIBE_ONLY = JoinGrant("lobby", "ada", may_publish=False, may_subscribe=True)
NOTHING = JoinGrant("lobby", "ada", may_publish=False, may_subscribe=False)


@pytest.mark.parametrize(
    ("grant", "direction", "endpoint", "answered"),
    [
        (PUBLISH_ONLY, "sendonly", "whip", "recvonly"),
        (PUBLISH_ONLY, "sendonly", "whep", "recvonly"),
        (PUBLISH_ONLY, "sendrecv", "whep", "recvonly"),
        (PUBLISH_ONLY, "recvonly", "whep", None),
        (SUBSCRIBE_ONLY, "sendonly", "whip", None),
        (SUBSCRIBE_ONLY, "sendrecv", "whip", None),
        (SUBSCRIBE_ONLY, "sendonly", "whep", None),
        (SUBSCRIBE_ONLY, "sendrecv", "whep", "sendonly"),
        (SUBSCRIBE_ONLY, "recvonly", "whep", "sendonly"),
        (NOTHING, "sendrecv", "whep", None),
        (NOTHING, "recvonly", "whep", None),
        (JoinGrant("other", "ada"), "sendonly", "whip", None),
    ],
)
async def test_rights_by_direction(
    grant: JoinGrant, direction: MediaDirection, endpoint: OfferingEndpoint, answered: MediaDirection | None
) -> None:
    world = World()
    await world.publish("somebody")
    description = offer(section("0", "video", direction))
    if answered is None:
        with pytest.raises(ForbiddenError):
            await world.registry.join("lobby", grant, description, endpoint)
    else:
        session = await world.registry.join("lobby", grant, description, endpoint)
        assert session.local.media[0].direction == answered


# -- refusals ----------------------------------------------------------------------------------------------------


async def refused(
    world: World,
    error: type[RouterError],
    slug: str,
    identity: str,
    description: RTCDescription,
    endpoint: OfferingEndpoint,
) -> RouterError:
    with pytest.raises(error) as caught:
        await world.registry.join("lobby", JoinGrant("lobby", identity), description, endpoint)
    assert caught.value.slug == slug
    return caught.value


async def test_the_same_identity_publishes_by_whip_once() -> None:
    world = World()
    first = await world.registry.join("lobby", JoinGrant("lobby", "ada"), publish_offer(), "whip")
    error = await refused(world, ConflictError, "already-publishing", "ada", publish_offer(), "whip")
    assert error.retry_after_s

    await world.registry.end_session("lobby", first.id, "ada")
    await world.registry.join("lobby", JoinGrant("lobby", "ada"), publish_offer(), "whip")


async def test_a_player_before_any_publisher_is_told_to_come_back() -> None:
    world = World()
    error = await refused(world, ConflictError, "no-publisher", "eve", play_offer(), "whep")
    assert error.retry_after_s
    assert not world.registry.rooms, "waiting players open no room"

    world.registry.create_room("lobby")
    await refused(world, ConflictError, "no-publisher", "eve", play_offer(), "whep")
    await world.publish("ada")
    await world.registry.join("lobby", JoinGrant("lobby", "eve"), play_offer(), "whep")


async def test_unknown_room_when_rooms_are_not_created_on_first_use() -> None:
    world = World(create_on_first_use=False)
    await refused(world, NotFoundError, "unknown-room", "ada", publish_offer(), "whip")
    await refused(world, NotFoundError, "unknown-room", "ada", play_offer(), "whep")
    world.registry.create_room("lobby")
    await world.publish("ada")


@pytest.mark.parametrize("name", ["", "x" * 129, "a/b", ".", "..", "a\nb", "a\x00b", "a\u202eb", "a\u2028b", "\ud800"])
async def test_bad_room_names(name: str) -> None:
    world = World()
    with pytest.raises(RequestError):
        await world.registry.join(name, JoinGrant(name, "ada"), publish_offer(), "whip")
    assert not world.registry.rooms


async def test_caps_hold_at_one_more() -> None:
    limits = RoomLimits(
        max_rooms=1,
        max_participants_per_room=2,
        max_sessions_per_participant=2,
        max_tracks_per_participant=3,
        max_slots_per_session=2,
    )
    world = World(limits)
    await world.publish("ada", "audio", "video")
    await refused(world, CapacityError, "too-many-tracks", "ada", publish_offer("audio", "video"), "whep")
    await refused(world, CapacityError, "too-many-slots", "ada", play_offer("audio", "video", "video"), "whep")
    await world.publish("ada", "audio")
    await refused(world, CapacityError, "too-many-sessions", "ada", play_offer("audio"), "whep")
    await world.play("bob")
    error = await refused(world, CapacityError, "room-full", "cyd", play_offer(), "whep")
    assert error.retry_after_s
    with pytest.raises(CapacityError, match="another room"):
        await world.publish("ada", room="second")
    assert len(world.room.participants) == 2
    assert len(world.room.sessions) == 3


async def test_watcher_caps() -> None:
    world = World(RoomLimits(max_watchers_per_room=3, max_watchers_per_identity=2))
    room = world.registry.create_room("lobby")
    for identity in ("ada", "ada", "bob"):
        room.watch(FakeWatcher(identity))
    for identity in ("ada", "cyd"):
        with pytest.raises(CapacityError):
            room.watch(FakeWatcher(identity))


async def test_draining_opens_no_room_and_lets_people_into_those_that_are_open() -> None:
    world = World()
    await world.publish("ada")
    world.registry.draining = True
    await world.publish("bob")
    assert len(world.room.participants) == 2
    with pytest.raises(CapacityError, match="draining") as refusal:
        await world.publish("ada", room="second")
    assert 1 <= (refusal.value.retry_after_s or 0) <= 5
    world.registry.closed = True
    await refused(world, CapacityError, "shutting-down", "cyd", publish_offer(), "whip")

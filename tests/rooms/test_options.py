"""What a room is asked to be, and what the node's caps make of it."""

from typing import Any

import pytest

from router.cluster.entries import RoomSetup, read_setup, write_setup
from router.errors import CapacityError, ConflictError, ForbiddenError, RequestError
from router.rooms import JoinGrant, RoomLimits
from router.rooms.names import MAX_METADATA_BYTES
from router.rooms.options import RoomOptions
from router.rooms.rights import Operator
from router.rooms.room import ENDED
from tests.rooms.fakes import FakeWatcher, World

OPERATOR = Operator("backend")


@pytest.mark.parametrize(
    "fields",
    [
        {"max_participants": 0},
        {"max_participants": True},
        {"max_participants": 2.0},
        {"max_participants": 10_001},
        {"empty_timeout_s": 0},
        {"empty_timeout_s": float("nan")},
        {"departure_timeout_s": -1},
        {"departure_timeout_s": "5"},
        {"metadata": "x" * (MAX_METADATA_BYTES + 1)},
        {"metadata": None},
        {"audio_slots": 0},
        {"video_slots": 45},
        {"codecs": []},
        {"codecs": ["opus"]},
        {"codecs": ["red", "VP8"]},
        {"codecs": ["opus", "VP8", "VP8"]},
        {"codecs": ["opus", "vp8"]},
        {"codecs": "opus"},
        {"codecs": [["opus"], "VP8"]},
        {"surprise": 1},
    ],
)
def test_what_a_store_may_not_say(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        RoomOptions.read(fields)


def test_options_travel_whatever_their_text() -> None:
    options = RoomOptions(5, 1, 0, "\x01" * MAX_METADATA_BYTES, 1, 0, ("opus", "AV1"))
    setup = RoomSetup(options.describe(), 7, "c" * 16, b"s" * 16)
    config, context = write_setup(setup)
    read = read_setup(config.encode(), context.encode())
    assert (RoomOptions.read(read.config), read.version) == (options, 7)
    assert RoomOptions().describe() == {}


async def test_a_room_has_its_own_cap_within_the_nodes() -> None:
    world = World(RoomLimits(max_participants_per_room=2))
    world.registry.create_room("lobby", RoomOptions(max_participants=1))
    await world.publish("ada")
    await world.publish("ada")
    with pytest.raises(CapacityError) as caught:
        await world.publish("bob")
    assert caught.value.slug == "room-full"
    world.room.change_options(RoomOptions(max_participants=10))
    await world.publish("bob")
    with pytest.raises(CapacityError):
        await world.publish("cyd")


async def test_an_unused_room_and_an_abandoned_one_have_delays_of_their_own() -> None:
    world = World()
    options = RoomOptions(empty_timeout_s=300, departure_timeout_s=5)
    world.registry.create_room("lobby", options)
    world.timers.advance(299)
    assert "lobby" in world.registry.rooms
    ada = await world.publish("ada")
    await world.registry.end_session("lobby", ada.id, "ada")
    world.timers.advance(4)
    assert "lobby" in world.registry.rooms
    world.timers.advance(1)
    assert "lobby" not in world.registry.rooms


async def test_a_changed_delay_counts_from_the_change() -> None:
    world = World()
    room = world.registry.create_room("lobby", RoomOptions(empty_timeout_s=300))
    world.timers.advance(200)
    room.change_options(RoomOptions(empty_timeout_s=10))
    world.timers.advance(9)
    assert not room.closed
    world.timers.advance(1)
    assert room.closed


async def test_metadata_is_told_to_those_inside_and_to_newcomers() -> None:
    world = World()
    room = world.registry.create_room("lobby", RoomOptions(metadata="one"))
    watcher = FakeWatcher("ada")
    room.watch(watcher)
    room.change_options(RoomOptions(metadata="two", max_participants=9))
    room.change_options(RoomOptions(metadata="two", max_participants=9))
    await world.settle()
    assert watcher.messages[0]["metadata"] == "one"
    assert [m["metadata"] for m in watcher.messages[1:] if m["type"] == "metadata"] == ["two"]
    late = FakeWatcher("bob")
    room.watch(late)
    assert late.messages[0]["metadata"] == "two"
    assert room.revision == 2


async def test_what_makes_the_offer_lasts() -> None:
    world = World()
    room, is_new = world.registry.find_or_create_room("lobby", RoomOptions(video_slots=2))
    assert (is_new, room.layout.video_slots, room.layout.audio_slots) == (True, 2, 3)
    assert world.registry.find_or_create_room("lobby", RoomOptions(video_slots=2, max_participants=3)) == (room, False)
    assert room.options.max_participants is None
    with pytest.raises(ConflictError):
        world.registry.find_or_create_room("lobby", RoomOptions(video_slots=3))
    with pytest.raises(ConflictError):
        room.change_options(RoomOptions(video_slots=3))


async def test_operators_need_no_place_in_the_room() -> None:
    world = World()
    ada = await world.publish("ada")
    bob = await world.publish("bob")
    moderation = world.room.moderation
    moderation.mute(OPERATOR, ada.tracks["0"].id, True)
    assert ada.tracks["0"].moderated
    moderation.lock(OPERATOR, True)
    assert world.room.revision == 2
    with pytest.raises(ForbiddenError):
        await world.publish("eve")
    moderation.remove(OPERATOR, bob.participant.id, ban=False)
    moderation.lock(OPERATOR, False)
    await world.publish("bob")
    moderation.remove(OPERATOR, ada.participant.id)
    with pytest.raises(ForbiddenError) as caught:
        await world.publish("ada")
    assert caught.value.slug == "removed"


async def test_an_identity_of_an_operators_name_moderates_nothing_for_that() -> None:
    world = World()
    ada = await world.publish("ada")
    with pytest.raises(ForbiddenError):
        world.room.moderation.mute(JoinGrant("lobby", "backend"), ada.tracks["0"].id, True)


async def test_who_is_in_a_room_that_an_operator_ends_is_not_invited_back() -> None:
    world = World()
    await world.publish("ada")
    watcher = FakeWatcher("ada")
    failed: list[str] = []
    watcher.fail = lambda error: failed.append(error.slug)  # type: ignore[method-assign] # to tell it from `end`
    world.room.watch(watcher)
    await world.registry.close_room(world.room, ENDED)
    assert failed == [ENDED]
    assert watcher.ended is None

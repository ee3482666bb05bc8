"""What is kept of a room for another node, and how it opens there: its offer, and its lock with whom it lets back."""

import json

import pytest

from router.cluster.entries import RoomSetup, read_setup, write_setup
from router.errors import ForbiddenError, RequestError
from router.rooms import JoinGrant
from router.rooms.names import MAX_METADATA_BYTES
from router.rooms.options import RoomOptions
from router.rooms.remembered import MAX_INSIDE_BYTES, RememberedRoom
from tests.rooms.fakes import FakeWatcher, World

HOST = JoinGrant("lobby", "host", may_moderate=True)


def carry(world: World) -> RememberedRoom:
    """What another node reads."""
    return RememberedRoom.read(json.loads(json.dumps(RememberedRoom.of(world.room).describe())))


async def lock(*identities: str) -> World:
    world = World()
    for identity in identities:
        await world.publish(identity)
    world.room.moderation.lock(HOST, True)
    return world


async def test_a_locked_room_opens_locked_for_those_who_were_inside_and_moderators() -> None:
    here = await lock("ada", "bob", "cyd")
    here.room.moderation.remove(HOST, here.room.participants["cyd"].id, ban=False)
    there = World()
    room = there.registry.open_room("lobby", carry(here))
    room.watch(watcher := FakeWatcher("ada"))
    assert watcher.messages[0]["locked"]
    for grant in (JoinGrant("lobby", "ada"), JoinGrant("lobby", "bob"), HOST):
        room.moderation.check_entry(grant)
    for stranger in ("eve", "cyd"):
        with pytest.raises(ForbiddenError) as caught:
            room.moderation.check_entry(JoinGrant("lobby", stranger))
        assert caught.value.slug == "room-locked"
    room.moderation.lock(HOST, False)
    room.moderation.check_entry(JoinGrant("lobby", "eve"))
    assert RememberedRoom.of(room).inside is None


async def test_a_room_without_a_lock_opens_without() -> None:
    here, there = World(), World()
    await here.publish("ada")
    assert not there.registry.open_room("lobby", carry(here)).roster.locked


async def test_those_who_joined_first_are_kept_and_all_fits_into_a_store() -> None:
    names = [f"{number:04}" + "\N{BOAR}" * 120 for number in range(30)]
    here = await lock(*names)
    here.room.change_options(RoomOptions(metadata="\1" * MAX_METADATA_BYTES))
    kept = carry(here).inside
    assert kept == tuple(names[: len(kept or ())])
    assert MAX_INSIDE_BYTES * 0.9 < len(json.dumps(kept)) <= MAX_INSIDE_BYTES
    setup = RoomSetup(RememberedRoom.of(here.room).describe(), 1, "Context1234", bytes(32))
    config, context = write_setup(setup)
    assert RememberedRoom.read(read_setup(config.encode(), context.encode()).config).inside == kept
    here.room.moderation.check_entry(JoinGrant("lobby", names[-1]))


@pytest.mark.parametrize("inside", [None, "ada", {}, [5], [""], ["a\nb"], ["a" * 129], ["a" * 100] * 200])
def test_what_no_router_writes_is_refused(inside: object) -> None:
    with pytest.raises(RequestError):
        RememberedRoom.read({"inside": inside})

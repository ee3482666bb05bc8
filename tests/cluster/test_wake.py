"""What is remembered of a room is in the store as soon as it changed, and a storm of changes is few turns.

All that waits here does so on a loop whose clock jumps (`virtual_time`).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import pytest

from router.cluster.directory import RoomDirectory
from router.cluster.entries import NodeEntry, RoomEntry, RoomSetup
from router.cluster.membership import MIN_GAP_S, Membership, NodeLoad
from router.cluster.memory_store import MemoryStore
from router.metrics import Metrics
from router.rooms.options import RoomOptions
from router.rooms.registry import RoomRegistry
from router.rooms.remembered import RememberedRoom
from router.rooms.rights import Operator
from router.rooms.room import Room
from tests.admin.conftest import FakeConnection
from tests.cluster import virtual_time
from tests.cluster.conftest import node

SOON_S = 0.1
ADA = Operator("ada")


class Store(MemoryStore):
    """Some milliseconds away."""

    def __init__(self) -> None:
        super().__init__(now_us=virtual_time.now_us)
        self.turns: list[float] = []

    async def write_node(self, entry: NodeEntry) -> tuple[NodeEntry, bool]:
        self.turns.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.005)
        return await super().write_node(entry)

    async def write_rooms(self, rooms: Sequence[RoomEntry], setups: Mapping[str, RoomSetup]) -> list[RoomEntry]:
        await asyncio.sleep(0.005)
        return await super().write_rooms(rooms, setups)


class Stage:
    """A node whose heart beats, with room `a`."""

    def __init__(self) -> None:
        self.store = Store()
        self.registry = RoomRegistry(FakeConnection)  # type: ignore[arg-type] # only pretends

        def describe(room: Room) -> RoomSetup:
            return RoomSetup(RememberedRoom.of(room).describe(), room.revision, "Context1234", bytes(32))

        directory = RoomDirectory(self.registry, self.store, Metrics(), 30.0, describe, now_us=virtual_time.now_us)
        load = NodeLoad(0.0, 0, 0, draining=False)
        self.membership = Membership(node(), self.store, directory, lambda: load, now_us=virtual_time.now_us)
        self.registry.on_rooms_changed = self.membership.wake

    async def __aenter__(self) -> "Stage":
        self.membership.start()
        self.room = self.registry.create_room("a")
        await asyncio.sleep(3.3)  # in the midst of a pause between heartbeats
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.membership.close()
        await self.registry.close()

    async def remembered(self) -> RememberedRoom:
        setup = await self.store.find_setup("a")
        assert setup is not None
        return RememberedRoom.read(setup.config)


def lock(stage: Stage) -> None:
    stage.room.moderation.lock(ADA, True)


def unlock(stage: Stage) -> None:
    stage.room.moderation.lock(ADA, False)


def change(stage: Stage) -> None:
    stage.room.change_options(RoomOptions(metadata="tea", max_participants=7))


@pytest.mark.parametrize("act", [lock, change])
def test_a_change_is_there_within_100_ms(act: Callable[[Stage], None]) -> None:
    async def main() -> None:
        async with Stage() as stage:
            before = await stage.remembered()
            act(stage)
            await asyncio.sleep(SOON_S)
            assert await stage.remembered() == RememberedRoom.of(stage.room) != before

    virtual_time.run(main())


def test_whom_a_moderator_puts_out_of_a_locked_room_its_lock_lets_back_nowhere() -> None:
    async def main() -> None:
        async with Stage() as stage:
            stage.room.moderation.recall_lock(["ada", "eve"])
            await asyncio.sleep(SOON_S)
            assert (await stage.remembered()).inside == ("ada", "eve")
            stage.room.moderation.recall_lock(["ada"])
            await asyncio.sleep(SOON_S)
            assert (await stage.remembered()).inside == ("ada",)

    virtual_time.run(main())


def test_what_changes_nothing_wakes_nobody() -> None:
    async def main() -> None:
        async with Stage() as stage:
            turns = len(stage.store.turns)
            unlock(stage)
            stage.room.change_options(stage.room.options)
            await asyncio.sleep(SOON_S)
            assert len(stage.store.turns) == turns

    virtual_time.run(main())


def test_a_storm_of_changes_is_a_turn_per_gap_and_its_last_state_is_there() -> None:
    async def main() -> None:
        async with Stage() as stage:
            before = len(stage.store.turns)
            for _ in range(500):
                lock(stage)
                unlock(stage)
                await asyncio.sleep(0.002)
            lock(stage)
            await asyncio.sleep(SOON_S)
            assert (await stage.remembered()).inside == ()
            turns = stage.store.turns[before:]
            gaps = [later - earlier for earlier, later in pairwise(turns)]
            assert 20 <= len(turns) <= 1.2 / MIN_GAP_S
            assert min(gaps) >= MIN_GAP_S

    virtual_time.run(main())

"""Who is told what of their video is in use: those that follow, by the events connection that said so last."""

from typing import Any

from router.rooms import Session
from tests.rooms.fakes import FakeTrack, FakeWatcher, World, fake


class Studio:
    """ada publishes and watches the room's events."""

    world: World
    ada: Session
    watcher: FakeWatcher

    async def open(self) -> "Studio":
        self.world = World()
        self.ada = await self.world.publish("ada")
        self.watcher = self.watch()
        return self

    def watch(self) -> FakeWatcher:
        watcher = FakeWatcher("ada")
        self.world.room.watch(watcher)
        watcher.texts.clear()
        return watcher

    @property
    def camera(self) -> FakeTrack:
        return next(track for stream in fake(self.ada).streams for track in stream.tracks if track.kind == "video")

    def want(self, *encodings: int) -> None:
        """The engine says what is in use."""
        self.camera.wanted = encodings
        fake(self.ada).emit("trackwanted", self.camera, encodings)


def told(watcher: FakeWatcher) -> list[Any]:
    """Which layers of the camera were wanted, by message."""
    demands = [message for message in watcher.messages if message["type"] == "demand"]
    return [[layer["rid"] for layer in demand["tracks"]["1"] if layer["wanted"]] for demand in demands]


async def test_who_does_not_follow_is_told_nothing() -> None:
    studio = await Studio().open()
    studio.want(0)
    assert studio.watcher.texts == []
    assert not studio.camera.follows


async def test_who_follows_is_told_the_state_and_its_changes() -> None:
    studio = await Studio().open()
    demand = studio.world.room.demand
    demand.follow(studio.ada, studio.watcher, True)
    assert studio.camera.follows
    studio.want(0)
    studio.want()
    assert told(studio.watcher) == [["q", "h", "f"], ["q"], []]
    message = studio.watcher.messages[-1]
    assert message["session"] == studio.ada.id
    assert list(message["tracks"]) == ["1"], "audio is always wanted"

    demand.follow(studio.ada, studio.watcher, False)
    assert not studio.camera.follows
    studio.want(0)
    assert len(told(studio.watcher)) == 3


async def test_the_latest_connection_counts() -> None:
    studio = await Studio().open()
    room, later = studio.world.room, studio.watch()
    room.demand.follow(studio.ada, studio.watcher, True)
    studio.want(2)
    room.demand.follow(studio.ada, later, True)
    assert told(later) == [["f"]], "what is in use now"
    room.unwatch(studio.watcher)
    assert studio.camera.follows, "the other one was replaced before it ended"
    studio.want(1)
    assert told(later) == [["f"], ["h"]]
    room.unwatch(later)
    assert not studio.camera.follows


async def test_a_session_that_ended_is_forgotten() -> None:
    studio = await Studio().open()
    room = studio.world.room
    room.demand.follow(studio.ada, studio.watcher, True)
    studio.watcher.texts.clear()
    await room.end_session(studio.ada, "left")
    studio.want(0)
    assert told(studio.watcher) == []

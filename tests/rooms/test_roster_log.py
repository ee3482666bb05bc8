"""Catching up: what a watcher missed is sent again while the log has it, and folding deltas gives the roster."""

import json
import random
from typing import Any

import pytest

from router.rooms import JoinGrant, RoomLimits, Since
from router.rooms.roster_log import RosterLog
from tests.rooms.fakes import FakeWatcher, World, fake, publish_offer


def make_log(texts: list[str], **limits: int) -> RosterLog:
    log = RosterLog(RoomLimits(**limits))
    for text in texts:
        log.append(text)
    return log


def test_the_log_gives_what_came_after_a_version_and_nothing_it_does_not_know() -> None:
    log = make_log(["one", "two", "three", "four"], max_log_deltas=3)
    assert log.read_since(4) == []
    assert log.read_since(2) == ["three", "four"]
    assert log.read_since(1) == ["two", "three", "four"]
    assert [log.read_since(version) for version in (0, -1, 5, 2**70)] == [None] * 4


def test_the_log_is_capped_by_bytes_too() -> None:
    assert make_log(["é" * 4] * 10, max_log_bytes=24).read_since(7) is not None
    assert make_log(["é" * 4] * 10, max_log_bytes=24).read_since(6) is None
    assert make_log(["x" * 100], max_log_bytes=24).read_since(0) is None


def fold(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """What a client knows after these messages; fails on a gap."""
    state: dict[str, Any] = {}
    for message in messages:
        kind = message["type"]
        if kind == "welcome":
            state = {**message, "participants": {p["id"]: p for p in message["participants"]}}
            continue
        if kind in ("slots", "resumed"):
            assert message.get("version", state["version"]) == state["version"]
            continue
        state["version"] += 1
        assert message["version"] == state["version"]
        if kind in ("joined", "changed"):
            participant = message["participant"]
            assert (participant["id"] in state["participants"]) == (kind == "changed")
            assert participant != state["participants"].get(participant["id"]), "a delta that changes nothing"
            state["participants"][participant["id"]] = participant
        elif kind == "left":
            del state["participants"][message["participant_id"]]
        elif kind == "speakers":
            state["speakers"] = {"dominant": message["dominant"], "recent": message["recent"]}
        else:
            assert kind == "locked"
            state["locked"] = message["locked"]
    return {**state, "participants": list(state["participants"].values())}


def read_welcome(world: World) -> dict[str, Any]:
    stranger = FakeWatcher("stranger")
    world.room.watch(stranger)
    world.room.unwatch(stranger)
    return stranger.messages[0]


@pytest.mark.parametrize("seed", range(15))
async def test_folding_the_deltas_of_any_history_gives_the_welcome_of_its_end(seed: int) -> None:
    dice = random.Random(seed)
    world = World()
    watcher, returning = FakeWatcher("eve"), FakeWatcher("fay")
    await world.publish("host")
    world.room.watch(watcher)
    world.room.watch(returning)
    world.room.unwatch(returning)
    for _ in range(50):
        await take_a_step(world, dice)
    await world.settle()

    welcome = read_welcome(world)
    assert fold(watcher.messages) == welcome
    assert welcome["participants"] == [p.describe() for p in world.room.participants.values()]
    known = returning.messages[0]
    world.room.watch(returning, Since(known["log"], known["version"]))
    assert fold(returning.messages) == welcome
    assert [message["type"] for message in returning.messages].count("welcome") == 1


async def take_a_step(world: World, dice: random.Random) -> None:
    room, name = world.room, dice.choice("abcdef")
    sessions = room.sessions[1:]
    moderator = JoinGrant("lobby", "host", may_moderate=True)
    kind = dice.choice(["join", "join", "leave", "live", "declare", "speak", "lock", "mute"])
    if kind == "join" and sum(session.participant.identity == name for session in sessions) < 4:
        grant = JoinGrant("lobby", name, dice.choice(["", "Ada", 'An "A"']), metadata=dice.choice(["", "{}", "é\n"]))
        if not room.roster.locked or name in room.participants:
            await world.registry.join("lobby", grant, publish_offer(), "whep")
    elif kind == "lock":
        room.moderation.lock(moderator, dice.random() < 0.3)
    elif sessions:
        session = dice.choice(sessions)
        track = session.tracks["0"]
        if kind == "leave":
            await world.registry.end_session("lobby", session.id, session.participant.identity)
        elif kind == "live":
            fake(session).set_live(dice.random() < 0.7)
        elif kind == "declare":
            room.declare_tracks(session, {"0": {"muted": dice.random() < 0.5}})
        elif kind == "speak":
            room.on_speakers(dice.choice([None, track]), [track])
        elif kind == "mute":
            room.moderation.mute(moderator, track.id, dice.random() < 0.5)


async def test_who_missed_too_much_or_knows_another_room_is_welcomed_anew() -> None:
    world = World(RoomLimits(max_log_deltas=2))
    await world.publish("ada", "video")
    log = read_welcome(world)["log"]
    version = world.room.roster.version
    assert version == 2
    expected = {
        (log, 0): ["joined", "changed", "resumed"],
        (log, 2): ["resumed"],
        (log, 3): ["welcome"],
        ("L_other", 2): ["welcome"],
        (log, -1): ["welcome"],
    }
    for (its_log, its_version), kinds in expected.items():
        watcher = FakeWatcher("eve")
        world.room.watch(watcher, Since(its_log, its_version))
        assert [message["type"] for message in watcher.messages] == kinds
        world.room.unwatch(watcher)
    await world.publish("bob", "video")
    watcher = FakeWatcher("eve")
    world.room.watch(watcher, Since(log, 1))
    assert [message["type"] for message in watcher.messages] == ["welcome"]


async def test_a_new_life_of_a_room_has_a_new_log() -> None:
    world = World()
    await world.publish("ada")
    first = read_welcome(world)["log"]
    await world.room.close()
    await world.publish("ada")
    assert read_welcome(world)["log"] != first


async def test_resync_sends_what_was_missed_then_says_so() -> None:
    world = World()
    ada = await world.publish("ada", "video")
    watcher = FakeWatcher("eve")
    world.room.watch(watcher)
    world.room.declare_tracks(ada, {"0": {"source": "screen"}})
    told = watcher.texts[-1]
    world.room.resync(watcher, world.room.roster.version - 1)
    assert watcher.texts[-2] == told
    assert watcher.messages[-1] == {"type": "resumed", "version": world.room.roster.version}


async def test_texts_are_shared_by_all_watchers() -> None:
    world = World()
    await world.publish("ada", "video")
    watchers = [FakeWatcher(f"w{i}") for i in range(3)]
    for watcher in watchers:
        world.room.watch(watcher)
    await world.publish("bob", "video")
    assert len({id(watcher.texts[-1]) for watcher in watchers}) == 1
    assert json.loads(watchers[0].texts[-1])["type"] == "changed"


async def test_a_joiner_is_told_in_a_constant_number_of_messages() -> None:
    counts = []
    for size in (3, 60):
        world = World()
        for i in range(size):
            await world.publish(f"p{i}", "video")
        await world.play("eve", "video", "video")
        await world.settle()
        watcher = FakeWatcher("eve")
        world.room.watch(watcher)
        counts.append([message["type"] for message in watcher.messages])
    assert counts == [["welcome", "slots"]] * 2


async def test_speakers_that_end_are_forgotten_and_unknown_ones_never_told() -> None:
    world = World()
    ada, bob = await world.publish("ada", "audio"), await world.publish("bob", "audio")
    watcher = FakeWatcher("eve")
    world.room.watch(watcher)
    tracks = [ada.tracks["0"], bob.tracks["0"]]
    for _ in range(2):
        world.room.on_speakers(tracks[0], tracks)
    await world.registry.end_session("lobby", ada.id, "ada")
    world.room.on_speakers(tracks[0], tracks)
    told = [(m["dominant"], m["recent"]) for m in watcher.messages if m["type"] == "speakers"]
    assert told == [(tracks[0].id, [track.id for track in tracks]), (None, [tracks[1].id])]

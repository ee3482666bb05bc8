"""What a room tells the event log: the order of a life, differences only, and a flood that stays bounded and true."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from router.events.entry import Entry
from router.rooms import JoinGrant
from router.rooms.chronicle import CHANGE_BURST, Judgement
from router.rooms.options import RoomOptions
from tests.rooms.fakes import FakeWatcher, World, fake, publish_offer

HOST = JoinGrant("lobby", "host", may_moderate=True)


def kinds(world: World) -> list[str]:
    return [entry.kind for entry in world.registry.events]


def read(entry: Entry) -> Any:
    return json.loads(entry.text, object_hook=lambda members: SimpleNamespace(**members))


def last(world: World) -> Any:
    return read(list(world.registry.events)[-1])


async def test_the_life_of_a_room_in_order() -> None:
    world = World()
    ada = await world.publish("ada", "audio", "video")
    room = world.room
    await world.play("bob")
    room.declare_tracks(ada, {"1": {"muted": True, "source": "camera"}})
    room.declare_tracks(ada, {"1": {"muted": False}})
    room.moderation.lock(HOST, True)
    room.moderation.lock(HOST, True)
    room.moderation.lock(HOST, False)
    room.moderation.remove(HOST, ada.participant.id)
    await room.close()
    assert kinds(world) == [
        *("room_started", "participant_joined", "track_published", "track_published"),
        *("participant_joined", "track_muted", "track_unmuted", "room_locked", "room_unlocked"),
        *("track_unpublished", "track_unpublished", "participant_left", "participant_left", "room_finished"),
    ]
    entries = list(world.registry.events)
    assert [read(entry).sequence for entry in entries] == list(range(1, len(entries) + 1))
    assert {(entry.room, read(entry).room.id) for entry in entries} == {("lobby", room.id)}
    events = [read(entry) for entry in entries]
    assert (events[11].participant.identity, events[11].reason) == ("ada", "removed")
    assert events[5].track.source == "camera"
    assert events[13].reason == "room-closed"


async def test_a_room_begins_with_what_it_is_asked_to_be() -> None:
    world = World()
    world.registry.create_room("tea", RoomOptions(metadata="the weekly", max_participants=7))
    started = read(list(world.registry.events)[-1])
    assert (started.event, started.metadata, started.max_participants) == ("room_started", "the weekly", 7)


async def test_another_life_of_a_room_is_told_apart() -> None:
    world = World()
    for _ in range(2):
        await world.registry.create_room("lobby").close()
    entries = list(world.registry.events)
    assert [entry.kind for entry in entries] == ["room_started", "room_finished"] * 2
    assert [read(entry).sequence for entry in entries] == [1, 2, 1, 2]
    lives = [read(entry).room.id for entry in entries]
    assert lives[0] == lives[1] != lives[2]


async def test_tracks_are_published_when_their_packets_flow() -> None:
    world = World()
    session = await world.registry.join("lobby", JoinGrant("lobby", "ada"), publish_offer("video"), "whep")
    assert kinds(world) == ["room_started", "participant_joined"]
    fake(session).connect()
    assert kinds(world)[2:] == ["track_published"]
    fake(session).set_live(False)
    assert kinds(world)[3:] == ["track_unpublished"]


async def test_muted_by_publisher_and_moderator_is_one_silence() -> None:
    world = World()
    ada = await world.publish("ada", "audio")
    start = len(kinds(world))
    track = ada.tracks["0"]
    world.room.moderation.mute(HOST, track.id, True)
    assert (last(world).track.moderated, last(world).track.muted) == (True, False)
    world.room.declare_tracks(ada, {"0": {"muted": True}})
    world.room.moderation.mute(HOST, track.id, False)
    world.room.declare_tracks(ada, {"0": {"muted": False}})
    assert kinds(world)[start:] == ["track_muted", "track_changed", "track_changed", "track_unmuted"]


async def test_name_and_metadata() -> None:
    world = World()
    await world.publish("ada", "audio")
    start = len(kinds(world))
    again = JoinGrant("lobby", "ada", "Ada Lovelace", metadata='{"team":1}')
    session = await world.registry.join("lobby", again, publish_offer("video"), "whep")
    assert kinds(world)[start:] == ["participant_changed"]
    assert (last(world).participant.name, last(world).participant.metadata) == ("Ada Lovelace", '{"team":1}')
    fake(session).connect()
    world.room.end_session(session, "left")
    assert kinds(world)[start + 1 :] == ["track_published", "track_unpublished"]


async def test_rights_that_an_operator_or_a_newer_token_changes() -> None:
    world = World()
    ada = await world.publish("ada", "audio")
    start = len(kinds(world))
    for _ in range(2):
        world.room.grants.change(ada.participant, may_subscribe=False)
    assert kinds(world)[start:] == ["participant_changed"]
    assert last(world).participant.identity == "ada"
    assert vars(last(world).rights) == {"canPublish": True, "canSubscribe": False, "canPublishData": True}
    newer = JoinGrant("lobby", "ada", "Ada", issued_at_s=2.0**40, publish_sources=frozenset({"microphone"}))
    world.room.grants.renew(ada, newer)
    world.room.grants.renew(ada, replace(newer, issued_at_s=2.0**41, expires_at_s=2.0**42))
    assert kinds(world)[start + 1 :] == ["participant_changed"], "a longer stay is no other right"
    assert (last(world).rights.canPublishSources, last(world).rights.canSubscribe) == (["microphone"], True)


async def test_what_nobody_can_see_is_no_event() -> None:
    world = World()
    ada = await world.publish("ada", "audio")
    start = len(kinds(world))
    for _ in range(3):
        world.room.declare_tracks(ada, {"0": {"muted": False}})
        world.room.on_track_changed(ada.tracks["0"])
    world.room.watch(FakeWatcher("eve"))
    assert kinds(world)[start:] == []


async def test_a_flood_is_told_once_a_second_and_ends_in_the_true_state() -> None:
    world = World()
    ada, bob = await world.publish("ada", "audio"), await world.publish("bob", "audio")
    start = len(kinds(world))
    for turn in range(1_000):
        world.room.declare_tracks(ada, {"0": {"muted": turn % 2 == 0}})
    told = len(kinds(world)) - start
    assert told <= CHANGE_BURST
    world.room.declare_tracks(ada, {"0": {"muted": True}})
    before = len(kinds(world))
    world.room.declare_tracks(bob, {"0": {"muted": True}})
    assert last(world).participant.identity == "bob", "others are told at once"
    world.timers.advance(1)
    assert len(kinds(world)) <= before + 2
    ada_events = [read(e) for e in world.registry.events if "track_" in e.kind]
    assert [event.track.muted for event in ada_events if event.participant.identity == "ada"][-1]
    assert [timer for timer in world.timers.waiting if timer.callback == world.room.chronicle._tell_late] == []


async def test_one_who_floods_and_leaves_is_told_of_in_order() -> None:
    world = World()
    ada = await world.publish("ada", "audio")
    for turn in range(200):
        world.room.declare_tracks(ada, {"0": {"muted": turn % 2 == 0}})
    await world.room.end_session(ada, "left")
    assert kinds(world)[-2:] == ["track_unpublished", "participant_left"]
    world.timers.advance(2)
    assert kinds(world)[-1] == "participant_left"


async def test_who_is_heard() -> None:
    world = World()
    ada, bob = await world.publish("ada", "audio"), await world.publish("bob", "audio")
    voice, other = ada.tracks["0"], bob.tracks["0"]
    world.room.on_speakers(voice, [voice, other])
    event = last(world)
    assert (event.event, event.dominant.identity) == ("contributors_changed", "ada")
    assert [c.track_id for c in event.contributors] == [voice.id, other.id]
    assert event.contributors[1].contributor == other.track.contributor
    world.room.on_speakers(voice, [voice, other])
    assert kinds(world).count("contributors_changed") == 1
    await world.room.end_session(ada, "left")
    heard = [read(e) for e in world.registry.events if e.kind == "contributors_changed"]
    assert (heard[-1].dominant, [c.identity for c in heard[-1].contributors]) == (None, ["bob"])


async def test_speakers_that_change_without_pause() -> None:
    world = World()
    ada, bob = await world.publish("ada", "audio"), await world.publish("bob", "audio")
    voices = [ada.tracks["0"], bob.tracks["0"]]
    for turn in range(501):
        world.room.on_speakers(voices[turn % 2], [voices[turn % 2]])
    assert kinds(world).count("contributors_changed") <= CHANGE_BURST
    world.timers.advance(1)
    assert last(world).dominant.identity == "ada"


async def test_quality_is_told_when_two_looks_agree() -> None:
    world = World()
    ada = (await world.publish("ada", "audio")).participant
    chronicle, start = world.room.chronicle, len(kinds(world))
    good, poor = Judgement("good", "none", "in"), Judgement("poor", "loss", "out")
    for judgement in (good, good, poor, good, poor):
        chronicle.on_quality(ada, judgement)
    assert kinds(world)[start:] == []
    chronicle.on_quality(ada, poor)
    event = last(world)
    assert (event.event, event.quality, event.before, event.impairment, event.direction) == (
        *("quality_changed", "poor", "good", "loss", "out"),
    )
    for judgement in (poor, poor, good, good, good):
        chronicle.on_quality(ada, judgement)
    assert kinds(world)[start:] == ["quality_changed", "quality_changed"]
    await world.room.close()
    chronicle.on_quality(ada, poor)
    chronicle.on_participant(ada)
    assert kinds(world)[-1] == "room_finished"


async def test_nothing_is_left_of_rooms_that_are_gone() -> None:
    world = World()
    for _ in range(3):
        await world.publish("ada")
        room = world.room
        await room.close()
        assert (room.chronicle._told, room.chronicle._late, room.chronicle._timer) == ({}, {}, None)
    assert world.registry.events._sinks == {}

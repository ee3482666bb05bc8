"""Speakers as objects: what the engine is told, and what its events mean for slots and handlers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from router.errors import ConfigError, ConflictError
from router.rtc import RTCConnection, RTCMediaStreamTrack, RTCSlot, RTCSpeakers
from tests.rtc.fake_engine import FakeEngine
from tests.rtc.offers import offer, player, section
from tests.rtc.peers import record

ADA, BOB, EVE = 1, 2, 3
LOUD = 20


@pytest.fixture
async def speakers(origin: RTCConnection) -> AsyncIterator[RTCSpeakers]:
    group = RTCSpeakers(origin, max_heard=2)
    yield group
    group.close()


def publish(origin: RTCConnection, mid: str = "a0") -> RTCMediaStreamTrack:
    fork = origin.fork()
    fork.set_description(offer(section(mid, "sendonly")))
    (stream,) = fork.get_remote_streams()
    fork.receive_stream(stream)
    return stream.tracks[0]


def listen(origin: RTCConnection, audio: int) -> tuple[RTCConnection, tuple[RTCSlot, ...]]:
    fork = origin.fork()
    fork.set_description(player(audio=audio, video=1))
    return fork, tuple(slot for slot in fork.slots if slot.kind == "audio")


@dataclass(frozen=True)
class Changed:
    """`SpeakersChanged` of the stub."""

    dominant: int | None
    recent: list[int]
    stages: list[list[int | None]]
    levels: list[tuple[int, int]]


def tell(fake: FakeEngine, dominant: int | None, recent: list[int], *stages: list[int | None]) -> None:
    (handler,) = fake.speakers_handlers.values()
    handler.on_speakers_changed(Changed(dominant, recent, list(stages), [(dominant or 0, LOUD)]))


async def test_the_engine_learns_who_competes_and_who_listens(
    origin: RTCConnection, fake: FakeEngine, speakers: RTCSpeakers
) -> None:
    ada = publish(origin)
    speakers.add_track(ada, ADA)
    _, slots = listen(origin, audio=3)
    speakers.follow(slots, EVE)
    (group,) = fake.native.speakers.values()
    assert group["max_heard"] == 2
    assert group["producers"] == {ada.producer: ADA}
    assert group["slots"] == {tuple(slot.id for slot in slots): EVE}


async def test_slots_hear_their_place_but_never_themselves(
    origin: RTCConnection, fake: FakeEngine, speakers: RTCSpeakers
) -> None:
    ada, bob, eve = (publish(origin) for _ in range(3))
    for track, participant in ((ada, ADA), (bob, BOB), (eve, EVE)):
        speakers.add_track(track, participant)
    _, guest = listen(origin, audio=3)
    _, own = listen(origin, audio=3)
    _, single = listen(origin, audio=1)
    for slots, participant in ((guest, 99), (own, BOB), (single, 99)):
        speakers.follow(slots, participant)
    assert [slot.track for slot in guest] == [None, None, None]

    tell(fake, ada.producer, [], [bob.producer, None], [ada.producer, bob.producer, eve.producer])

    assert [slot.track for slot in guest] == [ada, bob, None], "no more than two voices"
    assert [slot.track for slot in own] == [ada, eve, None], "the spare place instead of one's own"
    assert [slot.track for slot in single] == [bob]
    tell(fake, ada.producer, [], [None, None], [ada.producer, bob.producer, None])
    assert [slot.track for slot in own] == [ada, None, None]


async def test_handlers_are_told_of_speakers_and_of_what_slots_hear(
    origin: RTCConnection, fake: FakeEngine, speakers: RTCSpeakers
) -> None:
    ada, bob = publish(origin), publish(origin)
    speakers.add_track(ada, ADA)
    speakers.add_track(bob, BOB)
    fork, slots = listen(origin, audio=2)
    speakers.follow(slots, EVE)
    heard, changes = record(fork, "trackcontributors"), []
    speakers.on("speakerschanged", lambda *arguments: changes.append(arguments))
    tell(fake, ada.producer, [ada.producer or 0], [ada.producer, bob.producer, None])
    tell(fake, ada.producer, [ada.producer or 0], [ada.producer, bob.producer, None])
    assert changes == [(ada, (ada,))]
    assert [(slot.mid, [(item.id, item.level) for item in told]) for _, slot, told in heard] == [
        (slots[0].mid, [(ada.contributor, LOUD)]),
        (slots[1].mid, [(bob.contributor, None)]),
    ]


async def test_a_track_that_ends_is_named_no_more(
    origin: RTCConnection, fake: FakeEngine, speakers: RTCSpeakers
) -> None:
    ada = publish(origin)
    speakers.add_track(ada, ADA)
    producer = ada.producer
    _, slots = listen(origin, audio=2)
    speakers.follow(slots, EVE)
    tell(fake, producer, [producer or 0], [producer, None, None])
    await ada.connection.close()
    assert slots[0].track is None or slots[0].track.producer is None
    tell(fake, producer, [producer or 0], [producer, None, None])
    assert speakers.dominant is None
    assert speakers.recent == ()
    assert slots[0].track is None


async def test_a_track_received_again_competes_again(
    origin: RTCConnection, fake: FakeEngine, speakers: RTCSpeakers
) -> None:
    ada = publish(origin)
    speakers.add_track(ada, ADA)
    first = ada.producer
    ada.connection.receive_stream(ada.stream, False)
    ada.connection.receive_stream(ada.stream)
    (group,) = fake.native.speakers.values()
    assert group["producers"] == {first: ADA, ada.producer: ADA}
    assert ada.producer != first


async def test_slots_that_listen_are_not_assigned_by_hand(
    origin: RTCConnection, fake: FakeEngine, speakers: RTCSpeakers
) -> None:
    ada = publish(origin)
    fork, slots = listen(origin, audio=1)
    speakers.follow(slots, EVE)
    assert not slots[0].can_show(ada)
    with pytest.raises(ConflictError, match="follows"):
        slots[0].assign(ada)
    fork.send_stream(ada.stream)
    assert fake.native.slots[slots[0].id]["producer"] is None


async def test_what_cannot_speak_or_listen_is_refused(origin: RTCConnection, speakers: RTCSpeakers) -> None:
    video = publish(origin, "v0")
    with pytest.raises(ConfigError, match="audio"):
        speakers.add_track(video, ADA)
    fork, slots = listen(origin, audio=1)
    with pytest.raises(ConfigError, match="audio slot"):
        speakers.follow(fork.slots, EVE)
    speakers.follow(slots, EVE)
    with pytest.raises(ConfigError, match="shows nothing"):
        speakers.follow(slots, EVE)


async def test_closing_is_idempotent(fake: FakeEngine, speakers: RTCSpeakers) -> None:
    speakers.close()
    speakers.close()
    assert not fake.native.speakers
    assert not fake.speakers_handlers

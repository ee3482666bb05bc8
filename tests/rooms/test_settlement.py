"""Who is looked at and what is assigned as a room changes: counted in a room of a thousand, compared in random ones."""

import random
from collections.abc import Callable
from typing import cast

import pytest

from router.rooms import RoomLimits, Session, Settlement
from router.rooms.assignment import SlotView, assign_tracks
from router.rooms.participant import PublishedTrack
from router.rooms.ranking import Ranking
from router.rooms.settlement import SLICE_US
from router.rooms.wishes import NO_WISH
from router.rtc.description import Kind
from tests.rooms.fakes import FakeSlot, FakeWatcher, World, fake, shown

SLOTS = 9
CROWD = 1_000
VIDEO: list[Kind] = ["video"] * SLOTS


class Counter:
    """Counts looks at sessions and assignments of slots."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looked_at = self.assigned = self.turns = 0
        self._wrap(monkeypatch, Settlement, "_settle_session", "looked_at")
        self._wrap(monkeypatch, Settlement, "settle", "turns")
        self._wrap(monkeypatch, FakeSlot, "assign", "assigned")

    def _wrap(self, monkeypatch: pytest.MonkeyPatch, owner: type, method: str, counter: str) -> None:
        original = getattr(owner, method)

        def count(*arguments: object) -> object:
            setattr(self, counter, getattr(self, counter) + 1)
            return original(*arguments)

        monkeypatch.setattr(owner, method, count)

    def take(self) -> tuple[int, int]:
        found = self.looked_at, self.assigned
        self.looked_at = self.assigned = self.turns = 0
        return found


async def finish(world: World) -> None:
    settlement = world.room.settlement
    while settlement._turn is not None:
        await world.settle()


def track_of(session: Session, kind: str = "video") -> PublishedTrack:
    return next(track for track in session.tracks.values() if track.kind == kind)


async def crowd(world: World, publishers: int, size: int = CROWD) -> list[Session]:
    """So many publish sound and a camera, the rest of `size` watches."""
    published = [await world.publish(f"speaker{i}") for i in range(publishers)]
    for i in range(size - publishers):
        await world.play(f"p{i}", *VIDEO)
    await finish(world)
    return published


@pytest.fixture
def world() -> World:
    return World(RoomLimits(max_participants_per_room=2 * CROWD))


async def test_a_join_into_full_slots_looks_at_the_newcomer_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await crowd(world, SLOTS + 1)
    counter = Counter(monkeypatch)
    newcomer = await world.play("newcomer", *VIDEO)
    await finish(world)
    assert counter.take() == (1, SLOTS)
    assert shown(newcomer) == [f"speaker{i}" for i in range(SLOTS)]

    await world.publish("quiet", "audio", "video")
    await finish(world)
    assert counter.take() == (0, 0)


async def test_a_camera_joins_into_empty_slots_of_all(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await crowd(world, 2)
    counter = Counter(monkeypatch)
    await world.publish("third", "video")
    await finish(world)
    watching = CROWD - 2
    assert counter.take() == (watching, watching)
    await world.play("newcomer", "video")
    await finish(world)
    assert counter.take() == (1, 1)


async def test_a_new_speaker_enters_everybodys_slots_and_one_who_is_shown_costs_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = await crowd(world, SLOTS + 3)
    counter = Counter(monkeypatch)
    late, shown_already = (track_of(published[i], "audio") for i in (SLOTS + 2, 3))
    world.room.on_speakers(late, [late])
    await finish(world)
    watching = CROWD - len(published)
    assert counter.take() == (watching, watching)
    assert shown(world.room.sessions[-1]).count(f"speaker{SLOTS + 2}") == 1

    world.room.on_speakers(shown_already, [shown_already, late])
    await finish(world)
    assert counter.take() == (0, 0)


async def test_a_leave_looks_only_where_it_was_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    published = await crowd(world, SLOTS + 3)
    counter = Counter(monkeypatch)
    watching = CROWD - len(published)
    for unseen in (published[-1], world.room.sessions[-1]):
        await world.registry.end_session("lobby", unseen.id, unseen.participant.identity)
        await finish(world)
    assert counter.take() == (0, 0)

    await world.registry.end_session("lobby", published[0].id, "speaker0")
    await finish(world)
    assert counter.take() == (watching - 1, watching - 1)
    assert "speaker9" in shown(world.room.sessions[-1])


async def test_a_pin_concerns_its_session_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    published = await crowd(world, SLOTS + 3, 100)
    counter = Counter(monkeypatch)
    viewer, other = world.room.sessions[-2:]
    pinned = track_of(published[-1])
    world.room.declare_wishes(viewer, {"4": {"track_id": pinned.id}})
    await finish(world)
    assert counter.take() == (1, 2)
    assert shown(viewer)[4] == "speaker11"
    assert shown(viewer)[8] == "speaker4", "who had that slot takes the one of the last in rank"
    assert "speaker11" not in shown(other)

    fake(published[-1]).set_live(False)
    await finish(world)
    assert shown(viewer)[4] is None
    fake(published[-1]).set_live(True)
    await finish(world)
    assert shown(viewer)[4] == "speaker11"
    assert counter.take() == (2, 2)

    await world.registry.end_session("lobby", published[-1].id, "speaker11")
    await finish(world)
    assert shown(viewer)[4] == "speaker8", "the pin went with the track"
    assert counter.take() == (1, 1)


async def test_large_changes_are_sliced_and_end_on_the_true_state(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = await crowd(world, SLOTS + 3)
    clock = SlowClock(monkeypatch, world.room.settlement, look_us=100)
    counter = Counter(monkeypatch)
    first, second = (track_of(published[i], "audio") for i in (-1, -2))
    world.room.on_speakers(first, [first])
    await world.settle()
    partly = counter.looked_at
    assert 0 < partly < CROWD - len(published), "a slice must not do everything"
    world.room.on_speakers(second, [second])
    await finish(world)
    watching = [session for session in world.room.sessions if session.slots]
    assert all(shown(session).count("speaker10") == 1 for session in watching)
    assert not any("speaker11" in shown(session) for session in watching)
    assert clock.longest_us(counter.turns, counter.looked_at) <= SLICE_US + 100


class SlowClock:
    """Each reading comes later: a look costs `look_us`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, settlement: Settlement, look_us: int) -> None:
        self._look_us = look_us
        self._now_us = 0
        monkeypatch.setattr(settlement, "_now_us", self._read)

    def _read(self) -> int:
        self._now_us += self._look_us
        return self._now_us

    def longest_us(self, turns: int, looks: int) -> float:
        return looks / turns * self._look_us


async def test_a_failing_slot_does_not_stop_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await crowd(world, 1, 4)
    _, broken, *others = world.room.sessions
    monkeypatch.setattr(fake(broken).slots[1], "assign", cast(Callable[[object], None], lambda _track: 1 / 0))
    await world.publish("ada", "video")
    monkeypatch.setattr(world.room.settlement, "_schedule", lambda: None)
    with pytest.raises(ZeroDivisionError):
        world.room.settlement.settle()
    world.room.settlement.settle()
    assert [shown(session)[1] for session in others] == ["ada", "ada"]


@pytest.mark.parametrize("seed", range(20))
async def test_after_any_history_everybody_sees_what_a_fresh_look_gives(seed: int) -> None:
    dice = random.Random(seed)
    world = World(RoomLimits(max_sessions_per_participant=3))
    await world.publish("host", "video")
    for step in range(60):
        await take_a_step(world, dice)
        if step % 3 == 0:
            await finish(world)
            check_fresh_look(world)
    await finish(world)
    check_fresh_look(world)


async def take_a_step(world: World, dice: random.Random) -> None:
    name = dice.choice("abcdefgh")
    sessions = world.room.sessions
    if len(sessions) < 3 or dice.random() < 0.25:
        mine = sum(session.participant.identity == name for session in sessions)
        if mine < 3:
            await (world.publish(name, "video") if dice.random() < 0.6 else world.play(name, *VIDEO[:4]))
        return
    session = dice.choice(sessions[1:])
    kind = dice.choice(["leave", "live", "speak", "declare", "wish", "wish", "moderate"])
    tracks = [track for one in sessions for track in one.tracks.values()]
    if kind == "leave" and len(sessions) > 3:
        await world.registry.end_session("lobby", session.id, session.participant.identity)
    elif kind == "live":
        fake(session).set_live(dice.random() < 0.5)
    elif kind == "speak" and tracks:
        recent = dice.sample(tracks, min(len(tracks), 3))
        world.room.on_speakers(recent[0], recent)
    elif kind == "declare" and session.tracks:
        fields = {"source": dice.choice(["camera", "screen"]), "muted": dice.random() < 0.3}
        world.room.declare_tracks(session, dict.fromkeys(session.tracks, fields))
    elif kind == "wish" and session.slots:
        others = [track.id for track in tracks if track.session.participant is not session.participant]
        wish = {"track_id": dice.choice([None, *others]), "paused": dice.random() < 0.2}
        world.room.declare_wishes(session, {dice.choice(list(session.slots)): wish})
    elif kind == "moderate" and tracks:
        track = dice.choice(tracks)
        track.moderated = not track.moderated
        world.room.on_track_changed(track)


def check_fresh_look(world: World) -> None:
    ranking: Ranking = world.room.settlement.ranking
    showable = {t.id for s in world.room.sessions for t in s.tracks.values() if t.showable}
    assert {track.id for track in ranking} == showable
    for session in world.room.sessions:
        views = []
        for mid in session.slots:
            wish = session.wishes.get(mid, NO_WISH)
            views.append(SlotView(mid, session.shown[mid], wish.track_id, wish.paused))
        fresh = assign_tracks(views, ranking, receiver_id=session.participant.id, can_show=lambda *_: True)
        assert fresh.shows == tuple(session.shown.values())
        shown(session)
    assert not world.room.settlement._queue


async def test_nothing_is_kept_of_a_room_that_emptied(world: World) -> None:
    published = await crowd(world, 3, 12)
    viewer = world.room.sessions[-1]
    world.room.declare_wishes(viewer, {"0": {"track_id": track_of(published[0]).id}})
    room = world.room
    room.watch(FakeWatcher("eve"))
    for session in room.sessions:
        await world.registry.end_session("lobby", session.id, session.participant.identity)
    await finish(world)
    settlement = room.settlement
    kept = [settlement._video, settlement._depths, settlement._by_depth, settlement._pins, settlement._untold]
    assert kept == [{}] * len(kept)
    assert len(settlement.ranking) == len(settlement._queue) == 0

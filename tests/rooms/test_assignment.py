"""The assignment policy by table, and its invariants on random rooms."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rooms.assignment import Assignment, SlotView, assign_tracks
from router.rooms.ranking import Ranking, TrackView

ADA, BOB, CYD, DAN = (TrackView(name, f"P_{name}") for name in ("ada", "bob", "cyd", "dan"))
OWN = TrackView("own", "P_receiver")
SCREEN = TrackView("screen", "P_bob", "screen")


def rank(tracks: Iterable[TrackView], speakers: Iterable[str] = ()) -> Ranking:
    ranking = Ranking()
    for track in tracks:
        ranking.put(track)
    ranking.set_speakers([f"P_{name}" for name in speakers])
    return ranking


def slots(*shows: str | None) -> list[SlotView]:
    return [SlotView(str(i), show) for i, show in enumerate(shows)]


def assign(some_slots: list[SlotView], ranking: Ranking) -> Assignment:
    return assign_tracks(some_slots, ranking, receiver_id="P_receiver", can_show=lambda *_: True)


ALL = [ADA, BOB, CYD, DAN]
PINNED_DAN, PINNED_NOBODY = SlotView("p", pin="dan"), SlotView("p", pin="off")
PAUSED = SlotView("z", shows="ada", pin="ada", paused=True)

TABLE: dict[str, tuple[list[SlotView], Ranking, tuple[str | None, ...], int | None]] = {
    "no slot": ([], rank([ADA]), (), 0),
    "nobody there": (slots(None), rank([]), (None,), None),
    "who came first": (slots(None, None), rank(ALL), ("ada", "bob"), 2),
    "fewer tracks than slots": (slots(None, None), rank([ADA]), ("ada", None), None),
    "as many tracks as slots": (slots(None), rank([ADA]), ("ada",), 1),
    "sticky in its slot": (slots("bob", None), rank(ALL), ("bob", "ada"), 2),
    "refilled when it ended": (slots("bob", "gone"), rank(ALL), ("bob", "ada"), 2),
    "released when it ended": (slots("gone"), rank([]), (None,), None),
    "claimed twice keeps the first": (slots("ada", "ada"), rank([ADA, BOB]), ("ada", "bob"), 2),
    "a speaker takes the slot of the last": (slots("ada", "bob"), rank(ALL, ["dan"]), ("ada", "dan"), 2),
    "speakers who are shown do not move": (slots("ada", "bob"), rank(ALL, ["bob", "ada"]), ("ada", "bob"), 2),
    "a screen comes first": (slots("ada", "bob"), rank([*ALL, SCREEN], ["dan"]), ("screen", "dan"), 2),
    "never one's own": (slots(None, None), rank([OWN, BOB]), ("bob", None), None),
    "one's own is stepped over": (slots("ada"), rank([ADA, OWN], ["receiver"]), ("ada",), 2),
    "never one's own though shown": (slots("own"), rank([OWN]), (None,), None),
    "a pin is shown": ([PINNED_DAN, *slots(None)], rank(ALL), ("dan", "ada"), 1),
    "a pin comes before speakers": ([PINNED_DAN], rank(ALL, ["bob"]), ("dan",), 0),
    "a pinned track leaves its other slot": ([*slots("dan"), PINNED_DAN], rank(ALL), ("ada", "dan"), 1),
    "a pinned track that is off keeps its slot dark": ([PINNED_NOBODY, *slots(None)], rank(ALL), (None, "ada"), 1),
    "a second pin of a track waits": ([PINNED_DAN, PINNED_DAN], rank(ALL), ("dan", None), 0),
    "one's own cannot be pinned": ([SlotView("p", pin="own")], rank([OWN]), (None,), 0),
    "a paused slot shows nothing": ([PAUSED], rank(ALL), (None,), 0),
    "what a paused slot pins may be seen elsewhere": ([PAUSED, *slots(None)], rank(ALL), (None, "ada"), 1),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(name: str) -> None:
    some_slots, ranking, shows, depth = TABLE[name]
    assert assign(some_slots, ranking) == Assignment(shows, depth)


CODECS: dict[str, tuple[list[SlotView], set[tuple[str, str]], tuple[str | None, ...]]] = {
    "a slot takes only what it can carry": (slots(None, None), {("0", "ada")}, ("bob", "ada")),
    "what no slot carries is skipped": (slots(None, None), {("0", "ada"), ("1", "ada")}, ("bob", "cyd")),
    "a slot left over takes a later track": (slots(None, None), {("1", "ada"), ("1", "bob")}, ("ada", "cyd")),
    "a later track that is shown stays": (slots(None, "cyd"), {("1", "ada"), ("1", "bob")}, ("ada", "cyd")),
    "a pin that the slot cannot carry": ([SlotView("0", pin="ada")], {("0", "ada")}, (None,)),
}


@pytest.mark.parametrize("name", CODECS)
def test_slots_of_different_codecs(name: str) -> None:
    some_slots, impossible, shows = CODECS[name]

    def can_show(slot: SlotView, track: TrackView) -> bool:
        return (slot.mid, track.id) not in impossible

    assert assign_tracks(some_slots, rank(ALL), receiver_id="x", can_show=can_show).shows == shows


ids = st.sampled_from("abcdefgh")
owners = st.sampled_from(["P_w", "P_x", "P_y", "P_receiver"])
tracks = st.lists(
    st.builds(TrackView, ids, owners, st.sampled_from(["camera", "screen"])), unique_by=lambda t: t.id, max_size=8
)
rankings = st.builds(rank, tracks, st.lists(st.sampled_from("wxy"), unique=True))
receivers = st.lists(st.builds(SlotView, st.just("m"), st.none() | ids, st.none() | ids, st.booleans()), max_size=6)


@given(receivers, rankings)
def test_everybody_at_most_once_and_nobody_themselves(some_slots: list[SlotView], ranking: Ranking) -> None:
    shown = [track_id for track_id in assign(some_slots, ranking).shows if track_id is not None]
    assert len(shown) == len(set(shown))
    for track_id in shown:
        track = ranking.get(track_id)
        assert track is not None
        assert track.participant_id != "P_receiver"


@given(receivers, rankings)
def test_wishes_are_honoured(some_slots: list[SlotView], ranking: Ranking) -> None:
    pinned: set[str] = set()
    for slot, shown in zip(some_slots, assign(some_slots, ranking).shows, strict=True):
        if slot.paused:
            assert shown is None
        elif slot.pin is not None:
            track = ranking.get(slot.pin)
            possible = track is not None and track.participant_id != "P_receiver" and slot.pin not in pinned
            assert shown == (slot.pin if possible else None)
            pinned.add(slot.pin)


@given(receivers, rankings)
def test_the_first_of_the_ranking_are_shown_and_stay_where_they_are(
    some_slots: list[SlotView], ranking: Ranking
) -> None:
    shows = assign(some_slots, ranking).shows
    free = [i for i, slot in enumerate(some_slots) if slot.pin is None and not slot.paused]
    by_pin = {shows[i] for i in range(len(shows)) if i not in free}
    others = [t.id for t in ranking if t.participant_id != "P_receiver" and t.id not in by_pin]
    assert {shows[i] for i in free} - {None} == set(others[: len(free)])
    stays: set[str] = set()
    for i in free:
        before = some_slots[i].shows
        if before in others[: len(free)] and before not in stays:
            assert shows[i] == before
            stays.add(before)


@given(receivers, rankings)
def test_the_same_again_changes_nothing(some_slots: list[SlotView], ranking: Ranking) -> None:
    first = assign(some_slots, ranking)
    assert assign(some_slots, ranking) == first
    again = [SlotView(s.mid, t, s.pin, s.paused) for s, t in zip(some_slots, first.shows, strict=True)]
    assert assign(again, ranking) == first


@given(receivers, rankings, st.data())
def test_beyond_its_depth_the_ranking_does_not_matter(
    some_slots: list[SlotView], ranking: Ranking, data: st.DataObject
) -> None:
    first = assign(some_slots, ranking)
    if first.depth is None:
        return
    settled = [SlotView(s.mid, t, s.pin, s.paused) for s, t in zip(some_slots, first.shows, strict=True)]
    head = data.draw(st.permutations(list(ranking)[: first.depth]))
    pins = {slot.pin for slot in some_slots}
    tail = [track for track in list(ranking)[first.depth :] if track.id in pins or data.draw(st.booleans())]
    # Cameras only: the order is then that of coming.
    other = rank(TrackView(track.id, track.participant_id) for track in [*head, *tail])
    assert assign(settled, other).shows == first.shows

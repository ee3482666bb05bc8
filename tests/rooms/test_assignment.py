"""The assignment policy by table, and its invariants on random rooms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rooms.assignment import LiveTracks, SlotView, TrackView, assign_tracks
from router.rtc.description import Kind

ADA = TrackView("ada-video", "video", "ada")
ADA_AUDIO = TrackView("ada-audio", "audio", "ada")
BOB = TrackView("bob-video", "video", "bob")
CYD = TrackView("cyd-video", "video", "cyd")
CYD_SCREEN = TrackView("cyd-screen", "video", "cyd")
OWN = TrackView("own", "video", "receiver")


def slots(*shows: str | None) -> list[SlotView]:
    return [SlotView(str(i), "video", show) for i, show in enumerate(shows)]


TABLE: dict[str, tuple[list[SlotView], list[TrackView], tuple[str | None, ...]]] = {
    "no slot": ([], [ADA], ()),
    "nobody there": (slots(None), [], (None,)),
    "in order of joining": (slots(None, None), [ADA, BOB, CYD], ("ada-video", "bob-video")),
    "fewer tracks than slots": (slots(None, None), [ADA], ("ada-video", None)),
    "sticky though others joined earlier": (slots("cyd-video"), [ADA, BOB, CYD], ("cyd-video",)),
    "refilled by the next waiting": (slots("bob-video", "gone"), [ADA, BOB, CYD], ("bob-video", "ada-video")),
    "released when it ended": (slots("gone"), [], (None,)),
    "no track twice": (slots("ada-video", None), [ADA], ("ada-video", None)),
    "claimed twice keeps the first": (slots("ada-video", "ada-video"), [ADA, BOB], ("ada-video", "bob-video")),
    "never one's own": (slots(None, None), [OWN, BOB], ("bob-video", None)),
    "never one's own though shown": (slots("own"), [OWN], (None,)),
    "by kind": ([SlotView("0", "audio"), SlotView("1", "video")], [ADA, ADA_AUDIO], ("ada-audio", "ada-video")),
    "all tracks of one participant": (slots(None, None), [CYD, CYD_SCREEN], ("cyd-video", "cyd-screen")),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(name: str) -> None:
    some_slots, tracks, expected = TABLE[name]
    assert assign_tracks(some_slots, LiveTracks(tracks), receiver_id="receiver", can_show=lambda *_: True) == expected


def test_slot_takes_only_what_its_codecs_carry() -> None:
    def can_show(slot: SlotView, track: TrackView) -> bool:
        return (slot.mid, track.id) != ("0", "ada-video")

    chosen = assign_tracks(slots(None, None), LiveTracks([ADA, BOB]), receiver_id="receiver", can_show=can_show)

    assert chosen == ("bob-video", "ada-video")


ids = st.text("ab", min_size=1, max_size=3)
kinds: st.SearchStrategy[Kind] = st.sampled_from(["audio", "video"])
rooms = st.lists(st.builds(TrackView, ids, kinds, st.sampled_from("wxyz")), unique_by=lambda t: t.id, max_size=12)
receivers = st.lists(st.builds(SlotView, st.just("m"), kinds, st.none() | ids), max_size=8)


@given(receivers, rooms)
def test_invariants(some_slots: list[SlotView], tracks: list[TrackView]) -> None:
    by_id = {track.id: track for track in tracks}
    # The media layer never shows a track in a slot of the other kind.
    some_slots = [s for s in some_slots if s.shows is None or s.shows not in by_id or by_id[s.shows].kind == s.kind]

    chosen = assign_tracks(some_slots, LiveTracks(tracks), receiver_id="x", can_show=lambda *_: True)

    given_out = [track_id for track_id in chosen if track_id is not None]
    assert len(given_out) == len(set(given_out))
    for slot, track_id in zip(some_slots, chosen, strict=True):
        if track_id is not None:
            assert by_id[track_id].kind == slot.kind
            assert by_id[track_id].participant_id != "x"
    for kind in ("audio", "video"):
        waiting = {t.id for t in tracks if t.kind == kind and t.participant_id != "x"} - set(given_out)
        empty = [s for s, t in zip(some_slots, chosen, strict=True) if s.kind == kind and t is None]
        assert not (waiting and empty), "a slot is empty though somebody waits"
    again = [SlotView(s.mid, s.kind, t) for s, t in zip(some_slots, chosen, strict=True)]
    assert assign_tracks(again, LiveTracks(tracks), receiver_id="x", can_show=lambda *_: True) == chosen

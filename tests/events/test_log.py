"""Ids, places, what is kept, and who is told."""

import json

import pytest

from router.events.model import (
    KINDS,
    NodeStarted,
    ParticipantInfo,
    ParticipantLeft,
    RoomFinished,
    RoomStarted,
    TrackInfo,
    TrackMuted,
)
from tests.events.entries import Reader, open_log


def test_an_entry_is_json_with_livekits_names() -> None:
    log = open_log()
    log.node = "N_1"
    room = log.open_room("lobby", "R_1")
    room.append(RoomStarted("", 0))
    room.append(ParticipantLeft(ParticipantInfo("P_1", "ada", "Ada\nLovelace", "{}"), "left"))
    assert json.loads(list(log)[1].text) == {
        "id": f"{log.id}-2",
        "event": "participant_left",
        "created_at": 1000,
        "time": 1000.25,
        "sequence": 2,
        "node": "N_1",
        "room": {"id": "R_1", "sid": "R_1", "name": "lobby"},
        "participant": {"id": "P_1", "identity": "ada", "name": "Ada\nLovelace", "metadata": "{}", "sid": "P_1"},
        "reason": "left",
    }
    assert "\n" not in list(log)[1].text


def test_a_track_has_livekits_names_too() -> None:
    log = open_log()
    track = TrackInfo("T_1", "video", "camera", 77, muted=True, moderated=False)
    log.open_room("lobby", "R_1").append(TrackMuted(ParticipantInfo("P_1", "ada", "", ""), track))
    told = json.loads(next(iter(log)).text)["track"]
    assert (told["id"], told["sid"], told["kind"], told["type"]) == ("T_1", "T_1", "video", "VIDEO")


def test_sequences_belong_to_one_life_of_a_room_and_numbers_to_the_log() -> None:
    log = open_log()
    first, other = log.open_room("a", "R_1"), log.open_room("b", "R_2")
    first.append(RoomStarted("", 0))
    other.append(RoomStarted("", 0))
    first.append(RoomFinished("empty", 1.0))
    again = log.open_room("a", "R_3")
    again.append(RoomStarted("", 0))
    log.append(NodeStarted("1"))
    told = [(e, json.loads(e.text)) for e in log]
    places = [(e.number, e.room, text.get("room", {}).get("id"), text["sequence"]) for e, text in told]
    assert places == [
        (1, "a", "R_1", 1),
        (2, "b", "R_2", 1),
        (3, "a", "R_1", 2),
        (4, "a", "R_3", 1),
        (5, None, None, 1),
    ]


def test_the_latest_are_kept_by_number_and_by_size() -> None:
    log = open_log(max_entries=3)
    for _ in range(5):
        log.append(NodeStarted("1"))
    assert [entry.number for entry in log] == [3, 4, 5]
    small = open_log(max_entries=100, max_chars=2 * len(next(iter(log)).text))
    for _ in range(5):
        small.append(NodeStarted("1"))
    assert [entry.number for entry in small] == [4, 5]


def test_reading_on_from_an_id() -> None:
    log = open_log(max_entries=3)
    for _ in range(5):
        log.append(NodeStarted("1"))

    def since(number: int, log_id: str = log.id) -> tuple[list[int], bool]:
        entries, complete = log.read_since(f"{log_id}-{number}")
        return [entry.number for entry in entries], complete

    assert since(5) == ([], True)
    assert since(3) == ([4, 5], True)
    assert since(2) == ([3, 4, 5], True)
    assert since(1) == ([3, 4, 5], False), "2 is gone"
    assert since(6) == ([3, 4, 5], False), "from the future"
    assert since(4, "E_0000000000000000") == ([3, 4, 5], False), "of another life"
    for wrong in ("", "4", f"{log.id}-", f"{log.id}--1", f"{log.id}-4\n", f"{log.id}-" + "9" * 5_000, "\ud800"):
        assert log.read_since(wrong)[1] is False


def test_sinks_are_told_in_order_until_they_leave_or_the_log_ends() -> None:
    log, one, other = open_log(), Reader(), Reader()
    log.subscribe(one)
    log.append(NodeStarted("1"))
    log.subscribe(other)
    log.append(NodeStarted("2"))
    log.unsubscribe(one)
    log.unsubscribe(one)
    log.append(NodeStarted("3"))
    log.end()
    log.end()
    log.append(NodeStarted("4"))
    assert [entry.number for entry in one.entries] == [1, 2]
    assert [entry.number for entry in other.entries] == [2, 3]
    assert (one.ended, other.ended) == (0, 1)
    late = Reader()
    log.subscribe(late)
    assert late.ended == 1


def test_a_sink_may_leave_while_it_is_told() -> None:
    log = open_log()

    class Once(Reader):
        def offer(self, entry: object) -> None:
            log.unsubscribe(self)
            super().offer(entry)  # type: ignore[arg-type]

    one, other = Once(), Reader()
    log.subscribe(one)
    log.subscribe(other)
    log.append(NodeStarted("1"))
    log.append(NodeStarted("2"))
    assert (len(one.entries), len(other.entries)) == (1, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_are_slugs_of_their_class(kind: str) -> None:
    assert KINDS[kind].__name__.lower() == kind.replace("_", "")

"""Rooms and people at a glance, and that asking for it costs little however many there are."""

from typing import Any

import httpx
import pytest

from router.admin.figures import read_figures, read_totals
from router.admin.overview import Overview, RoomOverview
from router.admin.overview_examples import OVERVIEW, ROOM_OVERVIEW
from router.admin.survey import MAX_PER_LOOK, MIN_GAP_US, Survey
from router.rooms.session import Session
from tests.admin.conftest import Router, bandwidth_stats, encoding, quality, slot_stats, transport_stats


class CountedConnection:
    """Says how often it was asked."""

    def __init__(self, **changes: Any) -> None:
        self.asked = 0
        self.stats = transport_stats(**changes)

    async def get_stats(self) -> Any:
        self.asked += 1
        return self.stats

    async def close(self) -> None:
        pass


def measure(session: Session, **changes: Any) -> CountedConnection:
    connection = session.connection = CountedConnection(**changes)  # type: ignore[assignment]
    return connection


def publishing(**changes: Any) -> dict[str, Any]:
    producer = transport_stats()["producers"][0]
    return {"producers": [{**producer, "encodings": [encoding(**changes)]}]}


def test_loss_is_that_since_the_look_before() -> None:
    before = read_totals(transport_stats(**publishing(packets_received=100, packets_lost=50)))  # type: ignore[arg-type]
    now = transport_stats(**publishing(packets_received=175, packets_lost=75))
    figures = read_figures(now, before)  # type: ignore[arg-type]
    assert figures.loss_in == 0.25
    assert read_figures(now, None).loss_in is None  # type: ignore[arg-type]
    repaired = transport_stats(**publishing(packets_received=200, packets_lost=40))
    assert read_figures(repaired, before).loss_in == 0  # type: ignore[arg-type]


def test_figures_of_a_session() -> None:
    slots = [
        slot_stats(bitrate_bps=300_000, limited_by="bandwidth", quality=quality(category="poor")),
        slot_stats(bitrate_bps=100_000, producer=None, limited_by="bandwidth", quality=None),
    ]
    figures = read_figures(transport_stats(slots=slots), None)  # type: ignore[arg-type]
    assert (figures.bitrate_in, figures.bitrate_out, figures.limited) == (500_000, 400_000, 1)
    assert (figures.estimate, figures.round_trip_time, figures.quality) == (840_000, 0.02, "poor")
    assert figures.loss_out == pytest.approx(bandwidth_stats()["loss"], abs=1e-4)
    reported = read_figures(transport_stats(slots=slots, bandwidth=None), None)  # type: ignore[arg-type]
    assert reported.loss_out == pytest.approx(300_000 * 0.25 / 400_000, abs=1e-4)


async def test_overview_of_rooms(router: Router, client: httpx.AsyncClient) -> None:
    quiet, busy = router.registry.create_room("quiet"), router.registry.create_room("Busy")
    router.add_session(quiet, "ada")
    measure(router.add_session(busy, "bob"), slots=[slot_stats(quality=quality(category="lost"))])
    measure(router.add_session(busy, "cyd"))
    body = (await client.get("/v1/overview")).json()
    assert [room["name"] for room in body["rooms"]] == ["Busy", "quiet"]
    assert body["total"] == 2
    assert body["rooms"][0]["figures"]["bitrate_in"] == 1_000_000
    assert body["rooms"][0]["figures"]["quality"] == "lost"
    assert body["rooms"][0]["figures"]["measured"] == 2
    assert body["rooms"][1]["figures"]["measured"] == 0
    assert body["rooms"][1]["figures"]["quality"] is None
    assert body["node"]["state"] == "serving"
    assert (body["node"]["rooms"], body["node"]["participants"]) == (2, 3)
    assert body["node"]["counters"]["pictures"] == {"180": 0, "720": 0, "none": 0}
    found = (await client.get("/v1/overview", params={"search": "QUI"})).json()
    assert [room["name"] for room in found["rooms"]] == ["quiet"]


async def test_an_engine_that_is_gone_is_told(router: Router, client: httpx.AsyncClient) -> None:
    router.engine_alive = False
    assert (await client.get("/v1/overview")).json()["node"]["counters"] is None


async def test_the_latest_events_can_be_had(router: Router, client: httpx.AsyncClient) -> None:
    router.registry.create_room("a")
    log = router.registry.events
    after = (await client.get("/v1/overview")).json()["recent_events"]
    entries, complete = log.read_since(after)
    assert complete
    assert [entry.kind for entry in entries] == ["room_started"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("name", ["a", "b", "c"]),
        ("size", ["c", "a", "b"]),
        ("bitrate", ["b", "a", "c"]),
        ("quality", ["b", "a", "c"]),
        ("loss", ["a", "b", "c"]),
    ],
)
async def test_orders(router: Router, client: httpx.AsyncClient, sort: str, order: list[str]) -> None:
    rooms = {name: router.registry.create_room(name) for name in "abc"}
    measure(router.add_session(rooms["a"], "ada"), bandwidth={**bandwidth_stats(), "loss": 0.5})
    measure(
        router.add_session(rooms["b"], "bob"), slots=[slot_stats(bitrate_bps=9e6, quality=quality(category="poor"))]
    )
    for name in ("cyd", "dan"):
        router.add_session(rooms["c"], name)
    body = (await client.get("/v1/overview", params={"sort": sort})).json()
    assert [room["name"] for room in body["rooms"]] == order


async def test_overview_of_a_room(router: Router, client: httpx.AsyncClient) -> None:
    room = router.registry.create_room("a")
    session = router.add_session(room, "ada")
    measure(session)
    track = next(iter(session.tracks.values()))
    track.live, track.source = True, "camera"
    router.add_session(room, "<b>bob</b>")
    body = (await client.get("/v1/rooms/a/overview")).json()
    assert body["room"]["participants"] == 2
    assert body["room"]["tracks"] == 1
    assert [person["identity"] for person in body["participants"]] == ["<b>bob</b>", "ada"]
    ada = body["participants"][1]
    assert ada["sources"] == [{"source": "camera", "kind": "video", "live": True, "muted": False}]
    assert ada["figures"]["estimate"] == 840_000
    page = (await client.get("/v1/rooms/a/overview", params={"offset": 1, "limit": 1})).json()
    assert [person["identity"] for person in page["participants"]] == ["ada"]
    assert page["total"] == 2


async def test_a_thousand_rooms_are_looked_at_in_turn(router: Router, client: httpx.AsyncClient) -> None:
    asked = []
    for number in range(1000):
        room = router.registry.create_room(f"room-{number:04}")
        asked.append(measure(router.add_session(room, "ada")))
    now = [0]
    survey = Survey(router.registry, now_us=lambda: now[0])
    for turn in range(1, 1000 // MAX_PER_LOOK + 1):
        await survey.look()
        await survey.look()
        assert sum(connection.asked for connection in asked) == turn * MAX_PER_LOOK
        now[0] += MIN_GAP_US
    assert {connection.asked for connection in asked} == {1}
    last = router.registry.rooms["room-0999"]
    assert survey.of_room(last).measured == 1
    await survey.look(last.sessions)
    assert asked[-1].asked == 2, "whom somebody looks at comes first"
    body = (await client.get("/v1/overview", params={"offset": 990, "limit": 100})).json()
    assert len(body["rooms"]) == 10
    assert body["total"] == 1000


async def test_nobody_is_asked_twice_in_one_look(router: Router) -> None:
    connection = measure(router.add_session(router.registry.create_room("a"), "ada"))
    await Survey(router.registry, now_us=lambda: 0).look()
    assert connection.asked == 1


async def test_who_left_is_forgotten(router: Router) -> None:
    room = router.registry.create_room("a")
    measure(router.add_session(room, "ada"))
    now = [0]
    survey = Survey(router.registry, now_us=lambda: now[0])
    await survey.look()
    assert survey.of_room(room).measured == 1
    room.roster.tell_left(room.participants.pop("ada"), "left")
    now[0] = MIN_GAP_US
    await survey.look()
    assert survey.of_room(room).measured == 0


def test_examples_are_true() -> None:
    assert Overview.model_validate(OVERVIEW).model_dump(mode="json") == OVERVIEW
    assert RoomOverview.model_validate(ROOM_OVERVIEW).model_dump(mode="json") == ROOM_OVERVIEW

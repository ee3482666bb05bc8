"""Creating, changing, locking and closing rooms by the admin API."""

from typing import Any

import httpx
import pytest

from router.rooms import RoomLimits
from tests.admin.conftest import TOKEN, Router, open_client
from tests.rooms.fakes import FakeWatcher, World

FULL = {
    "name": "dé jà",
    "max_participants": 20,
    "empty_timeout_s": 300,
    "departure_timeout_s": 0.5,
    "metadata": '{"topic":"tea"}',
    "locked": True,
    "audio_slots": 1,
    "video_slots": 2,
    "codecs": ["opus", "AV1"],
}


async def test_a_room_is_made_as_asked_for(world: World, api: httpx.AsyncClient) -> None:
    reply = await api.post("/v1/rooms", json=FULL)
    assert reply.status_code == 201, reply.text
    assert reply.headers["location"] == "/v1/rooms/d%C3%A9%20j%C3%A0"
    body = reply.json()
    assert {name: body[name] for name in FULL} == FULL
    room = world.registry.rooms["dé jà"]
    assert room.layout.codecs == ("opus", "AV1")
    assert reply.headers["etag"] == f'"{room.id}-2"'
    assert (await api.get(reply.headers["location"])).json() == body


async def test_a_room_that_is_open_is_answered_as_it_is(world: World, api: httpx.AsyncClient) -> None:
    first = await api.post("/v1/rooms", json={"name": "lobby", "metadata": "one"})
    again = await api.post("/v1/rooms", json={"name": "lobby", "metadata": "two", "locked": True})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    other = await api.post("/v1/rooms", json={"name": "lobby", "video_slots": 1})
    assert (other.status_code, other.json()["slug"]) == (409, "room-exists")


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        ({}, "bad-request"),
        ({"name": 5}, "bad-request"),
        ({"name": ""}, "bad-name"),
        ({"name": "a/b"}, "bad-room-name"),
        ({"name": "a\nb"}, "bad-name"),
        ({"name": "x" * 10_000}, "bad-name"),
        ({"name": "a", "surprise": 1}, "bad-request"),
        ({"name": "a", "max_participants": 501}, "bad-room-options"),
        ({"name": "a", "max_participants": 0}, "bad-request"),
        ({"name": "a", "metadata": "x" * 4_097}, "bad-metadata"),
        ({"name": "a", "codecs": ["opus"]}, "bad-room-options"),
        ({"name": "a", "codecs": ["MPEG"]}, "bad-request"),
        ({"name": "a", "locked": 1}, "bad-request"),
    ],
)
async def test_what_makes_no_room(world: World, api: httpx.AsyncClient, body: dict[str, Any], slug: str) -> None:
    reply = await api.post("/v1/rooms", json=body)
    assert (reply.status_code, reply.json()["slug"]) == (400, slug), reply.text
    assert len(reply.content) < 1_000
    assert not world.registry.rooms


async def test_no_more_rooms_than_the_router_may_have() -> None:
    world = World(RoomLimits(max_rooms=1))
    async with open_client(Router(world.registry).app()) as api:
        api.headers["Authorization"] = f"Bearer {TOKEN}"
        assert (await api.post("/v1/rooms", json={"name": "a"})).status_code == 201
        reply = await api.post("/v1/rooms", json={"name": "b"})
        assert (reply.status_code, reply.json()["slug"]) == (503, "too-many-rooms")
        assert reply.headers["retry-after"]
        world.registry.draining = True
        assert (await api.post("/v1/rooms", json={"name": "b"})).json()["slug"] == "draining"
        assert (await api.post("/v1/rooms", json={"name": "a"})).status_code == 200
    await world.registry.close()


async def test_changes_are_in_force_and_told_when_they_are_answered(world: World, api: httpx.AsyncClient) -> None:
    await world.publish("ada")
    watcher = FakeWatcher("ada")
    world.room.watch(watcher)
    reply = await api.patch("/v1/rooms/lobby", json={"max_participants": 1, "metadata": "tea", "locked": True})
    assert reply.status_code == 200, reply.text
    assert (reply.json()["max_participants"], reply.json()["metadata"], reply.json()["locked"]) == (1, "tea", True)
    await world.settle()
    assert {message["type"] for message in watcher.messages} >= {"metadata", "locked"}
    changed, locked = list(world.registry.events)[-2:]
    assert (changed.kind, locked.kind) == ("room_changed", "room_locked")
    assert '"metadata":"tea","max_participants":1' in changed.text
    reply = await api.patch("/v1/rooms/lobby", json={"max_participants": None})
    assert (reply.json()["max_participants"], reply.json()["metadata"]) == (500, "tea")


@pytest.mark.parametrize(
    "body", [{"name": "other"}, {"video_slots": 1}, {"metadata": None}, {"locked": None}, {"max_participants": 501}, []]
)
async def test_what_cannot_be_changed(world: World, api: httpx.AsyncClient, body: Any) -> None:
    await api.post("/v1/rooms", json={"name": "lobby"})
    revision = world.room.revision
    assert (await api.patch("/v1/rooms/lobby", json=body)).status_code == 400
    assert world.room.revision == revision


async def test_nobody_overwrites_what_they_did_not_read(world: World, api: httpx.AsyncClient) -> None:
    read = (await api.post("/v1/rooms", json={"name": "lobby"})).headers["etag"]
    first = await api.patch("/v1/rooms/lobby", json={"metadata": "mine"}, headers={"If-Match": read})
    assert first.status_code == 200
    for method, path, body in (
        ("PATCH", "", {"metadata": "theirs"}),
        ("POST", "/lock", None),
        ("POST", "/unlock", None),
        ("DELETE", "", None),
    ):
        late = await api.request(method, f"/v1/rooms/lobby{path}", json=body, headers={"If-Match": read})
        assert (late.status_code, late.json()["slug"]) == (412, "precondition-failed"), (method, path)
    assert (world.room.options.metadata, world.room.roster.locked) == ("mine", False)
    tags = f'"other", {first.headers["etag"]}'
    assert (await api.post("/v1/rooms/lobby/lock", headers={"If-Match": tags})).status_code == 200
    assert (await api.post("/v1/rooms/lobby/unlock", headers={"If-Match": "*"})).status_code == 200
    read = (await api.get("/v1/rooms/lobby")).headers["etag"]
    await world.publish("ada")
    assert (await api.get("/v1/rooms/lobby")).headers["etag"] == read, "comings and goings change no tag"
    assert (await api.delete("/v1/rooms/lobby", headers={"If-Match": read})).status_code == 204
    again = await api.post("/v1/rooms", json={"name": "lobby"})
    assert again.headers["etag"] != read, "another life of the room"


async def test_lock_and_unlock(world: World, api: httpx.AsyncClient) -> None:
    await api.post("/v1/rooms", json={"name": "lobby"})
    for path, locked in (("lock", True), ("lock", True), ("unlock", False), ("unlock", False)):
        reply = await api.post(f"/v1/rooms/lobby/{path}")
        assert (reply.status_code, reply.json()["locked"]) == (200, locked)
    assert world.room.revision == 3


async def test_closing_tells_those_inside_and_ends_all(world: World, api: httpx.AsyncClient) -> None:
    session = await world.publish("ada")
    watcher = FakeWatcher("ada")
    world.room.watch(watcher)
    reply = await api.delete("/v1/rooms/lobby")
    assert (reply.status_code, reply.content) == (204, b"")
    assert watcher.ended is not None
    assert watcher.ended[0] == "room-ended"
    assert session.state == "ended"
    assert world.origins[0].closed == 1, "when it is answered"
    assert (await api.delete("/v1/rooms/lobby")).json()["slug"] == "unknown-room"

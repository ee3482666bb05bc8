import httpx
import pytest

from tests.admin.conftest import Router


async def test_empty(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/rooms")).json() == {"items": [], "next_cursor": None}


async def test_room_in_numbers(router: Router, client: httpx.AsyncClient) -> None:
    room = router.registry.create_room("lobby")
    router.add_session(room, "ada", tracks=2)
    router.add_session(room, "ada", tracks=0)
    router.add_session(room, "bob")
    reply = await client.get("/v1/rooms/lobby")
    body = reply.json()
    created = body.pop("created_at")
    assert created.endswith("Z")
    assert reply.headers["etag"] == f'"{room.id}-1"'
    assert body == {
        "id": room.id,
        "name": "lobby",
        "metadata": "",
        "max_participants": 500,
        "empty_timeout_s": 30.0,
        "departure_timeout_s": 30.0,
        "audio_slots": 3,
        "video_slots": 9,
        "codecs": ["red", "opus", "VP8", "VP9", "H264", "AV1"],
        "participants": 2,
        "sessions": 3,
        "tracks": 3,
        "watchers": 0,
        "locked": False,
        "version": 2,
    }


async def test_pages_cover_all_rooms_once_although_some_close(router: Router, client: httpx.AsyncClient) -> None:
    for number in range(7):
        router.registry.create_room(f"room-{number}")
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await client.get("/v1/rooms", params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        seen += [room["name"] for room in page["items"]]
        cursor = page["next_cursor"]
        if len(seen) == 4:
            await router.registry.rooms["room-3"].close()
    assert seen == [f"room-{number}" for number in range(7)]


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        ("/v1/rooms/none", 404, "unknown-room"),
        ("/v1/rooms/none/participants", 404, "unknown-room"),
        ("/v1/rooms/a/participants/none", 404, "unknown-participant"),
        ("/v1/rooms/a/participants/none/stats", 404, "unknown-participant"),
        ("/v1/rooms?limit=0", 400, "bad-request"),
        ("/v1/rooms?limit=x", 400, "bad-request"),
        ("/v1/rooms?cursor=%C3%A4", 400, "bad-cursor"),
        ("/v1/rooms?cursor=_w", 400, "bad-cursor"),
        ("/v1/nothing", 404, "unknown-path"),
    ],
)
async def test_refusals_are_problems(
    router: Router, client: httpx.AsyncClient, path: str, status: int, slug: str
) -> None:
    router.registry.create_room("a")
    reply = await client.get(path)
    assert (reply.status_code, reply.json()["slug"]) == (status, slug)
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["type"] == f"urn:fork-router:problem:{slug}"


async def test_wrong_method_is_a_problem(client: httpx.AsyncClient) -> None:
    reply = await client.delete("/v1/rooms")
    assert (reply.status_code, reply.json()["slug"]) == (405, "method-not-allowed")


async def test_bad_parameter_names_itself(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/rooms?limit=0")).json()["detail"].startswith("limit: expected")

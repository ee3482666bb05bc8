"""What is refused before a route is called says what was expected where; HEAD is GET without a body."""

import asyncio

import httpx
import pytest

from tests.admin.conftest import TOKEN, Router, open_client
from tests.rooms.fakes import World


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("/v1/rooms", {}, "name: required"),
        ("/v1/rooms", {"name": "a", "colour": "red"}, "colour: unknown"),
        ("/v1/rooms", [], "body: expected an object"),
        (
            "/v1/rooms",
            {"name": "a", "max_participants": 0},
            "max_participants: expected a number greater than or equal to 1",
        ),
        ("/v1/tokens/revocations", {}, "body: expected either token_id, or identity with or without room"),
        (
            "/v1/tokens",
            {"room": "a", "identity": "b", "rights": {"can_publish_sources": ["window"]}},
            "rights.can_publish_sources.0: expected 'camera', 'microphone', 'screen_share' or 'screen_share_audio'",
        ),
        ("/v1/rooms", {"name": "a", "x" * 100: 1}, "x" * 64 + ": unknown"),
    ],
)
async def test_a_refusal_says_what_was_expected_where(
    api: httpx.AsyncClient, path: str, body: object, detail: str
) -> None:
    reply = await api.post(path, json=body)
    assert (reply.status_code, reply.json()["slug"], reply.json()["detail"]) == (400, "bad-request", detail)


async def test_a_wrong_method_is_told_all_right_ones(world: World, api: httpx.AsyncClient) -> None:
    await world.publish("ada")
    for path, allowed in (
        ("/v1/rooms", "GET, HEAD, POST"),
        ("/v1/rooms/lobby", "DELETE, GET, HEAD, PATCH"),
        ("/v1/rooms/lobby/lock", "POST"),
        ("/healthz", "GET, HEAD"),
    ):
        reply = await api.put(path)
        assert (reply.status_code, reply.json()["slug"], reply.headers["allow"]) == (405, "method-not-allowed", allowed)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v1/rooms", "/v1/rooms/lobby", "/metrics", "/v1/rooms/none"])
async def test_head_is_get_without_a_body(world: World, api: httpx.AsyncClient, path: str) -> None:
    await world.publish("ada")
    whole, head = await api.get(path), await api.head(path)
    assert (head.status_code, head.headers["content-type"]) == (whole.status_code, whole.headers["content-type"])
    assert whole.content
    assert not head.content


async def test_head_of_a_stream_ends(api: httpx.AsyncClient) -> None:
    async with asyncio.timeout(10):
        reply = await api.head("/v1/events")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


async def test_head_of_what_is_not_to_be_read_is_refused(router: Router) -> None:
    async with open_client(router.app()) as client:
        assert (await client.head("/v1/rooms")).status_code == 401
        assert (await client.head("/v1/rooms/a/lock", headers={"Authorization": f"Bearer {TOKEN}"})).status_code == 405

"""`Idempotency-Key`: the store of answers by itself, and requests that come twice, at once, and with other bodies."""

import asyncio

import httpx
import pytest

from router.admin.idempotency import LIFETIME_US, MAX_REPLY_BYTES, Replies, Reply, check_key
from router.admin.tokens import AdminToken, AdminTokens
from router.errors import CapacityError, ConflictError, RequestError, UnprocessableError
from router.rooms import JoinGrant
from tests.admin.conftest import TOKEN, Router, open_client
from tests.rooms.fakes import World

OK = Reply(201, ((b"content-type", b"application/json"),), b"{}")
KEY = {"Idempotency-Key": "0f8c5e0e"}


class Clock:
    us = 0

    def __call__(self) -> int:
        return self.us


def fill(replies: Replies, key: str, reply: Reply = OK) -> None:
    assert replies.begin(("a", key), b"f") is None
    replies.finish(("a", key), reply)


def test_the_same_is_answered_again_another_refused_a_third_waits() -> None:
    replies = Replies()
    assert replies.begin(("a", "k"), b"f") is None
    with pytest.raises(ConflictError) as caught:
        replies.begin(("a", "k"), b"f")
    assert (caught.value.slug, caught.value.retry_after_s) == ("request-in-progress", 1)
    replies.finish(("a", "k"), OK)
    assert replies.begin(("a", "k"), b"f") is OK
    with pytest.raises(UnprocessableError):
        replies.begin(("a", "k"), b"other")
    assert replies.begin(("b", "k"), b"other") is None, "another token's key is another key"


@pytest.mark.parametrize("status", [400, 404, 409, 429, 500, 503])
def test_refusals_are_not_kept(status: int) -> None:
    replies = Replies()
    fill(replies, "k", Reply(status, (), b""))
    assert len(replies) == 0
    assert replies.begin(("a", "k"), b"other") is None


def test_answers_are_forgotten_by_number_by_size_and_by_age() -> None:
    clock = Clock()
    replies = Replies(max_entries=3, max_bytes=10_000, now_us=clock)
    for key in "12345":
        fill(replies, key)
    assert len(replies) == 3
    assert replies.begin(("a", "5"), b"f") is OK
    assert replies.begin(("a", "1"), b"f") is None, "the earliest was forgotten"
    replies.abandon(("a", "1"))

    large = Reply(200, (), b"x" * 4_000)
    for key in "abc":
        fill(replies, key, large)
    assert len(replies) == 2
    fill(replies, "d", Reply(200, (), b"x" * (MAX_REPLY_BYTES + 1)))
    assert replies.begin(("a", "d"), b"f") is None
    replies.abandon(("a", "d"))

    assert replies.begin(("a", "c"), b"f") is large
    clock.us += LIFETIME_US + 1
    assert replies.begin(("a", "c"), b"f") is None


def test_requests_under_way_are_neither_forgotten_nor_without_limit() -> None:
    replies = Replies(max_entries=2)
    for key in "12":
        assert replies.begin(("a", key), b"f") is None
    with pytest.raises(CapacityError):
        replies.begin(("a", "3"), b"f")
    with pytest.raises(ConflictError):
        replies.begin(("a", "1"), b"f")
    replies.abandon(("a", "2"))
    assert replies.begin(("a", "3"), b"f") is None


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "é"])
def test_wrong_keys(key: str) -> None:
    with pytest.raises(RequestError):
        check_key(key)


async def test_a_post_sent_again_is_not_done_again(world: World, api: httpx.AsyncClient) -> None:
    first = await api.post("/v1/rooms", json={"name": "lobby"}, headers=KEY)
    await world.room.close()
    again = await api.post("/v1/rooms", json={"name": "lobby"}, headers=KEY)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["location"] == "/v1/rooms/lobby"
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert not world.registry.rooms
    other = await api.post("/v1/rooms", json={"name": "other"}, headers=KEY)
    assert (other.status_code, other.json()["slug"]) == (422, "idempotency-key-reused")
    elsewhere = await api.post("/v1/rooms/lobby/lock", headers=KEY)
    assert elsewhere.json()["slug"] == "idempotency-key-reused"
    assert not world.registry.rooms


async def test_a_refusal_may_fare_better_the_next_time(world: World, api: httpx.AsyncClient) -> None:
    assert (await api.post("/v1/rooms/lobby/lock", headers=KEY)).status_code == 404
    world.registry.create_room("lobby")
    assert (await api.post("/v1/rooms/lobby/lock", headers=KEY)).status_code == 200


async def test_two_at_once_are_one(router: Router) -> None:
    issued: list[JoinGrant] = []

    def issue(grant: JoinGrant, _lifetime_s: float) -> str:
        issued.append(grant)
        return "token"

    app = router.app(issue_token=issue)
    async with open_client(app) as api:
        api.headers["Authorization"] = f"Bearer {TOKEN}"
        body = {"room": "lobby", "identity": "ada"}
        replies = await asyncio.gather(*(api.post("/v1/tokens", json=body, headers=KEY) for _ in range(5)))
        statuses = sorted(reply.status_code for reply in replies)
        assert statuses[0] == 201
        assert set(statuses) <= {201, 409}
        assert len({reply.content for reply in replies if reply.status_code == 201}) == 1
        assert all(reply.headers["retry-after"] == "1" for reply in replies if reply.status_code == 409)
    assert len(issued) == 1


async def test_nobody_reads_the_answers_of_another_token(router: Router) -> None:
    tokens = [AdminToken(name, f"the admin token of {name}") for name in ("ada", "bob")]
    issued: list[JoinGrant] = []

    def issue(grant: JoinGrant, _lifetime_s: float) -> str:
        issued.append(grant)
        return f"token-{len(issued)}"

    app = router.app(tokens=AdminTokens(tokens), issue_token=issue)
    body = {"room": "lobby", "identity": "ada"}
    async with open_client(app) as api:
        for token in tokens:
            headers = {**KEY, "Authorization": f"Bearer {token.value}"}
            reply = await api.post("/v1/tokens", json=body, headers=headers)
            assert "idempotency-replayed" not in reply.headers
        reply = await api.post("/v1/tokens", json=body, headers={**KEY, "Authorization": "Bearer wrong"})
        assert reply.status_code == 401
    assert len(issued) == 2


async def test_keys_on_other_methods_mean_nothing(world: World, api: httpx.AsyncClient) -> None:
    world.registry.create_room("lobby")
    for text in ("one", "two"):
        reply = await api.patch("/v1/rooms/lobby", json={"metadata": text}, headers=KEY)
        assert reply.json()["metadata"] == text


@pytest.mark.parametrize("keys", [[("Idempotency-Key", "")], [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]])
async def test_wrong_keys_are_refused(api: httpx.AsyncClient, keys: list[tuple[str, str]]) -> None:
    reply = await api.post("/v1/rooms", json={"name": "a"}, headers=[*api.headers.items(), *keys])
    assert (reply.status_code, reply.json()["slug"]) == (400, "bad-idempotency-key")

"""Join tokens made by the admin API, read by what verifies them."""

import logging
from typing import Any

import httpx
import pytest

from router.admin.tokens import AdminToken, AdminTokens
from router.tokens import JoinTokens
from tests.admin.conftest import TOKEN, Router, open_client

SECRET = "a secret that signs join tokens, of 32 bytes"


def open_api(router: Router, **state: Any) -> tuple[httpx.AsyncClient, JoinTokens]:
    tokens = JoinTokens(SECRET)
    app = router.app(
        tokens=AdminTokens([AdminToken("backend", TOKEN)]),
        issue_token=lambda grant, seconds: tokens.issue(grant, lifetime_s=seconds),
        **state,
    )
    client = open_client(app)
    client.headers["Authorization"] = f"Bearer {TOKEN}"
    return client, tokens


async def test_a_token_says_what_was_asked_for(router: Router, caplog: pytest.LogCaptureFixture) -> None:
    api, tokens = open_api(router)
    body = {
        "room": "lobby",
        "identity": "ada",
        "name": "Ada",
        "metadata": "{}",
        "lifetime_s": 60,
        "rights": {"can_publish_sources": ["screen_share"], "room_admin": True, "can_subscribe": False},
    }
    with caplog.at_level(logging.INFO):
        reply = await api.post("/v1/tokens", json=body)
    assert reply.status_code == 201, reply.text
    assert reply.headers["cache-control"] == "no-store"
    told = reply.json()
    grant = tokens.verify(told.pop("token"))
    assert told == {"token_id": grant.token_id, "room": "lobby", "identity": "ada", "expires_in_s": 60}
    assert (grant.room, grant.identity, grant.name, grant.metadata) == ("lobby", "ada", "Ada", "{}")
    assert (grant.publish_sources, grant.may_moderate, grant.may_subscribe) == (frozenset({"screen"}), True, False)
    assert grant.expires_at_s - grant.issued_at_s == 60 + 10, "and the leeway"
    assert grant.token_id in str([vars(record) for record in caplog.records])
    assert reply.json()["token"] not in caplog.text + str([vars(record) for record in caplog.records])

    reply = await api.post("/v1/tokens", json={"room": "lobby", "identity": "bob"})
    plain = tokens.verify(reply.json()["token"])
    assert (plain.may_publish, plain.may_moderate, plain.hidden) == (True, False, False)
    assert plain.token_id != grant.token_id
    assert reply.json()["expires_in_s"] == 21_600
    await api.aclose()


@pytest.mark.parametrize(
    ("change", "slug"),
    [
        ({"room": "a/b"}, "bad-room-name"),
        ({"identity": ""}, "bad-name"),
        ({"identity": "x" * 10_000}, "bad-name"),
        ({"name": "a\u202eb"}, "bad-name"),
        ({"metadata": "x" * 4_097}, "bad-metadata"),
        ({"lifetime_s": 0}, "bad-request"),
        ({"lifetime_s": 3_601}, "bad-lifetime"),
        ({"lifetime_s": 10**30}, "bad-json"),
        ({"lifetime_s": "60"}, "bad-request"),
        ({"rights": {"canPublish": True}}, "bad-request"),
        ({"secret": "mine"}, "bad-request"),
    ],
)
async def test_what_is_not_signed(router: Router, change: dict[str, Any], slug: str) -> None:
    api, _ = open_api(router, max_token_lifetime_s=3_600)
    async with api:
        reply = await api.post("/v1/tokens", json={"room": "lobby", "identity": "ada", **change})
        assert reply.status_code == 400
        assert reply.json()["slug"] == slug
        assert "token" not in reply.json()


async def test_the_bound_is_the_default_where_it_is_shorter(router: Router) -> None:
    api, _ = open_api(router, max_token_lifetime_s=3_600)
    async with api:
        reply = await api.post("/v1/tokens", json={"room": "lobby", "identity": "ada"})
        assert reply.json()["expires_in_s"] == 3_600


async def test_without_a_key_there_is_nothing_to_sign_with(client: httpx.AsyncClient) -> None:
    reply = await client.post("/v1/tokens", json={"room": "lobby", "identity": "ada"})
    assert (reply.status_code, reply.json()["slug"]) == (404, "no-signing-key")


async def test_a_token_made_here_is_revoked_by_its_id(router: Router) -> None:
    api, tokens = open_api(router)
    async with api:
        told = (await api.post("/v1/tokens", json={"room": "lobby", "identity": "ada"})).json()
        await api.post("/v1/tokens/revocations", json={"token_id": told["token_id"]})
        grant = tokens.verify(told["token"])
        assert router.registry.revocations.is_revoked(grant)

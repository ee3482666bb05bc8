"""Several admin tokens: scopes on every route, and rotation."""

import pytest

from router.admin.tokens import AdminToken, AdminTokens
from router.errors import ConfigError
from tests.admin.conftest import Router, open_client

READER, WRITER = "a token that may only read", "a token that may do everything"
TOKENS = (AdminToken("grafana", READER, "read"), AdminToken("backend", WRITER))


async def test_a_reading_token_changes_nothing_on_any_route(router: Router) -> None:
    app = router.app(tokens=AdminTokens(TOKENS))
    changing = [
        (method.upper(), path)
        for path, operations in app.openapi()["paths"].items()
        for method in operations
        if path.startswith("/v1/") and method != "get"
    ]
    assert len(changing) >= 10
    async with open_client(app) as client:
        for method, path in changing:
            reply = await client.request(method, path, headers={"Authorization": f"Bearer {READER}"}, json={})
            assert (reply.status_code, reply.json()["slug"]) == (403, "read-only-token"), path
            reply = await client.request(method, path, headers={"Authorization": "Bearer another"}, json={})
            assert reply.status_code == 401, path
        for token in (READER, WRITER):
            reply = await client.get("/v1/rooms", headers={"Authorization": f"Bearer {token}"})
            assert reply.status_code == 200


async def test_tokens_are_replaced_while_serving(router: Router) -> None:
    tokens = AdminTokens(TOKENS[1:])
    async with open_client(router.app(tokens=tokens)) as client:

        async def status(token: str) -> int:
            return (await client.get("/v1/rooms", headers={"Authorization": f"Bearer {token}"})).status_code

        assert (await status(WRITER), await status("the next token of the backend")) == (200, 401)
        tokens.replace([*TOKENS, AdminToken("next", "the next token of the backend")])
        assert (await status(WRITER), await status("the next token of the backend")) == (200, 200)
        tokens.replace([AdminToken("next", "the next token of the backend")])
        assert (await status(WRITER), await status("the next token of the backend")) == (401, 200)


def test_one_value_has_one_meaning() -> None:
    with pytest.raises(ConfigError) as caught:
        AdminTokens([AdminToken("a", READER, "read"), AdminToken("b", READER, "write")])
    assert READER not in str(caught.value)
    assert READER not in repr(TOKENS)

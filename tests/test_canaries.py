"""Secrets planted everywhere turn up nowhere: in no log line, reply, metric, or setting as it is shown."""

import io
import json
from typing import Any

import httpx
import pytest

from router.config import load_settings
from router.rooms.rights import JoinGrant
from router.server import RouterServer

KEYS = {
    "signing": "canary-key-0123456789-abcdefghijkl",
    "bare": "canary-bare-0123456789-abcdefghijk",
    "admin": "canary-admin-0123456789",
    "reader": "canary-reader-0123456789",
    "turn": "canary-turn-0123456789-secret",
    "redis": "canary-redis-0123456789",
}
FLAGS: dict[str, Any] = {
    "public": {"host": "127.0.0.1", "port": 0},
    "admin": {"port": 0, "token": KEYS["admin"], "tokens": {"grafana": {"token": KEYS["reader"]}}},
    "media": {"udp_port": 0, "addresses": ["127.0.0.1"]},
    "auth": {"keys": {"k1": KEYS["signing"]}, "secrets": [KEYS["bare"]]},
    "turn": {"urls": ["turn:turn.example.org:3478"], "secret": KEYS["turn"]},
    "redis": {"url": f"redis://router:{KEYS['redis']}@127.0.0.1:1/0"},
}


@pytest.mark.e2e
async def test_no_secret_leaves_the_router(log: io.StringIO) -> None:
    settings = load_settings(flags=FLAGS)
    settings.check_startable()
    told: list[str] = [json.dumps(settings.redacted(), default=str), repr(settings)]
    async with RouterServer(settings) as server, httpx.AsyncClient() as http:
        told.append(repr(vars(server.access)))
        public, admin = f"http://127.0.0.1:{server.public_port}", f"http://127.0.0.1:{server.admin_port}"
        token = server.access.join_tokens.issue(JoinGrant("lobby", "ada"))
        for secret in (*KEYS.values(), token):
            bearer = {"Authorization": f"Bearer {secret}"}
            for method, url in (
                ("GET", f"{public}/rooms/lobby/ice-servers"),
                ("GET", f"{public}/rooms/lobby/offer"),
                ("GET", f"{public}/rooms/lobby/roster?access_token={secret}"),
                ("POST", f"{public}/whip/lobby"),
                ("GET", f"{admin}/v1/rooms"),
                ("GET", f"{admin}/v1/tokens/revocations"),
                ("POST", f"{admin}/v1/tokens/revocations"),
                ("GET", f"{admin}/metrics"),
                ("GET", f"{admin}/openapi.json"),
            ):
                response = await http.request(method, url, headers=bearer, json={} if method == "POST" else None)
                told.append(response.text + str(response.headers))
        revoked = server.access.join_tokens.verify(token).token_id
        await http.post(
            f"{admin}/v1/tokens/revocations",
            headers={"Authorization": f"Bearer {KEYS['admin']}"},
            json={"token_id": revoked},
        )
        roster = f"{public}/rooms/lobby/roster"
        told.append((await http.get(roster, headers={"Authorization": f"Bearer {token}"})).text)
        assert "token-revoked" in told[-1]
    written = log.getvalue()
    assert written.count("\n") > 3, "there is a log to look at"
    assert [name for name, secret in KEYS.items() for text in (*told, written) if secret in text] == []
    assert token not in written
    assert token not in "".join(told)

"""Every route of the public port with every token that will not do, found out from the application itself.

A route that is added later is asked too, and one that needs no token is named here with its reason.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

import httpx
import jwt
import pytest
import websockets
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from router import clock
from router.rooms.rights import JoinGrant
from router.signaling.static import FILES
from router.tokens import JoinTokens
from tests.attack.stage import ROOM, SECRET, Stage, bearer, check_problem

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="package")]

JOINING: Final = ("/whip/{room}", "/whep/{room}", "/rooms/{room}/forks")
NEED_NO_TOKEN: Final[Mapping[tuple[str, str], str]] = {
    **{("GET", path): "the demo room and the client, the same everywhere" for path in FILES},
    **{("GET", path): "RFC 9725 section 4.1: empty, whatever the room" for path in JOINING},
    ("GET", "/rooms/{room}/offer"): "one text for all, which caches keep; only opening a room takes a token",
}
"""By method and path; HEAD as GET. OPTIONS is asked for apart."""
Answer = tuple[int, str]
BAD: Final[Answer] = (401, "bad-token")


def public_app(stage: Stage) -> Starlette:
    assert stage.server._public is not None, "it runs"
    app = stage.server._public._server.config.app
    assert isinstance(app, Starlette)
    return app


def routes(stage: Stage) -> Iterator[tuple[str, str]]:
    """All methods on all paths, WebSockets left out."""
    for route in public_app(stage).routes:
        if isinstance(route, Route):
            yield from ((method, route.path) for method in sorted(route.methods or ()))
        else:
            assert isinstance(route, WebSocketRoute), f"{route}: of a kind that is not attacked yet"


def as_get(method: str, path: str) -> tuple[str, str]:
    return ("GET" if method == "HEAD" else method, path)


def bad_tokens(stage: Stage) -> dict[str, tuple[str, Answer]]:
    """By what is wrong with it: the token, and what is answered."""
    now, grant = int(clock.wall_s()), JoinGrant(ROOM, "ada")
    good = stage.token()
    video = {"room": ROOM, "roomJoin": True}
    claims = {"sub": "ada", "exp": now + 60, "video": video}

    def sign(secret: str = SECRET, **more: object) -> str:
        return jwt.encode({**claims, **more}, secret, algorithm="HS256")

    revoked = stage.server.access.join_tokens.issue(grant)
    verified = stage.server.access.join_tokens.verify(revoked)
    stage.server.registry.revocations.revoke_token(verified.token_id)
    return {
        "wrong": ("wrong", BAD),
        "foreign": (JoinTokens("another-secret-another-secret-ab").issue(grant), BAD),
        "expired": (JoinTokens(SECRET, now_s=lambda: 1_000.0).issue(grant), (401, "token-expired")),
        "not yet good": (sign(nbf=now + 3_600), (401, "token-not-yet-valid")),
        "without an end": (sign(exp=None), BAD),
        "of another room": (stage.token(room="other"), (403, "wrong-room")),
        "of a room that looks alike": (stage.token(room=ROOM + "\u0301"), (403, "wrong-room")),
        "of a room in other letters": (stage.token(room=ROOM.upper()), (403, "wrong-room")),
        "not for joining": (sign(video={**video, "roomJoin": False}), (403, "may-not-join")),
        "revoked": (revoked, (401, "token-revoked")),
        "unsigned": (jwt.encode(claims, "", algorithm="none"), BAD),
        "another algorithm": (jwt.encode(claims, SECRET * 2, algorithm="HS512"), BAD),
        "a key by its path": (jwt.encode(claims, "\0" * 32, headers={"kid": "/dev/zero"}), BAD),
        "its signature cut": (good[:-4], BAD),
        "two signatures": (good + "." + good.rpartition(".")[2], BAD),
        "long": (sign(padding="A" * 5_000)[:-4], BAD),
    }


async def test_no_route_serves_without_a_good_token(stage: Stage) -> None:
    found = set(routes(stage))
    assert set(NEED_NO_TOKEN) <= found
    asked = [one for one in sorted(found) if one[0] != "OPTIONS" and as_get(*one) not in NEED_NO_TOKEN]
    assert {("POST", path) for path in JOINING} <= set(asked)
    assert len(asked) >= 14
    given = {what: (bearer(token), answer) for what, (token, answer) in bad_tokens(stage).items()}
    given["none"] = ({}, (401, "unauthorized"))
    given["another scheme"] = ({"Authorization": f"Basic {stage.token()}"}, (401, "unauthorized"))
    before = stage.state()
    wrong: list[str] = []
    for method, path in asked:
        for what, (headers, answer) in given.items():
            wrong += check_answer(await ask(stage, method, path, headers), answer, f"{method} {path}, {what}")
    assert wrong == []
    assert stage.state() == before


async def ask(stage: Stage, method: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
    """About a session that exists, with a good token where none is read."""
    session = next(iter(stage.server.registry.rooms[ROOM].participants["ada"].sessions))
    url = stage.fill(path, session=session) + f"?access_token={stage.token()}"
    fields = {"Content-Type": "application/sdp", "If-Match": "*", "Fork-Ufrag": "x" * 30, **headers}
    content = b"v=0" if method in ("POST", "PATCH") else b""
    return await stage.public.request(method, url, content=content, headers=fields)


def check_answer(reply: httpx.Response, answer: Answer, what: str) -> Iterator[str]:
    """What is wrong with a refusal; that of a HEAD has a status alone."""
    if reply.request.method == "HEAD":
        if reply.status_code != answer[0]:
            yield f"{what}: {reply.status_code}"
        return
    wrong = list(check_problem(reply, what))
    yield from wrong
    if not wrong and (reply.status_code, reply.json()["slug"]) != answer:
        yield f"{what}: {reply.status_code} {reply.text[:120]}"


async def test_an_offer_is_for_all_but_who_shows_a_token_has_a_good_one(stage: Stage) -> None:
    for what, (token, answer) in bad_tokens(stage).items():
        reply = await ask(stage, "GET", "/rooms/{room}/offer", bearer(token))
        assert list(check_answer(reply, answer, what)) == []
    for room, status in ((ROOM, 200), ("not open", 404)):
        assert (await stage.public.get(f"/rooms/{room}/offer")).status_code == status


async def test_who_asks_for_options_with_a_bad_token_is_told_no_ice_servers(stage: Stage) -> None:
    options = [path for method, path in routes(stage) if method == "OPTIONS"]
    assert set(JOINING) <= set(options)
    for path in options:
        for what, (token, _) in bad_tokens(stage).items():
            reply = await stage.public.options(stage.fill(path, session="x"), headers=bearer(token))
            assert "link" not in reply.headers, (path, what)
            assert reply.status_code in (200, 401, 403), (path, what)


@pytest.mark.parametrize("where", ["query", "message"])
async def test_no_websocket_opens_with_a_bad_token(stage: Stage, where: str) -> None:
    sockets = [route.path for route in public_app(stage).routes if isinstance(route, WebSocketRoute)]
    assert sockets == ["/rooms/{room}/events"]
    before = stage.state()
    url = f"ws://127.0.0.1:{stage.server.public_port}{stage.fill(sockets[0])}"
    for what, (token, (status, slug)) in bad_tokens(stage).items():
        async with websockets.connect(
            url + (f"?access_token={token}" if where == "query" else ""), open_timeout=30
        ) as socket:
            if where == "message":
                await socket.send(f'{{"type": "auth", "token": "{token}"}}')
            assert slug in await asyncio.wait_for(socket.recv(), 5), what
            await asyncio.wait_for(socket.wait_closed(), 5)
            assert socket.close_code == 4000 + status, what
    assert stage.state()["people"] == before["people"]

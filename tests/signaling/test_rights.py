"""Who may do what, over HTTP: every refusal has its status and slug, and leaves nothing behind."""

from typing import Any

import jwt
import pytest

from router.rooms import JoinGrant
from router.tokens import JoinTokens
from tests.rooms.fakes import offer, play_offer, publish_offer, section
from tests.signaling.public import SDP, TOKENS, bearer, check_problem, public, text, token
from tests.signaling.test_whip import TRICKLE

EXPIRED = JoinTokens("0123456789abcdef0123456789abcdef", now_s=lambda: 1_000.0).issue(JoinGrant("lobby", "ada"))
FOREIGN = JoinTokens("another-secret-another-secret-ab").issue(JoinGrant("lobby", "ada"))
REFUSED: dict[str, tuple[dict[str, str], int, str]] = {
    "no token": ({}, 401, "unauthorized"),
    "basic": ({"Authorization": "Basic YTpi"}, 401, "unauthorized"),
    "empty bearer": ({"Authorization": "Bearer "}, 401, "unauthorized"),
    "garbage": ({"Authorization": "Bearer abc"}, 401, "bad-token"),
    "tampered": ({"Authorization": f"Bearer {token()[:-4]}AAAA"}, 401, "bad-token"),
    "another secret": ({"Authorization": f"Bearer {FOREIGN}"}, 401, "bad-token"),
    "expired": ({"Authorization": f"Bearer {EXPIRED}"}, 401, "token-expired"),
    "huge": ({"Authorization": f"Bearer {'x' * 10_000}"}, 401, "bad-token"),
    "wrong room": (bearer(room="other"), 403, "wrong-room"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("method", ["POST /whip/lobby", "POST /whep/lobby", "PATCH", "DELETE", "GET"])
async def test_every_signalling_request_needs_a_good_token(name: str, method: str) -> None:
    headers, status, slug = REFUSED[name]
    async with public() as router:
        created = await router.whip()
        verb, _, path = method.partition(" ")
        response = await router.http.request(
            verb,
            path or created.headers["Location"],
            content=text(publish_offer()) if verb == "POST" else TRICKLE,
            headers={"Content-Type": SDP, "If-Match": "*", **headers},
        )

        check_problem(response, status, slug)
        assert (response.headers.get("WWW-Authenticate") == "Bearer") == (status == 401)
        assert len(router.world.room.sessions) == 1
        assert router.fake(created).remote_candidates == []


@pytest.mark.parametrize(
    ("path", "direction", "rights", "slug"),
    [
        ("/whip/lobby", "sendonly", {"publish": False}, "may-not-publish"),
        ("/whip/lobby", "sendrecv", {"publish": False}, "may-not-publish"),
        ("/whep/lobby", "sendonly", {"publish": False}, "may-not-publish"),
        ("/whep/lobby", "recvonly", {"subscribe": False}, "may-not-subscribe"),
        ("/whep/lobby", "recvonly", {"publish": False, "subscribe": False}, "may-not-subscribe"),
        ("/whep/lobby", "sendrecv", {"publish": False, "subscribe": False}, "may-not-publish"),
    ],
)
async def test_rights_of_the_token(path: str, direction: Any, rights: dict[str, bool], slug: str) -> None:
    async with public() as router:
        await router.whip("somebody")
        body = text(offer(section("0", "audio", direction)))
        response = await router.http.post(
            path, content=body, headers={"Content-Type": SDP, **bearer("ada", "lobby", **rights)}
        )
        check_problem(response, 403, slug)


async def test_a_token_without_rights_in_so_many_words_gives_none() -> None:
    claims = {"room": "lobby", "sub": "ada", "exp": 4_000_000_000}
    bare = jwt.encode(claims, "0123456789abcdef0123456789abcdef", algorithm="HS256")
    headers = {"Content-Type": SDP, "Authorization": f"Bearer {bare}"}
    async with public() as router:
        response = await router.http.post("/whip/lobby", content=text(publish_offer()), headers=headers)
        check_problem(response, 403, "may-not-publish")


async def test_only_the_owner_touches_a_session() -> None:
    async with public() as router:
        created = await router.whip()
        url = created.headers["Location"]
        for response in (
            await router.patch(url, TRICKLE, "mallory"),
            await router.http.delete(url, headers=bearer("mallory")),
            await router.http.get(url, headers=bearer("mallory")),
        ):
            check_problem(response, 403, "not-your-session")
        assert router.fake(created).closed == 0
        assert router.fake(created).remote_candidates == []
        # Another token of the same identity is as good: clients renew theirs.
        renewed = {"Authorization": f"Bearer {TOKENS.issue(JoinGrant('lobby', 'ada'), lifetime_s=99)}"}
        assert (await router.http.delete(url, headers=renewed)).status_code == 200
        check_problem(await router.http.delete(url, headers=bearer("mallory")), 403, "not-your-session")


async def test_a_newer_token_on_the_session_prolongs_the_stay() -> None:
    async with public() as router:
        created = await router.whip()
        url, participant = created.headers["Location"], router.session(created).participant
        was = participant.expires_at_s
        longer = {"Authorization": f"Bearer {TOKENS.issue(JoinGrant('lobby', 'ada'), lifetime_s=90_000)}"}
        assert (await router.http.get(url, headers=longer)).status_code == 204
        assert participant.expires_at_s > was + 60_000
        assert (await router.http.get(url, headers=bearer("ada"))).status_code == 204
        assert participant.expires_at_s > was + 60_000


async def test_a_refused_player_learns_nothing_of_the_room() -> None:
    async with public() as router:
        answers = []
        for setup in (None, "ada"):
            if setup:
                await router.whip(setup)
            headers = {"Content-Type": SDP, **bearer("eve", room="other")}
            response = await router.http.post("/whep/lobby", content=text(play_offer()), headers=headers)
            answers.append((response.status_code, response.text))
        assert answers[0] == answers[1]

"""TURN credentials: as coturn computes them, one participant's own, never cached, never to strangers."""

import base64
import hashlib
import hmac

import pytest

from router.signaling import IceServer, PublicState, SignalingSettings
from router.turn import MAX_USER_CHARACTERS, TurnServers, name_user
from tests.rooms.fakes import World
from tests.signaling.public import TOKENS, Public, bearer, check_problem, public

SECRET = "canary-turn-secret-0123456789"
URLS = ("turn:turn.example.org:3478?transport=udp", "turns:turn.example.org:443?transport=tcp")
NOW_S = 1_800_000_000
STUN = SignalingSettings(ice_servers=(IceServer(("stun:stun.example.org",)),))


def opened(settings: SignalingSettings = STUN) -> Public:
    turn = TurnServers(URLS, SECRET, lifetime_s=600, now_s=lambda: NOW_S)
    world = World()
    return Public(world, PublicState(world.registry, TOKENS, settings, turn=turn))


def password_of(username: str) -> str:
    """As the draft has it in section 2.2, and coturn's `use-auth-secret`."""
    return base64.b64encode(hmac.new(SECRET.encode(), username.encode(), hashlib.sha1).digest()).decode()


async def test_the_list_of_servers() -> None:
    router = opened()
    response = await router.http.get("/rooms/lobby/ice-servers", headers=bearer("ada"))
    username = f"{NOW_S + 600}:ada"
    assert response.json() == {
        "username": username,
        "password": password_of(username),
        "ttl": 600,
        "uris": list(URLS),
        "iceServers": [
            {"urls": ["stun:stun.example.org"]},
            {"urls": list(URLS), "username": username, "credential": password_of(username)},
        ],
    }
    assert response.headers["Cache-Control"] == "no-store"
    assert SECRET not in response.text
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    check_problem(await router.http.get("/rooms/lobby/ice-servers"), 401, "unauthorized")
    check_problem(await router.http.get("/rooms/lobby/ice-servers", headers=bearer("ada", "x")), 403, "wrong-room")


async def test_joins_bring_links_with_credentials_of_their_own() -> None:
    router = opened()
    links = (await router.whip("ada")).headers.get_list("Link")
    username = f"{NOW_S + 600}:ada"
    expected = f'username="{username}"; credential="{password_of(username)}"; credential-type="password"'
    assert links == [
        '<stun:stun.example.org>; rel="ice-server"',
        *(f'<{url}>; rel="ice-server"; {expected}' for url in URLS),
    ]
    assert ":eve" in (await router.whep("eve")).headers.get_list("Link")[1]
    options = await router.http.options("/whip/lobby", headers=bearer("bob"))
    assert ":bob" in options.headers.get_list("Link")[1]
    await router.world.registry.close()


async def test_without_turn_there_are_only_the_fixed_ones() -> None:
    async with public(STUN) as router:
        response = await router.http.get("/rooms/lobby/ice-servers", headers=bearer("ada"))
        assert response.json() == {"iceServers": [{"urls": ["stun:stun.example.org"]}]}
    async with public() as router:
        response = await router.http.get("/rooms/lobby/ice-servers", headers=bearer("ada"))
        assert response.json() == {"iceServers": []}


@pytest.mark.parametrize("identity", ["ada", "ada:lovelace", 'a"; rel="evil', "a,b;c", "\u2603" * 128, "x" * 128])
def test_every_identity_makes_a_name_that_fits_into_stun_and_http(identity: str) -> None:
    named = name_user(identity)
    assert named.isascii()
    assert 0 < len(named) <= MAX_USER_CHARACTERS
    assert not set(named) & set('",;: \r\n\\<>')

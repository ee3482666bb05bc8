"""WHEP's 406 counter-offer: the room's own offer, complete for one player, answered by PATCH."""

from collections.abc import AsyncIterator

import httpx
import pytest

from router.rooms import RoomLimits
from tests.rtc.peers import wait_for
from tests.signaling.offer_peer import OfferPeer, silence, ufrags_of
from tests.signaling.public import SDP, bearer, check_problem
from tests.signaling.real_router import RealRouter, real_router
from tests.signaling.test_forks import PUBLISHED, begin

pytestmark = pytest.mark.e2e
ENDPOINT = "/whep/lobby?counter-offer=1"


@pytest.fixture
async def router() -> AsyncIterator[RealRouter]:
    async with real_router() as opened:
        yield opened


async def ask(router: RealRouter, identity: str = "eve", body: str = "") -> httpx.Response:
    return await router.http.post(ENDPOINT, content=body, headers={"Content-Type": SDP, **bearer(identity)})


async def open_player(response: httpx.Response) -> OfferPeer:
    peer = await OfferPeer.open()
    peer.nonce = ""
    peer.take(response.text)
    return peer


async def patch(router: RealRouter, url: str, body: str, identity: str = "eve") -> httpx.Response:
    return await router.http.patch(url, content=body, headers={"Content-Type": SDP, **bearer(identity)})


async def test_it_is_the_rooms_offer_with_a_nonce(router: RealRouter) -> None:
    static = (await router.http.get("/rooms/lobby/offer", headers=bearer())).text
    context = router.registry.rooms["lobby"].origin.context
    response = await ask(router)
    assert response.status_code == 406
    assert response.headers["Content-Type"] == SDP
    assert response.headers["Cache-Control"] == "no-store"
    (ufrag,) = ufrags_of(response.text)
    assert ufrag.startswith(context.context_id)
    assert len(ufrag) >= len(context.context_id) + 11
    lines = [line for line in response.text.replace(ufrag, context.context_id).splitlines() if line[:2] != "o="]
    assert lines == [line for line in static.splitlines() if line[:2] != "o="]
    assert ufrags_of((await ask(router)).text) != {ufrag}


async def test_the_player_answers_by_patch(router: RealRouter) -> None:
    response = await ask(router)
    url = response.headers["Location"]
    player = await open_player(response)
    await begin(player)
    answered = await patch(router, url, player.answer(silence(*PUBLISHED)))
    assert (answered.status_code, answered.content) == (204, b"")
    (session,) = router.registry.rooms["lobby"].sessions
    assert url == f"/whep/lobby/{session.id}"
    assert answered.headers["ETag"] == session.etag
    await wait_for(lambda: session.state == "connected")
    check_problem(await patch(router, url, player.answer(silence(*PUBLISHED))), 409, "already-answered")
    assert (await router.http.delete(url, headers=bearer("eve"))).status_code == 200
    assert not router.registry.rooms["lobby"].sessions
    player.close()


async def test_the_players_own_offer_is_not_looked_at(router: RealRouter) -> None:
    assert (await ask(router, body="v=0\r\nnonsense")).status_code == 406
    plain = await router.http.post("/whep/lobby?counter-offer=0", content="", headers={"Content-Type": SDP, **bearer()})
    check_problem(plain, 400, "remote-sdp")


async def test_it_is_for_its_player_alone(router: RealRouter) -> None:
    response = await ask(router)
    url, player = response.headers["Location"], await open_player(response)
    check_problem(await patch(router, url, player.answer(), "mallory"), 403, "not-your-session")
    check_problem(await router.http.delete(url, headers=bearer("mallory")), 403, "not-your-session")
    check_problem(await patch(router, "/whep/lobby/unknown", player.answer()), 404, "unknown-session")
    assert (await patch(router, url, player.answer())).status_code == 204
    player.close()


async def test_it_lives_thirty_seconds_and_dies_when_it_is_not_wanted() -> None:
    assert RoomLimits().counter_offer_timeout_s == 30.0
    async with real_router(RoomLimits(counter_offer_timeout_s=0.2)) as router:
        response = await ask(router)
        player = await open_player(response)
        forks = router.registry.rooms["lobby"].forks
        await wait_for(lambda: len(forks.pending) == 0, 2.0)
        check_problem(await patch(router, response.headers["Location"], player.answer()), 404, "unknown-session")
        withdrawn = await ask(router)
        assert (await router.http.delete(withdrawn.headers["Location"], headers=bearer("eve"))).status_code == 200
        assert len(forks.pending) == 0
        player.close()


async def test_at_most_so_many_wait() -> None:
    async with real_router(RoomLimits(max_pending_forks=2)) as router:
        assert [(await ask(router)).status_code for _ in range(2)] == [406, 406]
        check_problem(await ask(router), 503, "too-many-pending")


async def test_it_needs_a_token(router: RealRouter) -> None:
    check_problem(await router.http.post(ENDPOINT, content=""), 401, "unauthorized")
    assert not router.registry.rooms

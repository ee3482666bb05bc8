"""`GET /rooms/{room}/offer`: one text for everybody, made for caches."""

from collections.abc import AsyncIterator

import pytest

from router.rtc.sdp import parse
from router.signaling import IceServer, SignalingSettings
from tests.signaling.offer_peer import ufrags_of
from tests.signaling.public import SDP, bearer, check_problem
from tests.signaling.real_router import RealRouter, real_router

pytestmark = pytest.mark.e2e
OFFER = "/rooms/lobby/offer"


@pytest.fixture
async def router() -> AsyncIterator[RealRouter]:
    async with real_router() as opened:
        yield opened


async def test_everybody_gets_the_same_bytes(router: RealRouter) -> None:
    first = await router.http.get(OFFER, headers=bearer("ada"))
    anonymous = await router.http.get(OFFER)
    other = await router.http.get(OFFER, headers=bearer("bob", publish=False))

    assert first.status_code == 200
    assert first.headers["Content-Type"] == SDP
    assert first.content == anonymous.content == other.content
    assert first.headers["ETag"] == anonymous.headers["ETag"]
    assert first.headers["ETag"].startswith('"')
    assert first.headers["Cache-Control"] == "public, max-age=60"
    assert (await router.http.head(OFFER)).headers["ETag"] == first.headers["ETag"]


async def test_a_cache_that_has_it_is_told_so(router: RealRouter) -> None:
    etag = (await router.http.get(OFFER, headers=bearer())).headers["ETag"]

    unchanged = await router.http.get(OFFER, headers={"If-None-Match": f'"other", {etag}'})

    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["ETag"] == etag
    assert (await router.http.get(OFFER, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_the_offer_is_complete(router: RealRouter) -> None:
    text = (await router.http.get(OFFER, headers=bearer())).text
    offer = parse(text)
    context = router.registry.rooms["lobby"].origin.context

    assert ufrags_of(text) == {context.context_id} == {offer.ufrag}
    assert offer.lite
    assert offer.end_of_candidates
    assert offer.allow_mixed_extensions
    assert offer.candidates
    assert offer.fingerprints == (context.certificate.fingerprint,)
    mids = [section.mid for section in offer.media]
    assert mids == ["mic", "cam", "scr", "snd", *(f"a{n}" for n in range(3)), *(f"v{n}" for n in range(9))]
    assert "a=simulcast:recv q;h;f" in text
    assert [codec.name for codec in offer.media[1].codecs] == ["VP8", "VP9", "H264", "AV1"]
    ssrcs = [encoding.ssrc for section in offer.media for encoding in section.encodings]
    assert len(ssrcs) == len(set(ssrcs)) == 12


async def test_only_a_token_opens_a_room(router: RealRouter) -> None:
    check_problem(await router.http.get(OFFER), 404, "unknown-room")
    check_problem(await router.http.get(OFFER, headers=bearer(room="other")), 403, "wrong-room")
    check_problem(await router.http.get(OFFER, headers={"Authorization": "Bearer nonsense"}), 401, "bad-token")
    assert not router.registry.rooms
    assert (await router.http.get(OFFER, headers=bearer())).status_code == 200
    assert list(router.registry.rooms) == ["lobby"]


async def test_each_room_has_its_own(router: RealRouter) -> None:
    texts = [(await router.http.get(f"/rooms/{room}/offer", headers=bearer(room=room))).text for room in ("a", "b")]
    assert ufrags_of(texts[0]).isdisjoint(ufrags_of(texts[1]))


async def test_how_long_caches_keep_it_is_a_setting() -> None:
    async with real_router(settings=SignalingSettings(offer_max_age_s=5)) as router:
        response = await router.http.get(OFFER, headers=bearer())
        assert response.headers["Cache-Control"] == "public, max-age=5"


async def test_it_says_that_there_are_ice_servers_and_nothing_of_them() -> None:
    servers = (IceServer(("turn:turn.example.org",), "user", "canary-credential"),)
    async with real_router(settings=SignalingSettings(ice_servers=servers)) as router:
        response = await router.http.get(OFFER, headers=bearer())
        assert response.headers["Link"] == '</rooms/lobby/ice-servers>; rel="ice-servers"'
        assert "canary-credential" not in response.text + str(response.headers)
    async with real_router() as router:
        assert "Link" not in (await router.http.get(OFFER, headers=bearer())).headers


async def test_pages_of_other_origins_may_read_it(router: RealRouter) -> None:
    response = await router.http.options(OFFER, headers={"Access-Control-Request-Method": "GET"})
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"

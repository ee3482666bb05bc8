"""WHIP as RFC 9725 wants it (ecosystem.md section 1.1, row by row), on a fake media layer."""

import pytest

from router.rooms import RoomLimits
from router.rtc.sdp import parse, parse_fragment
from router.signaling import IceServer, SignalingSettings
from tests.rooms.fakes import CANDIDATE, offer, publish_offer, section
from tests.signaling.public import FRAGMENT, SDP, bearer, check_problem, public, text

TRICKLE = (
    "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:remoteufrag\r\n"
    "a=ice-pwd:remotePasswordOf22Chars\r\n"
    "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r\n"
    "a=candidate:473322822 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0\r\n"
    "a=end-of-candidates\r\n"
)
RESTART = TRICKLE.replace("remoteufrag", "newufrag").replace("remotePassword", "newestPassword")
ICE_SERVERS = (
    IceServer(("stun:stun.example.net",)),
    IceServer(("turn:turn.example.net?transport=udp", "turns:turn.example.net"), 'us"er', "pass\\word"),
)


async def test_post_answers_201_with_all_that_clients_need() -> None:
    async with public() as router:
        response = await router.whip()

        assert response.status_code == 201
        assert response.headers["Content-Type"] == SDP
        answer = parse(response.text)
        assert [section.direction for section in answer.media] == ["recvonly", "recvonly"]
        assert answer.candidates, "the server gathers everything first"
        assert answer.dtls_role == "passive"
        path, _, session_id = response.headers["Location"].rpartition("/")
        assert path == "/whip/lobby"
        assert len(session_id) >= 22, "128 random bits are 22 characters of base64"
        etag = response.headers["ETag"]
        assert etag.startswith('"')
        assert etag.endswith('"')
        assert response.headers["Access-Control-Expose-Headers"] == "Location, ETag, Link, Retry-After"


async def test_location_is_absolute_with_a_public_url_and_never_from_host() -> None:
    async with public(SignalingSettings(public_url="https://sfu.example/rtc")) as router:
        response = await router.post("/whip/lobby", text(publish_offer()), Host="evil.example")
        assert response.headers["Location"].startswith("https://sfu.example/rtc/whip/lobby/")
        assert "?" not in response.headers["Location"]


async def test_location_escapes_the_room() -> None:
    async with public() as router:
        headers = {"Content-Type": SDP, **bearer(room="dé jà?")}
        response = await router.http.post("/whip/d%C3%A9%20j%C3%A0%3F", content=text(publish_offer()), headers=headers)
        location = response.headers["Location"]
        assert location.startswith("/whip/d%C3%A9%20j%C3%A0%3F/")
        assert (await router.http.delete(location, headers=bearer(room="dé jà?"))).status_code == 200


async def test_link_has_one_field_per_url_with_quoted_parameters() -> None:
    async with public(SignalingSettings(ice_servers=ICE_SERVERS)) as router:
        links = (await router.whip()).headers.get_list("link")
        credentials = '; username="us\\"er"; credential="pass\\\\word"; credential-type="password"'
        assert links == [
            '<stun:stun.example.net>; rel="ice-server"',
            '<turn:turn.example.net?transport=udp>; rel="ice-server"' + credentials,
            '<turns:turn.example.net>; rel="ice-server"' + credentials,
        ]


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "application/sdpx"])
async def test_wrong_content_type(content_type: str) -> None:
    async with public() as router:
        response = await router.http.post(
            "/whip/lobby", content=text(publish_offer()), headers={"Content-Type": content_type, **bearer()}
        )
        assert SDP in check_problem(response, 415, "unsupported-media-type")["detail"]


async def test_content_type_parameters_and_case_do_not_matter() -> None:
    async with public() as router:
        headers = {"Content-Type": "Application/SDP; charset=utf-8", **bearer()}
        response = await router.http.post("/whip/lobby", content=text(publish_offer()), headers=headers)
        assert response.status_code == 201


@pytest.mark.parametrize("body", ["", "hello", "v=0", "v=0\r\nm=audio x", "\x00" * 100, "v=0\n" * 10_000])
async def test_malformed_sdp(body: str) -> None:
    async with public() as router:
        check_problem(await router.post("/whip/lobby", body), 400, "remote-sdp")
        assert not router.world.registry.rooms


async def test_sdp_that_is_not_utf8() -> None:
    async with public() as router:
        headers = {"Content-Type": SDP, **bearer()}
        response = await router.http.post("/whip/lobby", content=b"v=0\r\n\xff\xfe", headers=headers)
        check_problem(response, 400, "not-utf8")


async def test_more_tracks_than_supported_and_unusable_lines_refuse_the_whole_request() -> None:
    async with public() as router:
        two = offer(section("0", "video", "sendonly"), section("1", "video", "sendonly"))
        check_problem(await router.post("/whip/lobby", text(two)), 422, "too-many-tracks")
        half = offer(section("0", "audio", "sendonly"), section("1", "video", "sendonly", "unknown"))
        check_problem(await router.post("/whip/lobby", text(half)), 422, "unusable-m-line")
        check_problem(await router.post("/whip/lobby", text(offer(half.media[1]))), 422, "unusable-m-line")
        receiving = offer(section("0", "video", "recvonly"))
        check_problem(await router.post("/whip/lobby", text(receiving)), 422, "wrong-direction")
        assert not router.world.room.participants


@pytest.mark.parametrize("path", ["/whip/lobby", "/whep/lobby"])
async def test_get_on_an_endpoint_is_a_success_without_content(path: str) -> None:
    async with public() as router:
        response = await router.http.get(path)
        assert (response.status_code, response.content) == (204, b"")
        assert not router.world.registry.rooms


async def test_get_and_head_on_a_session() -> None:
    async with public() as router:
        location = (await router.whip()).headers["Location"]
        assert (await router.http.get(location, headers=bearer())).status_code == 204
        assert (await router.http.head(location, headers=bearer())).status_code == 204
        check_problem(await router.http.get(location), 401, "unauthorized")


# -- trickle and restart -----------------------------------------------------------------------------------------


async def test_trickle_answers_204_without_an_entity_tag() -> None:
    async with public() as router:
        created = await router.whip()
        response = await router.patch(created.headers["Location"], TRICKLE, if_match=created.headers["ETag"])

        assert (response.status_code, response.content) == (204, b"")
        assert "ETag" not in response.headers
        first, *_, last = router.fake(created).remote_candidates
        assert first is not None
        assert (first.address, first.port) == ("192.0.2.1", 61_764)
        assert last is None, "end of candidates"


async def test_restart_answers_200_with_new_credentials_and_a_new_entity_tag() -> None:
    async with public() as router:
        created = await router.whip()
        location, etag = created.headers["Location"], created.headers["ETag"]
        response = await router.patch(location, RESTART, if_match="*")

        assert response.status_code == 200
        assert response.headers["Content-Type"] == FRAGMENT
        assert response.headers["ETag"] not in (etag, "")
        fragment = parse_fragment(response.text)
        assert (fragment.ufrag, fragment.password) == ("ufrag1", "localPasswordOf22Chars1")
        assert fragment.candidates == (CANDIDATE,)
        assert (fragment.mid, fragment.lite) == ("0", True)
        assert router.fake(created).restarts == [("newufrag", "newestPasswordOf22Chars")]
        check_problem(await router.patch(location, TRICKLE, if_match=etag), 412, "precondition-failed")
        stale_restart = await router.patch(location, TRICKLE, if_match=etag)
        assert stale_restart.status_code == 412
        again = await router.patch(location, RESTART, if_match=response.headers["ETag"])
        assert again.status_code == 204, "the same credentials as now only trickle"


async def test_if_match_is_required_and_compared() -> None:
    async with public() as router:
        created = await router.whip()
        location = created.headers["Location"]
        check_problem(await router.patch(location, TRICKLE, if_match=None), 428, "precondition-required")
        check_problem(await router.patch(location, TRICKLE, if_match='"stale"'), 412, "precondition-failed")
        weak = "W/" + created.headers["ETag"]
        check_problem(await router.patch(location, TRICKLE, if_match=weak), 412, "precondition-failed")
        several = f'"other", {created.headers["ETag"]}'
        assert (await router.patch(location, TRICKLE, if_match=several)).status_code == 204


async def test_a_failed_restart_keeps_the_session() -> None:
    async with public() as router:
        created = await router.whip()
        location, etag = created.headers["Location"], created.headers["ETag"]
        check_problem(await router.patch(location, "a=ice-ufrag:only\r\n"), 400, "remote-sdp")
        check_problem(await router.patch(location, "nonsense\x00"), 400, "remote-sdp")
        assert router.fake(created).restarts == []
        assert (await router.patch(location, TRICKLE, if_match=etag)).status_code == 204


@pytest.mark.parametrize("content_type", ["application/json", None])
async def test_patch_of_another_media_type(content_type: str | None) -> None:
    async with public() as router:
        location = (await router.whip()).headers["Location"]
        response = await router.patch(location, TRICKLE, content_type=content_type)
        check_problem(response, 415, "unsupported-media-type")


# -- the end -----------------------------------------------------------------------------------------------------


async def test_delete_ends_the_session_and_ignores_entity_tags() -> None:
    async with public() as router:
        created = await router.whip()
        connection = router.fake(created)
        url = created.headers["Location"]
        for _ in range(3):
            response = await router.http.delete(url, headers={**bearer(), "If-Match": '"stale"'})
            assert (response.status_code, response.content) == (200, b"")
        assert connection.closed == 1
        assert not router.world.room.participants
        check_problem(await router.patch(url, TRICKLE), 404, "unknown-session")
        check_problem(await router.http.get(url, headers=bearer()), 404, "unknown-session")


async def test_delete_of_what_never_was() -> None:
    async with public() as router:
        created = await router.whip()
        check_problem(await router.http.delete("/whip/lobby/never", headers=bearer()), 404, "unknown-session")
        session_id = created.headers["Location"].rpartition("/")[2]
        elsewhere = await router.http.delete(f"/whip/other/{session_id}", headers=bearer(room="other"))
        check_problem(elsewhere, 404, "unknown-session")


async def test_overload_is_503_with_retry_after() -> None:
    async with public(limits=RoomLimits(max_participants_per_room=1)) as router:
        await router.whip()
        response = await router.whip("bob")
        check_problem(response, 503, "room-full")
        assert int(response.headers["Retry-After"]) > 0


async def test_publishing_twice_is_409() -> None:
    async with public() as router:
        await router.whip()
        response = await router.whip()
        check_problem(response, 409, "already-publishing")
        assert int(response.headers["Retry-After"]) > 0


async def test_unknown_room_is_404() -> None:
    async with public(create_on_first_use=False) as router:
        check_problem(await router.whip(), 404, "unknown-room")


# -- OPTIONS and CORS --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/whip/lobby", "/whep/lobby", "/whip/lobby/session"])
async def test_preflight(path: str) -> None:
    async with public(SignalingSettings(ice_servers=ICE_SERVERS)) as router:
        headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        response = await router.http.options(path, headers=headers)

        assert response.status_code == 200
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        allowed = "Authorization, Content-Type, Fork-Ufrag, If-Match, If-None-Match"
        assert response.headers["Access-Control-Allow-Headers"] == allowed
        assert response.headers["Access-Control-Allow-Methods"] == "POST, PATCH, DELETE, GET, HEAD, OPTIONS"
        assert "Link" not in response.headers
        if path.endswith("lobby"):
            assert response.headers["Accept-Post"] == SDP


async def test_only_listed_origins_may_read() -> None:
    async with public(SignalingSettings(allowed_origins=("https://app.example",))) as router:
        for origin, expected in (("https://app.example", "https://app.example"), ("https://evil.example", None)):
            response = await router.http.options("/whip/lobby", headers={"Origin": origin})
            assert response.headers.get("Access-Control-Allow-Origin") == expected
            assert "Origin" in response.headers["Vary"]

"""What real WHIP and WHEP clients do that no text demands (ecosystem.md section 1.3); each has its test."""

import re
from urllib.parse import urljoin

import pytest

from router.signaling import IceServer, SignalingSettings
from tests.rooms.fakes import publish_offer
from tests.signaling.public import bearer, check_problem, public, text
from tests.signaling.test_whip import RESTART, TRICKLE


async def test_obs_needs_exactly_201_a_location_and_exactly_200_on_delete() -> None:
    async with public(SignalingSettings(public_url="https://sfu.example")) as router:
        response = await router.whip()
        assert response.status_code == 201
        assert response.text
        path = response.headers["Location"].removeprefix("https://sfu.example")
        assert (await router.http.delete(path, headers=bearer())).status_code == 200


async def test_obs_splits_link_on_commas_and_semicolons_and_wants_quotes() -> None:
    servers = (IceServer(("stun:a.example", "turn:b.example")), IceServer(("turn:c.example",), "u", "c"))
    async with public(SignalingSettings(ice_servers=servers)) as router:
        links = (await router.whip()).headers.get_list("link")
        assert len(links) == 3
        for link in links:
            target, *parameters = link.split(";")
            assert re.fullmatch(r"<(stun|turn):[^,]+>", target)
            assert all(re.fullmatch(r' [a-z-]+="[^",;]*"', parameter) for parameter in parameters)


async def test_gstreamer_joins_a_relative_location_to_its_configured_endpoint() -> None:
    async with public() as router:
        location = (await router.whip()).headers["Location"]
        url = urljoin("http://router.test/whip/lobby", location)
        assert (await router.http.delete(url, headers=bearer())).status_code == 200


@pytest.mark.parametrize("if_match", ["*", '"*"'])
async def test_media_mtx_and_the_rfc_example_quote_the_wildcard(if_match: str) -> None:
    async with public() as router:
        location = (await router.whip()).headers["Location"]
        assert (await router.patch(location, TRICKLE, if_match=if_match)).status_code == 204
        assert (await router.patch(location, RESTART, if_match=if_match)).status_code == 200


async def test_clients_of_livekit_send_the_tag_without_quotes() -> None:
    async with public() as router:
        created = await router.whip()
        bare = created.headers["ETag"].strip('"')
        assert (await router.patch(created.headers["Location"], TRICKLE, if_match=bare)).status_code == 204


async def test_medooze_sends_credentials_at_session_level_with_payload_type_0() -> None:
    fragment = (
        "a=ice-ufrag:remoteufrag\r\na=ice-pwd:remotePasswordOf22Chars\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"
        "a=mid:0\r\n"
        "a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\n"
    )
    async with public() as router:
        created = await router.whip()
        url = created.headers["Location"]
        assert (await router.patch(url, fragment, if_match=created.headers["ETag"])).status_code == 204
        restart = fragment.replace("remoteufrag", "other").replace("remotePass", "anotherPass")
        response = await router.patch(url, restart)
        # Its reply is taken apart by regular expressions that need CRLF.
        assert re.search(r"a=ice-ufrag:(.*)\r\n", response.text)
        assert re.search(r"a=ice-pwd:(.*)\r\n", response.text)
        assert re.findall(r"(a=candidate:.*)\r\n", response.text)


async def test_simple_whip_client_sends_if_match_on_delete_and_a_fragment_without_mid() -> None:
    fragment = (
        "a=ice-ufrag:remoteufrag\na=ice-pwd:remotePasswordOf22Chars\nm=audio 9 RTP/AVP 0\n"
        "a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\na=end-of-candidates\n"
    )
    async with public() as router:
        created = await router.whip()
        url, etag = created.headers["Location"], created.headers["ETag"]
        assert (await router.patch(url, fragment, if_match=etag)).status_code == 204
        assert router.fake(created).remote_candidates
        assert (await router.http.delete(url, headers={**bearer(), "If-Match": etag})).status_code == 200


async def test_clients_that_ask_options_for_ice_servers_get_them_with_a_token_only() -> None:
    servers = (IceServer(("turn:turn.example",), "u", "secret"),)
    async with public(SignalingSettings(ice_servers=servers)) as router:
        assert (await router.http.options("/whip/lobby", headers=bearer())).headers.get_list("link")
        assert "secret" not in str((await router.http.options("/whip/lobby")).headers)
        wrong = await router.http.options("/whip/lobby", headers={"Authorization": "Bearer x"})
        check_problem(wrong, 401, "bad-token")


async def test_react_native_patches_json_without_if_match_and_is_refused_at_once() -> None:
    async with public() as router:
        location = (await router.whip()).headers["Location"]
        response = await router.patch(location, '{"candidate": ""}', content_type="application/json", if_match=None)
        check_problem(response, 415, "unsupported-media-type")


async def test_eyevinn_decides_trickle_by_allowed_methods() -> None:
    async with public() as router:
        assert "PATCH" in (await router.whip()).headers["Access-Control-Allow-Methods"]


async def test_whipsink_gets_no_redirect_for_a_trailing_slash() -> None:
    async with public() as router:
        response = await router.post("/whip/lobby/", text(publish_offer()))
        assert response.status_code in (404, 405)
        assert "Location" not in response.headers

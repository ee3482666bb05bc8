"""WHEP as the draft wants it (ecosystem.md section 1.2), on a fake media layer."""

from router.rtc.sdp import parse
from tests.rooms.fakes import offer, section, shown
from tests.signaling.public import SDP, check_problem, public, text


async def test_a_player_gets_sendonly_and_one_track_per_line() -> None:
    async with public() as router:
        router.fake(await router.whip()).connect()
        response = await router.whep()
        await router.world.settle()

        assert response.status_code == 201
        assert response.headers["Location"].startswith("/whep/lobby/")
        assert [section.direction for section in parse(response.text).media] == ["sendonly", "sendonly"]
        assert shown(router.session(response)) == ["ada"]


async def test_no_publisher_yet_is_409_with_retry_after() -> None:
    async with public() as router:
        response = await router.whep()
        check_problem(response, 409, "no-publisher")
        assert int(response.headers["Retry-After"]) > 0


async def test_one_post_joins_both_ways() -> None:
    async with public() as router:
        lines = section("0", "audio", "sendrecv"), section("1", "video", "sendonly"), section("2", "video", "recvonly")
        response = await router.post("/whep/lobby", text(offer(*lines)))

        directions = [section.direction for section in parse(response.text).media]
        assert directions == ["sendrecv", "recvonly", "sendonly"]


async def test_a_data_channel_is_refused_without_hurting_the_rest() -> None:
    async with public() as router:
        lines = text(offer(section("0", "audio", "sendonly")))
        data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sctp-port:5000\r\n"
        both = lines.replace("a=group:BUNDLE 0", "a=group:BUNDLE 0 1") + data
        response = await router.post("/whep/lobby", both)

        assert response.status_code == 201, response.text
        assert [section.rejected for section in parse(response.text).media] == [False, True]


async def test_nothing_usable_is_422() -> None:
    async with public() as router:
        await router.whip()
        unknown = text(offer(section("0", "video", "recvonly", "unknown")))
        check_problem(await router.post("/whep/lobby", unknown, "eve"), 422, "unusable-m-line")
        inactive = text(offer(section("0", "video", "inactive")))
        check_problem(await router.post("/whep/lobby", inactive, "eve"), 422, "nothing-offered")


async def test_head_makes_the_endpoint_recognisable() -> None:
    async with public() as router:
        response = await router.http.head("/whep/lobby")
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["Content-Type"] == SDP
        assert response.headers["Content-Length"] == "0"

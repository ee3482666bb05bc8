"""What real clients offer, read as they mean it, and compared with aiortc's reading of the same bytes."""

import pytest
from aiortc.sdp import SessionDescription

from router.rtc.description import RTCDescription, RTCEncoding, RTCMediaSection
from router.rtc.sdp import parse, write
from tests.rtc.sdp_vectors import FOLDER, OFFERS


def section(name: str, mid: str) -> RTCMediaSection:
    return next(item for item in parse(OFFERS[name]).media if item.mid == mid)


def uris(media: RTCMediaSection) -> dict[int, str]:
    return {item.id: item.uri.rpartition("/")[2].rpartition(":")[2] for item in media.extensions}


def test_every_vector_says_where_it_comes_from() -> None:
    assert len(OFFERS) > 15
    for name in OFFERS:
        assert (FOLDER / f"{name}.origin").read_text().strip()


@pytest.mark.parametrize("name", OFFERS)
def test_line_ends_do_not_matter(name: str) -> None:
    text = OFFERS[name]
    assert "\r\n" in text
    assert parse(text) == parse(text.replace("\r\n", "\n")) == parse(text.replace("\r\n", "\n\n"))


@pytest.mark.parametrize("name", OFFERS)
def test_written_back_and_read_again_is_the_same(name: str) -> None:
    description = parse(OFFERS[name])
    assert parse(write(description, session_id=7)) == description


@pytest.mark.parametrize("name", OFFERS)
def test_agrees_with_aiortc(name: str) -> None:
    ours = parse(OFFERS[name])
    theirs = SessionDescription.parse(OFFERS[name])
    first = theirs.media[0]
    assert first.ice is not None
    assert first.dtls is not None
    assert (ours.ufrag, ours.password) == (first.ice.usernameFragment, first.ice.password)
    assert [(item.algorithm, item.value) for item in ours.fingerprints] == [
        (item.algorithm, item.value.upper()) for item in first.dtls.fingerprints
    ]
    assert [(item.address, item.port, item.priority, item.type) for item in ours.candidates] == [
        (item.ip, item.port, item.priority, item.type) for item in first.ice_candidates
    ]
    assert [item.mid for item in ours.media] == [item.rtp.muxId for item in theirs.media]
    for mine, other in zip(ours.media, theirs.media, strict=True):
        assert mine.direction == (other.direction or "sendrecv")
        if mine.kind == "data":
            assert mine.sctp_port == other.sctp_port
            continue
        codecs = [item for item in other.rtp.codecs if not item.mimeType.endswith("/rtx")]
        assert {(item.name, item.payload_type, item.clock_rate) for item in mine.codecs} == {
            (item.mimeType.partition("/")[2], item.payloadType, item.clockRate) for item in codecs
        }
        feedback = {item.payload_type: set(item.feedback) for item in mine.codecs}
        for codec in codecs:
            words = {" ".join(filter(None, (item.type, item.parameter))) for item in codec.rtcpFeedback}
            assert codec.payloadType is not None
            assert feedback[codec.payloadType] == words
        rtx = {item.parameters["apt"]: item.payloadType for item in other.rtp.codecs if item.mimeType.endswith("/rtx")}
        assert {item.payload_type: item.rtx_payload_type for item in mine.codecs if item.rtx_payload_type} == rtx
        assert {(item.id, item.uri) for item in mine.extensions} == {
            (item.id, item.uri) for item in other.rtp.headerExtensions
        }
        if mine.encodings and mine.encodings[0].ssrc is not None:
            described = {item.ssrc for item in other.ssrc}
            groups = {tuple(group.items) for group in other.ssrc_group if group.semantic == "FID"}
            assert {item.ssrc for item in mine.encodings} <= described
            assert {(item.ssrc, item.rtx_ssrc) for item in mine.encodings if item.rtx_ssrc} == groups


def test_chromium_room() -> None:
    offer = parse(OFFERS["chromium-room"])
    assert [(item.kind, item.direction) for item in offer.media] == [
        ("audio", "sendrecv"),
        ("video", "sendrecv"),
        ("video", "recvonly"),
        ("audio", "recvonly"),
        ("data", "sendrecv"),
    ]
    assert (offer.dtls_role, offer.lite, offer.trickle, offer.allow_mixed_extensions) == ("actpass", False, True, True)
    audio, video, receiving, *_ = offer.media
    assert audio.codecs[0].parameters == {"minptime": "10", "useinbandfec": "1"}
    assert audio.codecs[0].channels == 2
    assert "red" in [codec.name for codec in audio.codecs]
    assert audio.encodings[0].ssrc is not None
    assert video.encodings == (RTCEncoding("q"), RTCEncoding("h"), RTCEncoding("f"))
    assert audio.stream_id == video.stream_id
    assert audio.track_id != video.track_id
    payload_types = {codec.payload_type for codec in receiving.codecs}
    assert payload_types & set(range(35, 64)), "Chromium uses payload types below 64"
    assert uris(video)[12] == "#dependency-descriptor-rtp-header-extension"
    assert receiving.encodings == ()
    assert offer.media[4].sctp_port == 5000


def test_candidates_come_from_the_tagged_section_only() -> None:
    text = OFFERS["chromium-room-gathered"]
    assert text.count("a=candidate:") == 20
    assert len(parse(text).candidates) == 4


def test_firefox_bundle_only_is_alive_and_session_attributes_are_inherited() -> None:
    text = OFFERS["firefox-room"]
    assert "m=video 0 " in text
    assert text.count("a=fingerprint:") == 1
    offer = parse(text)
    assert not any(item.rejected for item in offer.media)
    assert len(offer.fingerprints) == 1
    assert offer.allow_mixed_extensions, "it says so in every m-section"
    directions = {item.id: item.direction for item in offer.media[1].extensions}
    assert (directions[6], directions[8], directions[3]) == ("recvonly", "sendonly", "sendrecv")


def test_firefox_simulcast_pairs_rids_with_ssrcs_in_order() -> None:
    encodings = section("firefox-whip-simulcast", "1").encodings
    assert [item.rid for item in encodings] == ["q", "h", "f"]
    assert all(item.ssrc and item.rtx_ssrc for item in encodings)
    assert len({ssrc for item in encodings for ssrc in (item.ssrc, item.rtx_ssrc)}) == 6


def test_firefox_ssrc_of_a_receiving_section_is_no_encoding() -> None:
    media = section("firefox-room", "2")
    assert (media.encodings, media.cname, media.stream_id) == ((), None, None)


def test_obs_simulcast() -> None:
    offer = parse(OFFERS["obs-simulcast"])
    assert offer.candidates == ()
    assert offer.trickle, "libdatachannel separates ICE options by commas"
    assert [(item.rid, item.ssrc) for item in offer.media[1].encodings] == [
        ("0", 3100000001),
        ("1", 3100000002),
        ("2", 3100000003),
    ]
    assert offer.media[1].codecs[0].feedback == ("nack", "nack pli", "goog-remb")


def test_ffmpeg_passive_and_bundle_of_a_missing_mid() -> None:
    assert parse(OFFERS["ffmpeg-whip"]).dtls_role == "passive"
    only = parse(OFFERS["ffmpeg-video-only"])
    assert [item.mid for item in only.media] == ["1"]
    assert only.bundled


def test_ffmpeg_rtx_ssrc_without_a_line_of_its_own() -> None:
    media = section("ffmpeg-8.1-rtx", "1")
    assert media.encodings == (RTCEncoding(ssrc=1400000002, rtx_ssrc=1400000003),)
    assert media.codecs[0].rtx_payload_type == 105


def test_gstreamer_msid_in_ssrc_lines() -> None:
    offer = parse(OFFERS["gstreamer-whip"])
    assert len(offer.ufrag) == 32
    assert [item.type for item in offer.candidates] == ["host", "host"]
    assert offer.candidates[1].tcp_type == "active"
    assert offer.media[0].stream_id == "user2200000001@host-aa"
    assert offer.media[0].encodings == (RTCEncoding(ssrc=2200000001, rtx_ssrc=2200000002),)
    assert offer.end_of_candidates


def test_safari_without_stream() -> None:
    media = section("safari-whip-simulcast", "1")
    assert (media.stream_id, media.track_id) == (None, "f9b0a8d2-7d9b-4d5c-8f43-0f8c5b8cf1b1")
    assert media.codecs[0].parameters["profile-level-id"] == "640c1f"
    description: RTCDescription = parse(OFFERS["safari-whip-simulcast"])
    assert [stream.id for stream in description.streams] == ["stream-0", "stream-1"]

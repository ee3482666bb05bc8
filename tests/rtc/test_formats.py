"""Which formats may be exchanged, and what the engine is told."""

import pytest

from router.rtc.description import RTCCodec
from router.rtc.formats import codec_format, is_supported, to_engine_codecs, to_engine_encodings
from router.rtc.negotiation import answer, extension_ids
from router.rtc.sdp import parse
from tests.rtc.sdp_vectors import OFFERS, local_parameters


def h264(profile: str | None, mode: str | None = "1") -> RTCCodec:
    named = {"profile-level-id": profile, "packetization-mode": mode, "level-asymmetry-allowed": "1"}
    return RTCCodec("H264", 96, 90000, parameters={key: value for key, value in named.items() if value is not None})


@pytest.mark.parametrize(
    "profiles",
    [
        ("42e01f", "42e034", "42c014", "42E01F", "4d801f", "58c01f"),
        ("42001f", "420020", "42801f", "58801f"),
        ("4d001f", "4d0032", "4d401f"),
        ("640c1f", "640c2a"),
        ("64001f", "640032"),
        ("f4001f", "f40032"),
    ],
)
def test_h264_level_does_not_matter_but_profile_does(profiles: tuple[str, ...]) -> None:
    assert len({codec_format(h264(profile)) for profile in profiles}) == 1
    others = {"42e01f", "42001f", "4d001f", "640c1f", "64001f", "f4001f"} - set(profiles)
    assert codec_format(h264(profiles[0])) not in {codec_format(h264(profile)) for profile in others}


def test_h264_defaults_and_packetization_modes() -> None:
    assert codec_format(h264(None, None)) == codec_format(h264("42000a", "0"))
    assert codec_format(h264("42e01f", "0")) != codec_format(h264("42e01f", "1"))
    assert not is_supported("video", h264("42e01f", "2"))
    assert not is_supported("video", h264("42e01"))
    assert not is_supported("video", h264("42e01g"))


def test_formats_are_distinct_32_bit_and_never_change() -> None:
    codecs = [
        RTCCodec("opus", 111, 48000, 2),
        RTCCodec("VP8", 96, 90000),
        RTCCodec("VP9", 98, 90000),
        RTCCodec("VP9", 98, 90000, parameters={"profile-id": "2"}),
        RTCCodec("AV1", 45, 90000),
        RTCCodec("AV1", 45, 90000, parameters={"profile": "1"}),
        h264("42e01f"),
        h264("42001f"),
        RTCCodec("H265", 49, 90000),
    ]
    formats = [codec_format(codec) for codec in codecs]
    assert len(set(formats)) == len(formats)
    assert all(0 <= value < 2**32 for value in formats)
    # Nodes of different versions exchange these.
    assert formats[:2] == [1267075786, 2276444590]


def test_equal_whatever_payload_type_case_and_other_parameters() -> None:
    one = RTCCodec("VP9", 98, 90000, parameters={"profile-id": "0", "max-fs": "12288"}, feedback=("nack",))
    assert codec_format(one) == codec_format(RTCCodec("vp9", 121, 90000))
    av1 = RTCCodec("AV1", 45, 90000, parameters={"level-idx": "5", "profile": "0", "tier": "0"})
    assert codec_format(av1) == codec_format(RTCCodec("AV1", 99, 90000))


def test_only_real_rates_are_supported() -> None:
    assert is_supported("audio", RTCCodec("OPUS", 111, 48000, 2))
    assert not is_supported("audio", RTCCodec("opus", 111, 16000))
    assert not is_supported("video", RTCCodec("opus", 111, 48000))
    assert is_supported("audio", RTCCodec("red", 63, 48000, 2))
    assert not is_supported("audio", RTCCodec("red", 63, 8000))
    assert not is_supported("video", RTCCodec("red", 118, 90000))


def test_what_the_engine_is_told_of_a_publisher() -> None:
    offer = parse(OFFERS["firefox-whip-simulcast"])
    ours = answer(offer, local=local_parameters())
    first = to_engine_codecs(ours.media[1])[0]
    assert first == {
        "payload_type": 120,
        "rtx_payload_type": 124,
        "codec": "vp8",
        "format": codec_format(RTCCodec("VP8", 96, 90000)),
        "clock_rate": 90000,
        "feedback": ["nack", "pli", "fir", "remb", "transport-cc"],
    }
    encodings = to_engine_encodings(offer.media[1])
    assert [item["rid"] for item in encodings] == ["q", "h", "f"]
    assert all(item["ssrc"] and item["rtx_ssrc"] for item in encodings)


def test_extension_ids_by_way() -> None:
    ours = answer(parse(OFFERS["firefox-room"]), local=local_parameters())
    both = ours.media[1]
    rid = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
    playout = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
    mid = "urn:ietf:params:rtp-hdrext:sdes:mid"
    assert (rid in extension_ids(both, "receive"), rid in extension_ids(both, "send")) == (True, False)
    assert (playout in extension_ids(both, "receive"), playout in extension_ids(both, "send")) == (False, True)
    assert extension_ids(both)[mid] == extension_ids(both, "send")[mid] == 3

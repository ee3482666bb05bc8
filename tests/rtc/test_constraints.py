import pytest

from router.errors import ConfigError
from router.rtc.constraints import RTCConstraints


def test_the_stricter_of_two_wins_field_by_field() -> None:
    one = RTCConstraints(codecs=("VP8", "H264"), max_bitrate_bps=1_000, max_width=640)
    other = RTCConstraints(codecs=("h264", "av1", "vp8"), max_bitrate_bps=2_000, max_height=360)
    both = one.stricter(other)
    assert both == RTCConstraints(codecs=("VP8", "H264"), max_bitrate_bps=1_000, max_width=640, max_height=360)
    assert both.stricter(RTCConstraints()) == both
    assert RTCConstraints().stricter(both) == both


def test_nothing_in_common_is_nothing_allowed() -> None:
    both = RTCConstraints(codecs=("VP8",)).stricter(RTCConstraints(codecs=("AV1",)))
    assert both.codecs == ()
    assert not both.allows_codec("VP8")


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "5"])
def test_limits_are_positive_whole_numbers(value: object) -> None:
    with pytest.raises(ConfigError, match="max_bitrate_bps"):
        RTCConstraints(max_bitrate_bps=value)  # type: ignore[arg-type]


def test_unknown_srtp_profiles_and_bare_strings_are_refused() -> None:
    with pytest.raises(ConfigError, match="srtp_profiles"):
        RTCConstraints(srtp_profiles=("NULL",))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="srtp_profiles"):
        RTCConstraints(srtp_profiles=())
    with pytest.raises(ConfigError, match="codecs"):
        RTCConstraints(codecs="VP8")  # type: ignore[arg-type]

"""What two descriptions allow together: pure values, without a connection."""

from dataclasses import replace
from typing import Any

import pytest

from router.errors import ConfigError, RemoteSdpError
from router.rtc import RTCDescription, RTCEncoding, RTCFingerprint, RTCHeaderExtension, RTCMediaSection
from router.rtc.agreement import agree
from router.rtc.negotiation import MID
from router.rtc.offer import OFFERED_CODECS, OfferedLine, OfferParameters, make_offer
from router.rtc.sdp import parse, write

FINGERPRINT = RTCFingerprint("sha-256", ":".join(["AB"] * 32))
LINES = (
    OfferedLine("mic", "audio", "recvonly"),
    OfferedLine("cam", "video", "recvonly", ("q", "h", "f")),
    OfferedLine("a0", "audio", "sendonly"),
    OfferedLine("v0", "video", "sendonly"),
)
REVERSED: dict[str, Any] = {"sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}


def make(lines: tuple[OfferedLine, ...] = LINES, **changes: Any) -> RTCDescription:
    numbers = iter(range(1_000, 2_000))
    parameters = OfferParameters(
        ufrag="contextid01",
        password="passwordOf32Characters0123456789",
        fingerprints=(FINGERPRINT,),
        cname="cname",
        allocate_ssrc=lambda: next(numbers),
        candidates=(),
    )
    return make_offer(lines, replace(parameters, **changes))


def reply(section: RTCMediaSection, **changes: Any) -> RTCMediaSection:
    rids = section.receive_rids or (None,)
    encodings = tuple(RTCEncoding(rid=rid) for rid in rids) if section.direction == "recvonly" else ()
    ours = replace(section, direction=REVERSED[section.direction], encodings=encodings, receive_rids=())
    return replace(ours, **changes)


def answer_to(offer: RTCDescription, **of_mid: RTCMediaSection) -> RTCDescription:
    media = tuple(of_mid.get(section.mid) or reply(section) for section in offer.media)
    return replace(offer, ufrag="peer", dtls_role="active", lite=False, media=media)


def section_of(description: RTCDescription, mid: str) -> RTCMediaSection:
    return next(section for section in description.media if section.mid == mid)


def test_a_full_answer_leaves_the_offer_as_it_is() -> None:
    offer = make()
    assert agree(offer, answer_to(offer)).media == offer.media


def test_our_offer_survives_being_written_and_read() -> None:
    offer = make()
    again = parse(write(offer, session_id=1))
    assert [section.mid for section in again.media] == ["mic", "cam", "a0", "v0"]
    assert section_of(again, "cam").receive_rids == ("q", "h", "f")
    assert section_of(again, "v0").encodings == section_of(offer, "v0").encodings
    assert [codec.rtx_payload_type for codec in section_of(again, "v0").codecs] == [97, 99, 103, 46]


def test_numbers_mean_one_thing_in_all_m_lines() -> None:
    offer = make()
    extensions = {(item.id, item.uri) for section in offer.media for item in section.extensions}
    assert len(extensions) == len({id_ for id_, _ in extensions}) == len({uri for _, uri in extensions})
    types = [number for codec in OFFERED_CODECS.values() for number in (codec.payload_type, codec.rtx_payload_type)]
    used = [number for number in types if number is not None]
    assert len(used) == len(set(used))
    assert not [number for number in used if 64 <= number < 96], "RFC 5761 section 4"


def test_codecs_are_what_both_have_in_the_peers_order() -> None:
    offer = make()
    vp8, vp9, h264, av1 = section_of(offer, "v0").codecs
    without_rtx = replace(vp8, rtx_payload_type=None, feedback=("nack pli",))
    other_profile = replace(h264, parameters={"profile-level-id": "640c1f", "packetization-mode": "1"})
    renumbered = replace(vp9, payload_type=120)
    theirs = reply(section_of(offer, "v0"), codecs=(av1, other_profile, renumbered, without_rtx))
    codecs = section_of(agree(offer, answer_to(offer, v0=theirs)), "v0").codecs
    assert codecs == (av1, replace(vp8, rtx_payload_type=None, feedback=("nack pli",)))


def test_a_level_of_h264_does_not_matter() -> None:
    offer = make()
    h264 = section_of(offer, "v0").codecs[2]
    lower = replace(h264, parameters={"profile-level-id": "42e00d", "packetization-mode": "1"})
    theirs = reply(section_of(offer, "v0"), codecs=(lower,))
    assert section_of(agree(offer, answer_to(offer, v0=theirs)), "v0").codecs == (h264,)


def test_repair_goes_when_no_codec_has_it() -> None:
    offer = make()
    vp8 = replace(section_of(offer, "v0").codecs[0], rtx_payload_type=None)
    agreed = agree(offer, answer_to(offer, v0=reply(section_of(offer, "v0"), codecs=(vp8,))))
    (encoding,) = section_of(agreed, "v0").encodings
    assert encoding.ssrc is not None
    assert encoding.rtx_ssrc is None


def test_extensions_need_number_and_name() -> None:
    offer = make()
    theirs = reply(section_of(offer, "v0"), extensions=(RTCHeaderExtension(4, MID), RTCHeaderExtension(5, "urn:x")))
    assert [item.uri for item in section_of(agree(offer, answer_to(offer, v0=theirs)), "v0").extensions] == [MID]


def test_layers_are_those_that_the_peer_sends() -> None:
    offer = make()
    sent = (RTCEncoding(rid="f"), RTCEncoding(rid="q"), RTCEncoding(rid="x"))
    agreed = agree(offer, answer_to(offer, cam=reply(section_of(offer, "cam"), encodings=sent)))
    assert section_of(agreed, "cam").receive_rids == ("q", "f")


@pytest.mark.parametrize("mid", ["mic", "cam", "a0", "v0"])
def test_what_the_peer_does_not_want_is_inactive(mid: str) -> None:
    offer = make()
    theirs = reply(section_of(offer, mid), direction="inactive", encodings=())
    agreed = section_of(agree(offer, answer_to(offer, **{mid: theirs})), mid)
    assert (agreed.direction, agreed.encodings, agreed.receive_rids) == ("inactive", (), ())


def test_a_rejected_m_line_may_have_lost_its_mid() -> None:
    offer = make()
    rejected = RTCMediaSection(mid="3", kind="video", rejected=True)
    assert section_of(agree(offer, answer_to(offer, v0=rejected)), "v0").rejected


def test_no_codec_in_common_makes_an_m_line_inactive() -> None:
    offer = make()
    agreed = agree(offer, answer_to(offer, v0=reply(section_of(offer, "v0"), codecs=())))
    assert section_of(agreed, "v0").direction == "inactive"


def test_mixed_extensions_need_both() -> None:
    offer = make()
    assert agree(offer, answer_to(offer)).allow_mixed_extensions
    assert not agree(offer, replace(answer_to(offer), allow_mixed_extensions=False)).allow_mixed_extensions


@pytest.mark.parametrize(
    "change",
    [
        lambda answer: replace(answer, media=answer.media[:-1]),
        lambda answer: replace(answer, media=(*answer.media, answer.media[-1])),
        lambda answer: replace(answer, media=answer.media[::-1]),
        lambda answer: replace(answer, media=(replace(answer.media[0], mid="x"), *answer.media[1:])),
        lambda answer: replace(answer, media=(replace(answer.media[0], direction="recvonly"), *answer.media[1:])),
        lambda answer: replace(answer, media=(*answer.media[:-1], replace(answer.media[-1], direction="sendrecv"))),
        lambda answer: replace(answer, dtls_role="actpass"),
    ],
)
def test_what_does_not_answer_the_offer_is_refused(change: Any) -> None:
    offer = make()
    with pytest.raises(RemoteSdpError) as caught:
        agree(offer, change(answer_to(offer)))
    assert caught.value.slug == "answer-mismatch"


def test_two_lite_agents_never_meet() -> None:
    offer = make()
    with pytest.raises(RemoteSdpError, match="ice-lite"):
        agree(offer, replace(answer_to(offer), lite=True))


@pytest.mark.parametrize("codecs", [("VP8",), ("opus", "theora"), ("opus",)])
def test_codecs_that_cannot_be_offered(codecs: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="codecs"):
        make(codecs=codecs)


def test_the_order_of_codecs_is_the_settings() -> None:
    offer = make(codecs=("AV1", "opus", "vp8"))
    assert [codec.name for codec in section_of(offer, "cam").codecs] == ["AV1", "VP8"]

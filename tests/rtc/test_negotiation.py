"""Answers to real offers, and each rule of negotiation on a small one."""

from dataclasses import replace

import pytest

from router.errors import RemoteSdpError
from router.rtc.constraints import RTCConstraints
from router.rtc.description import RTCDescription, RTCEncoding, RTCMediaSection
from router.rtc.negotiation import answer, compatible
from router.rtc.sdp import parse, write
from tests.rtc.sdp_vectors import AUDIO, FINGERPRINT, MEDIA_OFFERS, OFFERS, SESSION, SMALL, VIDEO, local_parameters

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"


def answered(text: str, **changes: object) -> RTCDescription:
    return answer(parse(text), local=local_parameters(**changes))


def codec_names(section: RTCMediaSection) -> list[str]:
    return list(dict.fromkeys(codec.name for codec in section.codecs))


@pytest.mark.parametrize("name", MEDIA_OFFERS)
def test_answers_keep_what_an_answer_must_keep(name: str) -> None:
    offer = parse(OFFERS[name])
    ours = answer(offer, local=local_parameters())
    assert [(item.mid, item.kind) for item in ours.media] == [(item.mid, item.kind) for item in offer.media]
    reversed_direction = {"sendonly": "recvonly", "recvonly": "sendonly"}
    seen: dict[int, str] = {}
    for offered, mine in zip(offer.media, ours.media, strict=True):
        if mine.rejected:
            assert offered.kind == "data"
            continue
        assert mine.direction == reversed_direction.get(offered.direction, offered.direction)
        offered_codecs = {item.payload_type: item for item in offered.codecs}
        for codec in mine.codecs:
            assert codec.name.lower() in ("opus", "red", "vp8", "vp9", "h264", "av1")
            assert codec.rtx_payload_type == offered_codecs[codec.payload_type].rtx_payload_type
            assert set(codec.feedback) <= set(offered_codecs[codec.payload_type].feedback)
        assert {(item.id, item.uri) for item in mine.extensions} <= {(item.id, item.uri) for item in offered.extensions}
        for item in mine.extensions:
            assert seen.setdefault(item.id, item.uri) == item.uri
        assert mine.receive_rids == tuple(item.rid for item in offered.encodings if item.rid)
        assert bool(mine.encodings) == (mine.direction in ("sendonly", "sendrecv"))
    assert ours.lite
    assert parse(write(ours, session_id=1)) == ours


@pytest.mark.parametrize("name", [name for name in MEDIA_OFFERS if name.startswith(("ffmpeg", "obs"))])
def test_answers_fit_small_clients(name: str) -> None:
    text = write(answered(OFFERS[name]), session_id=1)
    assert len(text) < 2000, "FFmpeg takes 8192 bytes"
    assert text.index("typ host") > 0


def test_obs_counts_the_layers_in_the_first_simulcast_line() -> None:
    text = write(answered(OFFERS["obs-simulcast"]), session_id=1)
    line = next(line for line in text.splitlines() if line.startswith("a=simulcast"))
    assert line == "a=simulcast:recv 0;1;2"
    assert "a=rid:0 recv" in text


@pytest.mark.parametrize(
    ("offered", "expected"), [("actpass", "passive"), ("active", "passive"), ("passive", "active")]
)
def test_dtls_role(offered: str, expected: str) -> None:
    assert answered(SMALL.replace("actpass", offered)).dtls_role == expected


def test_our_transport() -> None:
    ours = answered(SMALL)
    assert (ours.ufrag, ours.fingerprints, ours.end_of_candidates) == ("localfrag", (FINGERPRINT,), True)
    assert [item.address for item in ours.candidates] == ["192.0.2.9"]
    assert not ours.trickle
    assert not ours.allow_mixed_extensions


def test_what_we_send_has_ssrcs_of_its_own() -> None:
    ours = answered(OFFERS["chromium-room"])
    assert [item.encodings for item in ours.media[:4]] == [
        (RTCEncoding(ssrc=1000),),
        (RTCEncoding(ssrc=1001, rtx_ssrc=1002),),
        (RTCEncoding(ssrc=1003, rtx_ssrc=1004),),
        (RTCEncoding(ssrc=1005),),
    ]
    assert {item.cname for item in ours.media[:4]} == {"router-cname"}
    ids = [(item.stream_id, item.track_id) for item in ours.media[:4]]
    assert ids == [("room", "audio-0"), ("room", "video-1"), ("room-2", "video-2"), ("room-3", "audio-3")]


def test_publishers_get_no_ssrc_of_ours() -> None:
    ours = answered(OFFERS["chromium-whip"])
    assert all(item.encodings == () and item.stream_id is None and item.cname is None for item in ours.media)


def test_fec_and_telephone_events_are_refused() -> None:
    ours = answered(OFFERS["chromium-room"])
    assert [codec_names(item) for item in ours.media[:3]] == [
        ["opus", "red"],
        ["VP8", "H264", "AV1", "VP9"],
        ["VP8", "VP9", "H264", "AV1"],
    ]


def test_red_is_accepted_of_an_opus_that_is() -> None:
    offer = OFFERS["chromium-whip"]
    assert codec_names(answered(offer).media[0]) == ["opus", "red"], "the publisher prefers opus"
    for other in ("a=fmtp:63 111/112", "a=fmtp:63 0/111", ""):
        assert "a=fmtp:63 111/111" in offer
        assert codec_names(answered(offer.replace("a=fmtp:63 111/111", other)).media[0]) == ["opus"]
    only_opus = RTCConstraints(codecs=("opus", "VP8"))
    assert codec_names(answer(parse(offer), local=local_parameters(), receive=only_opus).media[0]) == ["opus"]


def test_feedback_by_direction() -> None:
    publish, play = answered(OFFERS["chromium-whip"]), answered(OFFERS["chromium-whep"])
    assert set(publish.media[1].codecs[0].feedback) == {"goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"}
    assert set(play.media[1].codecs[0].feedback) == {"goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"}
    assert publish.media[0].codecs[0].feedback == ("transport-cc",)
    assert play.media[0].codecs[0].feedback == ("transport-cc",)


@pytest.mark.parametrize(
    ("direction", "lines", "accepted"),
    [
        ("recvonly", ("ack ccfb",), ("ack ccfb",)),
        ("recvonly", ("transport-cc", "ack ccfb"), ("transport-cc",)),
        ("sendrecv", ("ack ccfb",), ()),
        ("sendonly", ("ack ccfb",), ()),
    ],
)
def test_rfc_8888_is_heard_from_receivers_that_know_nothing_else(
    direction: str, lines: tuple[str, ...], accepted: tuple[str, ...]
) -> None:
    text = small_with(*(f"a=rtcp-fb:* {line}" for line in lines)).replace("sendonly", direction)
    assert answered(text).media[1].codecs[0].feedback == ("nack", *accepted)


def uris(section: RTCMediaSection) -> set[str]:
    return {item.uri.rpartition("/")[2].rpartition(":")[2] for item in section.extensions}


def test_extensions_by_direction() -> None:
    publish, play = answered(OFFERS["chromium-whip-simulcast"]), answered(OFFERS["chromium-whep"])
    descriptor = "#dependency-descriptor-rtp-header-extension"
    cc = "draft-holmer-rmcat-transport-wide-cc-extensions-01"
    assert uris(publish.media[0]) == {"mid", "ssrc-audio-level", cc}
    assert uris(publish.media[1]) == {
        *("mid", "rtp-stream-id", "repaired-rtp-stream-id", cc, "abs-send-time", descriptor),
        *("video-orientation", "playout-delay"),
    }
    assert uris(play.media[0]) == {"mid", "ssrc-audio-level", cc}
    assert uris(play.media[1]) == {"mid", "video-orientation", "playout-delay", cc}
    room = answered(OFFERS["chromium-room"])
    assert uris(room.media[2]) == {"mid", descriptor, "video-orientation", "playout-delay", cc}


def test_extension_directions_are_reversed() -> None:
    ours = answered(OFFERS["firefox-room"])
    assert {item.id: item.direction for item in ours.media[1].extensions} == {
        3: "sendrecv",
        4: "recvonly",
        6: "sendonly",
        7: "sendrecv",
        8: "recvonly",
        9: "recvonly",
        10: "recvonly",
    }
    assert {item.id for item in ours.media[2].extensions} == {3, 6, 7}, "Firefox only sends ids 8 to 10"


def small_with(*lines: str, mixed: bool = False) -> str:
    session = SESSION.replace("a=setup", "a=extmap-allow-mixed\na=setup") if mixed else SESSION
    return session + AUDIO + VIDEO + "".join(f"{line}\n" for line in lines)


def test_extension_ids_that_need_two_bytes_need_mixed_headers() -> None:
    lines = (f"a=extmap:15 {TRANSPORT_CC}", f"a=extmap:16 {RID}", f"a=extmap:14 {MID}")
    assert [item.id for item in answered(small_with(*lines)).media[1].extensions] == [14]
    assert [item.id for item in answered(small_with(*lines, mixed=True)).media[1].extensions] == [16, 14]


def test_one_extension_id_has_one_meaning_in_the_group() -> None:
    text = SESSION + AUDIO + f"a=extmap:1 {MID}\n" + VIDEO + f"a=extmap:1 {RID}\na=extmap:2 {MID}\n"
    assert [[item.id for item in section.extensions] for section in answered(text).media] == [[1], [2]]


def test_an_inactive_extension_is_left_out() -> None:
    assert answered(small_with(f"a=extmap:1/inactive {MID}")).media[1].extensions == ()


def test_codecs_keep_the_offered_order_unless_told() -> None:
    text = OFFERS["safari-whip-simulcast"]
    assert codec_names(answered(text).media[1]) == ["H264", "VP8"]
    assert codec_names(answered(text, preferred_codecs=("vp8",)).media[1]) == ["VP8", "H264"]
    chromium = answered(OFFERS["chromium-whip"], preferred_codecs=("AV1", "VP9")).media[1]
    assert codec_names(chromium) == ["AV1", "VP9", "VP8", "H264"]


def test_codec_constraints_choose_and_order() -> None:
    offer = parse(OFFERS["chromium-room"])
    ours = answer(offer, local=local_parameters(), receive=RTCConstraints(codecs=("opus", "VP9", "vp8")))
    assert codec_names(ours.media[1]) == ["VP9", "VP8"], "sendrecv obeys the receive constraint too"
    assert codec_names(ours.media[2]) == ["VP8", "VP9", "H264", "AV1"], "sendonly does not"
    both = answer(
        offer,
        local=local_parameters(),
        receive=RTCConstraints(codecs=("VP8", "VP9")),
        send=RTCConstraints(codecs=("VP9",)),
    )
    assert codec_names(both.media[1]) == ["VP9"]
    assert both.media[0].rejected, "opus was not named"


def test_extension_constraints() -> None:
    offer = parse(OFFERS["chromium-room"])
    ours = answer(offer, local=local_parameters(), receive=RTCConstraints(extensions=(MID, RID)))
    assert [(item.id, item.direction) for item in ours.media[1].extensions] == [
        (13, "sendonly"),
        (3, "sendonly"),
        (5, "sendonly"),
        (4, "sendrecv"),
        (10, "recvonly"),
        (12, "sendonly"),
    ]


def test_bitrate_constraint_reaches_the_publisher() -> None:
    offer = parse(OFFERS["chromium-room"])
    ours = answer(offer, local=local_parameters(), receive=RTCConstraints(max_bitrate_bps=1_500_500))
    assert [item.max_bitrate_bps for item in ours.media] == [None, 1_500_500, None, None, None]
    assert "b=AS:1501\r\nb=TIAS:1500500\r\n" in write(ours, session_id=1)


def test_kinds_the_socket_does_not_carry() -> None:
    ours = answered(SMALL, kinds=("audio",))
    assert [item.rejected for item in ours.media] == [False, True]
    with pytest.raises(RemoteSdpError, match="video '1': this socket carries audio only"):
        answered(SMALL.replace("=audio 9", "=audio 0"), kinds=("audio",))


def test_rights_cut_directions_down() -> None:
    room = OFFERS["chromium-room"]
    players = answered(room, may_receive=False)
    assert [item.direction for item in players.media[:4]] == ["sendonly"] * 4
    assert players.media[1].receive_rids == ()
    publishers = answered(room, may_send=False)
    assert [item.rejected for item in publishers.media] == [False, False, True, True, True]
    assert publishers.media[1].direction == "recvonly"
    assert publishers.media[1].encodings == ()


def test_data_channel_and_rejected_sections_keep_their_place() -> None:
    text = SMALL.replace("=audio 9", "=audio 0") + "m=application 9 TCP/DTLS/SCTP webrtc-datachannel\na=mid:2\n"
    ours = answered(text.replace("BUNDLE 0 1", "BUNDLE 1 2"))
    assert [item.rejected for item in ours.media] == [True, False, True]
    written = write(ours, session_id=1)
    assert "a=group:BUNDLE 1\r\n" in written
    assert "m=application 0 TCP/DTLS/SCTP webrtc-datachannel\r\n" in written
    assert "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n" in written
    assert written.index("a=candidate") > written.index("m=video")


@pytest.mark.parametrize("name", ["chromium-data-only", "firefox-data-only"])
def test_nothing_but_a_data_channel(name: str) -> None:
    with pytest.raises(RemoteSdpError, match="no usable m-line: data '0': data channels are not supported"):
        answered(OFFERS[name])


def test_nothing_usable_names_every_reason() -> None:
    text = SMALL.replace("opus/48000/2", "PCMU/8000").replace("VP8/90000", "H261/90000")
    with pytest.raises(RemoteSdpError) as caught:
        answered(text)
    assert str(caught.value) == (
        "no usable m-line: audio '0': no codec in common, offered PCMU; video '1': no codec in common, offered H261"
    )


def test_inactive_alone_is_not_usable() -> None:
    with pytest.raises(RemoteSdpError, match="all are inactive"):
        answered(SMALL.replace("a=sendonly", "a=inactive"))
    assert answered(SMALL.replace("a=sendonly", "a=inactive", 1)).media[0].direction == "inactive"


def test_two_lite_agents_cannot_connect() -> None:
    with pytest.raises(RemoteSdpError, match="a=ice-lite"):
        answer(replace(parse(SMALL), lite=True), local=local_parameters())


def test_payload_types_that_look_like_rtcp_are_refused() -> None:
    ours = answered(SMALL.replace(" 96 97", " 72 97 98").replace(":96", ":72").replace("apt=96", "apt=72"))
    assert ours.media[1].rejected
    rtx = answered(SMALL.replace(" 96 97", " 96 73").replace(":97", ":73"))
    assert rtx.media[1].codecs[0].rtx_payload_type is None


def test_h264_parameters() -> None:
    video = VIDEO.replace("VP8/90000", "H264/90000")
    codec = answered(SESSION + AUDIO + video + "a=fmtp:96 profile-level-id=42e01f;sprop-parameter-sets=Z0==\n").media[1]
    assert codec.codecs[0].parameters == {"level-asymmetry-allowed": "1", "profile-level-id": "42e01f"}
    interleaved = SESSION + AUDIO + video + "a=fmtp:96 packetization-mode=2\n"
    assert answered(interleaved).media[1].rejected


def test_answer_without_a_group_has_none() -> None:
    ours = answered(SESSION.replace("a=group:BUNDLE 0 1\n", "") + AUDIO)
    assert "BUNDLE" not in write(ours, session_id=1)


def test_compatible() -> None:
    chromium, firefox = answered(OFFERS["chromium-room"]), answered(OFFERS["firefox-room"])
    assert compatible(chromium.media[1], firefox.media[2])
    assert not compatible(chromium.media[0], firefox.media[2])
    safari = answered(OFFERS["safari-whip-simulcast"], preferred_codecs=())
    h264 = replace(safari.media[1], codecs=safari.media[1].codecs[:1])
    assert not compatible(h264, firefox.media[2]), "no H264 there"
    assert not compatible(h264, chromium.media[2]), "constrained high is not what Chromium listed"

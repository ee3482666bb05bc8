"""Rules of the parser one by one, and what it refuses, each refusal naming the line and what was expected."""

import pytest

from router.errors import RemoteSdpError
from router.rtc.description import RTCEncoding, RTCMediaSection
from router.rtc.sdp import parse, parse_candidate
from tests.rtc.sdp_vectors import AUDIO, FINGERPRINT, SESSION, SMALL, VIDEO


def video(*lines: str) -> RTCMediaSection:
    return parse(SMALL + "".join(f"{line}\n" for line in lines)).media[1]


def test_small_offer() -> None:
    offer = parse(SMALL)
    assert [item.mid for item in offer.media] == ["0", "1"]
    assert offer.media[0].encodings == (RTCEncoding(),), "nothing said: one encoding"
    assert offer.media[1].codecs[0].rtx_payload_type == 97


def test_media_level_beats_session_level() -> None:
    other = FINGERPRINT.value.replace("AB", "CD").lower()
    audio = AUDIO + f"a=ice-ufrag:efgh\na=ice-pwd:{'x' * 22}\na=fingerprint:SHA-256 {other}\na=setup:passive\n"
    offer = parse(SESSION + audio + VIDEO)
    assert (offer.ufrag, offer.password, offer.dtls_role) == ("efgh", "x" * 22, "passive")
    assert offer.fingerprints[0].value == other.upper()


def test_tagged_section_is_the_first_of_the_group_that_lives() -> None:
    session = SESSION.replace("BUNDLE 0 1", "BUNDLE 1 0").replace("a=ice-ufrag:abcd\n", "")
    session = session.replace("a=ice-pwd:0123456789012345678901\n", "")
    offer = parse(session + AUDIO + VIDEO + f"a=ice-ufrag:tagged\na=ice-pwd:{'y' * 22}\n")
    assert offer.ufrag == "tagged"


def test_port_zero_is_a_rejection_unless_bundle_only() -> None:
    rejected = parse(SESSION + AUDIO + VIDEO.replace("m=video 9", "m=video 0"))
    assert rejected.media[1] == RTCMediaSection(mid="1", kind="video", rejected=True)
    alive = parse(SESSION + AUDIO + VIDEO.replace("m=video 9", "m=video 0") + "a=bundle-only\n")
    assert not alive.media[1].rejected


def test_rejected_section_needs_nothing_and_may_have_any_profile() -> None:
    offer = parse(SESSION + AUDIO + "m=video 0 RTP/AVP 31\n")
    assert offer.media[1].rejected
    assert offer.media[1].protocol == "RTP/AVP"


def test_single_section_without_group_or_mid() -> None:
    session = SESSION.replace("a=group:BUNDLE 0 1\n", "")
    offer = parse(session + AUDIO.replace("a=mid:0\n", ""))
    assert not offer.bundled
    assert offer.media[0].mid == "0"


def test_wildcard_feedback_joins_own_feedback() -> None:
    codec = video("a=rtcp-fb:* ccm fir", "a=rtcp-fb:* nack").codecs[0]
    assert codec.feedback == ("nack", "ccm fir")


def test_parameters() -> None:
    codec = video("a=fmtp:96 A=1; b = x=y ;flag;;", "a=fmtp:96 c=2").codecs[0]
    assert codec.parameters == {"a": "1", "b": "x=y", "flag": "", "c": "2"}


def test_static_and_unknown_payload_types() -> None:
    offer = parse(SMALL.replace("SAVPF 111", "SAVPF 111 0 8 9 127"))
    assert [codec.name for codec in offer.media[0].codecs] == ["opus", "PCMU", "PCMA", "G722"]


def test_simulcast_order_pauses_and_alternatives() -> None:
    media = video("a=rid:a send", "a=rid:b send pt=96;max-width=320", "a=rid:c send", "a=simulcast:send c;~b,a")
    assert media.encodings == (RTCEncoding("c"), RTCEncoding("b", paused=True))


def test_simulcast_leaves_out_undeclared_rids() -> None:
    assert video("a=rid:a send", "a=simulcast:send a;ghost").encodings == (RTCEncoding("a"),)


def test_receive_rids() -> None:
    media = video("a=rid:a send", "a=rid:x recv", "a=rid:y recv", "a=simulcast:recv y;x send a")
    assert media.receive_rids == ("y", "x")
    assert media.encodings == (RTCEncoding("a"),)


def test_sim_group_without_rids() -> None:
    media = video("a=ssrc-group:SIM 1 2", "a=ssrc-group:FID 1 11", "a=ssrc-group:FID 2 12", "a=ssrc:1 cname:x")
    assert media.encodings == (RTCEncoding(ssrc=1, rtx_ssrc=11), RTCEncoding(ssrc=2, rtx_ssrc=12))


def test_fec_ssrc_is_no_encoding() -> None:
    media = video("a=ssrc-group:FEC-FR 1 2", "a=ssrc:2 cname:x", "a=ssrc:1 cname:x", "a=ssrc:3 cname:x")
    assert media.encodings == (RTCEncoding(ssrc=1),)


def test_extension_placeholder_ids_are_skipped() -> None:
    media = video("a=extmap:4100 urn:x", "a=extmap:7/sendonly urn:y extra attributes")
    assert [(item.id, item.uri, item.direction) for item in media.extensions] == [(7, "urn:y", "sendonly")]


def test_bandwidth() -> None:
    offer = parse(SESSION + AUDIO + VIDEO.replace("c=IN", "b=AS:900\nb=TIAS:850000\nb=CT:1\nc=IN"))
    assert [item.max_bitrate_bps for item in offer.media] == [None, 850_000]


def test_ice_lite_and_options() -> None:
    offer = parse(SMALL.replace("a=setup", "a=ice-lite\na=ice-options:ice2 trickle\na=end-of-candidates\na=setup"))
    assert (offer.lite, offer.trickle, offer.end_of_candidates) == (True, True, True)


def test_candidates_we_do_not_know_are_skipped() -> None:
    assert parse_candidate("1 1 dccp 1 192.0.2.1 9 typ host") is None
    assert parse_candidate("1 1 udp 1 192.0.2.1 9 typ magic") is None
    found = parse_candidate("candidate:1 1 udp 1 192.0.2.1 9 typ srflx raddr 10.0.0.1 rport 5 generation 0 ufrag x")
    assert found is not None
    assert (found.related_address, found.related_port) == ("10.0.0.1", 5)
    name = parse_candidate("0 1 UDP 2122187007 fdc8ea85-35c1-4e03-8d09-16b98c5addc2.local 40062 typ host")
    assert name is not None
    assert name.transport == "udp"


BAD = {
    "empty": ("", "line 1: expected 'v=0'"),
    "version": (SMALL.replace("v=0", "v=1"), "line 1: expected 'v=0'"),
    "no m-line": (SESSION, "expected an m-line"),
    "not SDP": (SMALL + "hello\n", "line 25: expected '<letter>=<value>'"),
    "control character": (SMALL + "a=x:\x00\n", "line 25: expected no control"),
    "bare carriage return": (SMALL + "a=fmtp:96 a\rb=1\n", "line 25: expected no control"),
    "all rejected": (SMALL.replace("=audio 9", "=audio 0").replace("=video 9", "=video 0"), "not rejected"),
    "short m-line": (SESSION + "m=audio 9\n", "line 10: expected 'm="),
    "port": (SMALL.replace("m=audio 9", "m=audio 65536"), "line 10: expected a port"),
    "other media": (SMALL + "m=text 9 UDP/TLS/RTP/SAVPF 98\na=mid:1x\n", "1x"),
    "plain RTP": (SMALL.replace("audio 9 UDP/TLS/RTP/SAVPF", "audio 9 RTP/AVP"), "line 10: expected the transport"),
    "SAVP": (SMALL.replace("audio 9 UDP/TLS/RTP/SAVPF", "audio 9 UDP/TLS/RTP/SAVP"), "line 10: expected the transport"),
    "SDES": (SMALL + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc\n", "line 25: a=crypto"),
    "no fingerprint": (SMALL.replace("a=fingerprint:", "a=x-"), "line 10: expected a=fingerprint"),
    "weak fingerprint": (SMALL.replace("sha-256", "sha-1"), "line 8: expected a fingerprint of sha-256"),
    "short fingerprint": (SMALL.replace(FINGERPRINT.value, "AB:CD"), "line 8: expected 32 hex pairs"),
    "no mux": (SMALL.replace("a=rtcp-mux\n", "", 1), "line 10: expected a=rtcp-mux"),
    "no ufrag": (SMALL.replace("a=ice-ufrag:abcd\n", ""), "line 6: expected a=ice-ufrag"),
    "no ICE": (SMALL.replace("a=ice-ufrag:abcd\na=ice-pwd", "a=x"), "expected a=ice-ufrag and a=ice-pwd"),
    "colon in ufrag": (SMALL.replace("ufrag:abcd", "ufrag:ab:cd"), "line 6: expected a=ice-ufrag of 4"),
    "short password": (SMALL.replace("0123456789012345678901", "012345"), "line 7: expected a=ice-pwd of 22"),
    "role": (SMALL.replace("setup:actpass", "setup:holdconn"), "line 9: expected a=setup"),
    "mid twice": (SMALL.replace("a=mid:1", "a=mid:0"), "is used twice"),
    "long mid": (SMALL.replace("a=mid:1", f"a=mid:{'1' * 17}"), "expected a mid of 1 to 16"),
    "no mid": (SMALL.replace("a=mid:1\n", ""), "line 16: expected a=mid"),
    "outside the group": (SMALL.replace("BUNDLE 0 1", "BUNDLE 0"), "line 5: expected every m-line in one BUNDLE"),
    "no group": (SMALL.replace("a=group:BUNDLE 0 1\n", ""), "expected 'a=group:BUNDLE'"),
    "PT over 127": (SMALL.replace("SAVPF 96", "SAVPF 128"), "line 16: expected a payload type"),
    "PT of many digits": (SMALL.replace("SAVPF 96", f"SAVPF {'9' * 3000}"), "line 16: expected a payload type"),
    "PT not a number": (SMALL.replace("SAVPF 96", "SAVPF +96"), "line 16: expected a payload type"),
    "PT of other digits": (SMALL.replace("SAVPF 96", "SAVPF \u0669\u0666"), "line 16: expected a payload type"),
    "PT twice": (SMALL.replace("SAVPF 96", "SAVPF 96 96"), "line 16: payload type 96 is listed twice"),
    "rtpmap twice": (SMALL + "a=rtpmap:96 H264/90000\n", "line 25: payload type 96 has two"),
    "rtpmap": (SMALL + "a=rtpmap:98 H264\n", "line 25: expected 'a=rtpmap"),
    "clock rate": (SMALL + "a=rtpmap:98 H264/0\n", "line 25: expected a clock rate"),
    "feedback": (SMALL + "a=rtcp-fb:96\n", "line 25: expected 'a=rtcp-fb"),
    "fmtp letters": (SMALL + "a=fmtp:96 x=\u20281\n", "line 25: expected printable ASCII"),
    "extension id 0": (SMALL + "a=extmap:0 urn:x\n", "line 25: expected an extension id"),
    "extension id 256": (SMALL + "a=extmap:256 urn:x\n", "line 25: expected an extension id"),
    "extension id 5000": (SMALL + "a=extmap:5000 urn:x\n", "line 25: expected an extension id"),
    "extension id twice": (SMALL + "a=extmap:1 urn:x\na=extmap:1 urn:y\n", "line 26: extension id 1 is used twice"),
    "extension direction": (SMALL + "a=extmap:1/up urn:x\n", "line 25: expected a direction"),
    "extension": (SMALL + "a=extmap:1\n", "line 25: expected 'a=extmap"),
    "SSRC": (SMALL + "a=ssrc:4294967296 cname:x\n", "line 25: expected an SSRC"),
    "FID of one": (SMALL + "a=ssrc-group:FID 1\n", "line 25: expected two different SSRCs"),
    "rid": (SMALL + "a=rid:a up\n", "line 25: expected 'a=rid"),
    "long rid": (SMALL + f"a=rid:{'a' * 17} send\n", "line 25: expected a rid"),
    "simulcast": (SMALL + "a=simulcast:up a\n", "line 25: expected 'a=simulcast"),
    "simulcast list": (SMALL + "a=simulcast:send a;;b\n", "line 25: expected a rid"),
    "candidate": (SMALL.replace("a=mid:0\n", "a=mid:0\na=candidate:1 1 udp\n"), "line 13: expected a candidate"),
    "candidate address": (
        SMALL.replace("a=mid:0\n", "a=mid:0\na=candidate:1 1 udp 1 ' 9 typ host\n"),
        "line 13: expected an address",
    ),
    "same SSRC in two sections": (
        SESSION + AUDIO + "a=ssrc:5 cname:x\n" + VIDEO + "a=ssrc:5 cname:x\n",
        "SSRC 5 is used twice",
    ),
    "same SSRC in two layers": (
        SMALL + "a=ssrc-group:SIM 5 6\na=ssrc-group:FID 5 7\na=ssrc-group:FID 6 7\n",
        "SSRC 7 is used twice",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_refused_with_the_line_and_what_was_expected(name: str) -> None:
    text, expected = BAD[name]
    with pytest.raises(RemoteSdpError) as caught:
        parse(text)
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable(), "peer text in messages is escaped"


def test_unknown_lines_are_ignored() -> None:
    unknown = "z=0 0\nk=prompt\na=\na=unknown\na=x:y:z\ni=\u00e9\nb=X-YZ:12\n"
    assert parse(SMALL + unknown) == parse(SMALL)

"""Writing: reading it back gives the same value, and the text is what strict clients expect."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.errors import LocalSdpError
from router.rtc.description import (
    Kind,
    MediaDirection,
    RTCCandidate,
    RTCCodec,
    RTCDescription,
    RTCEncoding,
    RTCFingerprint,
    RTCHeaderExtension,
    RTCMediaSection,
)
from router.rtc.sdp import parse, write
from tests.rtc.sdp_vectors import FINGERPRINT

ICE = string.ascii_letters + string.digits + "+/"
TOKEN = string.ascii_letters + string.digits + "!#$%&'*+-.^_`{|}~"
RID = string.ascii_letters + string.digits + "-_"
KINDS: list[Kind] = ["audio", "video", "data"]
DIRECTIONS: list[MediaDirection] = ["sendrecv", "sendonly", "recvonly", "inactive"]

rids = st.text(RID, min_size=1, max_size=16)
ids = st.text(TOKEN, min_size=1, max_size=40).filter(lambda text: text != "-")
ports = st.integers(0, 65535)
addresses = st.one_of(st.ip_addresses().map(str), st.just("0c5e8f1e-8d5d.local"))
fingerprints = st.sampled_from([("sha-256", 32), ("sha-384", 48), ("sha-512", 64)]).flatmap(
    lambda item: st.binary(min_size=item[1], max_size=item[1]).map(
        lambda digest: RTCFingerprint(item[0], digest.hex(":").upper())
    )
)
candidates = st.builds(
    RTCCandidate,
    foundation=st.text(ICE, min_size=1, max_size=32),
    component=st.integers(1, 256),
    transport=st.sampled_from(["udp", "tcp"]),
    priority=st.integers(0, 2**32 - 1),
    address=addresses,
    port=ports,
    type=st.sampled_from(["host", "srflx", "prflx", "relay"]),
    related_address=st.none() | addresses,
    related_port=st.none() | ports,
    tcp_type=st.none() | st.sampled_from(["active", "passive", "so"]),
)
extensions = st.lists(
    st.builds(
        RTCHeaderExtension,
        id=st.integers(1, 255),
        uri=st.text(TOKEN + ":/", min_size=1, max_size=60),
        direction=st.sampled_from(DIRECTIONS),
    ),
    max_size=8,
    unique_by=lambda item: item.id,
).map(tuple)
parameters = st.dictionaries(
    st.text(string.ascii_lowercase + string.digits + "-/", min_size=1, max_size=20),
    st.text(string.ascii_letters + string.digits + "=,./+", max_size=20).map(str),
    max_size=4,
)
names = st.sampled_from(["opus", "VP8", "VP9", "H264", "AV1", "red", "telephone-event"])


@st.composite
def codecs(draw: st.DrawFn) -> tuple[RTCCodec, ...]:
    numbers = draw(st.lists(st.integers(0, 127), min_size=1, max_size=12, unique=True))
    with_rtx: bool = draw(st.booleans())
    found = []
    while numbers:
        number = numbers.pop()
        rtx = numbers.pop() if numbers and with_rtx else None
        found.append(
            RTCCodec(
                name=draw(names),
                payload_type=number,
                clock_rate=draw(st.sampled_from([8000, 48000, 90000])),
                channels=draw(st.integers(1, 2)),
                parameters=draw(parameters),
                feedback=tuple(
                    draw(st.lists(st.sampled_from(["nack", "nack pli", "ccm fir", "goog-remb"]), unique=True))
                ),
                rtx_payload_type=rtx,
            )
        )
    return tuple(found)


@st.composite
def encodings(draw: st.DrawFn, ssrcs: list[int]) -> tuple[RTCEncoding, ...]:
    """As one can say them in SDP: rids with or without SSRCs, SIM group, one stream, nothing."""
    layers = draw(st.integers(1, 4))
    known: bool = draw(st.booleans())
    layer_rids: list[str | None] = list(draw(st.lists(rids, min_size=layers, max_size=layers, unique=True)))
    if draw(st.booleans()):
        layer_rids = [None] * (layers if known else 1)
    return tuple(
        RTCEncoding(
            rid=rid,
            ssrc=ssrcs.pop() if known else None,
            rtx_ssrc=ssrcs.pop() if known and draw(st.booleans()) else None,
            paused=rid is not None and draw(st.booleans()),
        )
        for rid in layer_rids
    )


@st.composite
def sections(draw: st.DrawFn, mid: str, ssrcs: list[int]) -> RTCMediaSection:
    kind = draw(st.sampled_from(KINDS))
    if draw(st.integers(0, 5)) == 0:
        return RTCMediaSection(mid=mid, kind=kind, rejected=True)
    direction = draw(st.sampled_from(DIRECTIONS))
    if kind == "data":
        return RTCMediaSection(mid=mid, kind=kind, direction=direction, sctp_port=draw(st.none() | ports))
    sends = draw(encodings(ssrcs)) if direction in ("sendrecv", "sendonly") else ()
    return RTCMediaSection(
        mid=mid,
        kind=kind,
        direction=direction,
        codecs=draw(codecs()),
        extensions=draw(extensions),
        encodings=sends,
        receive_rids=tuple(draw(st.lists(rids, max_size=3, unique=True))),
        stream_id=draw(st.none() | ids) if sends else None,
        track_id=draw(st.none() | ids) if sends else None,
        cname=draw(ids) if sends and sends[0].ssrc is not None else None,
        max_bitrate_bps=draw(st.none() | st.integers(1, 10**12)),
        reduced_size_rtcp=draw(st.booleans()),
        protocol=draw(st.none() | st.just("RTP/SAVPF")),
    )


@st.composite
def descriptions(draw: st.DrawFn) -> RTCDescription:
    ssrcs = draw(st.lists(st.integers(0, 2**32 - 1), min_size=40, max_size=40, unique=True))
    mids = draw(st.lists(st.text(TOKEN, min_size=1, max_size=16), min_size=1, max_size=4, unique=True))
    first = draw(sections(mids[0], ssrcs).filter(lambda section: not section.rejected))
    media = (first, *(draw(sections(mid, ssrcs)) for mid in mids[1:]))
    return RTCDescription(
        ufrag=draw(st.text(ICE, min_size=4, max_size=40)),
        password=draw(st.text(ICE, min_size=22, max_size=40)),
        fingerprints=tuple(draw(st.lists(fingerprints, min_size=1, max_size=3, unique=True))),
        dtls_role=draw(st.sampled_from(["actpass", "active", "passive"])),
        lite=draw(st.booleans()),
        candidates=tuple(draw(st.lists(candidates, max_size=4))),
        end_of_candidates=draw(st.booleans()),
        media=media,
        allow_mixed_extensions=draw(st.booleans()),
        trickle=draw(st.booleans()),
    )


@settings(deadline=None)
@given(descriptions(), st.integers(0, 2**62))
def test_written_then_parsed_is_the_same(description: RTCDescription, session_id: int) -> None:
    assert parse(write(description, session_id=session_id)) == description


def small(**changes: object) -> RTCDescription:
    video = RTCMediaSection(
        mid="v",
        kind="video",
        direction="sendrecv",
        codecs=(
            RTCCodec(
                "H264",
                108,
                90000,
                parameters={"level-asymmetry-allowed": "1", "packetization-mode": "1", "profile-level-id": "42e01f"},
                feedback=("nack", "nack pli"),
                rtx_payload_type=109,
            ),
        ),
        extensions=(RTCHeaderExtension(4, "urn:mid"), RTCHeaderExtension(10, "urn:rid", "recvonly")),
        encodings=(RTCEncoding(ssrc=1, rtx_ssrc=2),),
        receive_rids=("0", "1", "2"),
        stream_id="s",
        track_id="t",
        cname="c",
        reduced_size_rtcp=True,
    )
    values: dict[str, object] = {
        "ufrag": "abcd",
        "password": "0123456789012345678901",
        "fingerprints": (FINGERPRINT,),
        "dtls_role": "passive",
        "lite": True,
        "candidates": (RTCCandidate("1", 1, "udp", 5, "192.0.2.1", 4000, "host"),),
        "end_of_candidates": True,
        "media": (
            RTCMediaSection(mid="d", kind="data", rejected=True),
            video,
            RTCMediaSection(
                mid="a", kind="audio", direction="recvonly", codecs=(RTCCodec("opus", 111, 48000, channels=2),)
            ),
        ),
    }
    return RTCDescription(**(values | changes))  # type: ignore[arg-type]


def test_text_of_an_answer() -> None:
    text = write(small(), session_id=42, version=3)
    assert text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    fingerprint = f"a=fingerprint:sha-256 {FINGERPRINT.value}"
    assert text.split("\r\n")[:-1] == [
        "v=0",
        "o=- 42 3 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE v a",
        "a=ice-lite",
        "a=msid-semantic:WMS *",
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=mid:d",
        "a=inactive",
        "m=video 9 UDP/TLS/RTP/SAVPF 108 109",
        "c=IN IP4 0.0.0.0",
        "a=mid:v",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789012345678901",
        fingerprint,
        "a=setup:passive",
        "a=candidate:1 1 udp 5 192.0.2.1 4000 typ host",
        "a=end-of-candidates",
        "a=extmap:4 urn:mid",
        "a=extmap:10/recvonly urn:rid",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=rtpmap:108 H264/90000",
        "a=rtcp-fb:108 nack",
        "a=rtcp-fb:108 nack pli",
        "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        "a=rtpmap:109 rtx/90000",
        "a=fmtp:109 apt=108",
        "a=msid:s t",
        "a=rid:0 recv",
        "a=rid:1 recv",
        "a=rid:2 recv",
        "a=simulcast:recv 0;1;2",
        "a=ssrc-group:FID 1 2",
        "a=ssrc:1 cname:c",
        "a=ssrc:2 cname:c",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=mid:a",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789012345678901",
        fingerprint,
        "a=setup:passive",
        "a=recvonly",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
    ]


@pytest.mark.parametrize("field", ["ufrag", "password"])
def test_a_value_cannot_smuggle_in_a_line(field: str) -> None:
    with pytest.raises(LocalSdpError):
        write(small(**{field: "abcd\r\na=crypto:1"}), session_id=1)

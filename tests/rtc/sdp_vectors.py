"""Offers under tests/vectors/sdp by name, and a small offer to break in one place."""

import itertools
from pathlib import Path

from router.rtc.description import RTCFingerprint
from router.rtc.negotiation import LocalParameters
from router.rtc.sdp import parse_candidate

FOLDER = Path(__file__).parents[1] / "vectors" / "sdp"
OFFERS = {path.stem: path.read_bytes().decode() for path in sorted(FOLDER.glob("*.sdp"))}
FRAGMENTS = {path.stem: path.read_bytes().decode() for path in sorted((FOLDER / "fragments").glob("*.sdpfrag"))}
MEDIA_OFFERS = sorted(name for name in OFFERS if not name.endswith("data-only"))

FINGERPRINT = RTCFingerprint("sha-256", ":".join(["AB"] * 32))
AUDIO = """m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:0
a=sendonly
a=rtcp-mux
a=rtpmap:111 opus/48000/2
"""
VIDEO = """m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=mid:1
a=sendonly
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
"""
SESSION = f"""v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0 1
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 {FINGERPRINT.value}
a=setup:actpass
"""
SMALL = SESSION + AUDIO + VIDEO


def local_parameters(**changes: object) -> LocalParameters:
    """Ours, with SSRCs 1000, 1001, …"""
    host = parse_candidate("1 1 udp 2130706431 192.0.2.9 5000 typ host")
    assert host is not None
    counter = itertools.count(1000)
    values: dict[str, object] = {
        "ufrag": "localfrag",
        "password": "localpasswordlocalpassword",
        "fingerprints": (FINGERPRINT,),
        "cname": "router-cname",
        "stream_id": "room",
        "allocate_ssrc": lambda: next(counter),
        "candidates": (host,),
    }
    return LocalParameters(**(values | changes))  # type: ignore[arg-type]

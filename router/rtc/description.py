"""What two peers tell each other before media flows, as plain values (the seed's signalling is the application's).

An `RTCDescription` carries everything a session description would: ICE credentials, DTLS fingerprints and role,
candidates, and one `RTCMediaSection` per m-line. `router.rtc.sdp` translates it to and from SDP (RFC 8866, RFC 9429);
`router.rtc.negotiation` makes an answer from an offer. Nothing here knows text, sockets or the engine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Kind = Literal["audio", "video", "data"]
MediaDirection = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
DtlsRole = Literal["actpass", "active", "passive"]
NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RTCFingerprint:
    """A certificate's hash (RFC 8122): algorithm as in SDP, lower case; value as upper-case hex pairs with colons."""

    algorithm: str
    value: str


@dataclass(frozen=True, slots=True)
class RTCCandidate:
    """A transport address (RFC 8839 section 5.1)."""

    foundation: str
    component: int
    transport: Literal["udp", "tcp"]
    priority: int
    address: str
    port: int
    type: Literal["host", "srflx", "prflx", "relay"]
    related_address: str | None = None
    related_port: int | None = None
    tcp_type: str | None = None


@dataclass(frozen=True, slots=True)
class RTCCandidatePair:
    """Where media flows."""

    local: RTCCandidate
    remote: RTCCandidate


@dataclass(frozen=True, slots=True)
class RTCCodec:
    """One payload type of an m-line. `parameters` are its fmtp values (a bare flag has the value "")."""

    name: str
    """As registered: "opus", "VP8", "VP9", "H264", "AV1"; compared without case."""
    payload_type: int
    clock_rate: int
    channels: int = 1
    parameters: Mapping[str, str] = field(default_factory=lambda: NO_PARAMETERS)
    feedback: tuple[str, ...] = ()
    """rtcp-fb values as in SDP: "nack", "nack pli", "ccm fir", "transport-cc", "goog-remb", "ack ccfb"."""
    rtx_payload_type: int | None = None


@dataclass(frozen=True, slots=True)
class RTCHeaderExtension:
    """One extmap line (RFC 8285)."""

    id: int
    uri: str
    direction: MediaDirection = "sendrecv"


@dataclass(frozen=True, slots=True)
class RTCEncoding:
    """One RTP stream that the describer sends for a track: a simulcast layer (rid) or the only one."""

    rid: str | None = None
    ssrc: int | None = None
    rtx_ssrc: int | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True)
class RTCMediaSection:
    """One m-line, seen from the side that wrote the description."""

    mid: str
    kind: Kind
    direction: MediaDirection = "inactive"
    rejected: bool = False
    codecs: tuple[RTCCodec, ...] = ()
    extensions: tuple[RTCHeaderExtension, ...] = ()
    encodings: tuple[RTCEncoding, ...] = ()
    """What the describer sends here; empty when it does not send. Without rid and SSRC: one encoding, all None."""
    receive_rids: tuple[str, ...] = ()
    """Simulcast layers the describer accepts here."""
    stream_id: str | None = None
    track_id: str | None = None
    cname: str | None = None
    sctp_port: int | None = None
    protocol: str | None = None
    """The m-line's transport when it is not the usual one of its kind; an answer repeats it."""
    max_bitrate_bps: int | None = None
    """The most that the describer wants to receive here (b=TIAS, else b=AS)."""
    reduced_size_rtcp: bool = False


@dataclass(frozen=True, slots=True)
class RTCTrackDescription:
    """A track the describer sends: its section, by another name."""

    id: str
    kind: Kind
    section: RTCMediaSection


@dataclass(frozen=True, slots=True)
class RTCStreamDescription:
    """The tracks that share one MediaStream id, in m-line order."""

    id: str
    tracks: tuple[RTCTrackDescription, ...]


@dataclass(frozen=True, slots=True)
class RTCDescription:
    """One side of a connection."""

    ufrag: str
    password: str
    fingerprints: tuple[RTCFingerprint, ...]
    dtls_role: DtlsRole = "actpass"
    lite: bool = False
    candidates: tuple[RTCCandidate, ...] = ()
    end_of_candidates: bool = False
    media: tuple[RTCMediaSection, ...] = ()
    allow_mixed_extensions: bool = False
    trickle: bool = False
    bundled: bool = True
    """There is a BUNDLE group. False only for a single m-line without one; an answer may not add it."""

    @property
    def streams(self) -> tuple[RTCStreamDescription, ...]:
        """What the describer sends, grouped by MediaStream; a track without msid is a stream of its own."""
        grouped: dict[str, list[RTCTrackDescription]] = {}
        for section in self.media:
            if section.rejected or section.kind == "data" or section.direction not in ("sendonly", "sendrecv"):
                continue
            track_id = section.track_id or f"track-{section.mid}"
            stream_id = section.stream_id or f"stream-{section.mid}"
            grouped.setdefault(stream_id, []).append(RTCTrackDescription(track_id, section.kind, section))
        return tuple(RTCStreamDescription(id=name, tracks=tuple(tracks)) for name, tracks in grouped.items())

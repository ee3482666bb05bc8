"""One snapshot of a peer, as plain values: all that verdicts are made from. Durations end at the snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["ok", "waiting", "broken", "not applicable"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be thought of one part of a call."""

    verdict: Verdict
    sentence: str
    """What is wrong and what to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFacts:
    """One address of the peer that authentic checks came from, and one socket of ours."""

    local: str
    remote: str
    validated: bool
    nominated: bool
    selected: bool
    checks_received: int
    challenges_sent: int
    answers_received: int
    last_alive_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IceFacts:
    """RFC 8445: we are a lite agent that proves each path by checks of its own."""

    local_candidates: tuple[str, ...] = ()
    """As the peer was told: `ADDRESS:PORT`."""
    remote_candidates: tuple[str, ...] = ()
    described: bool = True
    """The peer's credentials are known."""
    checks_received: int = 0
    checks_refused: Mapping[str, int] = field(default_factory=dict)
    last_check_s: float | None = None
    last_check_from: str | None = None
    last_consent_s: float | None = None
    """The last authentic packet of any kind."""
    consent_timeout_s: float = 30.0
    paths: tuple[PathFacts, ...] = ()
    selected_s: float | None = None
    """How long a pair has been selected."""
    pair_changes: int = 0
    round_trip_s: float | None = None

    @property
    def selected(self) -> PathFacts | None:
        """Where media goes."""
        return next((path for path in self.paths if path.selected), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DtlsFacts:
    """RFC 5764 and RFC 8122."""

    state: Literal["new", "handshaking", "connected", "closed", "failed"] = "new"
    role: Literal["client", "server"] = "server"
    """Ours."""
    fingerprint: Literal["unknown", "match", "mismatch"] = "unknown"
    began_s: float | None = None
    handshake_s: float | None = None
    """How long it took."""
    datagrams_received: int = 0
    datagrams_sent: int = 0
    restarts: int = 0
    alert: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SrtpFacts:
    """RFC 3711."""

    keyed: bool = False
    profile: str | None = None
    packets_accepted: int = 0
    """RTP that belongs to a track."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """All of the peer's packets that were dropped, by the engine's reasons."""

    def count(self, *reasons: str) -> int:
        """How many were dropped for these reasons."""
        return sum(self.dropped.get(reason, 0) for reason in reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityFacts:
    """What the engine thinks of a track or a slot (engine-rs/docs/quality.md)."""

    score: float
    """Mean opinion score, 1.0 to 4.5."""
    category: Literal["good", "fair", "poor", "lost"]
    impairment: Literal["none", "loss", "delay", "size", "frame-rate", "freezes", "paused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingFacts:
    """One layer of a published track."""

    rid: str | None = None
    ssrc: int | None = None
    wanted: bool = True
    """Somebody is shown it, or its publisher was not told otherwise."""
    packets: int = 0
    bitrate_bps: int = 0
    lost: int = 0
    last_packet_s: float | None = None
    key_frames: int = 0
    key_frame_requests: int = 0
    nacks: int = 0
    size: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFacts:
    """A track that the peer publishes."""

    mid: str
    track_id: str
    kind: Literal["audio", "video"]
    source: str = "unknown"
    codec: str | None = None
    allowed: bool = True
    muted: bool = False
    moderated: bool = False
    quality: QualityFacts | None = None
    encodings: tuple[EncodingFacts, ...] = ()

    @property
    def packets(self) -> int:
        """Of all layers."""
        return sum(encoding.packets for encoding in self.encodings)

    @property
    def last_packet_s(self) -> float | None:
        """Of any layer."""
        return min((it.last_packet_s for it in self.encodings if it.last_packet_s is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotFacts:
    """A receiving m-line of the peer."""

    mid: str
    kind: Literal["audio", "video"]
    track_id: str | None = None
    why: str = ""
    """Why this track, says the room."""
    layer: int | None = None
    layer_why: str = ""
    """Why this layer, says the engine."""
    limited_by: str = "none"
    waiting: bool = False
    bitrate_bps: int = 0
    packets: int = 0
    nacks: int = 0
    key_frame_requests: int = 0
    retransmitted: int = 0
    fraction_lost: float = 0.0
    freezes: int = 0
    quality: QualityFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """What the peer's link carries, and how its slots share it."""

    estimate_bps: int | None = None
    limited_by: str = ""
    granted_bps: int = 0
    ideal_bps: int = 0
    limited: bool = False
    loss: float = 0.0
    queue_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsFacts:
    """What the participant may do now."""

    names: tuple[str, ...] = ()
    may_publish: bool = True
    may_subscribe: bool = True
    expires_in_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndFacts:
    """How it ended."""

    reason: str
    ago_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFacts:
    """Everything about one session of a participant."""

    endpoint: Literal["whip", "whep", "fork"] = "fork"
    state: Literal["new", "connected", "ended"] = "new"
    age_s: float = 0.0
    """Since its offer or answer came."""
    plain: bool = False
    """A plain RTP peer, without ICE and DTLS."""
    engine_read: bool = True
    """The engine could be asked; else its counters here are zero."""
    ice: IceFacts = IceFacts()
    dtls: DtlsFacts = DtlsFacts()
    srtp: SrtpFacts = SrtpFacts()
    tracks: tuple[TrackFacts, ...] = ()
    slots: tuple[SlotFacts, ...] = ()
    link: LinkFacts | None = None
    events: int = 0
    """Events WebSockets of the participant."""
    rights: RightsFacts = RightsFacts()
    ended: EndFacts | None = None

"""Parts of the engine's statistics (`_engine.pyi`); engine-rs/docs/quality.md tells how quality is known."""

from typing import Literal, TypedDict


class Scores(TypedDict):
    """How often which quality score was given."""

    buckets: list[int]
    """Upper bounds 1.2, 2.0, 2.58, 3.1, 3.6, 4.0, 4.3 and infinity, each without those below."""
    sum: float


LimitedBy = Literal["none", "bandwidth", "size", "frame-rate", "bitrate", "codec", "publisher", "paused"]
"""What keeps a slot from showing the best that its track has: the receiver's link, limits of the application on size,
frame rate or bits per second, no common codec, a publisher that sends nothing, a pause by the server."""


class Spread(TypedDict):
    """How values of many streams are spread; bounds are in engine-rs/src/core/spread.rs."""

    buckets: list[int]
    """By upper bound, the last infinity, each without those below."""
    sum: float


class ByKind(TypedDict):
    """A count each."""

    audio: int
    video: int


class Ways(TypedDict):
    """What ways of one direction were like, each looked at every two seconds."""

    loss: Spread
    """Part of the packets lost for good; upper bounds 0, 0.1, 0.5, 1, 2, 5, 10, 20 and 50 %."""
    jitter: Spread
    """In seconds; upper bounds 1, 2.5, 5, 10, 20, 30, 50, 100 and 500 ms."""
    round_trip: Spread
    """In seconds; upper bounds 5, 10, 25, 50, 100, 200, 400, 800 ms and 2 s."""
    lost_packets: ByKind
    """Lost at first, before repair."""


class Census(TypedDict):
    """How good all is; each track and slot is judged every two seconds."""

    audio_received: Scores
    audio_sent: Scores
    video_received: Scores
    video_sent: Scores
    freezes: int
    """Of receivers' pictures."""
    frozen_us: int
    limited: dict[LimitedBy, int]
    """Video slots that are assigned something, by what limits them now."""
    pictures: dict[str, int]
    """Those by the shorter side of the picture they show now: up to 90, 180, 360, 540, 720, 1080 or 2160 pixels,
    larger, unknown or none."""
    tracks: ByKind
    """Published, now."""
    subscriptions: ByKind
    """Slots that are assigned a track, now."""
    received: Ways
    """From publishers."""
    sent: Ways
    """To receivers, by their reports."""


class Quality(TypedDict):
    """How good a track is, by what is known without decoding it; see engine-rs/docs/quality.md."""

    score: float
    """Mean opinion score, 1.0 to 4.5."""
    category: Literal["good", "fair", "poor", "lost"]
    impairment: Literal["none", "loss", "delay", "size", "frame-rate", "freezes", "paused"]
    """What costs most."""
    model: Literal["e-model", "shown-of-wanted"]
    """ITU-T G.107 for audio, ours for video."""


class LayerStats(TypedDict):
    """A layer that flows, as measured over the last second, with those below that its receivers need."""

    spatial: int
    temporal: int | None
    """Absent where the stream does not name its layers."""
    bitrate_bps: int
    frame_width: int | None
    frame_height: int | None
    frames_per_second: float


class EncodingStats(TypedDict):
    """Received stream, W3C inbound-rtp meanings in snake_case."""

    ssrc: int | None
    rtx_ssrc: int | None
    rid: str | None
    packets_received: int
    bytes_received: int
    header_bytes_received: int
    packets_lost: int
    packets_duplicated: int
    packets_repaired: int
    """Arrived by RTX or late after a NACK."""
    retransmitted_packets_received: int
    nack_count: int
    pli_count: int
    fir_count: int
    key_frames_received: int
    frames_received: int
    jitter_s: float
    frame_width: int | None
    frame_height: int | None
    frames_per_second: float
    bitrate_bps: int
    layers: list[LayerStats]
    """Of video that flows; at least one then."""
    freeze_count: int
    """Freezes of the picture that arrives: frames no less than max(3 d, d + 150 ms) apart, d being their average
    distance. Counted as soon as it is one; a publisher that pauses by itself freezes once."""
    total_freezes_duration_s: float
    last_packet_us: int | None


class BandwidthStats(TypedDict):
    """What a peer's link carries, and how its slots share it."""

    estimate_bps: int | None
    """None while nothing has limited it."""
    limit: Literal["start", "delay", "queue", "loss", "remb", "outage"]
    """What limits the estimate."""
    budget_bps: int | None
    """What was shared out: the estimate, or what it is taken for until there is one."""
    granted_bps: int
    """Of it, granted, with audio and what is kept for repair."""
    ideal_bps: int
    """What all slots would cost with bandwidth without end."""
    is_limited: bool
    """Some slot has less for lack of bandwidth."""
    acked_bps: int | None
    """What arrives, by feedback on packets."""
    loss: float
    """Share of packets lost lately, by feedback on packets."""
    queue_s: float
    """What stands in the link's queue."""
    pacer_delay_s: float
    """How long the packet that waits longest for the link has waited here."""
    padding_bytes: int
    """Sent only to probe the link."""
    refused_feedback: int
    """Feedback that was not believed: packets never sent, impossible times, floods."""


class PathStats(TypedDict):
    """One tuple of a peer."""

    socket: int
    remote_address: tuple[str, int]
    priority: int
    """Of its last check."""
    validated: bool
    """Return-routability is proven."""
    nominated: bool
    """A check with USE-CANDIDATE came."""
    selected: bool
    checks_received: int
    """Authentic ones."""
    challenges_sent: int
    """Our own requests."""
    answers_received: int
    """To them."""
    last_alive_us: int
    """The last authentic check or answer."""


class ProducerStats(TypedDict):
    """A published track."""

    id: int
    kind: Literal["audio", "video"]
    mid: str | None
    paused: bool
    contributor: int
    codec: str | None
    payload_type: int | None
    audio_level: int | None
    """Last RFC 6464 level in -dBov, 0-127."""
    quality: Quality | None
    """Of what arrives here: loss after repair, delay, freezes. None while it is silent, paused or new."""
    encodings: list[EncodingStats]

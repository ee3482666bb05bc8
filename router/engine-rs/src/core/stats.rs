//! Snapshots of the core's state, plain values shaped like the typed dictionaries of `router/_engine.pyi`
//! (W3C webrtc-stats meanings in `snake_case`). What only `io` knows (batches, kernel drops) is added there.

use super::census::CensusCounters;
use super::command::MediaKind;
use crate::ice::PathStats;
use crate::ids::{Mid, PayloadType, ProducerId, Rid, SlotId, Ssrc, TransportId, Tuple};
use crate::recv::layer_meter::MeasuredLayers;
use crate::route::limited::LimitedBy;
use crate::send::quality::Quality;
use crate::time::Micros;
use std::borrow::Cow;

/// Packets dropped, by the slug of the reason.
pub type DropCounts = Vec<(&'static str, u64)>;

/// Totals of the core since its start. Cheap: nothing per peer is visited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreCounters {
    /// Authentic RTP packets, RTX included.
    pub rtp_packets_received: u64,
    /// Bytes of those packets as they came, with header and SRTP tag.
    pub rtp_bytes_received: u64,
    /// RTP packets that left, repairs included.
    pub rtp_packets_sent: u64,
    /// Bytes of those packets, with header and SRTP tag.
    pub rtp_bytes_sent: u64,
    /// Of those packets, with padding.
    pub padded_packets: u64,
    /// Bytes of that padding.
    pub padding_bytes: u64,
    /// Every reason is present, also those that never occurred.
    pub dropped: DropCounts,
    /// Transports alive.
    pub transports: u64,
    /// Producers alive.
    pub producers: u64,
    /// Slots alive.
    pub slots: u64,
    /// Speaker groups alive.
    pub speaker_groups: u64,
    /// Tuples that lead to a transport.
    pub tuples: u64,
    /// Timer entries; those of what is gone stay until they are due.
    pub timers: u64,
    /// Generic NACK messages received.
    pub nack_received: u64,
    /// Generic NACK messages sent.
    pub nack_sent: u64,
    /// Picture loss indications received.
    pub pli_received: u64,
    /// Picture loss indications sent.
    pub pli_sent: u64,
    /// Full intra requests received.
    pub fir_received: u64,
    /// Full intra requests sent.
    pub fir_sent: u64,
    /// Packets sent again to repair a loss.
    pub retransmitted_packets: u64,
    /// Producers of other workers that are mirrored here.
    pub mirrors: u64,
    /// Packets of those.
    pub mirror_packets_received: u64,
    /// How good all is.
    pub census: CensusCounters,
}

/// One received encoding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EncodingStats {
    /// SSRC, once known.
    pub ssrc: Option<Ssrc>,
    /// SSRC of its RTX, once known.
    pub rtx_ssrc: Option<Ssrc>,
    /// RID, when simulcast was negotiated.
    pub rid: Option<Rid>,
    /// RTP packets, without repairs by RTX.
    pub packets_received: u64,
    /// Payload bytes of those packets.
    pub bytes_received: u64,
    /// Header and padding bytes of those packets.
    pub header_bytes_received: u64,
    /// Packets lost (RFC 3550 section 6.4.1); negative when duplicates exceed losses.
    pub packets_lost: i64,
    /// Packets that had already arrived.
    pub packets_duplicated: u64,
    /// Packets that arrived by RTX, or late after a NACK.
    pub packets_repaired: u64,
    /// RTX packets received.
    pub retransmitted_packets_received: u64,
    /// NACK messages sent to the publisher.
    pub nack_count: u64,
    /// Picture loss indications sent to the publisher.
    pub pli_count: u64,
    /// Full intra requests sent to the publisher.
    pub fir_count: u64,
    /// Key frames begun.
    pub key_frames_received: u64,
    /// Frames begun.
    pub frames_received: u64,
    /// Interarrival jitter in seconds.
    pub jitter_s: f64,
    /// Picture width, where the codec tells it.
    pub frame_width: Option<u16>,
    /// Picture height, where the codec tells it.
    pub frame_height: Option<u16>,
    /// Frames per second over the last second.
    pub frames_per_second: f64,
    /// Bits per second over the last second.
    pub bitrate_bps: u64,
    /// Video: what is measured of each layer that flows, with those below that its receivers need.
    pub layers: MeasuredLayers,
    /// How often the picture that arrives stood still ([`crate::recv::freezes`]).
    pub freeze_count: u64,
    /// How long, in seconds.
    pub total_freezes_duration_s: f64,
    /// Arrival of the last packet.
    pub last_packet: Option<Micros>,
}

/// A published track.
#[derive(Clone, Debug, PartialEq)]
pub struct ProducerStats {
    /// Its id.
    pub id: ProducerId,
    /// Audio or video.
    pub kind: MediaKind,
    /// MID of its m-line.
    pub mid: Option<Mid>,
    /// Muted by the server.
    pub paused: bool,
    /// Contributor id.
    pub contributor: u32,
    /// Name of the codec last seen.
    pub codec: Option<&'static str>,
    /// Payload type last seen.
    pub payload_type: Option<PayloadType>,
    /// Last RFC 6464 level in -dBov.
    pub audio_level: Option<u8>,
    /// How good what arrives here is; `None` while there is nothing to judge.
    pub quality: Option<Quality>,
    /// Its encodings, in configured order.
    pub encodings: Vec<EncodingStats>,
}

/// A sending m-line.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotStats {
    /// Its id.
    pub id: SlotId,
    /// Audio or video.
    pub kind: MediaKind,
    /// MID of its m-line.
    pub mid: Option<Mid>,
    /// SSRC for life.
    pub ssrc: Ssrc,
    /// SSRC of its RTX.
    pub rtx_ssrc: Option<Ssrc>,
    /// The producer assigned.
    pub producer: Option<ProducerId>,
    /// The producer that is sent, which may be the one assigned before.
    pub shown_producer: Option<ProducerId>,
    /// A producer is assigned, but not sent yet: its key frame is not here, or `reason` says why.
    pub waiting: bool,
    /// Index of the encoding shown.
    pub encoding: Option<u8>,
    /// Why the slot shows what it shows.
    pub reason: Cow<'static, str>,
    /// The same as a stable word.
    pub limited_by: LimitedBy,
    /// How good it is for the receiver; `None` while there is nothing to judge.
    pub quality: Option<Quality>,
    /// Name of the codec sent.
    pub codec: Option<&'static str>,
    /// Payload type sent.
    pub payload_type: Option<PayloadType>,
    /// RTP packets sent, without repairs.
    pub packets_sent: u64,
    /// Payload bytes of those packets.
    pub bytes_sent: u64,
    /// Header bytes of those packets.
    pub header_bytes_sent: u64,
    /// Of those packets, sent without the producer's contributor id or something else of ours: fifteen CSRCs were there
    /// already, or no room.
    pub trimmed_packets_sent: u64,
    /// Packets sent again.
    pub retransmitted_packets_sent: u64,
    /// Payload bytes sent again.
    pub retransmitted_bytes_sent: u64,
    /// NACK messages received.
    pub nack_count: u64,
    /// Picture loss indications received.
    pub pli_count: u64,
    /// Full intra requests received.
    pub fir_count: u64,
    /// Bits per second over the last second.
    pub bitrate_bps: u64,
    /// Video frames sent.
    pub frames_sent: u64,
    /// Of those, key frames.
    pub key_frames_sent: u64,
    /// Width of the picture shown, where it is known; as of the last assessment, like the two that follow.
    pub frame_width: Option<u16>,
    /// Its height.
    pub frame_height: Option<u16>,
    /// Frames sent per second.
    pub frames_per_second: f64,
    /// How often the receiver's picture stood still ([`crate::recv::freezes`]).
    pub freeze_count: u64,
    /// How long, in seconds.
    pub total_freezes_duration_s: f64,
    /// As the receiver reported.
    pub packets_lost: i64,
    /// As the receiver reported, 0 to 1.
    pub fraction_lost: f64,
    /// As the receiver reported, in seconds.
    pub jitter_s: f64,
    /// From the receiver's reports, in seconds.
    pub round_trip_time_s: Option<f64>,
}

/// What a peer's link carries, and how its slots share it.
#[derive(Clone, Debug, PartialEq)]
pub struct BandwidthStats {
    /// Bits per second that it carries; `None` while nothing has limited it.
    pub estimate_bps: Option<u64>,
    /// What limits the estimate.
    pub limit: &'static str,
    /// Bits per second that were shared out: the estimate, or what it is taken for until there is one.
    pub budget_bps: Option<u64>,
    /// Of them, granted, with audio and what is kept for repair.
    pub granted_bps: u64,
    /// What all slots would cost with bandwidth without end.
    pub ideal_bps: u64,
    /// Some slot has less for lack of bandwidth.
    pub is_limited: bool,
    /// Bits per second that arrive, by feedback on packets.
    pub acked_bps: Option<u64>,
    /// Share of packets lost lately, by feedback on packets.
    pub loss: f64,
    /// What stands in the link's queue, in seconds.
    pub queue_s: f64,
    /// How long the packet that waits longest for the link has waited here, in seconds.
    pub pacer_delay_s: f64,
    /// Bytes sent only to probe the link.
    pub padding_bytes: u64,
    /// Feedback that was not believed: packets never sent, impossible times, floods.
    pub refused_feedback: u64,
}

/// One peer.
#[derive(Clone, Debug, PartialEq)]
pub struct TransportStats {
    /// Its id.
    pub id: TransportId,
    /// The selected tuple.
    pub selected: Option<Tuple>,
    /// How often a pair was selected.
    pub selected_pair_changes: u64,
    /// Tuples known.
    pub tuples: usize,
    /// Each of them, of a peer with ICE.
    pub paths: Vec<PathStats>,
    /// SRTP is keyed and media may pass.
    pub secured: bool,
    /// Datagrams received from its tuples.
    pub packets_received: u64,
    /// Bytes of those datagrams.
    pub bytes_received: u64,
    /// Datagrams sent to its tuples.
    pub packets_sent: u64,
    /// Bytes of those datagrams.
    pub bytes_sent: u64,
    /// Only reasons that occurred.
    pub dropped: DropCounts,
    /// Of our own path challenges.
    pub current_round_trip_time_s: Option<f64>,
    /// Last authenticated packet of any kind.
    pub last_authenticated: Option<Micros>,
    /// What its link carries, once it was sent video.
    pub bandwidth: Option<BandwidthStats>,
    /// Tracks it publishes.
    pub producers: Vec<ProducerStats>,
    /// M-lines sent to it.
    pub slots: Vec<SlotStats>,
}

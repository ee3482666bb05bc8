//! What Python tells the core. Every command is idempotent for ids that are gone: it is counted and ignored.

use super::capture::Tap;
pub use crate::alloc::{Preference, Priority};
use crate::ice::PlainPeer;
use crate::ids::{GroupId, Mid, PayloadType, ProducerId, Rid, SlotId, Ssrc, TransportId, Tuple};
pub use crate::media::{Codec, Extension, ExtensionIds, MediaKind};
use crate::srtp::SrtpSession;
use crate::time::Micros;

/// ICE credentials (RFC 8445 section 5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// User name fragment.
    pub ufrag: String,
    /// Password, the key of MESSAGE-INTEGRITY.
    pub password: String,
}

/// RTCP feedback that a codec agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// Generic NACK (RFC 4585).
    Nack,
    /// Picture loss indication (RFC 4585).
    Pli,
    /// Full intra request (RFC 5104).
    Fir,
    /// Transport-wide congestion control feedback.
    TransportCc,
    /// Receiver estimated maximum bitrate.
    Remb,
    /// Congestion control feedback of RFC 8888.
    Ccfb,
}

/// One codec of an m-line. Two m-lines can exchange packets of equal `format`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecConfig {
    /// Payload type on this transport.
    pub payload_type: PayloadType,
    /// Payload type of its RTX (RFC 4588) on this transport.
    pub rtx_payload_type: Option<PayloadType>,
    /// What the engine parses.
    pub codec: Codec,
    /// Key that Python gives to interchangeable formats: equal for e.g. any VP8, different for H264 profiles or
    /// packetization modes that must not be mixed.
    pub format: u32,
    /// RTP clock rate in Hz.
    pub clock_rate: u32,
    /// Feedback agreed for it (`a=rtcp-fb`).
    pub feedback: Vec<Feedback>,
}

/// A new transport. It passes no media before `SetSrtp`.
#[derive(Clone, PartialEq, Eq)]
pub struct TransportConfig {
    /// Its id.
    pub id: TransportId,
    /// Our credentials: checks must carry `ufrag:anything` and be keyed by the password.
    pub local: IceCredentials,
    /// Give the transport up after this long without an authenticated packet.
    pub timeout: Micros,
    /// Identity of our own RTCP for this peer (SDES CNAME).
    pub cname: String,
}

/// One encoding of a producer: a simulcast layer, or the only stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodingConfig {
    /// RID, when simulcast was negotiated.
    pub rid: Option<Rid>,
    /// SSRC, when signalled.
    pub ssrc: Option<Ssrc>,
    /// SSRC of its RTX, when signalled.
    pub rtx_ssrc: Option<Ssrc>,
}

/// A track that a peer publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerConfig {
    /// Its id.
    pub id: ProducerId,
    /// The transport it arrives on.
    pub transport: TransportId,
    /// Audio or video.
    pub kind: MediaKind,
    /// MID of its m-line, when there is one.
    pub mid: Option<Mid>,
    /// Codecs the peer may send.
    pub codecs: Vec<CodecConfig>,
    /// Extensions the peer may send.
    pub extensions: ExtensionIds,
    /// Encodings in SDP order; never empty. The engine ranks them by what it measures, never by name or order.
    pub encodings: Vec<EncodingConfig>,
    /// Contributor id, appended as CSRC to packets of every slot that shows this producer.
    pub contributor: u32,
    /// Silence after which `ProducerSilent` is reported.
    pub media_timeout: Micros,
}

/// A sending m-line towards a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotConfig {
    /// Its id.
    pub id: SlotId,
    /// The transport it leaves on.
    pub transport: TransportId,
    /// Audio or video.
    pub kind: MediaKind,
    /// MID of its m-line.
    pub mid: Option<Mid>,
    /// SSRC for life.
    pub ssrc: Ssrc,
    /// SSRC of its RTX, when RTX was negotiated.
    pub rtx_ssrc: Option<Ssrc>,
    /// Codecs the peer accepts. `rtx_payload_type` absent: losses are repaired by repeating the packet itself.
    pub codecs: Vec<CodecConfig>,
    /// Extensions the peer accepts.
    pub extensions: ExtensionIds,
    /// The peer understands two-byte extension headers mixed with one-byte ones (`extmap-allow-mixed`).
    pub allow_mixed_extensions: bool,
}

/// What a receiver's constraints allow, and what it can make use of. `None` is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Width and height in pixels at which it is shown; nothing beyond the smallest picture that covers this is of use. A
    /// side of `u16::MAX` is not known; (0, 0) is out of sight.
    pub shown_at: Option<(u16, u16)>,
    /// Highest bitrate, RTP payload and header, in bits per second.
    pub max_bitrate_bps: Option<u64>,
    /// Widest picture.
    pub max_width: Option<u16>,
    /// Highest picture.
    pub max_height: Option<u16>,
    /// Highest frame rate, in frames per second.
    pub max_frame_rate: Option<u16>,
    /// Highest temporal layer count (1 = base only), where the codec names its layers.
    pub max_temporal_layers: Option<u8>,
}

/// A command to the core.
pub enum Command {
    /// Adds a transport.
    CreateTransport(TransportConfig),
    /// The peer's credentials, known once its description is: needed to challenge new paths.
    SetRemoteIce(TransportId, IceCredentials),
    /// ICE restart (RFC 8445 section 9): new credentials beside the old, which die 10 s after a pair of the new ones.
    RestartIce(TransportId, IceCredentials),
    /// Python authenticated a check from this tuple, which the engine has not answered.
    AddTuple {
        /// The transport that the check named.
        transport: TransportId,
        /// Where it came from.
        tuple: Tuple,
        /// It carried USE-CANDIDATE.
        nominated: bool,
        /// Its PRIORITY.
        priority: u32,
    },
    /// The DTLS handshake finished on this tuple, which proves it: the path is valid without a challenge.
    ValidateTuple(TransportId, Tuple),
    /// A peer without ICE: takes the place of all paths it had. The application vouches for the addresses.
    SetPlainPeer {
        /// The transport.
        transport: TransportId,
        /// Where it is.
        peer: PlainPeer,
        /// Source of our own RTCP, unlike any other sent with its keys: peers may share them.
        ssrc: Ssrc,
    },
    /// Fingerprint verified, or keys agreed beforehand: media may pass, both ways.
    SetSrtp(TransportId, Box<dyn SrtpSession>),
    /// Caps what the peer may send, by REMB; `None` lifts the cap.
    SetReceiveLimit(TransportId, Option<u64>),
    /// Adds a producer.
    AddProducer(ProducerConfig),
    /// A producer of another worker will be used here by the next command.
    Mirror(Box<ProducerConfig>),
    /// Stops forwarding a producer, server-side mute, or resumes it.
    PauseProducer(ProducerId, bool),
    /// The publisher of a video producer pauses the encodings that are not in [`super::Event::EncodingsWanted`], or does not
    /// any more.
    FollowDemand(ProducerId, bool),
    /// Removes a producer; its slots go quiet.
    RemoveProducer(ProducerId),
    /// Adds a slot, showing nothing.
    AddSlot(SlotConfig),
    /// Shows a producer in a slot, or nothing. Video changes at the next key frame, and what was shown goes on until then.
    Assign(SlotId, Option<ProducerId>),
    /// Adds a speaker group without members; the number is the most places of any stage.
    CreateSpeakers(GroupId, usize),
    /// Removes a speaker group; its followers go quiet and may be assigned again.
    RemoveSpeakers(GroupId),
    /// An audio producer competes to be heard.
    JoinSpeakers {
        /// The producer. It leaves a group that it was in.
        producer: ProducerId,
        /// The group.
        group: GroupId,
        /// Who owns it.
        participant: u64,
    },
    /// Audio slots of one peer hear the loudest, but never `participant`.
    FollowSpeakers {
        /// The slots, in the order of their places. They leave what they showed.
        slots: Vec<SlotId>,
        /// The group.
        group: GroupId,
        /// Who hears them.
        participant: u64,
    },
    /// Changes a slot's limits.
    SetLimits(SlotId, Limits),
    /// How much a slot matters when bandwidth is short, and what to keep of it.
    SetPriority(SlotId, Priority, Preference),
    /// Removes a slot, with an RTCP BYE.
    RemoveSlot(SlotId),
    /// Asks the publisher for a key frame of every encoding in use.
    RequestKeyFrame(ProducerId),
    /// Taps a peer's packets for a capture, or ends that.
    Capture(TransportId, Option<Tap>),
    /// Sends BYE for its slots, removes the transport with its producers and slots, answers `TransportRemoved`.
    RemoveTransport(TransportId),
}

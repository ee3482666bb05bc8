//! The words that the wire formats share with the configuration: kinds, codecs, header extensions.

use crate::time::Micros;

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// Audio.
    Audio,
    /// Video.
    Video,
}

/// The codecs the engine looks into; `Other` is forwarded blindly and never switches at key frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// RFC 2198, of opus.
    Red,
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184.
    H264,
    /// AV1 RTP specification.
    Av1,
    /// Anything else.
    Other,
}

/// The header extensions the engine knows (RFC 8285). Others are dropped at the hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Extension {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid`
    Mid,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id`
    Rid,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id`
    RepairedRid,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464)
    AudioLevel,
    /// `urn:ietf:params:rtp-hdrext:csrc-audio-level` (RFC 6465)
    CsrcAudioLevel,
    /// `http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`
    TransportCc,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`
    AbsSendTime,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time`
    AbsCaptureTime,
    /// `urn:3gpp:video-orientation`
    VideoOrientation,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/playout-delay`
    PlayoutDelay,
    /// `https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension`
    DependencyDescriptor,
}

/// The ids of the extensions one m-line agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds(pub Vec<(Extension, u8)>);

/// What a stream counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Packets of which it is known whether they arrived.
    pub packets: u64,
    /// Of those, lost at first.
    pub lost: u64,
    /// Of the lost ones, repaired.
    pub repaired: u64,
    /// Frames.
    pub frames: u64,
    /// How long the picture stood still.
    pub frozen: Micros,
}

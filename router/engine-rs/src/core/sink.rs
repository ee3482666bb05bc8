//! Where the core puts what it makes. The IO shell's sink is a send batch; a test's sink is a list.

use super::Event;
use super::capture::Captured;
use super::mirror::{MirrorHead, MirrorMessage};
use crate::ids::{Tuple, WorkerId};
use crate::media::MediaKind;
use crate::recv::MediaPacket;
pub use crate::wire::MAX_DATAGRAM;

/// How much a datagram matters when not all can be sent, most important first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// STUN, DTLS, RTCP.
    #[default]
    Control,
    /// Audio.
    Audio,
    /// Video that other pictures depend on for long: key frames.
    VideoKey,
    /// Other video.
    Video,
    /// Video that the rest can do without: an upper temporal layer.
    VideoLayer,
}

impl Class {
    /// All, in order.
    pub const ALL: [Self; 5] = [
        Self::Control,
        Self::Audio,
        Self::VideoKey,
        Self::Video,
        Self::VideoLayer,
    ];

    /// What a packet of media is.
    #[inline]
    pub fn of(kind: MediaKind, packet: &MediaPacket) -> Self {
        match kind {
            MediaKind::Audio => Self::Audio,
            MediaKind::Video if packet.in_key_frame => Self::VideoKey,
            MediaKind::Video if packet.content.temporal_layer().unwrap_or(0) > 0 => {
                Self::VideoLayer
            }
            MediaKind::Video => Self::Video,
        }
    }

    /// Its name in the counters.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Audio => "audio",
            Self::VideoKey => "video_key",
            Self::Video => "video",
            Self::VideoLayer => "video_layer",
        }
    }
}

/// Receiver of the core's output. No call may fail: a full batch is flushed, a full event queue counts and drops.
pub trait Sink {
    /// Scratch space for the next datagram: at least `MAX_DATAGRAM + SRTP_MAX_OVERHEAD` bytes.
    fn scratch(&mut self) -> &mut [u8];

    /// Queues the first `len` bytes of the scratch space to `to`.
    fn commit(&mut self, len: usize, to: Tuple, class: Class);

    /// Says that `len` bytes at this address will be needed soon. By default nothing follows from it.
    #[inline]
    fn prefetch(&self, start: *const u8, len: usize) {
        let _ = (start, len);
    }

    /// Hands an event to Python.
    fn event(&mut self, event: Event);

    /// Hands a packet to a capture; it may be lost. By default there is none.
    fn capture(&mut self, head: &Captured, packet: &[u8]) {
        let _ = (head, packet);
    }

    /// The same for a packet in the first `len` bytes of the scratch space.
    fn capture_scratch(&mut self, head: &Captured, len: usize) {
        let _ = (head, len);
    }

    /// Hands a packet to another worker; it may be lost. A core that is alone never does.
    fn mirror_packet(&mut self, to: WorkerId, head: &MirrorHead, bytes: &[u8]) {
        let _ = (to, head, bytes);
    }

    /// Tells another worker, for certain and in order.
    fn mirror_message(&mut self, to: WorkerId, message: MirrorMessage) {
        let _ = (to, message);
    }
}

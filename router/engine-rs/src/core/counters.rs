//! The core's own totals. Nothing here is per peer.

use super::census::CensusCounters;
use super::stats::{CoreCounters, DropCounts};
use crate::wire::DropCounters;

/// Totals since the start.
#[derive(Default)]
pub struct Totals {
    /// Authentic RTP packets.
    pub rtp_received: Traffic,
    /// RTP packets committed to the sink, repairs included.
    pub rtp_sent: Traffic,
    /// Of these, packets with padding, and its bytes.
    pub padding: Traffic,
    /// Drops by reason.
    pub drops: DropCounters,
    /// Feedback received from peers.
    pub received_feedback: Feedback,
    /// Feedback sent to peers.
    pub sent_feedback: Feedback,
    /// Packets sent again.
    pub retransmitted: u64,
    /// Packets that came from other workers.
    pub mirror_received: u64,
    /// Packets and messages of other workers about something that is gone.
    pub mirror_stale: u64,
    /// Commands that named something that is gone.
    pub stale_commands: u64,
}

/// Packets and bytes in one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Datagrams.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Traffic {
    /// Counts a datagram.
    #[inline]
    pub fn count(&mut self, len: usize) {
        self.packets += 1;
        self.bytes += len as u64;
    }
}

/// Feedback messages by kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Feedback {
    /// Generic NACK messages.
    pub nack: u64,
    /// Picture loss indications.
    pub pli: u64,
    /// Full intra requests.
    pub fir: u64,
}

impl Totals {
    /// The public form.
    pub fn snapshot(&self, transports: usize, producers: usize, slots: usize) -> CoreCounters {
        CoreCounters {
            rtp_packets_received: self.rtp_received.packets,
            rtp_bytes_received: self.rtp_received.bytes,
            rtp_packets_sent: self.rtp_sent.packets,
            rtp_bytes_sent: self.rtp_sent.bytes,
            padded_packets: self.padding.packets,
            padding_bytes: self.padding.bytes,
            dropped: all_drops(&self.drops),
            transports: transports as u64,
            producers: producers as u64,
            slots: slots as u64,
            speaker_groups: 0,
            tuples: 0,
            timers: 0,
            nack_received: self.received_feedback.nack,
            nack_sent: self.sent_feedback.nack,
            pli_received: self.received_feedback.pli,
            pli_sent: self.sent_feedback.pli,
            fir_received: self.received_feedback.fir,
            fir_sent: self.sent_feedback.fir,
            retransmitted_packets: self.retransmitted,
            mirrors: 0,
            mirror_packets_received: self.mirror_received,
            census: CensusCounters::default(),
        }
    }
}

fn all_drops(drops: &DropCounters) -> DropCounts {
    drops
        .iter()
        .map(|(reason, count)| (reason.slug(), count))
        .collect()
}

//! The RTP names of packets sent: RFC 8888 reports on (SSRC, sequence number), the estimator knows transport-wide numbers.
//!
//! Looked up the other way round: the packets that are waited for, in the order they were sent, each among the
//! message's blocks. So results come in that order whatever the order of the blocks.

use crate::ids::Ssrc;
use crate::wire::rtcp::{CcfbBlock, CcfbStatus};
use arrayvec::ArrayVec;

/// Blocks of a message that are looked at: more streams than a receiver has slots.
pub const MAX_BLOCKS: usize = 64;

/// The blocks of a message.
pub type Blocks<'a> = ArrayVec<CcfbBlock<'a>, MAX_BLOCKS>;

#[derive(Clone, Copy, Debug, Default)]
struct Name {
    ssrc: Ssrc,
    rtp_seq: u16,
    /// The transport-wide number, which says whether the place is still this packet's.
    seq: u16,
}

/// See the module. Takes no memory until a packet is named.
#[derive(Clone, Debug, Default)]
pub struct RtpNames {
    /// Indexed by the transport-wide number; as large as the ring of packets sent.
    ring: Vec<Name>,
}

impl RtpNames {
    /// The packet with this transport-wide number has this name; `capacity` is how many numbers are waited for.
    pub fn push(&mut self, seq: u16, ssrc: Ssrc, rtp_seq: u16, capacity: usize) {
        if self.ring.len() < capacity {
            self.grow(capacity);
        }
        let index = self.index(seq);
        if let Some(place) = self.ring.get_mut(index) {
            *place = Name { ssrc, rtp_seq, seq };
        }
    }

    /// What the blocks say of the packet with this transport-wide number.
    pub fn status_of(&self, seq: u16, blocks: &Blocks) -> Option<CcfbStatus> {
        let name = self
            .ring
            .get(self.index(seq))
            .filter(|name| name.seq == seq)?;
        let mut of_stream = blocks.iter().filter(|block| block.ssrc == name.ssrc);
        of_stream.find_map(|block| block.status_of(name.rtp_seq))
    }

    fn index(&self, seq: u16) -> usize {
        seq as usize & self.ring.len().saturating_sub(1)
    }

    #[cold]
    fn grow(&mut self, capacity: usize) {
        let names = std::mem::replace(&mut self.ring, vec![Name::default(); capacity]);
        let mask = names.len().wrapping_sub(1);
        for (at, name) in names.iter().enumerate() {
            // Places that were never used are not where their number says.
            if at == name.seq as usize & mask {
                let index = self.index(name.seq);
                self.ring[index] = *name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtcp::{CcfbReport, RtcpMessage, messages, write_ccfb};

    #[test]
    fn names_are_found_through_growth_and_reuse() {
        let arrivals = [Some(1), None, Some(2)];
        let report = |ssrc, begin_seq| CcfbReport {
            ssrc: Ssrc(ssrc),
            begin_seq,
            arrivals: &arrivals,
        };
        let mut buffer = [0; 200];
        let reports = [report(7, 65_535), report(9, 500)];
        let len = write_ccfb(&mut buffer, Ssrc(1), 0, &reports).expect("fits");
        let Some(Ok(RtcpMessage::Ccfb(message))) = messages(&buffer[..len]).next() else {
            panic!("not feedback")
        };
        let blocks: Blocks = message.blocks().collect();
        let mut names = RtpNames::default();
        assert_eq!(names.status_of(0, &blocks), None);
        let sent = [
            (0, 7, 65_535),
            (1, 9, 500),
            (2, 7, 0),
            (3, 9, 501),
            (4, 7, 1),
            (5, 7, 2),
            (6, 8, 0),
        ];
        for (number, (seq, ssrc, rtp_seq)) in sent.into_iter().enumerate() {
            names.push(seq, Ssrc(ssrc), rtp_seq, if number < 3 { 32 } else { 64 });
        }
        let offsets: Vec<_> = (0..8)
            .map(|seq| names.status_of(seq, &blocks).map(|status| status.offset))
            .collect();
        let (one, two) = (Some(Some(1)), Some(Some(2)));
        assert_eq!(
            offsets,
            [one, one, Some(None), Some(None), two, None, None, None]
        );
        names.push(64, Ssrc(7), 1, 64);
        assert_eq!(names.status_of(0, &blocks), None, "its place is another's");
    }
}

//! The recent packets of one published stream, as received after SRTP: the one source of every retransmission.
//!
//! The parsed header is kept beside the bytes: a packet that came by RTX has its original header only there.
//! A packet can be had from when it is forwarded on, and is then padded for everybody alike: what was sent once must
//! stay what it was (RFC 3711 section 9.1).
//! A ring indexed by sequence number, shared by all slots that show the stream. It grows by doubling while packets
//! younger than [`SPAN`] would be overwritten, up to the cap of its kind, and reuses its buffers from then on.

use crate::ids::SeqNo;
use crate::media::MediaKind;
use crate::time::Micros;
use crate::wire::rtp::RtpHeader;

/// Most packets kept of a video stream: what receivers may ask for (`route/seq.rs`), and some more.
pub const VIDEO_CAPACITY: usize = 1_024;
/// Most packets kept of an audio stream: 2.5 s of 20 ms packets.
pub const AUDIO_CAPACITY: usize = 128;
/// What is older than this is of no use to a receiver's jitter buffer.
pub const SPAN: Micros = Micros::from_millis(2_000);

const INITIAL: usize = 16;
/// Buffers are allocated in steps of this, so that sizes settle quickly.
const STEP: usize = 256;

#[derive(Clone, Debug, Default)]
struct Entry {
    seq: Option<u64>,
    at: Micros,
    header: Option<RtpHeader>,
    /// Bytes of padding it is sent with; `None` until it is forwarded.
    padding: Option<u8>,
    packet: Vec<u8>,
}

/// A packet that was forwarded.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// Its header, as it was before RTX.
    pub header: &'a RtpHeader,
    /// The datagram as it came.
    pub bytes: &'a [u8],
    /// Bytes of padding it is sent with.
    pub padding: u8,
}

/// Packets of one stream by sequence number.
#[derive(Clone, Debug)]
pub struct History {
    ring: Vec<Entry>,
    capacity: usize,
    highest: u64,
}

impl History {
    /// Empty; allocates nothing before the first packet.
    pub fn new(kind: MediaKind) -> Self {
        let capacity = match kind {
            MediaKind::Audio => AUDIO_CAPACITY,
            MediaKind::Video => VIDEO_CAPACITY,
        };
        Self {
            ring: Vec::new(),
            capacity,
            highest: 0,
        }
    }

    /// Keeps a packet. One that lies a whole ring behind is refused, one already there is kept as it was: what was sent
    /// once must stay what it was.
    pub fn insert(&mut self, seq: SeqNo, header: &RtpHeader, packet: &[u8], now: Micros) {
        if self.ring.is_empty() {
            self.ring
                .resize_with(INITIAL.min(self.capacity), Entry::default);
        }
        if seq.0 + self.capacity as u64 <= self.highest {
            return;
        }
        let mut index = self.index(seq.0);
        while self.ring.len() < self.capacity && self.would_lose(index, seq.0, now) {
            self.grow();
            index = self.index(seq.0);
        }
        let entry = &mut self.ring[index];
        // Reordering around the ring's edge: the newer packet stays.
        if entry.seq.is_some_and(|held| held >= seq.0) {
            return;
        }
        entry.seq = Some(seq.0);
        entry.at = now;
        entry.header = Some(*header);
        entry.padding = None;
        entry.packet.clear();
        if entry.packet.capacity() < packet.len() {
            entry
                .packet
                .reserve_exact(packet.len().next_multiple_of(STEP));
        }
        entry.packet.extend_from_slice(packet);
        self.highest = self.highest.max(seq.0);
    }

    /// Another packet is in the way: a young one that would go, or a newer one that a late packet must not evict.
    fn would_lose(&self, index: usize, seq: u64, now: Micros) -> bool {
        let entry = &self.ring[index];
        let young = now - entry.at < SPAN;
        entry
            .seq
            .is_some_and(|held| held > seq || held < seq && young)
    }

    fn grow(&mut self) {
        let len = (self.ring.len() * 2).min(self.capacity);
        let old = std::mem::take(&mut self.ring);
        self.ring.resize_with(len, Entry::default);
        for entry in old {
            if let Some(seq) = entry.seq {
                let index = self.index(seq);
                self.ring[index] = entry;
            }
        }
    }

    fn index(&self, seq: u64) -> usize {
        (seq % self.ring.len() as u64) as usize
    }

    /// The packet is forwarded now, with so much padding.
    pub fn on_forward(&mut self, seq: SeqNo, padding: u8) {
        if self.ring.is_empty() {
            return;
        }
        let index = self.index(seq.0);
        let entry = &mut self.ring[index];
        if entry.seq == Some(seq.0) {
            entry.padding.get_or_insert(padding);
        }
    }

    /// The packet, if it was forwarded, is still there and not older than [`SPAN`].
    pub fn get(&self, seq: SeqNo, now: Micros) -> Option<Kept<'_>> {
        if self.ring.is_empty() {
            return None;
        }
        let entry = &self.ring[self.index(seq.0)];
        let kept = Kept {
            header: entry.header.as_ref()?,
            bytes: &entry.packet,
            padding: entry.padding?,
        };
        (entry.seq == Some(seq.0) && now - entry.at <= SPAN).then_some(kept)
    }

    /// Forgets all packets, keeps the buffers: the stream restarted.
    pub fn clear(&mut self) {
        for entry in &mut self.ring {
            entry.seq = None;
        }
        self.highest = 0;
    }

    /// Entries allocated, for tests and memory statistics.
    pub fn allocated(&self) -> usize {
        self.ring.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn insert(history: &mut History, seq: u64, packet: &[u8], now: Micros) {
        let header = RtpHeader::parse(&[0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).expect("valid");
        history.insert(SeqNo(seq), &header, packet, now);
        history.on_forward(SeqNo(seq), 0);
    }

    fn get(history: &History, seq: u64, now: Micros) -> Option<&[u8]> {
        history.get(SeqNo(seq), now).map(|kept| kept.bytes)
    }

    fn bytes(seq: u64) -> Vec<u8> {
        seq.to_be_bytes().repeat(1 + (seq % 180) as usize)
    }

    #[test]
    fn gives_back_what_was_kept() {
        let mut history = History::new(MediaKind::Video);
        assert_eq!(get(&history, 5, Micros(0)), None);
        for seq in 0..10 {
            insert(&mut history, seq, &bytes(seq), Micros(0));
        }
        assert_eq!(get(&history, 5, Micros(0)), Some(bytes(5).as_slice()));
        assert_eq!(get(&history, 10, Micros(0)), None);
    }

    #[test]
    fn a_packet_can_be_had_once_it_is_forwarded_and_keeps_its_padding() {
        let mut history = History::new(MediaKind::Video);
        let header = RtpHeader::parse(&[0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).expect("valid");
        history.insert(SeqNo(5), &header, b"x", Micros(0));
        assert_eq!(get(&history, 5, Micros(0)), None);
        history.on_forward(SeqNo(21), 9);
        assert_eq!(
            get(&history, 5, Micros(0)),
            None,
            "another one of its place"
        );
        history.on_forward(SeqNo(5), 3);
        history.on_forward(SeqNo(5), 4);
        let kept = history.get(SeqNo(5), Micros(0)).expect("forwarded");
        assert_eq!(kept.padding, 3);
    }

    #[test]
    fn slow_stream_stays_small_and_fast_one_grows_to_the_cap() {
        let mut slow = History::new(MediaKind::Video);
        let mut fast = History::new(MediaKind::Video);
        for seq in 0..5_000 {
            insert(&mut slow, seq, &bytes(seq), Micros::from_millis(seq * 200));
            insert(&mut fast, seq, &bytes(seq), Micros::from_millis(seq));
        }
        assert_eq!(slow.allocated(), 16, "10 packets in the span");
        assert_eq!(fast.allocated(), VIDEO_CAPACITY);
        assert_eq!(
            get(&fast, 5_000 - 1_024, Micros::from_secs(5)),
            Some(bytes(5_000 - 1_024).as_slice())
        );
        assert_eq!(get(&fast, 5_000 - 1_025, Micros::from_secs(5)), None);
    }

    #[test]
    fn audio_is_capped_lower() {
        let mut history = History::new(MediaKind::Audio);
        for seq in 0..1_000 {
            insert(&mut history, seq, &bytes(seq), Micros(0));
        }
        assert_eq!(history.allocated(), AUDIO_CAPACITY);
    }

    #[test]
    fn old_packets_are_not_given() {
        let mut history = History::new(MediaKind::Audio);
        insert(&mut history, 1, b"x", Micros(0));
        assert!(get(&history, 1, SPAN).is_some());
        assert!(get(&history, 1, SPAN + Micros(1)).is_none());
    }

    #[test]
    fn first_version_of_a_packet_stays() {
        let mut history = History::new(MediaKind::Audio);
        insert(&mut history, 1, b"first", Micros(0));
        insert(&mut history, 1, b"second", Micros(0));
        assert_eq!(get(&history, 1, Micros(0)), Some(b"first".as_slice()));
    }

    #[test]
    fn late_packet_never_evicts_a_newer_one() {
        let mut history = History::new(MediaKind::Audio);
        for seq in 1_000..1_128 {
            insert(&mut history, seq, &bytes(seq), Micros(0));
        }
        insert(&mut history, 1_000 - 1, b"late", Micros(0));
        assert_eq!(get(&history, 999, Micros(0)), None);
        assert_eq!(
            get(&history, 1_127, Micros(0)),
            Some(bytes(1_127).as_slice())
        );
    }

    #[test]
    fn late_packet_finds_its_place_in_a_small_ring() {
        let mut history = History::new(MediaKind::Video);
        for seq in (100..118).filter(|&seq| seq != 101) {
            insert(&mut history, seq, &bytes(seq), Micros(0));
        }
        insert(&mut history, 101, &bytes(101), Micros::from_millis(200));
        for seq in 100..118 {
            assert_eq!(
                get(&history, seq, Micros::from_millis(200)),
                Some(bytes(seq).as_slice())
            );
        }
    }

    #[test]
    fn buffers_are_reused() {
        let mut history = History::new(MediaKind::Audio);
        for seq in 0..128 {
            insert(&mut history, seq, &[1; 1_000], Micros(0));
        }
        let before: Vec<*const u8> = history
            .ring
            .iter()
            .map(|entry| entry.packet.as_ptr())
            .collect();
        for seq in 128..4_096 {
            insert(&mut history, seq, &[2; 1_024], Micros(0));
        }
        let after: Vec<*const u8> = history
            .ring
            .iter()
            .map(|entry| entry.packet.as_ptr())
            .collect();
        assert_eq!(before, after);
        history.clear();
        assert_eq!(get(&history, 4_095, Micros(0)), None);
        insert(&mut history, 3, b"again", Micros(0));
        assert_eq!(get(&history, 3, Micros(0)), Some(b"again".as_slice()));
    }

    proptest! {
        /// Whatever comes: what is given back is what was first kept under that number, and memory stays capped.
        #[test]
        fn never_gives_another_packet(steps in proptest::collection::vec((-300i64..400, 0u64..5_000), 1..500)) {
            let mut history = History::new(MediaKind::Video);
            let (mut at, mut now) = (200_000u64, Micros(0));
            let mut highest = at;
            for (step, wait) in steps {
                at = highest.checked_add_signed(step).expect("stays far above zero");
                highest = highest.max(at);
                now = now + Micros(wait);
                insert(&mut history, at, &bytes(at), now);
                for probe in [at, at.wrapping_sub(7), highest, highest + 1] {
                    if let Some(packet) = get(&history, probe, now) {
                        prop_assert_eq!(packet.to_vec(), bytes(probe));
                    }
                }
                if at == highest {
                    prop_assert!(get(&history, at, now).is_some());
                }
                prop_assert!(history.allocated() <= VIDEO_CAPACITY);
            }
        }
    }
}

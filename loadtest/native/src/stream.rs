//! What arrived of one RTP stream, by its sequence numbers (RFC 3550 appendix A.1, without probation).

const WINDOW: u64 = 128;
/// A number so far behind the highest is a stream that starts over, as when a server changes the source of an SSRC.
const MAX_BEHIND: i32 = 2000;

/// Counts since the window of measurement began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// Packets that came for the first time.
    pub unique: u64,
    /// Sequence numbers that the stream went on by.
    pub expected: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Times that the numbers started over.
    pub restarts: u64,
}

impl StreamCounts {
    /// Numbers that never came. A late packet from before the window may make it one less than it was.
    pub fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.unique)
    }

    /// The sum of both.
    pub fn add(&mut self, other: &Self) {
        self.unique += other.unique;
        self.expected += other.expected;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.restarts += other.restarts;
    }
}

/// One SSRC as received.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Its SSRC.
    pub ssrc: u32,
    /// Since the last [`Stream::begin`].
    pub counts: StreamCounts,
    highest: u64,
    /// Bit n: the packet n before the highest came.
    seen: u128,
    /// Packets until the next one is looked into.
    sample_in: u32,
    reported: StreamCounts,
}

impl Stream {
    /// A stream whose first packet has this number.
    pub fn new(ssrc: u32, sequence: u16) -> Self {
        Self {
            ssrc,
            counts: StreamCounts {
                unique: 1,
                expected: 1,
                ..StreamCounts::default()
            },
            highest: u64::from(sequence) + (1 << 16),
            seen: 1,
            sample_in: 0,
            reported: StreamCounts::default(),
        }
    }

    /// Counts a further packet.
    pub fn on_packet(&mut self, sequence: u16) {
        let ahead = i32::from(sequence.wrapping_sub(self.highest as u16) as i16);
        if ahead > 0 {
            self.advance(ahead as u64);
            self.counts.expected += ahead as u64;
            self.counts.unique += 1;
        } else if ahead < -MAX_BEHIND {
            self.highest = u64::from(sequence) + (1 << 16);
            self.seen = 1;
            self.counts.expected += 1;
            self.counts.unique += 1;
            self.counts.restarts += 1;
        } else {
            self.on_late((-ahead) as u64);
        }
    }

    fn advance(&mut self, by: u64) {
        self.highest += by;
        self.seen = if by < WINDOW { self.seen << by } else { 0 };
        self.seen |= 1;
    }

    fn on_late(&mut self, behind: u64) {
        let bit = if behind < WINDOW { 1u128 << behind } else { 0 };
        if self.seen & bit != 0 {
            self.counts.duplicates += 1;
            return;
        }
        // Older than the window: it may be a duplicate, but nothing repeats packets that late.
        self.seen |= bit;
        self.counts.reordered += 1;
        self.counts.unique += 1;
    }

    /// Begins a window of measurement.
    pub fn begin(&mut self) {
        self.counts = StreamCounts::default();
        self.reported = StreamCounts::default();
    }

    /// Whether this packet is one to look into: the first, then every `stride`th.
    pub fn is_sample(&mut self, stride: u32) -> bool {
        if self.sample_in == 0 {
            self.sample_in = stride.saturating_sub(1);
            return true;
        }
        self.sample_in -= 1;
        false
    }

    /// The extended highest sequence number, counted from the stream's start as a report block wants it.
    pub fn extended_highest(&self) -> u32 {
        (self.highest - (1 << 16)) as u32
    }

    /// Fraction lost since the last report in 1/256, and lost in all (RFC 3550 section 6.4.1).
    pub fn report_loss(&mut self) -> (u8, u32) {
        let expected = self.counts.expected.saturating_sub(self.reported.expected);
        let lost = self.counts.lost().saturating_sub(self.reported.lost());
        self.reported = self.counts;
        let fraction = (lost * 256).checked_div(expected).unwrap_or(0).min(255);
        (fraction as u8, self.counts.lost().min(0x7F_FFFF) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(sequences: impl IntoIterator<Item = u16>) -> StreamCounts {
        let mut sequences = sequences.into_iter();
        let mut stream = Stream::new(1, sequences.next().unwrap());
        sequences.for_each(|sequence| stream.on_packet(sequence));
        stream.counts
    }

    #[test]
    fn gaps_duplicates_and_reordering_are_told_apart() {
        let found = counts([10, 11, 14, 13, 13, 15]);
        let wanted = StreamCounts {
            unique: 5,
            expected: 6,
            duplicates: 1,
            reordered: 1,
            restarts: 0,
        };
        assert_eq!(found, wanted);
        assert_eq!(found.lost(), 1);
    }

    #[test]
    fn numbers_wrap_without_loss() {
        let found = counts((0..200_000u32).map(|number| (number + 65_000) as u16));
        assert_eq!(
            (found.unique, found.expected, found.lost()),
            (200_000, 200_000, 0)
        );
    }

    #[test]
    fn a_stream_that_starts_over_is_no_loss() {
        let found = counts([50_000, 50_001, 40_000, 40_001]);
        assert_eq!((found.lost(), found.restarts), (0, 1));
    }

    #[test]
    fn a_new_window_counts_only_its_own() {
        let mut stream = Stream::new(1, 1);
        stream.on_packet(9);
        stream.begin();
        stream.on_packet(10);
        stream.on_packet(12);
        assert_eq!((stream.counts.expected, stream.counts.lost()), (3, 1));
        assert_eq!(stream.report_loss(), (85, 1));
        assert_eq!(stream.report_loss(), (0, 1));
    }

    #[test]
    fn the_first_packet_and_every_nth_are_samples() {
        let mut stream = Stream::new(1, 1);
        let picked: Vec<bool> = (0..7).map(|_| stream.is_sample(3)).collect();
        assert_eq!(picked, [true, false, false, true, false, false, true]);
    }
}

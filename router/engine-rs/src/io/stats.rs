//! What only the shell can count: batches, kernel drops, time. Plain numbers, owned by one worker.

use super::transmit::SendCounters;
use crate::core::CoreCounters;
use crate::time::Micros;

/// Upper bounds of the histogram's buckets in microseconds; the last bucket is unbounded.
pub const DELAY_BOUNDS_US: [u64; 9] = [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000];

/// A histogram of the time from receiving a batch to having sent what it caused, by packet sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DelayHistogram(pub [u64; DELAY_BOUNDS_US.len() + 1]);

impl DelayHistogram {
    /// Adds `packets` that took this long.
    pub fn record(&mut self, delay: Micros, packets: u64) {
        let bucket = DELAY_BOUNDS_US.partition_point(|&bound| bound < delay.0);
        self.0[bucket] += packets;
    }
}

/// Totals of one worker's shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoCounters {
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Bytes of those datagrams.
    pub datagram_bytes_received: u64,
    /// System calls that received something.
    pub receive_batches: u64,
    /// Datagrams longer than the core reads, dropped.
    pub oversized: u64,
    /// Datagrams the kernel dropped on full receive buffers.
    pub kernel_drops: u64,
    /// Events lost on a full queue.
    pub events_dropped: u64,
    /// Panics caught in the core.
    pub panics: u64,
    /// Time spent outside the poll call.
    pub busy: Micros,
    /// What was sent.
    pub sent: SendCounters,
    /// How long forwarding took.
    pub forward_delay: DelayHistogram,
}

/// One snapshot of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerCounters {
    /// Its number.
    pub worker: usize,
    /// The shell's part.
    pub io: IoCounters,
    /// The core's part.
    pub core: CoreCounters,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_fall_into_the_bucket_of_their_upper_bound() {
        let mut histogram = DelayHistogram::default();
        for (us, packets) in [
            (0, 1),
            (50, 2),
            (51, 4),
            (50_000, 8),
            (50_001, 16),
            (u64::MAX, 32),
        ] {
            histogram.record(Micros(us), packets);
        }
        assert_eq!(histogram.0, [3, 4, 0, 0, 0, 0, 0, 0, 8, 48]);
    }
}

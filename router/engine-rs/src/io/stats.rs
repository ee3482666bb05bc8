//! What only the shell can count: batches, kernel drops, time. Plain numbers, owned by one worker.

use super::receive::RunCounters;
use super::transmit::SendCounters;
use crate::core::CoreCounters;
use crate::time::Micros;

/// Upper bounds of the histogram's buckets in microseconds; the last bucket is unbounded.
pub const DELAY_BOUNDS_US: [u64; 9] = [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000];

/// A histogram of the time from the arrival of a batch's first packet to having sent what the batch caused, by packet sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DelayHistogram {
    /// By [`DELAY_BOUNDS_US`], each without those below.
    pub buckets: [u64; DELAY_BOUNDS_US.len() + 1],
    /// Of all packets together.
    pub sum: Micros,
}

impl DelayHistogram {
    /// Adds `packets` that took this long.
    pub fn record(&mut self, delay: Micros, packets: u64) {
        let bucket = DELAY_BOUNDS_US.partition_point(|&bound| bound < delay.0);
        self.buckets[bucket] += packets;
        self.sum = Micros(self.sum.0.saturating_add(delay.0.saturating_mul(packets)));
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
    /// Datagrams that the kernel joined of several packets.
    pub runs: RunCounters,
    /// What the kernel granted the socket with the smallest receive buffer, in bytes.
    pub receive_buffer_bytes: u64,
    /// What the kernel granted the socket with the smallest send buffer, in bytes.
    pub send_buffer_bytes: u64,
    /// Datagrams longer than the core reads, dropped.
    pub oversized: u64,
    /// Datagrams the kernel dropped on full receive buffers.
    pub kernel_drops: u64,
    /// Events lost on a full queue.
    pub events_dropped: u64,
    /// Packets handed to other workers.
    pub mirror_packets_sent: u64,
    /// Packets for other workers that found no room.
    pub mirror_dropped: u64,
    /// The CPU that the thread is pinned to.
    pub cpu: Option<usize>,
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
        let batches = [(0, 1), (50, 2), (51, 4), (50_000, 8), (50_001, 16)];
        for (us, packets) in batches {
            histogram.record(Micros(us), packets);
        }
        let sum = batches.iter().map(|(us, packets)| us * packets).sum();
        assert_eq!(histogram.sum, Micros(sum));
        histogram.record(Micros(u64::MAX), 32);
        assert_eq!(histogram.buckets, [3, 4, 0, 0, 0, 0, 0, 0, 8, 48]);
        assert_eq!(histogram.sum, Micros(u64::MAX));
    }
}

//! Transport-wide feedback for a publisher: when each packet of the transport arrived, over all its streams
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3). Without it Chromium's encoder never ramps up.
//!
//! A message covers everything from the lowest number not reported yet to the highest that arrived. A packet that comes
//! late, after its number was reported missing, is reported again with all behind it, as libwebrtc's receiver does.

use crate::ids::Ssrc;
use crate::time::Micros;
use crate::wire::rtcp::{TransportCcHead, write_transport_cc};
use crate::wire::seq::SeqUnwrapper;
use std::collections::VecDeque;

/// Numbers remembered at most: two seconds of 1000 packets.
pub const WINDOW: usize = 2_048;
/// Longest wait of an arrival for its report.
pub const MAX_INTERVAL: Micros = Micros::from_millis(100);
/// The same once [`BUSY`] packets wait.
pub const MIN_INTERVAL: Micros = Micros::from_millis(50);
/// This many packets make the interval short.
pub const BUSY: usize = 20;
/// Reported arrivals are kept this long, for late packets between them.
const RETAIN: Micros = Micros::from_millis(500);

/// Arrivals of one transport, and the feedback made of them.
#[derive(Clone, Debug, Default)]
pub struct FeedbackBuilder {
    seqs: SeqUnwrapper,
    /// Number of the log's first entry.
    base: u64,
    log: VecDeque<Option<Micros>>,
    /// Lowest number that arrived and was not reported.
    unreported: Option<u64>,
    /// One past the highest number of the last message: losses behind it belong into the next one.
    reported_to: u64,
    waiting: usize,
    oldest: Micros,
    count: u8,
}

impl FeedbackBuilder {
    /// A packet with this transport-wide number arrived.
    pub fn on_packet(&mut self, seq: u16, now: Micros) {
        let number = self.seqs.unwrap(seq).0;
        let Some(index) = self.make_place(number) else {
            return;
        };
        let place = &mut self.log[index];
        if place.is_some() {
            return;
        }
        *place = Some(now);
        if self.waiting == 0 {
            self.oldest = now;
        }
        self.waiting += 1;
        self.unreported = Some(self.unreported.map_or(number, |lowest| lowest.min(number)));
    }

    /// Index of the number in the log, which is widened to hold it; `None` when it is too old.
    fn make_place(&mut self, number: u64) -> Option<usize> {
        if self.log.is_empty() || number >= self.base + (self.log.len() + WINDOW) as u64 {
            self.forget();
            self.base = number;
        }
        while number < self.base {
            if self.log.len() == WINDOW || self.base - number > WINDOW as u64 {
                return None;
            }
            self.log.push_front(None);
            self.base -= 1;
        }
        while number >= self.base + self.log.len() as u64 {
            self.log.push_back(None);
        }
        while self.log.len() > WINDOW {
            self.drop_front();
        }
        Some((number - self.base) as usize)
    }

    fn drop_front(&mut self) {
        if self.log.pop_front().is_some() {
            self.base += 1;
        }
        // Cannot happen while messages are sent in time; then the oldest arrivals go unreported.
        if self.unreported.is_some_and(|lowest| lowest < self.base) {
            self.unreported = self.next_arrival(self.base);
        }
    }

    fn forget(&mut self) {
        self.log.clear();
        self.unreported = None;
        self.waiting = 0;
    }

    fn next_arrival(&self, from: u64) -> Option<u64> {
        let skip = from.saturating_sub(self.base) as usize;
        let mut arrivals = self.log.iter().enumerate().skip(skip);
        arrivals
            .find(|(_, arrival)| arrival.is_some())
            .map(|(index, _)| self.base + index as u64)
    }

    /// When [`Self::poll`] has something to do.
    pub fn deadline(&self) -> Option<Micros> {
        self.unreported?;
        let interval = if self.waiting >= BUSY {
            MIN_INTERVAL
        } else {
            MAX_INTERVAL
        };
        Some(self.oldest + interval)
    }

    /// Writes a feedback message, when one is due; its length. Call again: what did not fit follows at once. `media` is
    /// any SSRC of the publisher.
    pub fn poll(
        &mut self,
        now: Micros,
        sender: Ssrc,
        media: Ssrc,
        buffer: &mut [u8],
    ) -> Option<usize> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return None;
        }
        let arrived = self.unreported?;
        let first = arrived.min(self.reported_to.max(self.base));
        let head = TransportCcHead {
            sender,
            media,
            base_seq: first as u16,
            feedback_count: self.count,
        };
        let arrivals = &self.log.make_contiguous()[(first - self.base) as usize..];
        let Ok((len, covered)) = write_transport_cc(buffer, &head, arrivals) else {
            // Only a buffer too small for a single packet; never wait for it for ever.
            self.forget();
            return None;
        };
        self.count = self.count.wrapping_add(1);
        let end = first + covered as u64;
        self.reported_to = end;
        self.unreported = self.next_arrival(end);
        if self.unreported.is_none() {
            self.waiting = 0;
            self.prune(now);
        }
        Some(len)
    }

    /// Drops what was reported and is too old for a late packet to matter. The newest stays: it marks the place.
    fn prune(&mut self, now: Micros) {
        while self.log.len() > 1 {
            match self.log.front() {
                Some(Some(arrival)) if now - *arrival <= RETAIN => break,
                _ => self.drop_front(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtcp::{RtcpMessage, messages};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn poll(
        builder: &mut FeedbackBuilder,
        now: Micros,
        room: usize,
    ) -> Vec<Vec<(u16, Option<i64>)>> {
        let mut all = Vec::new();
        let mut buffer = vec![0; room];
        while let Some(len) = builder.poll(now, Ssrc(1), Ssrc(2), &mut buffer) {
            let message = messages(&buffer[..len])
                .next()
                .expect("one")
                .expect("valid");
            let RtcpMessage::TransportCc(message) = message else {
                panic!("not feedback")
            };
            all.push(message.statuses().collect());
        }
        all
    }

    fn arrived(message: &[(u16, Option<i64>)]) -> Vec<(u16, bool)> {
        message
            .iter()
            .map(|(seq, at)| (*seq, at.is_some()))
            .collect()
    }

    #[test]
    fn nothing_arrived_nothing_due() {
        let mut builder = FeedbackBuilder::default();
        assert_eq!(builder.deadline(), None);
        assert!(poll(&mut builder, Micros::from_secs(5), 1_200).is_empty());
    }

    #[test]
    fn gap_is_reported_across_the_wrap() {
        let mut builder = FeedbackBuilder::default();
        for seq in [65_534, 65_535, 2] {
            builder.on_packet(seq, Micros::from_millis(10));
        }
        assert_eq!(builder.deadline(), Some(Micros::from_millis(110)));
        assert!(poll(&mut builder, Micros::from_millis(109), 1_200).is_empty());
        let messages = poll(&mut builder, Micros::from_millis(110), 1_200);
        let expected = [
            (65_534, true),
            (65_535, true),
            (0, false),
            (1, false),
            (2, true),
        ];
        assert_eq!(arrived(&messages[0]), expected);
        assert_eq!(builder.deadline(), None);
    }

    #[test]
    fn busy_transport_reports_more_often() {
        let mut builder = FeedbackBuilder::default();
        for seq in 0..BUSY as u16 {
            builder.on_packet(seq, Micros::from_millis(u64::from(seq)));
        }
        assert_eq!(builder.deadline(), Some(MIN_INTERVAL));
    }

    #[test]
    fn late_packet_is_reported_with_what_followed() {
        let mut builder = FeedbackBuilder::default();
        for seq in [10, 11, 13] {
            builder.on_packet(seq, Micros::from_millis(1));
        }
        poll(&mut builder, Micros::from_millis(101), 1_200);
        builder.on_packet(12, Micros::from_millis(110));
        builder.on_packet(14, Micros::from_millis(111));
        let messages = poll(&mut builder, Micros::from_millis(210), 1_200);
        assert_eq!(arrived(&messages[0]), [(12, true), (13, true), (14, true)]);
        assert_eq!(
            messages[0][1].1.map(|at| at / 1_000),
            Some(1),
            "with its own arrival"
        );
    }

    #[test]
    fn duplicates_and_ancient_packets_say_nothing_new() {
        let mut builder = FeedbackBuilder::default();
        builder.on_packet(5_000, Micros(0));
        builder.on_packet(5_000, Micros(9));
        builder.on_packet(5_000 - 3_000, Micros(9));
        let messages = poll(&mut builder, Micros::from_secs(1), 1_200);
        assert_eq!(messages, [vec![(5_000, Some(0))]]);
    }

    #[test]
    fn small_buffer_makes_several_messages() {
        let mut builder = FeedbackBuilder::default();
        for seq in 0..400u16 {
            builder.on_packet(seq, Micros::from_millis(u64::from(seq) * 100));
        }
        let messages = poll(&mut builder, Micros::from_secs(60), 200);
        assert!(messages.len() > 1);
        let covered: Vec<u16> = messages.iter().flatten().map(|(seq, _)| *seq).collect();
        assert_eq!(covered, (0..400).collect::<Vec<u16>>());
    }

    #[test]
    fn hopeless_buffer_ends() {
        let mut builder = FeedbackBuilder::default();
        builder.on_packet(1, Micros(0));
        assert!(poll(&mut builder, Micros::from_secs(1), 8).is_empty());
        assert_eq!(builder.deadline(), None);
    }

    proptest! {
        /// Loss, order and time at random: each arrival within the window is reported, with its own time, within the
        /// interval; nothing else is. (A duplicate later than `RETAIN` counts as an arrival; SRTP lets none through.)
        #[test]
        fn every_arrival_is_reported(
            first: u16, steps in proptest::collection::vec((-30i64..60, 0u64..30_000), 1..400)
        ) {
            let mut builder = FeedbackBuilder::default();
            let mut truth: BTreeMap<u64, Vec<Micros>> = BTreeMap::new();
            let mut told: BTreeMap<u16, i64> = BTreeMap::new();
            let mut at = 100_000 + u64::from(first);
            let mut now = Micros::from_secs(1);
            for (step, wait) in steps {
                at = at.checked_add_signed(step).expect("far above zero");
                now = now + Micros(wait);
                builder.on_packet(at as u16, now);
                truth.entry(at).or_default().push(now);
                told.extend(poll(&mut builder, now, 1_200).into_iter().flatten().filter_map(|(seq, at)| Some((seq, at?))));
                prop_assert!(builder.log.len() <= WINDOW);
            }
            if let Some(deadline) = builder.deadline() {
                prop_assert!(deadline <= now + MAX_INTERVAL);
                let last = poll(&mut builder, deadline.max(now), 1_200);
                told.extend(last.into_iter().flatten().filter_map(|(seq, at)| Some((seq, at?))));
            }
            for (seq, at) in &told {
                let (_, truth) = truth.iter().find(|(number, _)| **number as u16 == *seq).expect("arrived");
                prop_assert!(truth.iter().any(|time| time.0.abs_diff(*at as u64) < 250), "{} {:?} {}", seq, truth, at);
            }
            // Late ones beyond what is retained may be missing; in a long run they are few.
            prop_assert!(told.len() * 10 >= truth.len() * 9 || truth.len() < 100);
        }

        #[test]
        fn no_input_panics(packets in proptest::collection::vec((any::<u16>(), any::<u64>(), any::<bool>()), 1..300)) {
            let mut builder = FeedbackBuilder::default();
            for (seq, now, due) in packets {
                builder.on_packet(seq, Micros(now));
                if due { poll(&mut builder, Micros(now), 64); }
                prop_assert!(builder.log.len() <= WINDOW);
            }
        }
    }
}

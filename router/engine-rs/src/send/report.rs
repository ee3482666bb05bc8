//! Sender reports of a slot: when to send them, and what receivers answer (RFC 3550 sections 6.2, 6.3 and 6.4).
//!
//! Intervals are randomised over [0.5, 1.5] (section 6.2.1); scaling by the size of the group is left out, as each peer is
//! a session of its own. The first report comes soon, lip-sync waits for it, and a video slot's first few in short
//! intervals. Reports are due on a grid, so that those to thousands of receivers leave in batches.

use crate::media::MediaKind;
use crate::time::Micros;
use crate::wire::rtcp::{NtpTime, ReportBlock};

/// Mean interval: with the randomisation never above 5 s.
pub const INTERVAL: Micros = Micros::from_millis(3_000);
/// Mean of the first [`CLOSE_REPORTS`] intervals of a video slot.
pub const CLOSE_INTERVAL: Micros = Micros::from_millis(1_000);
/// See [`CLOSE_INTERVAL`].
pub const CLOSE_REPORTS: usize = 5;
/// Reports are due at multiples of this.
pub const GRID: Micros = Micros::from_millis(20);
/// The first report comes this long after the first packet.
pub const FIRST_DELAY: Micros = Micros::from_millis(100);
/// Without a packet for this long the slot is no sender (section 6.3.8) and reports nothing.
pub const SENDER_TIMEOUT: Micros = Micros::from_secs(10);
/// Reports remembered to recognise what receivers echo.
const REMEMBERED: usize = 8;

type SentReports = [Option<(u32, Micros)>; REMEMBERED];

/// When a slot reports, and what it reported.
#[derive(Clone, Debug)]
pub struct SenderReports {
    kind: MediaKind,
    random: u32,
    next: Option<Micros>,
    last_packet: Micros,
    /// Middle of the NTP time and time of each; once there is one.
    sent: Option<Box<SentReports>>,
    count: usize,
}

impl SenderReports {
    /// Nothing sent yet. `seed` spreads the intervals.
    pub fn new(kind: MediaKind, seed: u32) -> Self {
        Self {
            kind,
            random: seed | 1,
            next: None,
            last_packet: Micros(0),
            sent: None,
            count: 0,
        }
    }

    /// A packet was sent.
    pub fn on_sent(&mut self, now: Micros) {
        self.last_packet = now;
        if self.next.is_none() {
            self.next = Some((now + FIRST_DELAY).round_up(GRID));
        }
    }

    /// Another source is sent from now on. Its clock is told soon: the timestamps of two sources meet only as well as
    /// both clocks were known.
    pub fn on_switch(&mut self, now: Micros) {
        let soon = (now + FIRST_DELAY).round_up(GRID);
        self.next = self.next.map(|next| next.min(soon));
    }

    /// When the next report is due.
    pub fn deadline(&self) -> Option<Micros> {
        self.next
    }

    /// A report is sent now: its NTP time. Plans the next one, unless the slot has long been silent.
    pub fn take(&mut self, now: Micros, wall_offset: i64) -> NtpTime {
        let ntp = NtpTime::from_unix_micros(now.0.saturating_add_signed(wall_offset));
        let sent = self.sent.get_or_insert_default();
        sent[self.count % REMEMBERED] = Some((ntp.middle(), now));
        self.count = self.count.wrapping_add(1);
        let silent = now - self.last_packet > SENDER_TIMEOUT;
        self.next = (!silent).then(|| (now + self.next_interval()).round_up(GRID));
        ntp
    }

    /// Half to one and a half times the interval. Xorshift: the point is to spread, not to surprise.
    fn next_interval(&mut self) -> Micros {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        let mean = match self.kind {
            MediaKind::Video if self.count <= CLOSE_REPORTS => CLOSE_INTERVAL,
            _ => INTERVAL,
        };
        Micros(mean.0 / 2 + u64::from(self.random) * mean.0 / u64::from(u32::MAX))
    }

    /// When the report was sent whose NTP time a receiver echoes; `None` for times that were never ours.
    pub fn sent_at(&self, last_sr: u32) -> Option<Micros> {
        let reports = self.sent.iter().flat_map(|sent| sent.iter().flatten());
        reports
            .filter(|_| last_sr != 0)
            .find(|(middle, _)| *middle == last_sr)
            .map(|(_, at)| *at)
    }
}

/// What the receiver reported of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReceiverView {
    last: Option<ReportBlock>,
    clock_rate: u32,
    rtt: Option<Micros>,
}

impl ReceiverView {
    /// Takes a report block. `echoed` is when the sender report it answers was sent. Returns the round trip time it
    /// shows, if any: a receiver that claims to have held the report longer than it is old shows none.
    pub fn on_report(
        &mut self,
        block: &ReportBlock,
        clock_rate: u32,
        echoed: Option<Micros>,
        now: Micros,
    ) -> Option<Micros> {
        self.last = Some(*block);
        self.clock_rate = clock_rate;
        let held = Micros(u64::from(block.delay_since_last_sr) * 1_000_000 / 65_536);
        let elapsed = now - echoed?;
        // Both times are rounded to 1/65536 s.
        if held > elapsed + Micros::from_millis(1) {
            return None;
        }
        let rtt = elapsed - held;
        // Smoothed as in TCP (RFC 6298): 7/8 old, 1/8 new.
        self.rtt = Some(self.rtt.map_or(rtt, |old| Micros((old.0 * 7 + rtt.0) / 8)));
        self.rtt
    }

    /// Smoothed round trip time.
    pub fn rtt(&self) -> Option<Micros> {
        self.rtt
    }

    /// Anything was reported.
    pub fn has_reported(&self) -> bool {
        self.last.is_some()
    }

    /// Packets lost so far; negative with duplicates.
    pub fn packets_lost(&self) -> i64 {
        self.last.map_or(0, |block| block.cumulative_lost.into())
    }

    /// Loss of the last interval, 0 to 1.
    pub fn fraction_lost(&self) -> f64 {
        self.last
            .map_or(0.0, |block| f64::from(block.fraction_lost) / 256.0)
    }

    /// Interarrival jitter in seconds.
    pub fn jitter_s(&self) -> f64 {
        match self.last {
            Some(block) if self.clock_rate > 0 => {
                f64::from(block.jitter) / f64::from(self.clock_rate)
            }
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UNIX: i64 = 1_700_000_000_000_000;

    fn block(last_sr: u32, held_ms: u64) -> ReportBlock {
        ReportBlock {
            last_sr,
            delay_since_last_sr: (held_ms * 65_536 / 1_000) as u32,
            fraction_lost: 64,
            cumulative_lost: -3,
            jitter: 900,
            ..ReportBlock::default()
        }
    }

    #[test]
    fn first_report_comes_soon_after_the_first_packet() {
        let mut reports = SenderReports::new(MediaKind::Video, 5);
        assert_eq!(reports.deadline(), None);
        reports.on_sent(Micros(50));
        reports.on_sent(Micros(99_000));
        assert_eq!(
            reports.deadline(),
            Some((Micros(50) + FIRST_DELAY).round_up(GRID))
        );
    }

    /// Lengths of the next so many intervals of a slot that sends.
    fn intervals(reports: &mut SenderReports, now: &mut Micros, count: usize) -> Vec<u64> {
        let mut interval = || {
            let next = reports.deadline().expect("a sender");
            let length = (next - *now).0;
            *now = next;
            reports.on_sent(*now);
            reports.take(*now, UNIX);
            length
        };
        (0..count).map(|_| interval()).collect()
    }

    #[test]
    fn intervals_are_spread_around_the_mean() {
        for kind in [MediaKind::Video, MediaKind::Audio] {
            let (mut reports, mut now) = (SenderReports::new(kind, 77), Micros(0));
            reports.on_sent(now);
            let first = intervals(&mut reports, &mut now, 1 + CLOSE_REPORTS);
            let expected = match kind {
                MediaKind::Video => CLOSE_INTERVAL,
                MediaKind::Audio => INTERVAL,
            };
            let around = |mean: Micros| mean.0 / 2..=mean.0 * 3 / 2 + GRID.0;
            assert!(
                first[1..]
                    .iter()
                    .all(|length| around(expected).contains(length))
            );
            let lengths = intervals(&mut reports, &mut now, 200);
            assert!(
                lengths
                    .iter()
                    .all(|length| around(INTERVAL).contains(length))
            );
            let average = lengths.iter().sum::<u64>() / 200;
            assert!(average.abs_diff(INTERVAL.0) < INTERVAL.0 / 10, "{average}");
            assert!(lengths.iter().min() < lengths.iter().max());
        }
    }

    #[test]
    fn reports_of_many_are_due_together() {
        let mut due = std::collections::BTreeSet::new();
        for slot in 0..1_000 {
            let (mut reports, mut now) = (
                SenderReports::new(MediaKind::Video, slot),
                Micros(slot.into()),
            );
            reports.on_sent(now);
            intervals(&mut reports, &mut now, 1 + CLOSE_REPORTS);
            due.extend(reports.deadline());
        }
        assert!(due.len() <= 400, "{} wake-ups in some 8 s", due.len());
    }

    #[test]
    fn silent_slot_stops_and_starts_again() {
        let mut reports = SenderReports::new(MediaKind::Audio, 5);
        reports.on_sent(Micros(0));
        reports.take(Micros::from_secs(11), UNIX);
        assert_eq!(reports.deadline(), None);
        reports.on_sent(Micros::from_secs(20));
        assert_eq!(
            reports.deadline(),
            Some(Micros::from_secs(20) + FIRST_DELAY)
        );
    }

    #[test]
    fn round_trip_is_what_was_not_held() {
        let mut reports = SenderReports::new(MediaKind::Video, 5);
        let ntp = reports.take(Micros::from_secs(10), UNIX);
        assert_eq!(ntp, NtpTime::from_unix_micros(1_700_000_010_000_000));
        let mut view = ReceiverView::default();
        let echoed = reports.sent_at(ntp.middle());
        let rtt = view.on_report(
            &block(ntp.middle(), 300),
            90_000,
            echoed,
            Micros::from_millis(10_380),
        );
        assert!(rtt.expect("measured").0.abs_diff(80_000) < 100, "{rtt:?}");
        assert!((view.fraction_lost() - 0.25).abs() < 1e-9);
        assert_eq!(view.packets_lost(), -3);
        assert!((view.jitter_s() - 0.01).abs() < 1e-9);
    }

    #[test]
    fn lies_about_time_measure_nothing() {
        let mut reports = SenderReports::new(MediaKind::Video, 5);
        let ntp = reports.take(Micros::from_secs(10), UNIX);
        assert_eq!(reports.sent_at(ntp.middle() ^ 1), None);
        assert_eq!(SenderReports::new(MediaKind::Video, 5).sent_at(0), None);
        let mut view = ReceiverView::default();
        let echoed = reports.sent_at(ntp.middle());
        assert_eq!(
            view.on_report(
                &block(ntp.middle(), 5_000),
                90_000,
                echoed,
                Micros::from_secs(11)
            ),
            None
        );
        assert_eq!(view.rtt(), None);
    }

    #[test]
    fn only_recent_reports_are_recognised() {
        let mut reports = SenderReports::new(MediaKind::Video, 5);
        let sent: Vec<NtpTime> = (1..=9)
            .map(|second| reports.take(Micros::from_secs(second), UNIX))
            .collect();
        assert_eq!(reports.sent_at(sent[0].middle()), None);
        assert_eq!(
            reports.sent_at(sent[1].middle()),
            Some(Micros::from_secs(2))
        );
    }

    proptest! {
        #[test]
        fn no_input_panics(last_sr: u32, held: u32, rate: u32, at: u64, now: u64, offset: i64, seed: u32) {
            let mut reports = SenderReports::new(MediaKind::Video, seed);
            reports.on_sent(Micros(at));
            reports.take(Micros(now), offset);
            let mut view = ReceiverView::default();
            let block = ReportBlock { last_sr, delay_since_last_sr: held, jitter: seed, ..ReportBlock::default() };
            view.on_report(&block, rate, Some(Micros(at)), Micros(now));
            view.on_report(&block, rate, reports.sent_at(last_sr), Micros(at));
            view.jitter_s();
        }
    }
}

//! Who contributes to a received stream: its CSRC list (RFC 3550 section 5.1) with the levels of RFC 6465.
//!
//! Changes of the set are reported at most [`REPORTS_PER_SECOND`] times a second and always end on the true state. A
//! change of level alone is not reported: levels change with every packet.

use crate::time::Micros;
use arrayvec::ArrayVec;

/// Most reports a second for one stream.
pub const REPORTS_PER_SECOND: u64 = 5;

const INTERVAL: Micros = Micros(1_000_000 / REPORTS_PER_SECOND);
/// The header's count field has four bits.
const MAX: usize = 15;

/// A source and its level in -dBov, where known.
pub type Contributor = (u32, Option<u8>);

/// The contributing sources of one stream.
#[derive(Clone, Debug, Default)]
pub struct Contributors {
    current: ArrayVec<Contributor, MAX>,
    reported: ArrayVec<u32, MAX>,
    last_report: Option<Micros>,
    changed: bool,
}

impl Contributors {
    /// Notes a packet that is the newest of its stream. `levels` is RFC 6465's element: one byte per CSRC.
    pub fn on_packet(&mut self, csrcs: &[u32], levels: Option<&[u8]>) {
        // Nearly every packet: no CSRC, none before.
        if csrcs.is_empty() && self.current.is_empty() {
            return;
        }
        self.current.clear();
        for (index, &csrc) in csrcs.iter().enumerate().take(MAX) {
            let level = levels
                .and_then(|levels| levels.get(index))
                .map(|level| level & 0x7F);
            self.current.push((csrc, level));
        }
        self.changed = !self.is_as_reported();
    }

    /// Order does not matter: mixers list by loudness.
    fn is_as_reported(&self) -> bool {
        let known = |&(csrc, _): &Contributor| self.reported.contains(&csrc);
        let listed = |csrc: &u32| self.current.iter().any(|(current, _)| current == csrc);
        self.current.iter().all(known) && self.reported.iter().all(listed)
    }

    /// The stream ended or paused: nobody contributes.
    pub fn clear(&mut self) {
        self.on_packet(&[], None);
    }

    /// The set, when a report is due.
    pub fn poll(&mut self, now: Micros) -> Option<&[Contributor]> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return None;
        }
        self.last_report = Some(now);
        self.changed = false;
        self.reported = self.current.iter().map(|(csrc, _)| *csrc).collect();
        Some(&self.current)
    }

    /// When [`Self::poll`] has something to do.
    pub fn deadline(&self) -> Option<Micros> {
        self.changed
            .then(|| self.last_report.map_or(Micros(0), |last| last + INTERVAL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_stream_reports_nothing() {
        let mut contributors = Contributors::default();
        contributors.on_packet(&[], None);
        assert_eq!(contributors.deadline(), None);
        assert_eq!(contributors.poll(Micros(5)), None);
    }

    #[test]
    fn first_set_is_reported_at_once_with_levels() {
        let mut contributors = Contributors::default();
        contributors.on_packet(&[7, 8], Some(&[128 + 30]));
        assert_eq!(
            contributors.poll(Micros(9)),
            Some([(7, Some(30)), (8, None)].as_slice())
        );
        assert_eq!(contributors.poll(Micros(9)), None);
    }

    #[test]
    fn order_and_level_are_no_change() {
        let mut contributors = Contributors::default();
        contributors.on_packet(&[7, 8], None);
        contributors.poll(Micros(0));
        contributors.on_packet(&[8, 7], Some(&[1, 2]));
        assert_eq!(contributors.deadline(), None);
    }

    #[test]
    fn changes_are_coalesced_and_end_on_the_true_state() {
        let mut contributors = Contributors::default();
        contributors.on_packet(&[1], None);
        assert!(contributors.poll(Micros(0)).is_some());
        contributors.on_packet(&[2], None);
        contributors.on_packet(&[3], None);
        assert_eq!(contributors.poll(Micros(1)), None);
        assert_eq!(contributors.poll(INTERVAL), Some([(3, None)].as_slice()));
        contributors.on_packet(&[4], None);
        contributors.on_packet(&[3], None);
        assert_eq!(contributors.deadline(), None, "back to what was reported");
        contributors.clear();
        assert_eq!(contributors.poll(INTERVAL + INTERVAL), Some([].as_slice()));
    }

    proptest! {
        #[test]
        fn rate_is_bounded_and_the_end_is_true(
            packets in proptest::collection::vec((proptest::collection::vec(0u32..4, 0..16), 0u64..90_000), 1..300)
        ) {
            let mut contributors = Contributors::default();
            let (mut now, mut reports, mut told) = (Micros(0), Vec::new(), Vec::new());
            let mut last = Vec::new();
            for (csrcs, wait) in packets {
                now = now + Micros(wait);
                contributors.on_packet(&csrcs, None);
                if let Some(set) = contributors.poll(now) {
                    told = set.iter().map(|(csrc, _)| *csrc).collect();
                    reports.push(now);
                }
                last = csrcs;
            }
            if let Some(deadline) = contributors.deadline() {
                told = contributors.poll(deadline).expect("due").iter().map(|(csrc, _)| *csrc).collect();
            }
            last.truncate(MAX);
            for list in [&mut last, &mut told] {
                list.sort_unstable();
                list.dedup();
            }
            prop_assert_eq!(last, told);
            for pair in reports.windows(2) {
                prop_assert!(pair[1] - pair[0] >= INTERVAL);
            }
        }
    }
}

//! What a receiver reports of one stream (RFC 3550 appendix A).

use fork_router_engine::ids::Ssrc;
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtcp::{NtpTime, ReportBlock};

#[derive(Clone, Copy, Debug, Default)]
pub struct Reception {
    base: Option<u32>,
    highest: u32,
    received: u32,
    /// Expected and received, as of the last report.
    before: (u32, u32),
    transit: Option<i64>,
    jitter: f64,
    sender_report: Option<(NtpTime, Micros)>,
}

impl Reception {
    pub fn on_packet(&mut self, seq: u16, timestamp: u32, clock: u32, now: Micros) {
        if self.base.is_none() {
            self.base = Some(u32::from(seq));
            self.highest = u32::from(seq);
        }
        let ahead = seq.wrapping_sub(self.highest as u16) as i16;
        if ahead > 0 {
            self.highest = self.highest.wrapping_add(ahead as u32);
        }
        self.received += 1;
        let arrival = (now.0 * u64::from(clock) / 1_000_000) as u32;
        let transit = i64::from(arrival.wrapping_sub(timestamp) as i32);
        if let Some(before) = self.transit.replace(transit) {
            let difference = (transit - before).abs() as f64;
            self.jitter += (difference - self.jitter) / 16.0;
        }
    }

    pub fn on_sender_report(&mut self, ntp: NtpTime, now: Micros) {
        self.sender_report = Some((ntp, now));
    }

    pub fn report(&mut self, ssrc: Ssrc, now: Micros) -> Option<ReportBlock> {
        let expected = self.highest.wrapping_sub(self.base?).wrapping_add(1);
        let (asked, came) = (
            expected.wrapping_sub(self.before.0),
            self.received - self.before.1,
        );
        self.before = (expected, self.received);
        let lost = asked.saturating_sub(came);
        let (ntp, at) = self.sender_report.unwrap_or((NtpTime(0), now));
        Some(ReportBlock {
            ssrc,
            fraction_lost: (lost * 256 / asked.max(1)).min(255) as u8,
            cumulative_lost: expected.wrapping_sub(self.received) as i32,
            highest_seq: self.highest,
            jitter: self.jitter as u32,
            last_sr: ntp.middle(),
            delay_since_last_sr: ((now - at).0 * 65_536 / 1_000_000) as u32,
        })
    }

    /// As bad as can be.
    pub fn worst(ssrc: Ssrc) -> ReportBlock {
        ReportBlock {
            ssrc,
            fraction_lost: 255,
            cumulative_lost: 1_000_000,
            highest_seq: u32::MAX,
            jitter: u32::MAX,
            last_sr: 0,
            delay_since_last_sr: 0,
        }
    }
}

//! The receiver's clocks in feedback, widened: transport-cc counts 64 ms in 24 bits, RFC 8888 names 1/65,536 s in 32.

/// Widens the reference time of transport-cc (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct ReferenceClock {
    last: Option<(i32, i64)>,
}

impl ReferenceClock {
    /// Microseconds to be added to the arrivals of a message with this reference time.
    pub fn offset_us(&mut self, reference: i32) -> i64 {
        let (last, wide) = self.last.unwrap_or((reference, i64::from(reference)));
        // The nearer direction of the 24-bit circle.
        let step = (reference.wrapping_sub(last) << 8) >> 8;
        let wide = wide.saturating_add(i64::from(step));
        self.last = Some((reference, wide));
        wide.saturating_sub(i64::from(reference))
            .saturating_mul(64_000)
    }
}

/// Widens the report timestamp of RFC 8888.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReportClock {
    last: Option<(u32, i64)>,
}

impl ReportClock {
    /// Microseconds since an arbitrary origin.
    pub fn widen_us(&mut self, timestamp: u32) -> i64 {
        let (last, wide) = self.last.unwrap_or((timestamp, 0));
        let step = timestamp.wrapping_sub(last) as i32;
        let wide = wide.saturating_add(i64::from(step));
        self.last = Some((timestamp, wide));
        wide.saturating_mul(1_000_000) >> 16
    }
}

/// How long before the report a packet arrived, from 1/1,024 s.
pub const fn before_report_us(offset: u16) -> i64 {
    offset as i64 * 1_000_000 / 1_024
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WRAP: i64 = 1 << 24;

    fn signed(value: i64) -> i32 {
        ((value as i32) << 8) >> 8
    }

    proptest! {
        /// Reports out of order, up to days apart: the widened arrival runs on.
        #[test]
        fn reference_time_runs_on(first in 0..WRAP, steps in prop::collection::vec(-2_000..8_000_000_i64, 1..60)) {
            let mut clock = ReferenceClock::default();
            let mut truth = first;
            let start = i64::from(signed(first)) * 64_000 + clock.offset_us(signed(first));
            for step in steps {
                truth += step;
                let arrival = i64::from(signed(truth)) * 64_000 + clock.offset_us(signed(truth));
                prop_assert_eq!(arrival - start, (truth - first) * 64_000);
            }
        }

        #[test]
        fn report_timestamp_runs_on(first: u32, steps in prop::collection::vec(-60_000..200_000_000_i64, 1..60)) {
            let mut clock = ReportClock::default();
            let start = clock.widen_us(first);
            let mut passed = 0;
            for step in steps {
                passed += step;
                let wide = clock.widen_us((i64::from(first) + passed) as u32);
                prop_assert_eq!(wide - start, (passed * 1_000_000) >> 16);
            }
        }
    }
}

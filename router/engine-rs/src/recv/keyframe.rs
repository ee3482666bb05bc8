//! Key frame requests towards a publisher (PLI, RFC 4585 section 6.3.1; FIR, RFC 5104 section 4.3.1), one per encoding.
//!
//! Requests of any number of receivers merge into one that stays pending until a key frame starts to arrive: it is
//! repeated, because PLI travels unprotected from loss, and never sent more than twice a second
//! (`threats-and-faults.md` R3). A receiver that joins thus sees a key frame within a second, if the publisher obeys.
//! Requests for several encodings of one track go together: see [`Encoder`].

use crate::time::Micros;

/// Least time between two requests for one encoding: two per second.
pub const MIN_INTERVAL: Micros = Micros::from_millis(500);
/// For so long after a request an encoder ignores others: 300 ms in libwebrtc (`EncoderRtcpFeedback`), and what two
/// packets may move towards each other on their way.
pub const ENCODER_INTERVAL: Micros = Micros::from_millis(310);
/// A request nobody renews is given up after this long: the publisher does not obey, or the encoding is silent.
pub const PATIENCE: Micros = Micros::from_millis(10_000);

/// The merged key frame request of one encoding.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyFrameRequests {
    pending_since: Option<Micros>,
    last_sent: Option<Micros>,
    sent: u64,
}

impl KeyFrameRequests {
    /// Somebody needs a key frame from now on.
    pub fn request(&mut self, now: Micros) {
        self.pending_since = Some(now);
    }

    /// A key frame started to arrive: everybody is served.
    pub fn on_key_frame(&mut self) {
        self.pending_since = None;
    }

    /// True when a PLI or FIR must be sent now; the caller sends it.
    pub fn poll(&mut self, now: Micros) -> bool {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return false;
        }
        if self
            .pending_since
            .is_some_and(|since| now - since > PATIENCE)
        {
            self.pending_since = None;
            return false;
        }
        self.last_sent = Some(now);
        self.sent += 1;
        true
    }

    /// When [`Self::poll`] has something to do.
    pub fn deadline(&self) -> Option<Micros> {
        let since = self.pending_since?;
        Some(self.last_sent.map_or(since, |last| last + MIN_INTERVAL))
    }

    /// A request waits for its key frame.
    pub fn is_pending(&self) -> bool {
        self.pending_since.is_some()
    }

    /// Requests sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

/// The one encoder of all encodings of a track. It answers a request for one of them with key frames of all, and ignores
/// what is asked for soon after: a request that waits until it listens is answered half a second before its repetition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Encoder {
    listens_from: Micros,
}

impl Encoder {
    /// When a request that is due at `at` may be sent.
    pub fn defer(&self, at: Micros) -> Micros {
        at.max(self.listens_from)
    }

    /// Requests are sent now.
    pub fn on_request(&mut self, now: Micros) {
        self.listens_from = now + ENCODER_INTERVAL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn first_request_goes_at_once() {
        let mut requests = KeyFrameRequests::default();
        assert!(!requests.poll(Micros(5)));
        requests.request(Micros(5));
        assert_eq!(requests.deadline(), Some(Micros(5)));
        assert!(requests.poll(Micros(5)));
        assert!(!requests.poll(Micros(6)), "merged");
    }

    #[test]
    fn repeats_until_a_key_frame_arrives() {
        let mut requests = KeyFrameRequests::default();
        requests.request(Micros(0));
        assert!(requests.poll(Micros(0)));
        assert_eq!(requests.deadline(), Some(MIN_INTERVAL));
        assert!(requests.poll(MIN_INTERVAL));
        requests.on_key_frame();
        assert_eq!(requests.deadline(), None);
        assert!(!requests.poll(Micros::from_secs(5)));
        assert_eq!(requests.sent(), 2);
    }

    #[test]
    fn a_joiner_just_after_a_key_frame_waits_for_the_throttle_only() {
        let mut requests = KeyFrameRequests::default();
        requests.request(Micros(0));
        requests.poll(Micros(0));
        requests.on_key_frame();
        requests.request(Micros::from_millis(10));
        assert_eq!(
            requests.deadline(),
            Some(MIN_INTERVAL),
            "at most 500 ms, then a round trip: under a second"
        );
    }

    #[test]
    fn gives_up_when_nobody_renews() {
        let mut requests = KeyFrameRequests::default();
        requests.request(Micros(0));
        let mut sent = 0;
        while let Some(at) = requests.deadline() {
            sent += u32::from(requests.poll(at));
        }
        assert_eq!(sent, 21, "each 500 ms for 10 s");
        assert!(!requests.is_pending());
    }

    proptest! {
        /// A flood of requests never makes more than two per second, counted in any window.
        #[test]
        fn flood_is_throttled(waits in proptest::collection::vec(0u64..80_000, 1..800), obeys: bool) {
            let mut requests = KeyFrameRequests::default();
            let (mut now, mut sent) = (Micros(0), Vec::new());
            for wait in waits {
                now = now + Micros(wait);
                requests.request(now);
                if requests.poll(now) {
                    sent.push(now);
                    if obeys {
                        requests.on_key_frame();
                    }
                }
            }
            for pair in sent.windows(2) {
                prop_assert!(pair[1] - pair[0] >= MIN_INTERVAL);
            }
        }

        /// After any history, a request is on the wire within the throttle interval.
        #[test]
        fn no_request_starves(history in proptest::collection::vec((0u64..3_000_000, any::<bool>()), 0..40)) {
            let mut requests = KeyFrameRequests::default();
            let mut now = Micros(0);
            for (wait, key_frame) in history {
                now = now + Micros(wait);
                if key_frame { requests.on_key_frame() } else { requests.request(now) }
                requests.poll(now);
            }
            requests.on_key_frame();
            requests.request(now);
            let deadline = requests.deadline().expect("pending");
            prop_assert!(deadline <= now + MIN_INTERVAL);
            prop_assert!(requests.poll(deadline.max(now)));
        }
    }
}

//! Why a datagram or a packet was dropped. Every reason is a counter and a metric label, never a log line.
//!
//! To add a reason, add a row to the table: the enumeration, its slugs and the size of [`DropCounters`] follow.

macro_rules! drop_reasons {
    ($($name:ident = $slug:literal, $doc:literal;)+) => {
        /// Why a datagram or packet was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $(#[doc = $doc] $name,)+
        }

        impl DropReason {
            /// Every reason, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable name of the reason: a metric label.
            pub const fn slug(self) -> &'static str {
                match self {
                    $(Self::$name => $slug,)+
                }
            }
        }
    };
}

drop_reasons! {
    // The datagram as a whole.
    Oversized = "oversized", "Longer than `MAX_DATAGRAM`.";
    Empty = "empty", "A datagram of no bytes.";
    UnknownClass = "unknown-class", "The first byte belongs to no protocol of RFC 7983 that we speak.";
    UnknownTuple = "unknown-tuple", "RTP or RTCP from an address that belongs to no transport.";
    UnprovenTuple = "unproven-tuple", "DTLS from a tuple that is not proven, of a transport that has one that is.";
    NoSelectedTuple = "no-selected-tuple", "Something to send, and no validated tuple to send it to.";
    // STUN.
    StunMalformed = "stun-malformed", "Not a well-formed STUN message.";
    StunAuth = "stun-auth", "MESSAGE-INTEGRITY missing or wrong.";
    StunFingerprint = "stun-fingerprint", "FINGERPRINT missing or wrong.";
    StunUnexpected = "stun-unexpected", "A response to no request of ours, an indication, or another method.";
    StunReplay = "stun-replay", "A transaction id that was already seen from another tuple.";
    // DTLS.
    DtlsUnknownTuple = "dtls-unknown-tuple", "DTLS from an address that belongs to no transport.";
    DtlsRate = "dtls-rate", "More DTLS from one transport than its token bucket allows.";
    // SRTP.
    RtpBeforeKeys = "rtp-before-keys", "Media before the DTLS fingerprint was verified.";
    SrtpAuth = "srtp-auth", "The authentication tag did not match.";
    SrtpReplay = "srtp-replay", "The SRTP index was seen before or is too old.";
    SrtpOther = "srtp-other", "libsrtp refused the packet for another reason.";
    SrtpProtect = "srtp-protect", "libsrtp could not encrypt our packet.";
    SsrcLimit = "ssrc-limit", "More SSRCs on one transport than it may have.";
    // RTP.
    RtpMalformed = "rtp-malformed", "Not a well-formed RTP packet.";
    UnknownStream = "unknown-stream", "No MID, RID, SSRC or payload type leads to a producer.";
    UnknownPayloadType = "unknown-payload-type", "A payload type that its m-line did not negotiate.";
    RedMalformed = "red-malformed", "A RED payload without primary data, or with blocks of a codec that was not negotiated.";
    RtxMalformed = "rtx-malformed", "A retransmission without an original sequence number.";
    RtxUnknown = "rtx-unknown", "A retransmission that belongs to no known stream.";
    Duplicate = "duplicate", "A packet that was already received, by RTX or repetition.";
    TooOld = "too-old", "A packet from before the receive window.";
    ProducerPaused = "producer-paused", "The producer is paused by the server.";
    // RTCP.
    RtcpMalformed = "rtcp-malformed", "Not a well-formed compound RTCP packet.";
    RtcpForeignFeedback = "rtcp-foreign-feedback", "Feedback or a report for a stream that its sender does not receive or send.";
    NackBudget = "nack-budget", "A retransmission that the receiver's repair budget does not cover.";
    NackNotInHistory = "nack-not-in-history", "A retransmission asked for a packet that is no longer kept.";
    // Forwarding.
    PeerRate = "peer-rate", "More media for one peer than it may be sent (`core/allowance.rs`).";
    PacerFull = "pacer-full", "More video waits for a receiver's link than may (`pace/waiting.rs`).";
    PacerStale = "pacer-stale", "Video that waited for a receiver's link until it was of no use.";
    PacketTooLarge = "packet-too-large", "The rewritten packet would not fit a datagram.";
}

/// One counter per [`DropReason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropCounters([u64; DropReason::ALL.len()]);

impl Default for DropCounters {
    fn default() -> Self {
        Self([0; DropReason::ALL.len()])
    }
}

impl DropCounters {
    /// Counts one drop.
    pub fn count(&mut self, reason: DropReason) {
        self.add(reason, 1);
    }

    /// Counts several drops.
    pub fn add(&mut self, reason: DropReason, drops: u64) {
        let counter = &mut self.0[reason as usize];
        *counter = counter.saturating_add(drops);
    }

    /// Drops for this reason so far.
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Every reason with its count, zeros included.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().copied().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn slugs_are_unique_kebab_case() {
        let slugs: HashSet<_> = DropReason::ALL.iter().map(|reason| reason.slug()).collect();
        assert_eq!(slugs.len(), DropReason::ALL.len());
        for slug in slugs {
            assert!(
                slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{slug}"
            );
        }
    }

    #[test]
    fn each_reason_has_its_own_counter() {
        let mut counters = DropCounters::default();
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            counters.add(*reason, index as u64 + 1);
        }
        for (index, (reason, drops)) in counters.iter().enumerate() {
            assert_eq!((reason, drops), (DropReason::ALL[index], index as u64 + 1));
        }
    }
}

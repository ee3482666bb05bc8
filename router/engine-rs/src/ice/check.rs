//! Judging and answering connectivity checks (RFC 8445 section 7.3). Bad ones get no answer at all: an error response
//! would tell an attacker something and reflect bytes to a forged source (I1, I2, I7).

use super::credentials::{Credentials, Generation, Keyed, Named};
use crate::ids::Tuple;
use crate::time::Micros;
use crate::wire::DropReason;
use crate::wire::stun::{IceRole, StunMessage, TransactionId};
use arrayvec::ArrayVec;

/// Transaction ids remembered to tell a repeated check from a replayed one.
const MAX_SEEN: usize = 32;

/// What a check is worth.
pub enum Verdict<'a> {
    /// Authentic, of these credentials.
    Good(&'a Keyed, Generation),
    /// Authentic, but the peer claims the role that a lite agent always has (RFC 8445 section 7.3.1.1).
    RoleConflict(&'a Keyed),
    /// Names another peer: Python must look at it.
    Foreign,
    /// Not authentic, or not acceptable.
    Bad(DropReason),
}

/// Judges a Binding request from a known tuple.
pub fn judge<'a>(now: Micros, request: &StunMessage, credentials: &'a Credentials) -> Verdict<'a> {
    if !request.verify_fingerprint() {
        return Verdict::Bad(DropReason::StunFingerprint);
    }
    let Some(ufrags) = request.ufrags() else {
        return Verdict::Bad(DropReason::StunAuth);
    };
    let (keyed, generation) = match credentials.find(now, ufrags) {
        Named::Foreign => return Verdict::Foreign,
        Named::WrongRemote => return Verdict::Bad(DropReason::StunAuth),
        Named::Ours(keyed, generation) => (keyed, generation),
    };
    if !request.verify_integrity(&keyed.key) {
        return Verdict::Bad(DropReason::StunAuth);
    }
    if request.unknown_required.is_some() {
        return Verdict::Bad(DropReason::StunUnexpected);
    }
    if matches!(request.role, Some(IceRole::Controlled(_))) {
        return Verdict::RoleConflict(keyed);
    }
    Verdict::Good(keyed, generation)
}

/// How a transaction id stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Never seen.
    Fresh,
    /// The same check again, from the same tuple.
    Repeated,
    /// The same check from elsewhere (I4).
    Replayed,
}

/// The last checks of one peer.
#[derive(Default)]
pub struct SeenChecks {
    ring: ArrayVec<(TransactionId, Tuple), MAX_SEEN>,
    next: usize,
}

impl SeenChecks {
    /// Notes an authentic check.
    pub fn note(&mut self, transaction: TransactionId, tuple: Tuple) -> Freshness {
        if let Some((_, from)) = self.ring.iter().find(|(seen, _)| *seen == transaction) {
            return if *from == tuple {
                Freshness::Repeated
            } else {
                Freshness::Replayed
            };
        }
        match self.ring.get_mut(self.next) {
            Some(oldest) => *oldest = (transaction, tuple),
            None => self.ring.push((transaction, tuple)),
        }
        self.next = (self.next + 1) % MAX_SEEN;
        Freshness::Fresh
    }
}

//! The agent of one peer: checks in, answers and challenges out, one selected tuple.

use super::check::{Freshness, SeenChecks, Verdict, judge};
use super::credentials::{Credentials, Generation, Named};
use super::tuples::{PathStats, Paths};
use crate::core::command::IceCredentials;
use crate::ids::{SocketId, Tuple};
use crate::time::Micros;
use crate::wire::DropReason;
use crate::wire::stun::{
    BindingRequest, IceRole, ROLE_CONFLICT, StunClass, StunMessage, TransactionId,
    write_binding_request, write_error_response, write_success_response,
};
use rand_chacha::rand_core::Rng;

/// Without a check or an answer on the selected tuple for this long, media to it stops (RFC 7675 section 5.1).
pub const CONSENT_TIMEOUT: Micros = Micros::from_secs(30);
/// PRIORITY of our requests: peer-reflexive, highest local preference (RFC 8445 section 5.1.2.1).
const PRIORITY: u32 = (110 << 24) | (65_535 << 8) | 255;

/// What became of a STUN message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StunOutcome {
    /// Authentic; this many bytes of the output go back.
    Reply(usize),
    /// Authentic; nothing goes back.
    Accepted,
    /// Not ours to settle.
    Punt,
    /// Dropped without an answer.
    Dropped(DropReason),
}

/// Where media may go, and until when.
#[derive(Clone, Copy, Debug)]
pub struct Outlet {
    tuple: Tuple,
    until: Micros,
}

impl Outlet {
    /// The tuple, while its consent is fresh.
    #[inline]
    pub fn at(self, now: Micros) -> Option<Tuple> {
        (now < self.until).then_some(self.tuple)
    }
}

/// ICE state of one peer.
pub struct Agent {
    credentials: Credentials,
    paths: Paths,
    seen: SeenChecks,
    tie_breaker: u64,
    outlet: Option<Outlet>,
    round_trip: Option<Micros>,
}

impl Agent {
    /// An agent that knows no tuple.
    pub fn new(local: IceCredentials, tie_breaker: u64) -> Self {
        Self {
            credentials: Credentials::new(local),
            paths: Paths::default(),
            seen: SeenChecks::default(),
            tie_breaker,
            outlet: None,
            round_trip: None,
        }
    }

    /// The peer's credentials: pending tuples can be challenged now.
    pub fn set_remote(&mut self, now: Micros, remote: IceCredentials) {
        self.credentials.set_remote(remote);
        for path in self.paths.iter_mut().filter(|path| !path.is_validated()) {
            path.challenge.resume(now);
        }
    }

    /// New credentials of ours.
    pub fn restart(&mut self, local: IceCredentials) {
        self.credentials.restart(local);
        for path in self.paths.iter_mut() {
            path.old_generation = true;
        }
    }

    /// Python authenticated a check of about `len` bytes from this tuple. Returns the tuple forgotten in its place.
    pub fn add_tuple(
        &mut self,
        now: Micros,
        tuple: Tuple,
        nominated: bool,
        priority: u32,
    ) -> Option<Tuple> {
        let evicted = self.paths.add(now, tuple, priority);
        let check_len = self.request_len();
        if let Some(path) = self.paths.get_mut(tuple) {
            path.old_generation = false;
            path.checks = path.checks.saturating_add(1);
            path.budget.on_received(check_len);
            path.budget.take(check_len.min(64)); // Python's own answer
            if !path.is_validated() {
                path.challenge.resume(now);
            }
        }
        if nominated {
            self.paths.nominate(now, tuple);
        }
        evicted
    }

    /// Length of a check between these two: the peer's are at least as long as ours.
    fn request_len(&self) -> usize {
        let ufrags = self.credentials.pair(Generation::Current);
        let username = ufrags.map_or(16, |(ours, theirs)| {
            ours.ufrag.len() + theirs.ufrag.len() + 1
        });
        20 + 4 + username.next_multiple_of(4) + 8 + 12 + 24 + 8
    }

    /// Something other than STUN proved the tuple.
    pub fn validate(&mut self, now: Micros, tuple: Tuple) {
        self.paths.validate(now, tuple);
    }

    /// Whether a check with these two parts of a USERNAME is meant for this peer's fork, be it right or not.
    pub fn is_named_by(&self, now: Micros, ufrags: (&[u8], &[u8])) -> bool {
        !matches!(self.credentials.find(now, ufrags), Named::Foreign)
    }

    /// The paths, as the diagnosis of a peer shows them.
    pub fn path_stats(&self) -> impl Iterator<Item = PathStats> {
        let selected = self.paths.selected();
        self.paths.iter().map(move |path| path.stats(selected))
    }

    /// Takes a STUN message that came from a known tuple; a reply is written to `out`.
    pub fn handle_stun(
        &mut self,
        now: Micros,
        tuple: Tuple,
        data: &[u8],
        out: &mut [u8],
    ) -> StunOutcome {
        let Ok(message) = StunMessage::parse(data) else {
            return StunOutcome::Dropped(DropReason::StunMalformed);
        };
        match message.class {
            StunClass::Request => self.handle_request(now, tuple, &message, data.len(), out),
            StunClass::Success => self.handle_success(now, tuple, &message),
            StunClass::Error | StunClass::Indication => {
                StunOutcome::Dropped(DropReason::StunUnexpected)
            }
        }
    }

    fn handle_request(
        &mut self,
        now: Micros,
        tuple: Tuple,
        request: &StunMessage,
        len: usize,
        out: &mut [u8],
    ) -> StunOutcome {
        let transaction = request.transaction_id;
        let (keyed, generation) = match judge(now, request, &self.credentials) {
            Verdict::Good(keyed, generation) => (keyed, generation),
            Verdict::Foreign => return StunOutcome::Punt,
            Verdict::Bad(reason) => return StunOutcome::Dropped(reason),
            Verdict::RoleConflict(keyed) => {
                let written = write_error_response(out, transaction, ROLE_CONFLICT, &keyed.key);
                return written.map_or(StunOutcome::Accepted, StunOutcome::Reply);
            }
        };
        let written = write_success_response(out, transaction, tuple.address, &keyed.key);
        let freshness = self.seen.note(transaction, tuple);
        if freshness == Freshness::Replayed {
            return StunOutcome::Dropped(DropReason::StunReplay);
        }
        let Some(path) = self.paths.get_mut(tuple) else {
            return StunOutcome::Punt;
        };
        path.old_generation = generation == Generation::Old;
        path.priority = request.priority.unwrap_or(path.priority);
        path.on_alive(now);
        path.checks = path.checks.saturating_add(1);
        let mut answer = true;
        if !path.is_validated() {
            path.budget.on_received(len);
            path.challenge.resume(now);
            answer = path.budget.take(written.unwrap_or(0));
        }
        if request.use_candidate && freshness == Freshness::Fresh {
            self.paths.nominate(now, tuple);
        }
        match written {
            Ok(len) if answer => StunOutcome::Reply(len),
            _ => StunOutcome::Accepted,
        }
    }

    fn handle_success(&mut self, now: Micros, tuple: Tuple, response: &StunMessage) -> StunOutcome {
        let Some(path) = self.paths.get_mut(tuple) else {
            return StunOutcome::Punt;
        };
        if !path.challenge.expects(response.transaction_id) {
            return StunOutcome::Punt;
        }
        if !self
            .credentials
            .remote_keys()
            .any(|key| response.verify_integrity(key))
        {
            return StunOutcome::Dropped(DropReason::StunAuth);
        }
        if response.has_fingerprint() && !response.verify_fingerprint() {
            return StunOutcome::Dropped(DropReason::StunFingerprint);
        }
        path.answers = path.answers.saturating_add(1);
        let round_trip = path.challenge.on_response(now, response.transaction_id);
        self.paths.validate(now, tuple);
        if self.paths.selected() == Some(tuple) {
            self.round_trip = round_trip;
            self.schedule_rechallenge(now, tuple);
        } else {
            self.round_trip = self.round_trip.or(round_trip);
        }
        StunOutcome::Accepted
    }

    fn schedule_rechallenge(&mut self, now: Micros, tuple: Tuple) {
        if let Some(path) = self.paths.get_mut(tuple) {
            path.challenge.schedule_next_round(now);
        }
    }

    /// Settles the selection after any input: the tuple, if another one is selected now.
    pub fn poll_selected(&mut self, now: Micros) -> Option<Tuple> {
        let changed = self.paths.select(now);
        let path = self.paths.selected_path();
        if path.is_some_and(|path| !path.old_generation) {
            self.credentials.on_current_pair(now);
        }
        self.outlet = path.map(|path| Outlet {
            tuple: path.tuple,
            until: path.last_alive() + CONSENT_TIMEOUT,
        });
        changed
    }

    /// Writes the next challenge that is due to `out`: its length and where it goes.
    pub fn poll_challenge(
        &mut self,
        now: Micros,
        rng: &mut impl Rng,
        out: &mut [u8],
    ) -> Option<(usize, Tuple)> {
        let selected = self.paths.selected();
        for path in self
            .paths
            .iter_mut()
            .filter(|path| path.challenge.is_due(now))
        {
            let generation = if path.old_generation {
                Generation::Old
            } else {
                Generation::Current
            };
            let mut transaction = TransactionId::default();
            rng.fill_bytes(&mut transaction.0);
            let written = self
                .credentials
                .pair(generation)
                .and_then(|(local, remote)| {
                    let request = BindingRequest {
                        transaction_id: transaction,
                        remote_ufrag: &remote.ufrag,
                        local_ufrag: &local.ufrag,
                        priority: PRIORITY,
                        role: IceRole::Controlled(self.tie_breaker),
                        use_candidate: false,
                    };
                    write_binding_request(out, &request, &remote.key).ok()
                });
            let allowed =
                |path: &mut super::tuples::Path, len| path.is_validated() || path.budget.take(len);
            let sent = written.filter(|len| allowed(path, *len));
            match sent {
                Some(_) => {
                    path.challenges = path.challenges.saturating_add(1);
                    path.challenge.on_sent(now, transaction);
                }
                None => path.challenge.stop(),
            }
            if selected == Some(path.tuple) && path.challenge.deadline().is_none() {
                path.challenge.schedule_next_round(now);
            }
            if let Some(len) = sent {
                return Some((len, path.tuple));
            }
        }
        None
    }

    /// Forgets one tuple that has been idle for long, if there is one.
    pub fn poll_idle(&mut self, now: Micros) -> Option<Tuple> {
        self.paths.poll_idle(now)
    }

    /// When challenges or idle tuples want attention.
    pub fn deadline(&self) -> Option<Micros> {
        self.paths.deadline()
    }

    /// Where media may go: the selected tuple. Changes with [`Self::poll_selected`] and when tuples are removed.
    pub fn outlet(&self) -> Option<Outlet> {
        self.outlet
    }

    /// Forgets a tuple, which belongs to another peer now.
    pub fn remove(&mut self, tuple: Tuple) {
        self.paths.remove(tuple);
        self.outlet = self.outlet.filter(|outlet| outlet.tuple != tuple);
    }

    /// Forgets the tuples of a socket.
    pub fn remove_socket(&mut self, socket: SocketId) {
        self.paths.remove_socket(socket);
        self.outlet = self.outlet.filter(|outlet| outlet.tuple.socket != socket);
    }

    /// Return-routability of this tuple is proven.
    pub fn is_validated(&self, tuple: Tuple) -> bool {
        self.paths
            .iter()
            .any(|path| path.tuple == tuple && path.is_validated())
    }

    /// The tuples known.
    pub fn tuples(&self) -> impl Iterator<Item = Tuple> {
        self.paths.iter().map(|path| path.tuple)
    }

    /// The selected tuple, whether or not its consent is fresh.
    pub fn selected(&self) -> Option<Tuple> {
        self.paths.selected()
    }

    /// The last round trip of a challenge.
    pub fn round_trip(&self) -> Option<Micros> {
        self.round_trip
    }
}

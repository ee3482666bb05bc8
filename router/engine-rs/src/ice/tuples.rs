//! The tuples of one peer: pending until proven, one of the proven ones selected (RFC 8445 sections 8.1 and 12).
//!
//! Invariants: at most [`MAX_TUPLES`]; the selected tuple is proven and never evicted; selection moves only by a
//! nomination in an authenticated check. The latest nomination wins; those closer than [`TIE`] are told apart by
//! PRIORITY, as peers that nominate every pair expect (RFC 5245 section 8.1.1.2).

use super::challenge::{Budget, Challenge};
use crate::ids::{SocketId, Tuple};
use crate::time::Micros;

/// Tuples of one peer; as many as mediasoup allows (`IceServer::MaxTuples`).
pub const MAX_TUPLES: usize = 8;
/// Nominations of two tuples within this time are a tie.
const TIE: Micros = Micros::from_secs(1);
/// A tuple that is not selected is forgotten after this long without a check.
const IDLE_TIMEOUT: Micros = Micros::from_secs(30);

/// One tuple.
#[derive(Clone, Debug)]
pub struct Path {
    /// Where.
    pub tuple: Tuple,
    /// PRIORITY of its last check.
    pub priority: u32,
    /// Its last check used credentials from before the ICE restart.
    pub old_generation: bool,
    /// Our own requests to it.
    pub challenge: Challenge,
    /// What it may be sent before it is proven.
    pub budget: Budget,
    /// Authentic checks that came on it.
    pub checks: u32,
    /// Our own requests that were sent on it.
    pub challenges: u32,
    /// Answers to them.
    pub answers: u32,
    validated: bool,
    nominated_at: Option<Micros>,
    last_alive: Micros,
}

/// One tuple, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStats {
    /// Where.
    pub tuple: Tuple,
    /// PRIORITY of its last check.
    pub priority: u32,
    /// Return-routability is proven.
    pub is_validated: bool,
    /// A check with USE-CANDIDATE came.
    pub is_nominated: bool,
    /// Media goes there.
    pub is_selected: bool,
    /// Authentic checks that came on it.
    pub checks: u32,
    /// Our own requests that were sent on it.
    pub challenges: u32,
    /// Answers to them.
    pub answers: u32,
    /// The last authentic check or answer.
    pub last_alive: Micros,
}

impl Path {
    /// For people.
    pub fn stats(&self, selected: Option<Tuple>) -> PathStats {
        PathStats {
            tuple: self.tuple,
            priority: self.priority,
            is_validated: self.validated,
            is_nominated: self.nominated_at.is_some(),
            is_selected: selected == Some(self.tuple),
            checks: self.checks,
            challenges: self.challenges,
            answers: self.answers,
            last_alive: self.last_alive,
        }
    }

    /// Return-routability is proven.
    pub fn is_validated(&self) -> bool {
        self.validated
    }

    /// The last authenticated check or challenge response.
    pub fn last_alive(&self) -> Micros {
        self.last_alive
    }

    /// An authenticated check or a challenge response arrived on it.
    pub fn on_alive(&mut self, now: Micros) {
        self.last_alive = now;
    }
}

/// All tuples of one peer.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// Nearly always one; with room for all of them in place, a peer would be twice as large.
    paths: Vec<Path>,
    selected: Option<Tuple>,
}

impl Paths {
    /// Adds a pending tuple or finds it; the tuple forgotten in its place, if any.
    pub fn add(&mut self, now: Micros, tuple: Tuple, priority: u32) -> Option<Tuple> {
        if let Some(path) = self.get_mut(tuple) {
            path.priority = priority;
            path.on_alive(now);
            return None;
        }
        let evicted = if self.paths.len() >= MAX_TUPLES {
            self.evict()
        } else {
            None
        };
        let mut challenge = Challenge::default();
        challenge.start(now);
        self.paths.reserve_exact(1);
        self.paths.push(Path {
            tuple,
            priority,
            old_generation: false,
            challenge,
            budget: Budget::default(),
            checks: 0,
            challenges: 0,
            answers: 0,
            validated: false,
            nominated_at: None,
            last_alive: now,
        });
        evicted
    }

    /// Forgets the tuple that matters least: unproven before proven, then the longest idle.
    fn evict(&mut self) -> Option<Tuple> {
        let rank = |path: &Path| (path.validated, path.last_alive);
        let candidates = self
            .paths
            .iter()
            .filter(|path| Some(path.tuple) != self.selected);
        let victim = candidates.min_by_key(|path| rank(path))?.tuple;
        self.remove(victim);
        Some(victim)
    }

    /// Forgets a tuple.
    pub fn remove(&mut self, tuple: Tuple) {
        self.paths.retain(|path| path.tuple != tuple);
        if self.selected == Some(tuple) {
            self.selected = None;
        }
    }

    /// Forgets the tuples of a socket.
    pub fn remove_socket(&mut self, socket: SocketId) {
        self.paths.retain(|path| path.tuple.socket != socket);
        self.selected = self.selected.filter(|tuple| tuple.socket != socket);
    }

    /// Forgets one tuple that has been idle for long.
    pub fn poll_idle(&mut self, now: Micros) -> Option<Tuple> {
        let idle = |path: &&Path| {
            Some(path.tuple) != self.selected && path.last_alive + IDLE_TIMEOUT <= now
        };
        let tuple = self.paths.iter().find(idle)?.tuple;
        self.remove(tuple);
        Some(tuple)
    }

    /// An authenticated check nominated the tuple.
    pub fn nominate(&mut self, now: Micros, tuple: Tuple) {
        if let Some(path) = self.get_mut(tuple) {
            path.nominated_at = Some(now);
        }
    }

    /// The tuple is proven.
    pub fn validate(&mut self, now: Micros, tuple: Tuple) {
        if let Some(path) = self.get_mut(tuple) {
            path.validated = true;
            path.on_alive(now);
            path.challenge.stop();
        }
    }

    /// Selects anew: the tuple, if another one is selected now.
    pub fn select(&mut self, now: Micros) -> Option<Tuple> {
        let best = self.best()?;
        if self.selected == Some(best) {
            return None;
        }
        if let Some(old) = self.selected.and_then(|old| self.get_mut(old)) {
            old.challenge.stop();
        }
        self.selected = Some(best);
        if let Some(path) = self.get_mut(best)
            && path.challenge.deadline().is_none()
        {
            path.challenge.schedule_next_round(now);
        }
        Some(best)
    }

    fn best(&self) -> Option<Tuple> {
        let validated = self.paths.iter().filter(|path| path.validated);
        let nominated = validated
            .clone()
            .filter_map(|path| Some((path, path.nominated_at?)));
        let mut best: Option<(&Path, Micros)> = None;
        for (path, at) in nominated {
            best = match best {
                Some(other) if !beats((path, at), other) => Some(other),
                _ => Some((path, at)),
            };
        }
        let kept = || {
            self.selected
                .or_else(|| validated.clone().next().map(|path| path.tuple))
        };
        best.map(|(path, _)| path.tuple).or_else(kept)
    }

    /// The selected tuple.
    pub fn selected(&self) -> Option<Tuple> {
        self.selected
    }

    /// The path of the selected tuple.
    pub fn selected_path(&self) -> Option<&Path> {
        self.paths
            .iter()
            .find(|path| Some(path.tuple) == self.selected)
    }

    /// The path of a tuple.
    pub fn get_mut(&mut self, tuple: Tuple) -> Option<&mut Path> {
        self.paths.iter_mut().find(|path| path.tuple == tuple)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter()
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Path> {
        self.paths.iter_mut()
    }

    /// How many there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.paths.len()
    }

    /// When the next challenge, or the next idle tuple, wants attention.
    pub fn deadline(&self) -> Option<Micros> {
        let idle = |path: &Path| {
            (Some(path.tuple) != self.selected).then(|| path.last_alive + IDLE_TIMEOUT)
        };
        self.paths
            .iter()
            .filter_map(|path| {
                path.challenge
                    .deadline()
                    .into_iter()
                    .chain(idle(path))
                    .min()
            })
            .min()
    }
}

fn beats(new: (&Path, Micros), old: (&Path, Micros)) -> bool {
    let distance = (new.1 - old.1).0.max((old.1 - new.1).0);
    if distance < TIE.0 && new.0.priority != old.0.priority {
        return new.0.priority > old.0.priority;
    }
    new.1 > old.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(port: u16) -> Tuple {
        Tuple {
            socket: SocketId(1),
            address: ([192, 0, 2, 1], port).into(),
        }
    }

    fn at(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    #[test]
    fn a_pending_tuple_is_never_selected() {
        let mut paths = Paths::default();
        paths.add(at(0), tuple(1), 1);
        paths.nominate(at(0), tuple(1));
        assert_eq!(paths.select(at(0)), None);
        paths.validate(at(10), tuple(1));
        assert_eq!(paths.select(at(10)), Some(tuple(1)));
        assert_eq!(paths.select(at(11)), None, "reported once");
    }

    #[test]
    fn the_first_proven_tuple_serves_until_one_is_nominated() {
        let mut paths = Paths::default();
        paths.add(at(0), tuple(1), 9);
        paths.add(at(0), tuple(2), 1);
        paths.validate(at(0), tuple(1));
        assert_eq!(paths.select(at(0)), Some(tuple(1)));
        paths.validate(at(1), tuple(2));
        assert_eq!(paths.select(at(1)), None);
        paths.nominate(at(2), tuple(2));
        assert_eq!(paths.select(at(2)), Some(tuple(2)));
    }

    #[test]
    fn the_latest_nomination_wins_and_priority_breaks_ties() {
        let mut paths = Paths::default();
        for (port, priority) in [(1, 5), (2, 9), (3, 5)] {
            paths.add(at(0), tuple(port), priority);
            paths.validate(at(0), tuple(port));
            paths.nominate(at(u64::from(port)), tuple(port));
        }
        assert_eq!(paths.select(at(4)), Some(tuple(2)));
        paths.nominate(at(5000), tuple(1));
        assert_eq!(paths.select(at(5000)), Some(tuple(1)));
    }

    #[test]
    fn the_ninth_tuple_evicts_an_idle_one_but_never_the_selected() {
        let mut paths = Paths::default();
        paths.add(at(0), tuple(1), 1);
        paths.validate(at(0), tuple(1));
        paths.select(at(0));
        for port in 2..1000 {
            paths.add(at(u64::from(port)), tuple(port), 1);
            assert!(paths.len() <= MAX_TUPLES);
        }
        assert_eq!(paths.selected(), Some(tuple(1)));
        assert!(paths.selected_path().is_some());
    }

    #[test]
    fn idle_tuples_are_forgotten() {
        let mut paths = Paths::default();
        paths.add(at(0), tuple(1), 1);
        paths.validate(at(0), tuple(1));
        paths.select(at(0));
        paths.add(at(0), tuple(2), 1);
        assert_eq!(paths.poll_idle(at(29_999)), None);
        assert_eq!(paths.poll_idle(at(30_000)), Some(tuple(2)));
        assert_eq!(paths.poll_idle(at(30_000)), None);
    }
}

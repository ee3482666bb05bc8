//! Both sides' credentials across an ICE restart (RFC 8445 section 9): the current generation and the one before.

use crate::core::command::IceCredentials;
use crate::time::Micros;
use crate::wire::stun::IntegrityKey;

/// How long old local credentials live once the new ones gave a pair.
pub const OLD_CREDENTIALS_LIFETIME: Micros = Micros::from_secs(10);

/// Which generation a check used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// The newest.
    Current,
    /// The one before the last restart.
    Old,
}

/// A user fragment and its password, ready to sign with.
pub struct Keyed {
    /// User name fragment.
    pub ufrag: String,
    /// The password.
    pub key: IntegrityKey,
    password: String,
}

impl Keyed {
    fn new(credentials: IceCredentials) -> Self {
        let key = IntegrityKey::new(credentials.password.as_bytes());
        Self {
            ufrag: credentials.ufrag,
            key,
            password: credentials.password,
        }
    }

    fn is(&self, credentials: &IceCredentials) -> bool {
        self.ufrag == credentials.ufrag && self.password == credentials.password
    }
}

/// What a USERNAME names.
pub enum Named<'a> {
    /// Our credentials of a generation that lives.
    Ours(&'a Keyed, Generation),
    /// Our user fragment, with a remote one that is not the peer's.
    WrongRemote,
    /// Somebody else's.
    Foreign,
}

struct OldLocal {
    keyed: Keyed,
    expires: Option<Micros>,
}

/// The credentials of one peer.
pub struct Credentials {
    local: Keyed,
    old_local: Option<Box<OldLocal>>,
    remote: Option<Keyed>,
    old_remote: Option<Box<Keyed>>,
}

impl Credentials {
    /// Ours, before the peer's are known.
    pub fn new(local: IceCredentials) -> Self {
        Self {
            local: Keyed::new(local),
            old_local: None,
            remote: None,
            old_remote: None,
        }
    }

    /// Starts a new generation of ours; the one before the previous one dies.
    pub fn restart(&mut self, local: IceCredentials) {
        if !self.local.is(&local) {
            let keyed = std::mem::replace(&mut self.local, Keyed::new(local));
            self.old_local = Some(Box::new(OldLocal {
                keyed,
                expires: None,
            }));
        }
    }

    /// Sets the peer's, keeping the previous ones for paths of the old generation.
    pub fn set_remote(&mut self, remote: IceCredentials) {
        if !self.remote.as_ref().is_some_and(|known| known.is(&remote)) {
            self.old_remote = self.remote.replace(Keyed::new(remote)).map(Box::new);
        }
    }

    /// A pair of the current generation exists: the old one is given its end.
    pub fn on_current_pair(&mut self, now: Micros) {
        if let Some(old) = &mut self.old_local {
            old.expires.get_or_insert(now + OLD_CREDENTIALS_LIFETIME);
        }
    }

    /// Whose credentials the two parts of a USERNAME name (RFC 8445 section 7.2.2).
    pub fn find(&self, now: Micros, (ours, theirs): (&[u8], &[u8])) -> Named<'_> {
        let old = self
            .old_local
            .as_ref()
            .filter(|old| old.expires.is_none_or(|at| now < at));
        let found = if ours == self.local.ufrag.as_bytes() {
            Named::Ours(&self.local, Generation::Current)
        } else if let Some(old) = old.filter(|old| ours == old.keyed.ufrag.as_bytes()) {
            Named::Ours(&old.keyed, Generation::Old)
        } else {
            return Named::Foreign;
        };
        if self.is_remote(theirs) {
            found
        } else {
            Named::WrongRemote
        }
    }

    fn is_remote(&self, ufrag: &[u8]) -> bool {
        let mut known = self.remote.iter().chain(self.old_remote.as_deref());
        self.remote.is_none() || known.any(|remote| remote.ufrag.as_bytes() == ufrag)
    }

    /// The peer's keys, newest first, to verify its responses with.
    pub fn remote_keys(&self) -> impl Iterator<Item = &IntegrityKey> {
        self.remote
            .iter()
            .chain(self.old_remote.as_deref())
            .map(|remote| &remote.key)
    }

    /// Ours and theirs for a request on a path of this generation; `None` until the peer's are known.
    pub fn pair(&self, generation: Generation) -> Option<(&Keyed, &Keyed)> {
        let remote = self.remote.as_ref()?;
        match (generation, &self.old_local) {
            (Generation::Old, Some(old)) => {
                Some((&old.keyed, self.old_remote.as_deref().unwrap_or(remote)))
            }
            _ => Some((&self.local, remote)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(ufrag: &str) -> IceCredentials {
        IceCredentials {
            ufrag: ufrag.into(),
            password: format!("{ufrag}-password"),
        }
    }

    fn split(username: &str) -> (&[u8], &[u8]) {
        let (ours, theirs) = username.split_once(':').unwrap();
        (ours.as_bytes(), theirs.as_bytes())
    }

    fn generation(credentials: &Credentials, now: u64, username: &str) -> Option<Generation> {
        match credentials.find(Micros::from_secs(now), split(username)) {
            Named::Ours(_, generation) => Some(generation),
            _ => None,
        }
    }

    #[test]
    fn old_credentials_die_ten_seconds_after_a_pair_of_the_new() {
        let mut both = Credentials::new(credentials("one"));
        both.set_remote(credentials("peer"));
        both.restart(credentials("two"));
        assert_eq!(generation(&both, 1000, "one:peer"), Some(Generation::Old));
        both.on_current_pair(Micros::from_secs(1000));
        both.on_current_pair(Micros::from_secs(1005));
        assert_eq!(generation(&both, 1009, "one:peer"), Some(Generation::Old));
        assert_eq!(generation(&both, 1010, "one:peer"), None);
        assert_eq!(
            generation(&both, 1010, "two:peer"),
            Some(Generation::Current)
        );
    }

    #[test]
    fn a_wrong_remote_fragment_is_refused_once_the_peer_is_known() {
        let mut both = Credentials::new(credentials("one"));
        assert_eq!(
            generation(&both, 0, "one:anything"),
            Some(Generation::Current)
        );
        both.set_remote(credentials("peer"));
        assert_eq!(generation(&both, 0, "one:anything"), None);
        assert!(matches!(
            both.find(Micros(0), split("one:x")),
            Named::WrongRemote
        ));
        assert!(matches!(
            both.find(Micros(0), split("other:peer")),
            Named::Foreign
        ));
    }

    #[test]
    fn a_hundred_restarts_keep_two_generations() {
        let mut both = Credentials::new(credentials("0"));
        for n in 1..=100 {
            both.restart(credentials(&n.to_string()));
        }
        let alive = (0..=100)
            .filter(|n| generation(&both, 0, &format!("{n}:x")).is_some())
            .count();
        assert_eq!(alive, 2);
    }
}

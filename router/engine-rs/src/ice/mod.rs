//! ICE for one peer, as a lite agent (RFC 8445 section 2.5) that nevertheless proves every path before using it.
//!
//! A lite agent only answers checks, which proves the peer's identity but not that it can be reached where it claims to
//! be: a check is not bound to its source address, so it can be replayed or sent with a forged one. Hence each tuple is
//! challenged with a Binding request of our own. Left out: gathering, candidate pairs, TCP; Python answers the first
//! check of a tuple, see [`crate::core::Event::Stun`]. A [`Link`] is either such an agent or a plain peer's addresses.

mod agent;
mod challenge;
mod check;
mod credentials;
mod link;
mod tuples;

pub use agent::{Agent, CONSENT_TIMEOUT, StunOutcome};
pub use challenge::RECHALLENGE_INTERVAL;
pub use credentials::OLD_CREDENTIALS_LIFETIME;
pub use link::{Link, PlainPeer};
pub use tuples::{MAX_TUPLES, PathStats};

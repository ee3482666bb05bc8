//! How a peer is reached: along paths that ICE proves, or at two fixed addresses.
//!
//! A plain peer has no ICE and no consent: the application vouches for its addresses, which no packet ever changes. It
//! is told apart here and nowhere else; to the core both are tuples in and outlets out.

use super::agent::{Agent, Outlet, StunOutcome};
use super::tuples::MAX_TUPLES;
use crate::ids::{SocketId, Tuple};
use crate::time::Micros;
use crate::wire::DropReason;
use arrayvec::ArrayVec;
use rand_chacha::rand_core::Rng;

/// The addresses of a peer without ICE. RTCP has a port of its own, here and there (RFC 3550 section 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainPeer {
    /// Where RTP comes from and goes to.
    pub rtp: Tuple,
    /// Where RTCP comes from and goes to.
    pub rtcp: Tuple,
}

/// The ways to one peer.
pub enum Link {
    /// A WebRTC peer.
    Ice {
        /// Its agent: some kilobytes that a packet to the peer need not touch.
        agent: Box<Agent>,
        /// Where the agent lets media go.
        outlet: Option<Outlet>,
    },
    /// A plain RTP peer.
    Plain(PlainLink),
}

/// A plain peer's tuples, as long as their sockets are open and nobody else was given them.
pub struct PlainLink {
    rtp: Option<Tuple>,
    rtcp: Option<Tuple>,
    is_new: bool,
}

impl PlainLink {
    fn forget(&mut self, is_gone: impl Fn(Tuple) -> bool) {
        for tuple in [&mut self.rtp, &mut self.rtcp] {
            *tuple = tuple.filter(|tuple| !is_gone(*tuple));
        }
    }
}

impl Link {
    /// Ways that an agent has yet to find.
    pub fn ice(agent: Agent) -> Self {
        let agent = Box::new(agent);
        Self::Ice {
            outlet: agent.outlet(),
            agent,
        }
    }

    /// A way to these addresses, selected from the start.
    pub fn plain(peer: PlainPeer) -> Self {
        Self::Plain(PlainLink {
            rtp: Some(peer.rtp),
            rtcp: Some(peer.rtcp),
            is_new: true,
        })
    }

    /// The ICE agent, of a peer that has one.
    pub fn agent(&mut self) -> Option<&mut Agent> {
        match self {
            Self::Ice { agent, .. } => Some(agent),
            Self::Plain(_) => None,
        }
    }

    /// Takes a STUN message that came from a known tuple; a reply is written to `out`.
    pub fn handle_stun(
        &mut self,
        now: Micros,
        tuple: Tuple,
        data: &[u8],
        out: &mut [u8],
    ) -> StunOutcome {
        match self {
            Self::Ice { agent, .. } => agent.handle_stun(now, tuple, data, out),
            Self::Plain(_) => StunOutcome::Dropped(DropReason::StunUnexpected),
        }
    }

    /// Settles the selection after any input: the tuple, if another one is selected now.
    pub fn poll_selected(&mut self, now: Micros) -> Option<Tuple> {
        match self {
            Self::Ice { agent, outlet } => {
                let changed = agent.poll_selected(now);
                *outlet = agent.outlet();
                changed
            }
            Self::Plain(link) => link
                .rtp
                .filter(|_| std::mem::replace(&mut link.is_new, false)),
        }
    }

    /// Writes the next challenge that is due to `out`: its length and where it goes.
    pub fn poll_challenge(
        &mut self,
        now: Micros,
        rng: &mut impl Rng,
        out: &mut [u8],
    ) -> Option<(usize, Tuple)> {
        self.agent()?.poll_challenge(now, rng, out)
    }

    /// Forgets one tuple that has been idle for long, if there is one.
    pub fn poll_idle(&mut self, now: Micros) -> Option<Tuple> {
        self.agent()?.poll_idle(now)
    }

    /// When the agent wants attention.
    pub fn deadline(&self) -> Option<Micros> {
        match self {
            Self::Ice { agent, .. } => agent.deadline(),
            Self::Plain(_) => None,
        }
    }

    /// Where RTP may go now.
    #[inline]
    pub fn rtp_outlet(&self, now: Micros) -> Option<Tuple> {
        match self {
            Self::Ice { outlet, .. } => outlet.and_then(|outlet| outlet.at(now)),
            Self::Plain(link) => link.rtp,
        }
    }

    /// Where RTCP may go now.
    #[inline]
    pub fn rtcp_outlet(&self, now: Micros) -> Option<Tuple> {
        match self {
            Self::Ice { outlet, .. } => outlet.and_then(|outlet| outlet.at(now)),
            Self::Plain(link) => link.rtcp,
        }
    }

    /// Forgets a tuple, which belongs to another peer now.
    pub fn remove(&mut self, tuple: Tuple) {
        match self {
            Self::Ice { agent, outlet } => {
                agent.remove(tuple);
                *outlet = agent.outlet();
            }
            Self::Plain(link) => link.forget(|known| known == tuple),
        }
    }

    /// Forgets the tuples of a socket.
    pub fn remove_socket(&mut self, socket: SocketId) {
        match self {
            Self::Ice { agent, outlet } => {
                agent.remove_socket(socket);
                *outlet = agent.outlet();
            }
            Self::Plain(link) => link.forget(|known| known.socket == socket),
        }
    }

    /// The tuples known.
    pub fn tuples(&self) -> ArrayVec<Tuple, MAX_TUPLES> {
        match self {
            Self::Ice { agent, .. } => agent.tuples().collect(),
            Self::Plain(link) => link.rtp.into_iter().chain(link.rtcp).collect(),
        }
    }

    /// The selected tuple, whether or not its consent is fresh.
    pub fn selected(&self) -> Option<Tuple> {
        match self {
            Self::Ice { agent, .. } => agent.selected(),
            Self::Plain(link) => link.rtp,
        }
    }

    /// The last round trip of a challenge.
    pub fn round_trip(&self) -> Option<Micros> {
        match self {
            Self::Ice { agent, .. } => agent.round_trip(),
            Self::Plain(_) => None,
        }
    }
}

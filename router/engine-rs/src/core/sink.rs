//! Where the core puts what it makes. The IO shell's sink is a send batch; a test's sink is a list.

use super::Event;
use super::mirror::{MirrorHead, MirrorMessage};
use crate::ids::{Tuple, WorkerId};
pub use crate::wire::MAX_DATAGRAM;

/// Receiver of the core's output. No call may fail: a full batch is flushed, a full event queue counts and drops.
pub trait Sink {
    /// Scratch space for the next datagram: at least `MAX_DATAGRAM + SRTP_MAX_OVERHEAD` bytes.
    fn scratch(&mut self) -> &mut [u8];

    /// Queues the first `len` bytes of the scratch space to `to`.
    fn commit(&mut self, len: usize, to: Tuple);

    /// Hands an event to Python.
    fn event(&mut self, event: Event);

    /// Hands a packet to another worker; it may be lost. A core that is alone never does.
    fn mirror_packet(&mut self, to: WorkerId, head: &MirrorHead, bytes: &[u8]) {
        let _ = (to, head, bytes);
    }

    /// Tells another worker, for certain and in order.
    fn mirror_message(&mut self, to: WorkerId, message: MirrorMessage) {
        let _ = (to, message);
    }
}

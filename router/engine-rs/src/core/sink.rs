//! Where the core puts what it makes. The IO shell's sink is a send batch; a test's sink is a list.

use super::Event;
use crate::ids::Tuple;
pub use crate::wire::MAX_DATAGRAM;

/// Receiver of the core's output. No call may fail: a full batch is flushed, a full event queue counts and drops.
pub trait Sink {
    /// Scratch space for the next datagram: at least `MAX_DATAGRAM + SRTP_MAX_OVERHEAD` bytes.
    fn scratch(&mut self) -> &mut [u8];

    /// Queues the first `len` bytes of the scratch space to `to`.
    fn commit(&mut self, len: usize, to: Tuple);

    /// Hands an event to Python.
    fn event(&mut self, event: Event);
}

//! A compound RTCP packet under construction, sent when full (RFC 3550 section 6.1).

use super::Sink;
use super::counters::Totals;
use super::transport::Transport;
use crate::time::Micros;
use crate::wire::WriteError;

/// Plain bytes of one packet: with SRTCP's tag and index it fits an Ethernet frame behind any tunnel.
const MAX_LEN: usize = 1_200;

/// Messages for one peer.
pub struct Compound {
    buffer: [u8; MAX_LEN],
    len: usize,
}

impl Compound {
    /// No messages.
    pub fn new() -> Self {
        Self {
            buffer: [0; MAX_LEN],
            len: 0,
        }
    }

    /// Appends a message; false when it does not fit.
    pub fn push(&mut self, write: impl FnOnce(&mut [u8]) -> Result<usize, WriteError>) -> bool {
        match write(&mut self.buffer[self.len..]) {
            Ok(written) => {
                self.len = (self.len + written).min(MAX_LEN);
                true
            }
            Err(_) => false,
        }
    }

    /// Sends what there is, if the peer can be reached, and begins the next packet.
    pub fn flush(
        &mut self,
        now: Micros,
        to: &mut Transport,
        sink: &mut impl Sink,
        totals: &mut Totals,
    ) {
        let len = std::mem::take(&mut self.len);
        if len > 0 && to.can_send(now) {
            sink.scratch()[..len].copy_from_slice(&self.buffer[..len]);
            to.send_rtcp(now, len, sink, totals);
        }
    }
}

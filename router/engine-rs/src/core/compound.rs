//! A compound RTCP packet under construction, sent when full (RFC 3550 section 6.1): a report first, a CNAME in each.
//! Reduced-size packets (RFC 5506) are understood but not sent, so that nobody need have agreed on them.

use super::Sink;
use super::counters::Totals;
use super::transport::Transport;
use crate::time::Micros;
use crate::wire::WriteError;
use crate::wire::rtcp::{write_cname, write_receiver_report};

/// Plain bytes of one packet: with SRTCP's tag and index it fits an Ethernet frame behind any tunnel.
const MAX_LEN: usize = 1_200;

/// Messages for one peer.
pub struct Compound {
    buffer: [u8; MAX_LEN],
    len: usize,
    /// Bytes that alone are not worth sending.
    head: usize,
}

impl Compound {
    /// No messages.
    pub fn new() -> Self {
        Self {
            buffer: [0; MAX_LEN],
            len: 0,
            head: 0,
        }
    }

    /// The report and CNAME that must precede feedback or a goodbye; sent only when something follows.
    pub fn with_head(to: &Transport) -> Self {
        let own = to.reports.ssrc;
        let mut compound = Self::new();
        compound.push(|buffer| write_receiver_report(buffer, own, &[]));
        compound.push(|buffer| write_cname(buffer, &[own], &to.cname));
        compound.head = compound.len;
        compound
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
        let (len, head) = (
            std::mem::take(&mut self.len),
            std::mem::take(&mut self.head),
        );
        if len > head && to.can_send(now) {
            sink.scratch()[..len].copy_from_slice(&self.buffer[..len]);
            to.send_rtcp(now, len, sink, totals);
        }
    }
}

//! Packets of one receive batch, taken in but not forwarded yet: by producer, so that each receiver is visited once for
//! all that its slot gets, and what leaves to one address leaves in a row.
//!
//! The bytes stay where they were received ([`Received`]); here is only what was parsed. Sizes are evened out here too:
//! the kernel segments a run of packets of one size (`io/send.rs`), and an encoder's packets of one frame differ by a few
//! bytes. Padding (RFC 3550 section 5.1) is decided once per packet, for all receivers.

use super::arena::Ix;
use crate::ids::ProducerId;
use crate::recv::MediaPacket;
use crate::route::slot::Incoming;
use arrayvec::ArrayVec;

/// Packets of a producer that are forwarded in one pass.
pub const PASS: usize = 64;

/// Most bytes of padding that a packet may get: what differs within a frame is a byte of the encoder's splitting, and an
/// extension that only the first or the last packet carries.
pub const MAX_PADDING: usize = 16;

/// Where the caller of [`super::Core::take_datagram`] keeps the datagrams until they are forwarded.
pub trait Received {
    /// Datagram `index`, decrypted in place.
    fn bytes(&self, index: usize) -> &[u8];
}

/// One datagram that is forwarded at once.
impl Received for &[u8] {
    fn bytes(&self, _: usize) -> &[u8] {
        self
    }
}

/// A packet to be forwarded.
#[derive(Clone, Copy, Debug)]
pub struct Outbound<'a> {
    /// Where it comes from.
    pub from: Incoming,
    /// The packet.
    pub packet: MediaPacket<'a>,
}

struct Entry {
    outbound: Outbound<'static>,
    /// Which datagram it is.
    index: usize,
    /// The next one of the same producer.
    next: Option<usize>,
}

/// The packets of one producer, as places in the list.
#[derive(Clone, Copy)]
struct Chain {
    producer: Ix<ProducerId>,
    first: usize,
    last: usize,
}

/// The list. Allocates only while it grows to the largest batch.
#[derive(Default)]
pub struct Pending {
    entries: Vec<Entry>,
    chains: Vec<Chain>,
}

impl Pending {
    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a packet of a producer, which is datagram `index`.
    pub fn push(
        &mut self,
        producer: Ix<ProducerId>,
        from: Incoming,
        packet: &MediaPacket,
        index: usize,
    ) {
        let place = self.entries.len();
        let entry = Entry {
            outbound: Outbound {
                from,
                packet: packet.detached(),
            },
            index,
            next: None,
        };
        self.entries.push(entry);
        // A batch has few producers, and mostly the last one goes on.
        let chain = self
            .chains
            .iter_mut()
            .rev()
            .find(|chain| chain.producer == producer);
        if let Some(chain) = chain {
            self.entries[chain.last].next = Some(place);
            chain.last = place;
        } else {
            self.chains.push(Chain {
                producer,
                first: place,
                last: place,
            });
        }
    }

    /// Calls `forward` for each producer, in order of its first packet, with up to [`PASS`] of its packets at a time.
    pub fn drain(
        &mut self,
        received: &impl Received,
        mut forward: impl FnMut(Ix<ProducerId>, &mut [Outbound]),
    ) {
        for chain in &self.chains {
            let mut next = Some(chain.first);
            while next.is_some() {
                let mut pass = ArrayVec::<Outbound, PASS>::new();
                while let Some(place) = next.filter(|_| !pass.is_full()) {
                    let entry = &self.entries[place];
                    pass.push(Outbound {
                        packet: entry.outbound.packet.attached(received.bytes(entry.index)),
                        ..entry.outbound
                    });
                    next = entry.next;
                }
                forward(chain.producer, &mut pass);
            }
        }
        self.entries.clear();
        self.chains.clear();
    }
}

/// Pads packets that are a little shorter than others of their run. The last of a run may be shorter as it is.
pub fn even_sizes(pass: &mut [Outbound]) {
    let mut start = 0;
    while start < pass.len() {
        let (len, largest) = similar(&pass[start..]);
        let next = pass.get(start + len);
        let ends_shorter = next.is_some_and(|next| size(next) < largest);
        let padded = if ends_shorter { len } else { len - 1 };
        for outbound in &mut pass[start..start + padded] {
            outbound.packet.padding = (largest - size(outbound)) as u8;
        }
        start += len + usize::from(ends_shorter);
    }
}

/// How many packets from the first on differ by no more than [`MAX_PADDING`], and the largest of their sizes.
fn similar(pass: &[Outbound]) -> (usize, usize) {
    let (mut smallest, mut largest) = (usize::MAX, 0);
    for (len, outbound) in pass.iter().enumerate() {
        let size = size(outbound);
        let (least, most) = (smallest.min(size), largest.max(size));
        if most - least > MAX_PADDING {
            return (len, largest);
        }
        (smallest, largest) = (least, most);
    }
    (pass.len(), largest)
}

/// How long the packet will be, but for what is the same for all packets of a slot.
fn size(outbound: &Outbound) -> usize {
    let packet = &outbound.packet;
    packet.payload().len() + packet.extensions.passed_on_len()
}

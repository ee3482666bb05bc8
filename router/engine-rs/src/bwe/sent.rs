//! Transport-wide sequence numbers of packets sent (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 2), until
//! feedback tells what became of them.
//!
//! A ring indexed by the number itself, of eight bytes an entry. It starts small, because most receivers of a large room
//! are idle, and doubles only while a receiver that does give feedback has more packets on their way than it holds.

use crate::time::Micros;

/// Entries before a receiver has given feedback.
pub const INITIAL: usize = 32;
/// Most entries: two seconds of 4,000 packets.
pub const MAX: usize = 8_192;
/// A packet that nothing was heard of for so long makes place for another one.
const PATIENCE_US: u32 = 2_000_000;
/// After a longer silence of ours, nothing sent before is waited for.
const FORGET_AFTER: Micros = Micros::from_secs(60);

/// What is known of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    /// Never used.
    #[default]
    Unused,
    InFlight,
    Lost,
    Received,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Low 32 bits of the time; an entry never lives for the 71 minutes in which they wrap.
    sent_at: u32,
    bytes: u16,
    cluster: u8,
    fate: Fate,
}

/// A packet that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentPacket {
    /// When.
    pub sent_at: Micros,
    /// Its size.
    pub bytes: u32,
    /// The probe that it was a part of; zero is none.
    pub cluster: u8,
}

/// What feedback on a number tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It arrived. `late` when it had been reported lost before.
    Received {
        /// The packet.
        packet: SentPacket,
        /// It had been reported lost before.
        late: bool,
    },
    /// It did not arrive, until now.
    Lost(SentPacket),
    /// Nothing new.
    Known,
    /// The number was not used, or so long ago that it is forgotten.
    Unknown,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct SentPackets {
    /// A power of two.
    ring: Vec<Entry>,
    /// The number after the highest used.
    next: u16,
    /// How many numbers below `next` are in the ring.
    count: u16,
    last_sent: Micros,
    in_flight_bytes: u64,
    may_grow: bool,
}

impl SentPackets {
    /// Empty; allocates the initial ring.
    pub fn new() -> Self {
        Self {
            ring: vec![Entry::default(); INITIAL],
            next: 0,
            count: 0,
            last_sent: Micros(0),
            in_flight_bytes: 0,
            may_grow: false,
        }
    }

    /// Feedback came, so the memory is worth it.
    pub const fn allow_growth(&mut self) {
        self.may_grow = true;
    }

    /// Bytes that nothing was heard of yet.
    pub const fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }

    /// Number of entries, for the memory they take.
    pub fn capacity(&self) -> usize {
        self.ring.len()
    }

    /// How many numbers are remembered, up to and without which one.
    pub const fn remembered(&self) -> (u16, u16) {
        (self.count, self.next)
    }

    /// A packet is sent. Numbers are consecutive; after any other step what was before it is forgotten.
    #[inline]
    pub fn push(&mut self, seq: u16, bytes: usize, cluster: u8, now: Micros) {
        if self.count > 0 && (seq != self.next || now - self.last_sent > FORGET_AFTER) {
            self.forget();
        }
        let mut index = self.index(seq);
        let replaced = self.ring[index];
        if replaced.fate == Fate::InFlight {
            let age = (now.0 as u32).wrapping_sub(replaced.sent_at);
            if self.may_grow && self.ring.len() < MAX && age < PATIENCE_US {
                self.grow();
                index = self.index(seq);
            } else {
                self.in_flight_bytes -= u64::from(replaced.bytes);
            }
        }
        let bytes = bytes.min(usize::from(u16::MAX)) as u16;
        self.ring[index] = Entry {
            sent_at: now.0 as u32,
            bytes,
            cluster,
            fate: Fate::InFlight,
        };
        self.in_flight_bytes += u64::from(bytes);
        self.next = seq.wrapping_add(1);
        self.count = (self.count + 1).min(self.ring.len() as u16);
        self.last_sent = now;
    }

    /// Feedback says of a number whether it arrived.
    #[inline]
    pub fn tell(&mut self, seq: u16, received: bool, now: Micros) -> Told {
        let back = self.next.wrapping_sub(seq);
        if back == 0 || back > self.count {
            return Told::Unknown;
        }
        let index = self.index(seq);
        let entry = &mut self.ring[index];
        let packet = SentPacket {
            sent_at: now - Micros(u64::from((now.0 as u32).wrapping_sub(entry.sent_at))),
            bytes: u32::from(entry.bytes),
            cluster: entry.cluster,
        };
        let before = entry.fate;
        match (before, received) {
            (Fate::InFlight, _) => self.in_flight_bytes -= u64::from(entry.bytes),
            (Fate::Lost, true) => {}
            (Fate::Unused, _) => return Told::Unknown,
            (Fate::Lost | Fate::Received, _) => return Told::Known,
        }
        if received {
            entry.fate = Fate::Received;
            let late = before == Fate::Lost;
            Told::Received { packet, late }
        } else {
            entry.fate = Fate::Lost;
            Told::Lost(packet)
        }
    }

    fn index(&self, seq: u16) -> usize {
        seq as usize & (self.ring.len() - 1)
    }

    #[cold]
    fn forget(&mut self) {
        self.ring.fill(Entry::default());
        self.count = 0;
        self.in_flight_bytes = 0;
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = vec![Entry::default(); 2 * self.ring.len()];
        let mask = larger.len() - 1;
        for back in 1..=self.count {
            let seq = self.next.wrapping_sub(back);
            larger[seq as usize & mask] = self.ring[self.index(seq)];
        }
        self.ring = larger;
    }
}

#[cfg(test)]
#[path = "sent_tests.rs"]
mod tests;

//! A toy SRTP session: the shape of the real one (in place, tag, rollover counter, replay window) without its strength.
//!
//! The sender side also checks that no index is ever used for two different packets (`threats-and-faults.md` S7).

use fork_router_engine::srtp::{SrtpError, SrtpSession};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

const TAG: usize = 10;
const WINDOW: u64 = 1024;

pub struct ToySrtp {
    /// How far back it remembers, if not for ever: older indexes must not be sent again at all.
    pub memory: Option<u64>,
    send_key: u64,
    receive_key: u64,
    sent: HashMap<u32, (u64, HashMap<u64, u64>)>,
    received: HashMap<u32, (u64, HashSet<u64>)>,
    sent_rtcp: u32,
    received_rtcp: HashSet<u32>,
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn tag(key: u64, index: u64, packet: &[u8]) -> [u8; TAG] {
    let mut tag = [0; TAG];
    tag[..8].copy_from_slice(&hash((key, index, packet)).to_be_bytes());
    tag
}

fn scramble(bytes: &mut [u8], key: u64) {
    for byte in bytes {
        *byte ^= key as u8 | 1;
    }
}

fn nearest(highest: Option<u64>, seq: u16) -> u64 {
    let Some(highest) = highest else {
        return u64::from(seq);
    };
    let step = i64::from(seq.wrapping_sub(highest as u16) as i16);
    highest.checked_add_signed(step).unwrap_or(u64::from(seq))
}

fn head(packet: &[u8]) -> (u32, u16) {
    let ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
    (ssrc, u16::from_be_bytes([packet[2], packet[3]]))
}

impl ToySrtp {
    pub fn new(send_key: u64, receive_key: u64) -> Self {
        Self {
            memory: None,
            send_key,
            receive_key,
            sent: HashMap::new(),
            received: HashMap::new(),
            sent_rtcp: 0,
            received_rtcp: HashSet::new(),
        }
    }

    /// The other side's session.
    pub fn mirrored(&self) -> Self {
        Self {
            memory: self.memory,
            ..Self::new(self.receive_key, self.send_key)
        }
    }
}

impl SrtpSession for ToySrtp {
    fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let (ssrc, seq) = head(&buffer[..len]);
        let (highest, packets) = self
            .sent
            .entry(ssrc)
            .or_insert_with(|| (u64::from(seq), HashMap::new()));
        let index = nearest(Some(*highest), seq);
        *highest = index.max(*highest);
        let plain = hash(&buffer[..len]);
        assert_eq!(
            *packets.entry(index).or_insert(plain),
            plain,
            "two packets under index {index} of {ssrc:x}"
        );
        if let Some(memory) = self.memory {
            let oldest = highest.saturating_sub(memory);
            assert!(index >= oldest, "index {index} of {ssrc:x} again");
            if packets.len() as u64 > 2 * memory {
                packets.retain(|index, _| *index >= oldest);
            }
        }
        scramble(&mut buffer[12..len], self.send_key);
        let tag = tag(self.send_key, index, &buffer[..len]);
        buffer[len..len + TAG].copy_from_slice(&tag);
        Ok(len + TAG)
    }

    fn unprotect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        if len < 12 + TAG {
            return Err(SrtpError::Malformed);
        }
        let plain = len - TAG;
        let (ssrc, seq) = head(buffer);
        let known = self.received.get(&ssrc);
        let index = nearest(known.map(|(highest, _)| *highest), seq);
        if let Some((highest, seen)) = known
            && (index + WINDOW <= *highest || seen.contains(&index))
        {
            return Err(SrtpError::Replay);
        }
        if tag(self.receive_key, index, &buffer[..plain]) != buffer[plain..len] {
            return Err(SrtpError::Auth);
        }
        let (highest, seen) = self.received.entry(ssrc).or_insert((index, HashSet::new()));
        *highest = index.max(*highest);
        seen.insert(index);
        if seen.len() as u64 > 2 * WINDOW {
            let lowest = highest.saturating_sub(WINDOW);
            seen.retain(|index| *index >= lowest);
        }
        scramble(&mut buffer[12..plain], self.receive_key);
        Ok(plain)
    }

    fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        self.sent_rtcp += 1;
        scramble(&mut buffer[8..len], self.send_key);
        buffer[len..len + 4].copy_from_slice(&self.sent_rtcp.to_be_bytes());
        let tag = tag(self.send_key, u64::from(self.sent_rtcp), &buffer[..len + 4]);
        buffer[len + 4..len + 4 + TAG].copy_from_slice(&tag);
        Ok(len + 4 + TAG)
    }

    fn unprotect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        if len < 8 + 4 + TAG {
            return Err(SrtpError::Malformed);
        }
        let plain = len - 4 - TAG;
        let index = u32::from_be_bytes(buffer[plain..plain + 4].try_into().unwrap());
        if self.received_rtcp.contains(&index) {
            return Err(SrtpError::Replay);
        }
        if tag(self.receive_key, u64::from(index), &buffer[..plain + 4]) != buffer[plain + 4..len] {
            return Err(SrtpError::Auth);
        }
        self.received_rtcp.insert(index);
        if let Some(memory) = self.memory
            && self.received_rtcp.len() as u64 > 2 * memory
        {
            let oldest = index.saturating_sub(memory as u32);
            self.received_rtcp.retain(|seen| *seen >= oldest);
        }
        scramble(&mut buffer[8..plain], self.receive_key);
        Ok(plain)
    }
}

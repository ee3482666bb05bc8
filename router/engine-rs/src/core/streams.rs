//! Which producer and encoding an SSRC of one transport belongs to (RFC 9143 section 9.2, RFC 8852 section 3).
//!
//! The tables are per transport, so no peer can name another's stream (R1). The order is: MID with RID or
//! repaired RID; the SSRC already latched; the SSRC signalled; RID alone; a payload type that only one m-line uses. A
//! latched SSRC moves only to strictly stronger evidence, so a MID corrects a guess by payload type, but a packet that
//! names another m-line of the same peer is dropped. An encoding takes a new SSRC at most once per [`RELATCH_INTERVAL`].

use super::arena::Ix;
use super::command::ProducerConfig;
use crate::ids::{Mid, PayloadType, ProducerId, Rid, Ssrc};
use crate::time::Micros;
use crate::wire::DropReason;
use crate::wire::ext::{ExtensionMap, ExtensionValues};
use rustc_hash::FxHashMap;

/// Authenticated SSRCs of one transport; each one costs libsrtp a stream context (S8).
pub const MAX_SSRCS: usize = 64;
/// Least time between two SSRC changes of one encoding.
pub const RELATCH_INTERVAL: Micros = Micros::from_secs(1);

/// What an SSRC carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The producer.
    pub producer: Ix<ProducerId>,
    /// Index of its encoding.
    pub encoding: u8,
    /// Retransmissions (RFC 4588) of that encoding.
    pub is_rtx: bool,
}

/// Why an SSRC was latched, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Evidence {
    PayloadType,
    Rid,
    Signalled,
    Mid,
}

#[derive(Clone, Copy, Debug)]
struct Latch {
    stream: Stream,
    evidence: Evidence,
    at: Micros,
}

/// One m-line that the peer sends.
struct Line {
    producer: Ix<ProducerId>,
    mid: Option<Mid>,
    rids: Vec<Option<Rid>>,
    payload_types: Vec<PayloadType>,
    rtx_payload_types: Vec<PayloadType>,
}

impl Line {
    fn new(producer: Ix<ProducerId>, config: &ProducerConfig) -> Self {
        Self {
            producer,
            mid: config.mid,
            rids: config
                .encodings
                .iter()
                .map(|encoding| encoding.rid)
                .collect(),
            payload_types: config
                .codecs
                .iter()
                .map(|codec| codec.payload_type)
                .collect(),
            rtx_payload_types: config
                .codecs
                .iter()
                .filter_map(|codec| codec.rtx_payload_type)
                .collect(),
        }
    }

    /// Whether the payload type is RTX; `None` when the m-line does not have it.
    fn is_rtx(&self, payload_type: PayloadType) -> Option<bool> {
        if self.payload_types.contains(&payload_type) {
            return Some(false);
        }
        self.rtx_payload_types
            .contains(&payload_type)
            .then_some(true)
    }

    fn encoding(&self, values: &ExtensionValues, is_rtx: bool) -> Option<u8> {
        let rid = if is_rtx {
            values.repaired_rid.or(values.rid)
        } else {
            values.rid
        };
        match rid {
            Some(rid) => self
                .rids
                .iter()
                .position(|own| *own == Some(rid))
                .map(|index| index as u8),
            None => (self.rids.len() == 1).then_some(0),
        }
    }
}

/// The demultiplexing tables of one transport.
#[derive(Default)]
pub struct Streams {
    seen: FxHashMap<Ssrc, Option<Latch>>,
    signalled: FxHashMap<Ssrc, Stream>,
    lines: Vec<Line>,
}

impl Streams {
    /// Adds a producer's m-line.
    pub fn add(&mut self, producer: Ix<ProducerId>, config: &ProducerConfig) {
        self.lines.push(Line::new(producer, config));
        for (encoding, signalled) in config.encodings.iter().enumerate() {
            let encoding = encoding as u8;
            if let Some(ssrc) = signalled.ssrc {
                self.signalled.insert(
                    ssrc,
                    Stream {
                        producer,
                        encoding,
                        is_rtx: false,
                    },
                );
            }
            if let Some(ssrc) = signalled.rtx_ssrc {
                self.signalled.insert(
                    ssrc,
                    Stream {
                        producer,
                        encoding,
                        is_rtx: true,
                    },
                );
            }
        }
    }

    /// Forgets a producer. Its SSRCs still count, because libsrtp still knows them.
    pub fn remove(&mut self, producer: Ix<ProducerId>) {
        self.lines.retain(|line| line.producer != producer);
        self.signalled
            .retain(|_, stream| stream.producer != producer);
        for latch in self.seen.values_mut() {
            *latch = latch.filter(|latch| latch.stream.producer != producer);
        }
    }

    /// May a packet of this SSRC be decrypted at all?
    pub fn admits(&self, ssrc: Ssrc) -> bool {
        self.seen.len() < MAX_SSRCS || self.seen.contains_key(&ssrc)
    }

    /// A packet of this SSRC was authentic.
    pub fn on_authentic(&mut self, ssrc: Ssrc) {
        if self.seen.len() < MAX_SSRCS {
            self.seen.entry(ssrc).or_default();
        }
    }

    /// The stream that an SSRC is latched to.
    pub fn find(&self, ssrc: Ssrc) -> Option<Stream> {
        self.seen
            .get(&ssrc)
            .copied()
            .flatten()
            .map(|latch| latch.stream)
    }

    /// The stream of an authentic packet, latching its SSRC when it is new.
    pub fn resolve(
        &mut self,
        now: Micros,
        ssrc: Ssrc,
        payload_type: PayloadType,
        values: &ExtensionValues,
    ) -> Result<Stream, DropReason> {
        let latch = self.seen.get(&ssrc).copied().flatten();
        match latch {
            Some(latch) if values.mid.is_none() || self.names_own_line(values, latch.stream) => {
                Ok(latch.stream)
            }
            _ => self.latch(now, ssrc, payload_type, values, latch),
        }
    }

    fn names_own_line(&self, values: &ExtensionValues, stream: Stream) -> bool {
        let own = self
            .lines
            .iter()
            .find(|line| line.producer == stream.producer);
        own.is_some_and(|line| line.mid == values.mid)
    }

    fn latch(
        &mut self,
        now: Micros,
        ssrc: Ssrc,
        payload_type: PayloadType,
        values: &ExtensionValues,
        old: Option<Latch>,
    ) -> Result<Stream, DropReason> {
        let (stream, evidence) = self.infer(ssrc, payload_type, values)?;
        if old.is_some_and(|old| old.evidence >= evidence) {
            return Err(DropReason::UnknownStream);
        }
        let mut rivals = self
            .seen
            .values_mut()
            .filter(|latch| latch.is_some_and(|latch| latch.stream == stream));
        if let Some(rival) = rivals.next() {
            if rival.is_some_and(|rival| now < rival.at + RELATCH_INTERVAL) {
                return Err(DropReason::UnknownStream);
            }
            *rival = None;
        }
        let latch = self.seen.get_mut(&ssrc).ok_or(DropReason::SsrcLimit)?;
        *latch = Some(Latch {
            stream,
            evidence,
            at: now,
        });
        Ok(stream)
    }

    fn infer(
        &self,
        ssrc: Ssrc,
        payload_type: PayloadType,
        values: &ExtensionValues,
    ) -> Result<(Stream, Evidence), DropReason> {
        let signalled = self.signalled.get(&ssrc).copied();
        if let Some(mid) = values.mid {
            let line = self
                .lines
                .iter()
                .find(|line| line.mid == Some(mid))
                .ok_or(DropReason::UnknownStream)?;
            let is_rtx = line
                .is_rtx(payload_type)
                .ok_or(DropReason::UnknownPayloadType)?;
            let told = signalled
                .filter(|stream| stream.producer == line.producer && stream.is_rtx == is_rtx);
            let encoding = line
                .encoding(values, is_rtx)
                .or(told.map(|stream| stream.encoding));
            let encoding = encoding.ok_or(DropReason::UnknownStream)?;
            return Ok((
                Stream {
                    producer: line.producer,
                    encoding,
                    is_rtx,
                },
                Evidence::Mid,
            ));
        }
        if let Some(stream) = signalled {
            return Ok((stream, Evidence::Signalled));
        }
        let evidence = if values.rid.or(values.repaired_rid).is_some() {
            Evidence::Rid
        } else {
            Evidence::PayloadType
        };
        self.only_line(payload_type, values)
            .map(|stream| (stream, evidence))
    }

    /// The one m-line that has this payload type, and this RID where the packet carries one.
    fn only_line(
        &self,
        payload_type: PayloadType,
        values: &ExtensionValues,
    ) -> Result<Stream, DropReason> {
        let mut known_type = false;
        let mut found = None;
        for line in &self.lines {
            let Some(is_rtx) = line.is_rtx(payload_type) else {
                continue;
            };
            known_type = true;
            let Some(encoding) = line.encoding(values, is_rtx) else {
                continue;
            };
            if found
                .replace(Stream {
                    producer: line.producer,
                    encoding,
                    is_rtx,
                })
                .is_some()
            {
                return Err(DropReason::UnknownStream);
            }
        }
        let reason = if known_type {
            DropReason::UnknownStream
        } else {
            DropReason::UnknownPayloadType
        };
        found.ok_or(reason)
    }
}

/// The extension ids of all m-lines of one transport. RFC 9143 section 7.1.1 wants an id to mean the same in all of them.
pub fn merge_extensions<'a>(configs: impl Iterator<Item = &'a ProducerConfig>) -> ExtensionMap {
    let mut all = super::command::ExtensionIds::default();
    for config in configs {
        all.0.extend_from_slice(&config.extensions.0);
    }
    ExtensionMap::new(&all)
}

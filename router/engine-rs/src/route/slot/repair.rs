//! Answers to a receiver's NACK: from the producer's history, by RTX (RFC 4588) or else by repeating the packet itself,
//! which must then be the same plaintext under the same number. Fillers are repeated too, and what was not there when
//! its turn came is sent late.

use super::super::rewrite::{Form, Numbers, Written};
use super::super::seq::Origin;
use super::source::Source;
use super::{Incoming, Note, Slot};
use crate::ids::{ProducerId, SeqNo};
use crate::recv::{MediaPacket, ReceiveStream};
use crate::time::Micros;
use crate::wire::DropReason;

impl Slot {
    /// A NACK message arrived; its packets follow by [`Self::repair`].
    pub fn on_nack(&mut self) {
        self.judged.get_or_insert_default().nacks += 1;
    }

    /// Sends one packet named in a NACK again, if it may be. `stream` finds an encoding of a producer, which need not be
    /// the one shown now. Returns how many bytes of `out` to send.
    pub fn repair<'s>(
        &mut self,
        seq: u16,
        now: Micros,
        stream: impl FnOnce(ProducerId, u8) -> Option<&'s ReceiveStream>,
        out: &mut [u8],
    ) -> Result<usize, DropReason> {
        match self.seq.origin(seq) {
            Origin::Unknown => Err(DropReason::NackNotInHistory),
            Origin::Filler(number, note) => self.repeat_filler(number, note, now, out),
            Origin::Sent(number, source, note) => {
                let producer = self
                    .shown_in(note.generation)
                    .ok_or(DropReason::NackNotInHistory)?
                    .producer;
                let packet =
                    stream(producer, note.encoding).and_then(|stream| stream.replay(source, now));
                self.repeat(
                    number,
                    &packet.ok_or(DropReason::NackNotInHistory)?,
                    note,
                    now,
                    out,
                )
            }
            Origin::Awaited(source) => self.send_late(source, now, stream, out),
        }
    }

    /// Asked for before we had it, or passed by when we switched: it goes out for the first time.
    fn send_late<'s>(
        &mut self,
        source: SeqNo,
        now: Micros,
        stream: impl FnOnce(ProducerId, u8) -> Option<&'s ReceiveStream>,
        out: &mut [u8],
    ) -> Result<usize, DropReason> {
        let (producer, encoding) = self
            .shown_producer()
            .zip(self.shown)
            .ok_or(DropReason::NackNotInHistory)?;
        let stream = stream(producer, encoding).ok_or(DropReason::NackNotInHistory)?;
        let packet = stream
            .replay(source, now)
            .ok_or(DropReason::NackNotInHistory)?;
        let from = Incoming {
            producer,
            encoding,
            anchor: stream.anchor(),
        };
        let sent = self.on_packet(from, &packet, out);
        sent.ok_or(DropReason::NackNotInHistory)
    }

    pub(super) fn shown_in(&self, generation: u8) -> Option<&Source> {
        [self.current.as_deref(), self.former.as_deref()]
            .into_iter()
            .flatten()
            .find(|source| source.generation == generation)
    }

    fn repeat(
        &mut self,
        number: SeqNo,
        packet: &MediaPacket,
        note: Note,
        now: Micros,
        out: &mut [u8],
    ) -> Result<usize, DropReason> {
        self.check_copy(number, now)?;
        let shown = self
            .shown_in(note.generation)
            .ok_or(DropReason::NackNotInHistory)?;
        let codec = shown
            .plan
            .codec(packet.header.payload_type)
            .ok_or(DropReason::NackNotInHistory)?;
        if !note.picture.fits(&packet.content) {
            return Err(DropReason::NackNotInHistory);
        }
        let form = match (self.config.rtx_ssrc, codec.rtx) {
            (Some(ssrc), Some(_)) => Form::Rtx(ssrc, self.rtx_seq),
            _ if self.seq.is_sendable(number) && shown.plan.number_id().is_none() => Form::Media,
            _ => return Err(DropReason::NackNotInHistory),
        };
        let numbers = Numbers {
            seq: number.wire(),
            timestamp: packet.header.timestamp.wrapping_add(note.timestamp),
            picture: note.picture.applied_to(&packet.content),
        };
        let written = shown
            .plan
            .write(packet, codec, numbers, form, out)
            .ok_or(DropReason::PacketTooLarge)?;
        self.charge(number, written, now)?;
        if matches!(form, Form::Rtx(..)) {
            self.rtx_seq = self.rtx_seq.wrapping_add(1);
        }
        Ok(written.len)
    }

    fn repeat_filler(
        &mut self,
        number: SeqNo,
        note: Note,
        now: Micros,
        out: &mut [u8],
    ) -> Result<usize, DropReason> {
        self.check_copy(number, now)?;
        let shown = self
            .shown_in(note.generation)
            .filter(|_| self.seq.is_sendable(number))
            .ok_or(DropReason::NackNotInHistory)?;
        let written =
            shown
                .plan
                .write_filler(note.payload_type, number.wire(), note.timestamp, out);
        let written = written.ok_or(DropReason::PacketTooLarge)?;
        self.charge(number, written, now)?;
        Ok(written.len)
    }

    fn check_copy(&self, number: SeqNo, now: Micros) -> Result<(), DropReason> {
        let copies = self.copies.of(number);
        if self.budget.allows_copy(copies.count, copies.last, now) {
            Ok(())
        } else {
            Err(DropReason::NackBudget)
        }
    }

    fn charge(&mut self, number: SeqNo, written: Written, now: Micros) -> Result<(), DropReason> {
        if !self.budget.take(written.len, now) {
            return Err(DropReason::NackBudget);
        }
        let is_first = self.copies.of(number).count == 0;
        self.judged.get_or_insert_default().repaired_packets += u64::from(is_first);
        self.copies.add(number, now);
        self.counters.repair_packets += 1;
        self.counters.repair_bytes += (written.len - written.header_len) as u64;
        Ok(())
    }
}

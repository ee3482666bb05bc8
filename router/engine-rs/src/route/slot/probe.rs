//! Packets for bandwidth probes: what was sent lately once more, on the RTX stream (RFC 4588), else padding
//! (`send/probe_packets.rs`).
//!
//! Nobody asked for these copies, so they are neither charged to the repair budget nor count as copies of their packet:
//! the probe that wanted them has its own limit. Without RTX, and before anything was sent, there are none.

use super::super::rewrite::{Form, Numbers};
use super::super::seq::Origin;
use super::Slot;
use crate::ids::{ProducerId, Ssrc};
use crate::recv::ReceiveStream;
use crate::send::probe_packets::{PaddingHead, write_padding};
use crate::time::Micros;

/// How far back packets are repeated, newest first: what is older has been played.
const REPEATED: u16 = 32;
/// A packet may be so many bytes larger than what is wanted.
const SPARE: usize = 64;

impl Slot {
    /// Writes the packet with index `nth` of a probe that still wants so many bytes. `stream` finds an encoding of a
    /// producer. Returns how many bytes of `out` to send.
    pub fn write_probe<'s>(
        &mut self,
        (nth, wanted): (u16, usize),
        now: Micros,
        stream: impl FnOnce(ProducerId, u8) -> Option<&'s ReceiveStream>,
        out: &mut [u8],
    ) -> Option<usize> {
        let ssrc = self.config.rtx_ssrc?;
        let repeated = self.repeat_unasked(ssrc, nth, now, stream, out);
        // A slow probe's burst is less than a packet: as much again would be a queue of its own.
        let repeated = repeated.filter(|len| *len <= wanted + SPARE);
        let len = repeated.or_else(|| self.pad(ssrc, wanted, out))?;
        self.rtx_seq = self.rtx_seq.wrapping_add(1);
        Some(len)
    }

    fn repeat_unasked<'s>(
        &self,
        ssrc: Ssrc,
        nth: u16,
        now: Micros,
        stream: impl FnOnce(ProducerId, u8) -> Option<&'s ReceiveStream>,
        out: &mut [u8],
    ) -> Option<usize> {
        let newest = self.seq.highest()?.wire();
        let seq = newest.wrapping_sub(nth % REPEATED);
        let Origin::Sent(number, source, note) = self.seq.origin(seq) else {
            return None;
        };
        let shown = self.shown_in(note.generation)?;
        let packet = stream(shown.producer, note.encoding)?.replay(source, now)?;
        let codec = shown.plan.codec(packet.header.payload_type)?;
        codec.rtx?;
        let numbers = Numbers {
            seq: number.wire(),
            timestamp: packet.header.timestamp.wrapping_add(note.timestamp),
            picture: note.picture.applied_to(&packet.content),
        };
        let form = Form::Rtx(ssrc, self.rtx_seq);
        let written = shown.plan.write(&packet, codec, numbers, form, out)?;
        Some(written.len)
    }

    fn pad(&self, ssrc: Ssrc, wanted: usize, out: &mut [u8]) -> Option<usize> {
        let plan = &self.current.as_ref()?.plan;
        let head = PaddingHead {
            ssrc,
            payload_type: self.codec?.rtx?,
            seq: self.rtx_seq,
            timestamp: self.timestamps.newest()?,
            mid: plan.mid(),
            transport_cc: plan.number_id(),
        };
        write_padding(&head, wanted, out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::{Sent, World, read};
    use super::*;
    use crate::core::command::Codec;

    fn probe(world: &mut World, nth: u16, wanted: usize) -> Option<Sent> {
        let mut out = [0; 1_600];
        let producers = &world.producers;
        let find = |id: ProducerId, encoding: u8| {
            let (_, streams) = producers.iter().find(|(config, _)| config.id == id)?;
            streams.get(usize::from(encoding))
        };
        let len = world
            .slot
            .write_probe((nth, wanted), world.now, find, &mut out)?;
        Some(read(&out[..len]))
    }

    fn shown(rtx: bool) -> (World, Vec<Sent>) {
        let mut world = World::new(Codec::Vp8, &[1], rtx);
        let sent = (0..5).map(|step| world.vp8(0, step, step, 0, step == 0));
        let sent = sent.map(|sent| sent.expect("forwarded")).collect();
        (world, sent)
    }

    #[test]
    fn the_newest_are_repeated_first() {
        let (mut world, sent) = shown(true);
        for (nth, of) in [(0, 4), (1, 3), (4, 0)] {
            let repeated = probe(&mut world, nth, 1_200).expect("in history");
            let expected = [&sent[of].seq.to_be_bytes()[..], &sent[of].payload].concat();
            assert_eq!((repeated.ssrc, repeated.payload), (Ssrc(0xBBBB), expected));
        }
    }

    #[test]
    fn where_there_is_nothing_to_repeat_there_is_padding() {
        let (mut world, sent) = shown(true);
        let padding = probe(&mut world, 9, 200).expect("padding");
        assert_eq!((padding.ssrc, padding.payload.len()), (Ssrc(0xBBBB), 0));
        assert_eq!(
            (padding.timestamp, padding.bytes.len()),
            (sent[4].timestamp, 200)
        );
        world.wait(5_000);
        let old = probe(&mut world, 0, 2_000).expect("padding");
        assert_eq!(old.payload.len(), 0, "too old to be repeated");
        assert_eq!(old.seq, padding.seq + 1, "one line of numbers");
    }

    #[test]
    fn a_packet_larger_than_what_is_wanted_is_not_repeated() {
        let (mut world, sent) = shown(true);
        let len = sent[4].bytes.len();
        let padding = probe(&mut world, 0, len - SPARE).expect("padding");
        assert_eq!(
            (padding.payload.len(), padding.bytes.len()),
            (0, len - SPARE)
        );
    }

    #[test]
    fn repairs_are_as_before() {
        let (mut world, sent) = shown(true);
        for nth in 0..100 {
            probe(&mut world, nth, 1_200).expect("sent");
        }
        let stats = world.slot.stats(world.now);
        assert_eq!(stats.retransmitted_packets_sent, 0);
        for sent in sent {
            assert!(
                world.repair(sent.seq).is_ok(),
                "no copy was counted, no budget taken"
            );
        }
    }

    #[test]
    fn nothing_without_rtx_or_before_the_first_packet() {
        let (mut world, _) = shown(false);
        assert_eq!(probe(&mut world, 0, 1_200), None);
        let mut world = World::new(Codec::Vp8, &[1], true);
        assert_eq!(probe(&mut world, 0, 1_200), None);
    }
}

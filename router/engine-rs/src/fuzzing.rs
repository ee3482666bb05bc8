//! The bodies of the fuzz targets (see `fuzz/README.md`). They live in the crate, so that every refactor keeps them
//! compiling, and a test runs them over the kept corpus. Each asserts what must hold for any bytes.

#![expect(
    clippy::missing_panics_doc,
    reason = "to panic is how a fuzz target reports"
)]

mod receive_path;

pub use receive_path::receive_path;

use crate::core::command::{Codec, Extension, ExtensionIds};
use crate::ids::{PayloadType, Ssrc};
use crate::time::Micros;
use crate::wire::dependency_descriptor::{DependencyDescriptor, Description, restrict};
use crate::wire::ext::{self, Element, ExtensionMap, ExtensionValues};
use crate::wire::red::RedPayload;
use crate::wire::rtcp::{self, RtcpMessage, TransportCc, TransportCcHead};
use crate::wire::rtp::{self, OutgoingHeader, RtpHeader};
use crate::wire::stun::{self, IntegrityKey, StunMessage};
use crate::wire::vp8::Vp8Descriptor;
use crate::wire::vp9::Vp9Descriptor;
use crate::wire::{codec as payloads, demux, rtx};

/// STUN: parsing, verification, and an answer to whatever parsed.
pub fn stun(data: &[u8]) {
    let _ = demux::classify(data);
    let Ok(message) = StunMessage::parse(data) else {
        return;
    };
    // The password of the RFC 5769 vectors, which are in the corpus.
    let key = IntegrityKey::new(b"VOkJxbRl1RmTxUk/WvJxBt");
    let _ = (
        message.verify_integrity(&key),
        message.verify_fingerprint(),
        message.ufrags(),
    );
    let address = message.mapped_address.unwrap_or(([192, 0, 2, 1], 9).into());
    let mut buffer = [0; stun::MAX_MESSAGE];
    let written = stun::write_success_response(&mut buffer, message.transaction_id, address, &key);
    let len = written.expect("the buffer holds any message");
    let answer = StunMessage::parse(&buffer[..len]).expect("what was written parses");
    assert!(answer.verify_integrity(&key) && answer.verify_fingerprint());
    assert_eq!(
        answer.mapped_address.map(|a| a.ip().to_canonical()),
        Some(address.ip().to_canonical())
    );
}

/// RTP: the header and its extensions are parsed, written anew, and parsed again to the same values.
pub fn rtp(data: &[u8]) {
    let _ = demux::classify(data);
    let Ok(header) = RtpHeader::parse(data) else {
        return;
    };
    assert_eq!(rtp::peek_ssrc(data), Ok(header.ssrc));
    assert_eq!(
        header.payload.end as usize + header.padding as usize,
        data.len()
    );
    if let Ok(Some(original)) = rtx::decapsulate(data, &header, Ssrc(1), PayloadType(96)) {
        assert_eq!(original.payload.len() + rtx::OSN_LEN, header.payload.len());
    }
    let map = extension_map();
    let before = ExtensionValues::parse(data, header.extension.as_ref(), &map);
    let list: Vec<_> = header
        .extension
        .iter()
        .flat_map(|block| ext::elements(data, block))
        .collect();
    let elements: Vec<_> = list
        .iter()
        .map(|(id, span)| Element {
            id: *id,
            value: span.of(data),
        })
        .collect();
    let outgoing = OutgoingHeader {
        marker: header.marker,
        padding: false,
        payload_type: header.payload_type,
        seq: header.seq,
        timestamp: header.timestamp,
        ssrc: header.ssrc,
        csrcs: header.csrcs(),
        extensions: &elements,
        allow_two_byte: true,
    };
    let mut buffer = [0; rtp::MAX_HEADER];
    let len = rtp::write_header(&mut buffer, &outgoing).expect("the buffer holds any header");
    let again = RtpHeader::parse(&buffer[..len]).expect("what was written parses");
    assert_eq!(
        (again.seq, again.timestamp, again.csrcs()),
        (header.seq, header.timestamp, header.csrcs())
    );
    let total: usize = elements.iter().map(|element| 2 + element.value.len()).sum();
    if total <= ext::MAX_BLOCK {
        let after = ExtensionValues::parse(&buffer[..len], again.extension.as_ref(), &map);
        assert_eq!(
            (after.mid, after.rid, after.repaired_rid),
            (before.mid, before.rid, before.repaired_rid)
        );
        assert_eq!(
            (after.transport_cc, after.audio_level),
            (before.transport_cc, before.audio_level)
        );
    }
}

fn extension_map() -> ExtensionMap {
    let ids = [
        (Extension::Mid, 1),
        (Extension::Rid, 2),
        (Extension::RepairedRid, 3),
        (Extension::AudioLevel, 4),
        (Extension::CsrcAudioLevel, 5),
        (Extension::TransportCc, 6),
        (Extension::AbsSendTime, 7),
        (Extension::DependencyDescriptor, 200),
    ];
    ExtensionMap::new(&ExtensionIds(ids.to_vec()))
}

/// RTCP: every message is walked to its end; NACK and transport-wide feedback are written anew and compared.
pub fn rtcp(data: &[u8]) {
    let _ = rtcp::peek_ssrc(data);
    for message in rtcp::messages(data).flatten() {
        match message {
            RtcpMessage::SenderReport(report) => {
                assert_eq!(report.blocks.iter().count(), report.blocks.len());
            }
            RtcpMessage::ReceiverReport(report) => {
                assert_eq!(report.blocks.iter().count(), report.blocks.len());
            }
            RtcpMessage::Sdes(sdes) => _ = sdes.cnames().last(),
            RtcpMessage::Bye(bye) => assert!(bye.ssrcs().count() <= rtcp::MAX_COUNT),
            RtcpMessage::Nack(nack) => rewrite_nack(&nack.lost().collect::<Vec<_>>()),
            RtcpMessage::Fir(fir) => assert!(fir.entries().count() > 0),
            RtcpMessage::TransportCc(feedback) => rewrite_transport_cc(&feedback),
            RtcpMessage::Ccfb(feedback) => {
                let count = feedback.blocks().map(|block| block.statuses().count());
                assert_eq!(count.sum::<usize>(), feedback.packet_count());
            }
            RtcpMessage::Remb(remb) => assert!(remb.ssrcs().count() <= 255),
            RtcpMessage::ExtendedReport(report) => {
                _ = report.blocks().flat_map(|block| block.dlrrs()).last();
            }
            RtcpMessage::Pli(_) | RtcpMessage::Unknown { .. } => {}
        }
    }
}

fn rewrite_nack(lost: &[u16]) {
    let mut buffer = vec![0; 12 + 4 * lost.len()];
    let len = rtcp::write_nack(&mut buffer, Ssrc(1), Ssrc(2), lost)
        .expect("four bytes per number are enough");
    let Some(Ok(RtcpMessage::Nack(nack))) = rtcp::messages(&buffer[..len]).next() else {
        panic!("not a NACK")
    };
    assert!(
        lost.iter()
            .all(|seq| nack.lost().any(|written| written == *seq))
    );
}

fn rewrite_transport_cc(feedback: &TransportCc) {
    let statuses: Vec<_> = feedback.statuses().map(|(_, arrival)| arrival).collect();
    assert_eq!(statuses.len(), feedback.status_count as usize);
    // The reader's times may be negative, the writer's are not: move them by a multiple of the 64 ms reference.
    let origin = 64_000 << 24;
    let arrivals: Vec<_> = statuses
        .iter()
        .map(|time| time.map(|time| Micros((time + origin) as u64)))
        .collect();
    let head = TransportCcHead {
        sender: Ssrc(1),
        media: Ssrc(2),
        base_seq: feedback.base_seq,
        feedback_count: 0,
    };
    let mut buffer = [0; 1200];
    let Ok((len, covered)) = rtcp::write_transport_cc(&mut buffer, &head, &arrivals) else {
        assert!(
            arrivals.iter().all(Option::is_none),
            "only a list of losses cannot be written"
        );
        return;
    };
    let Some(Ok(RtcpMessage::TransportCc(again))) = rtcp::messages(&buffer[..len]).next() else {
        panic!("not feedback")
    };
    let received = |list: &[Option<i64>]| list.iter().map(Option::is_some).collect::<Vec<_>>();
    let written: Vec<_> = again.statuses().map(|(_, arrival)| arrival).collect();
    assert_eq!(received(&written), received(&statuses[..covered]));
}

/// Payloads: the first byte chooses the codec. Descriptors whose numbers are rewritten keep everything else.
pub fn codec(data: &[u8]) {
    const CODECS: [Codec; 7] = [
        Codec::Opus,
        Codec::Vp8,
        Codec::Vp9,
        Codec::H264,
        Codec::Av1,
        Codec::Other,
        Codec::Red,
    ];
    let [choice, payload @ ..] = data else { return };
    let info = payloads::inspect(CODECS[*choice as usize % CODECS.len()], payload);
    assert!(info.start_of_frame || !info.key_frame);
    rewrite_vp8(payload);
    rewrite_vp9(payload);
    rewrite_dependency_descriptor(payload);
    rename_red(payload);
}

fn rename_red(payload: &[u8]) {
    let Ok(before) = RedPayload::parse(payload) else {
        return;
    };
    let mut renamed = payload.to_vec();
    let done = before.rename(&mut renamed, |of| Some(PayloadType(of.0 ^ 1)));
    assert_eq!(done, Some(()));
    let after = RedPayload::parse(&renamed).expect("the form is unchanged");
    let data = before.primary.start as usize..;
    assert_eq!(after.primary, before.primary);
    assert_eq!(renamed[data.clone()], payload[data]);
    assert!(!before.primary.of(payload).is_empty());
}

fn rewrite_vp8(payload: &[u8]) {
    let Ok(before) = Vp8Descriptor::parse(payload) else {
        return;
    };
    let mut rewritten = payload.to_vec();
    before.rewrite(&mut rewritten, 0x7FFF, 0xFF);
    let after = Vp8Descriptor::parse(&rewritten).expect("the form is unchanged");
    let kept = (after.len, after.start_of_frame, after.temporal_id);
    assert_eq!(
        kept,
        (before.len, before.start_of_frame, before.temporal_id)
    );
    let data = before.len as usize..;
    assert_eq!(rewritten[data.clone()], payload[data]);
}

fn rewrite_vp9(payload: &[u8]) {
    let Ok(before) = Vp9Descriptor::parse(payload) else {
        return;
    };
    let mut rewritten = payload.to_vec();
    before.rewrite(&mut rewritten, 0x7FFF, 0xFF);
    let after = Vp9Descriptor::parse(&rewritten).expect("the form is unchanged");
    let kept = (after.len, after.inter_picture, after.size);
    assert_eq!(kept, (before.len, before.inter_picture, before.size));
    let data = before.len as usize..;
    assert_eq!(rewritten[data.clone()], payload[data]);
}

fn rewrite_dependency_descriptor(value: &[u8]) {
    let Ok(before) = DependencyDescriptor::parse(value) else {
        return;
    };
    let mut rewritten = value.to_vec();
    DependencyDescriptor::rewrite(&mut rewritten, !before.frame_number);
    let after = DependencyDescriptor::parse(&rewritten).expect("the form is unchanged");
    assert_eq!(after.frame_number, !before.frame_number);
    assert_eq!(
        (after.template_id, after.begins_sequence()),
        (before.template_id, before.begins_sequence())
    );
    assert_eq!((rewritten[0], &rewritten[3..]), (value[0], &value[3..]));
    if let Ok(whole) = Description::parse(value, None)
        && let Some(structure) = &whole.structure
        && let Ok(restricted) = restrict(value, structure.targets(), 1)
    {
        let after = Description::parse(&restricted, None).expect("only bits were put in");
        let active = Some(whole.active.unwrap_or(1) & 1);
        assert_eq!(after, Description { active, ..whole });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Runs a target over its kept corpus; an empty one would show nothing.
    fn replay(name: &str, target: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(name);
        let files = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut count = 0;
        for file in files {
            target(&std::fs::read(file.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{} is empty", folder.display());
    }

    #[test]
    fn the_kept_corpus_passes() {
        replay("stun", stun);
        replay("rtp", rtp);
        replay("rtcp", rtcp);
        replay("codec", codec);
        replay("receive_path", receive_path);
    }
}

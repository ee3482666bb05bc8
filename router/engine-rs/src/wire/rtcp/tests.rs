//! Tests of RTCP: framing, every message written and read back, exact bytes, and threat R7.

use super::*;
use crate::time::Micros;
use proptest::prelude::*;

fn parse_all(bytes: &[u8]) -> Vec<Result<RtcpMessage<'_>, ParseError>> {
    messages(bytes).collect()
}

fn parse_one(bytes: &[u8]) -> RtcpMessage<'_> {
    let mut list = parse_all(bytes);
    assert_eq!(list.len(), 1);
    list.remove(0).unwrap()
}

fn error_of(bytes: &[u8]) -> ParseError {
    parse_all(bytes).pop().unwrap().unwrap_err()
}

/// Walks everything that a message offers.
fn exhaust(bytes: &[u8]) -> usize {
    messages(bytes)
        .map(|message| match message {
            Ok(RtcpMessage::SenderReport(report)) => report.blocks.iter().count(),
            Ok(RtcpMessage::ReceiverReport(report)) => report.blocks.iter().count(),
            Ok(RtcpMessage::Sdes(sdes)) => sdes.cnames().count(),
            Ok(RtcpMessage::Bye(bye)) => bye.ssrcs().count(),
            Ok(RtcpMessage::Nack(nack)) => nack.lost().count(),
            Ok(RtcpMessage::Fir(fir)) => fir.entries().count(),
            Ok(RtcpMessage::TransportCc(feedback)) => {
                let statuses = feedback.statuses().count();
                assert_eq!(
                    statuses, feedback.status_count as usize,
                    "checked statuses are all readable"
                );
                statuses
            }
            Ok(RtcpMessage::Remb(remb)) => remb.ssrcs().count(),
            Ok(RtcpMessage::ExtendedReport(report)) => {
                report.blocks().map(|block| block.dlrrs().count()).sum()
            }
            Ok(RtcpMessage::Ccfb(message)) => {
                message.blocks().map(|block| block.statuses().count()).sum()
            }
            Ok(RtcpMessage::Pli(_) | RtcpMessage::Unknown { .. }) | Err(_) => 0,
        })
        .sum()
}

fn block(ssrc: u32) -> ReportBlock {
    ReportBlock {
        ssrc: Ssrc(ssrc),
        fraction_lost: 12,
        cumulative_lost: -5,
        highest_seq: 0x0001_FFFE,
        jitter: 77,
        last_sr: 0x1234_5678,
        delay_since_last_sr: 0x0001_0000,
    }
}

/// A compound packet with one of each.
fn one_of_each() -> Vec<u8> {
    let mut buffer = [0; 1200];
    let mut writer = CompoundWriter::new(&mut buffer);
    let info = SenderInfo {
        ssrc: Ssrc(1),
        ntp: NtpTime::from_unix_micros(1_700_000_000_250_000),
        rtp_timestamp: 90_000,
        packet_count: 10,
        octet_count: 1000,
    };
    let head = TransportCcHead {
        sender: Ssrc(1),
        media: Ssrc(2),
        base_seq: 65_534,
        feedback_count: 3,
    };
    let arrivals = [
        Some(Micros(1_000_000)),
        None,
        Some(Micros(1_000_500)),
        Some(Micros(999_000)),
    ];
    let dlrr = Dlrr {
        ssrc: Ssrc(9),
        last_rr: 8,
        delay_since_last_rr: 7,
    };
    writer
        .push(|b| write_sender_report(b, &info, &[block(2), block(3)]))
        .unwrap();
    writer
        .push(|b| write_receiver_report(b, Ssrc(1), &[block(4)]))
        .unwrap();
    writer
        .push(|b| write_cname(b, &[Ssrc(1), Ssrc(5)], "name"))
        .unwrap();
    writer
        .push(|b| write_nack(b, Ssrc(1), Ssrc(2), &[65_535, 0, 15, 16, 40]))
        .unwrap();
    writer.push(|b| write_pli(b, Ssrc(1), Ssrc(2))).unwrap();
    writer
        .push(|b| {
            write_fir(
                b,
                Ssrc(1),
                &[FirEntry {
                    media: Ssrc(2),
                    sequence: 200,
                }],
            )
        })
        .unwrap();
    writer
        .push(|b| write_transport_cc(b, &head, &arrivals).map(|(len, _)| len))
        .unwrap();
    writer
        .push(|b| write_remb(b, Ssrc(1), 2_500_000, &[Ssrc(2), Ssrc(3)]))
        .unwrap();
    writer.push(|b| write_dlrr(b, Ssrc(1), &[dlrr])).unwrap();
    writer
        .push(|b| write_receiver_reference_time(b, Ssrc(1), NtpTime(0x0102_0304_0506_0708)))
        .unwrap();
    writer.push(|b| write_bye(b, &[Ssrc(1), Ssrc(5)])).unwrap();
    let len = writer.len();
    buffer[..len].to_vec()
}

#[test]
fn one_of_each_reads_back() {
    let bytes = one_of_each();
    assert_eq!(peek_ssrc(&bytes), Ok(Ssrc(1)));
    let list: Vec<_> = parse_all(&bytes).into_iter().map(Result::unwrap).collect();
    let [
        RtcpMessage::SenderReport(sr),
        RtcpMessage::ReceiverReport(rr),
        RtcpMessage::Sdes(sdes),
        RtcpMessage::Nack(nack),
        RtcpMessage::Pli(pli),
        RtcpMessage::Fir(fir),
        RtcpMessage::TransportCc(feedback),
        RtcpMessage::Remb(remb),
        RtcpMessage::ExtendedReport(dlrr),
        RtcpMessage::ExtendedReport(reference),
        RtcpMessage::Bye(bye),
    ] = &list[..]
    else {
        panic!("{list:?}")
    };
    assert_eq!(
        sr.info.ntp,
        NtpTime(((1_700_000_000 + 2_208_988_800) << 32) | 0x4000_0000)
    );
    assert_eq!(
        (
            sr.info.rtp_timestamp,
            sr.info.packet_count,
            sr.info.octet_count
        ),
        (90_000, 10, 1000)
    );
    assert_eq!(sr.blocks.iter().collect::<Vec<_>>(), [block(2), block(3)]);
    assert_eq!((rr.ssrc, rr.blocks.len()), (Ssrc(1), 1));
    assert_eq!(rr.blocks.iter().next(), Some(block(4)));
    assert_eq!(
        sdes.cnames().collect::<Vec<_>>(),
        [(Ssrc(1), &b"name"[..]), (Ssrc(5), b"name")]
    );
    assert_eq!(nack.lost().collect::<Vec<_>>(), [65_535, 0, 15, 16, 40]);
    assert_eq!(
        *pli,
        Pli {
            sender: Ssrc(1),
            media: Ssrc(2)
        }
    );
    assert_eq!(
        fir.entries().collect::<Vec<_>>(),
        [FirEntry {
            media: Ssrc(2),
            sequence: 200
        }]
    );
    assert_eq!(
        (
            feedback.base_seq,
            feedback.status_count,
            feedback.feedback_count
        ),
        (65_534, 4, 3)
    );
    let statuses: Vec<_> = feedback.statuses().collect();
    assert_eq!(
        statuses,
        [
            (65_534, Some(1_000_000)),
            (65_535, None),
            (0, Some(1_000_500)),
            (1, Some(999_000))
        ]
    );
    assert_eq!((remb.bitrate_bps, remb.ssrcs().count()), (2_500_000, 2));
    let answer = Dlrr {
        ssrc: Ssrc(9),
        last_rr: 8,
        delay_since_last_rr: 7,
    };
    assert_eq!(
        dlrr.blocks()
            .flat_map(|block| block.dlrrs())
            .collect::<Vec<_>>(),
        [answer]
    );
    let time = NtpTime(0x0102_0304_0506_0708);
    assert_eq!(
        reference.blocks().collect::<Vec<_>>(),
        [XrBlock::ReceiverReferenceTime(time)]
    );
    assert_eq!(time.middle(), 0x0304_0506);
    assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [Ssrc(1), Ssrc(5)]);
}

/// aiortc reads the same file, see `tests/test_engine_wire.py`.
#[test]
fn one_of_each_is_what_the_other_parsers_test() {
    let vector = include_bytes!("../../../../../tests/vectors/rtcp/one-of-each.bin");
    assert_eq!(one_of_each(), vector);
}

#[test]
fn exact_bytes() {
    let mut buffer = [0; 64];
    let len = write_pli(&mut buffer, Ssrc(0x0102_0304), Ssrc(0x0506_0708)).unwrap();
    assert_eq!(buffer[..len], [0x81, 206, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]);
    let len = write_nack(&mut buffer, Ssrc(1), Ssrc(2), &[100, 101, 116, 117]).unwrap();
    assert_eq!(
        buffer[..len],
        [
            0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 100, 0x80, 1, 0, 117, 0, 0
        ]
    );
    // The example of draft-alvestrand-rmcat-remb section 2.2 counts so: 18 bits of mantissa, 6 of exponent.
    let len = write_remb(&mut buffer, Ssrc(1), 0x3_FFFF << 5, &[Ssrc(2)]).unwrap();
    assert_eq!(
        buffer[12..len],
        [
            b'R',
            b'E',
            b'M',
            b'B',
            1,
            5 << 2 | 3,
            0xFF,
            0xFF,
            0,
            0,
            0,
            2
        ]
    );
    let len = write_cname(&mut buffer, &[Ssrc(1)], "ab").unwrap();
    assert_eq!(
        buffer[..len],
        [0x81, 202, 0, 3, 0, 0, 0, 1, 1, 2, b'a', b'b', 0, 0, 0, 0]
    );
}

#[test]
fn framing_must_add_up() {
    let bytes = one_of_each();
    let whole = parse_all(&bytes).len();
    for len in 0..bytes.len() {
        let list = parse_all(&bytes[..len]);
        let broken = list.iter().filter(|message| message.is_err()).count();
        assert!(list.len() <= whole && broken <= 1, "{len}");
        assert!(len.is_multiple_of(4) || broken == 1, "{len}");
    }
    assert_eq!(error_of(&[0x41, 206, 0, 0]), ParseError::BadVersion);
    assert_eq!(
        error_of(&[0x81, 206, 0, 9, 0, 0, 0, 1]),
        ParseError::BadLength
    );
    assert_eq!(error_of(&[0x81]), ParseError::TooShort);
    assert_eq!(parse_all(&[]).len(), 0);
}

#[test]
fn a_malformed_message_does_not_hide_its_neighbours() {
    let mut bytes = vec![0x81, 201, 0, 1, 0, 0, 0, 1]; // one block announced, none there
    bytes.extend_from_slice(&[0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    let list = parse_all(&bytes);
    assert!(matches!(
        list[..],
        [Err(ParseError::BadLength), Ok(RtcpMessage::Pli(_))]
    ));
}

#[test]
fn padding_is_stripped_from_the_last_message_only() {
    let padded = [0xA0, 203, 0, 1, 0, 0, 0, 4];
    assert!(matches!(parse_one(&padded), RtcpMessage::Bye(_)));
    assert_eq!(
        error_of(&[0xA0, 203, 0, 1, 0, 0, 0, 0]),
        ParseError::BadPadding
    );
    assert_eq!(
        error_of(&[0xA0, 203, 0, 1, 0, 0, 0, 3]),
        ParseError::BadPadding
    );
    assert_eq!(
        error_of(&[0xA0, 203, 0, 1, 0, 0, 0, 8]),
        ParseError::BadPadding
    );
    assert_eq!(error_of(&[0xA0, 203, 0, 0]), ParseError::BadPadding);
    assert_eq!(
        error_of(&[&padded[..], &padded[..]].concat()),
        ParseError::BadPadding
    );
}

#[test]
fn unknown_types_are_named() {
    for (first, packet_type) in [(0x80, 204), (0x8F, 206), (0x83, 205), (0x80, 192)] {
        let bytes = [first, packet_type, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        let RtcpMessage::Unknown {
            packet_type: named,
            count,
        } = parse_one(&bytes)
        else {
            panic!("{packet_type}")
        };
        assert_eq!((named, count), (packet_type, first & 0x1F));
    }
}

/// Threat R7, as str0m met it.
#[test]
fn a_remb_count_beyond_the_packet_is_refused() {
    let mut bytes = vec![0x8F, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0];
    bytes.extend_from_slice(b"REMB\xFF\x00\x00\x01\x00\x00\x00\x02");
    assert_eq!(error_of(&bytes), ParseError::BadLength);
    bytes[16] = 1;
    let RtcpMessage::Remb(remb) = parse_one(&bytes) else {
        panic!()
    };
    assert_eq!(remb.bitrate_bps, 1);
    bytes[17..20].copy_from_slice(&[0xFF; 3]);
    let RtcpMessage::Remb(remb) = parse_one(&bytes) else {
        panic!()
    };
    assert_eq!(remb.bitrate_bps, u64::MAX, "saturates");
}

#[test]
fn items_must_be_whole() {
    let feedback = |format: u8, packet_type: u8, fci: &[u8]| {
        let mut bytes = vec![
            0x80 | format,
            packet_type,
            0,
            (2 + fci.len() / 4) as u8,
            0,
            0,
            0,
            1,
            0,
            0,
            0,
            2,
        ];
        bytes.extend_from_slice(fci);
        bytes
    };
    assert_eq!(
        error_of(&feedback(1, 205, &[])),
        ParseError::BadLength,
        "NACK of nothing"
    );
    assert_eq!(
        error_of(&feedback(4, 206, &[])),
        ParseError::BadLength,
        "FIR of nothing"
    );
    assert_eq!(
        error_of(&feedback(4, 206, &[0; 12])),
        ParseError::BadLength,
        "FIR of one and a half"
    );
    assert_eq!(
        error_of(&[0x81, 206, 0, 1, 0, 0, 0, 1]),
        ParseError::TooShort,
        "PLI for nobody"
    );
    assert_eq!(
        error_of(&[0x82, 203, 0, 1, 0, 0, 0, 1]),
        ParseError::BadLength,
        "BYE of two with one"
    );
    assert_eq!(
        error_of(&[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 9, b'a', b'b']),
        ParseError::BadLength,
        "CNAME past the end"
    );
    assert_eq!(
        error_of(&[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 2, b'a', b'b']),
        ParseError::TooShort,
        "SDES without end"
    );
    assert_eq!(
        error_of(&[0x80, 207, 0, 2, 0, 0, 0, 1, 4, 0, 0, 2]),
        ParseError::BadLength,
        "XR block past the end"
    );
}

#[test]
fn writers_refuse_what_the_format_cannot_say() {
    let mut buffer = [0; 2000];
    assert_eq!(
        write_receiver_report(&mut buffer, Ssrc(1), &[block(1); 32]),
        Err(WriteError::OutOfRange)
    );
    assert_eq!(
        write_bye(&mut buffer, &[Ssrc(1); 32]),
        Err(WriteError::OutOfRange)
    );
    assert_eq!(
        write_cname(&mut buffer, &[Ssrc(1)], &"n".repeat(256)),
        Err(WriteError::OutOfRange)
    );
    assert_eq!(
        write_remb(&mut buffer, Ssrc(1), 1, &[Ssrc(1); 256]),
        Err(WriteError::OutOfRange)
    );
    assert_eq!(
        write_nack(&mut buffer, Ssrc(1), Ssrc(2), &[]),
        Err(WriteError::OutOfRange)
    );
    assert_eq!(
        write_fir(&mut buffer, Ssrc(1), &[]),
        Err(WriteError::OutOfRange)
    );
    let mut writer = CompoundWriter::new(&mut buffer[..20]);
    writer.push(|b| write_pli(b, Ssrc(1), Ssrc(2))).unwrap();
    assert_eq!(
        writer.push(|b| write_pli(b, Ssrc(1), Ssrc(2))),
        Err(WriteError::NoRoom)
    );
    assert_eq!((writer.len(), writer.room()), (12, 8));
}

#[test]
fn cumulative_loss_has_24_bits_and_a_sign() {
    for (lost, written) in [
        (-1, -1),
        (i32::MIN, -0x80_0000),
        (i32::MAX, 0x7F_FFFF),
        (0, 0),
    ] {
        let mut buffer = [0; 64];
        let sent = ReportBlock {
            cumulative_lost: lost,
            ..block(1)
        };
        let len = write_receiver_report(&mut buffer, Ssrc(1), &[sent]).unwrap();
        let RtcpMessage::ReceiverReport(report) = parse_one(&buffer[..len]) else {
            panic!()
        };
        assert_eq!(
            report.blocks.iter().next().unwrap().cumulative_lost,
            written
        );
    }
}

proptest! {
    #[test]
    fn a_nack_names_what_was_lost(start in any::<u16>(), gaps in prop::collection::vec(1_u16..60, 1..80)) {
        let mut seq = start;
        let lost: Vec<u16> = gaps.iter().map(|gap| { seq = seq.wrapping_add(*gap); seq }).collect();
        let mut buffer = [0; 600];
        let len = write_nack(&mut buffer, Ssrc(1), Ssrc(2), &lost).unwrap();
        let RtcpMessage::Nack(nack) = parse_one(&buffer[..len]) else { panic!() };
        prop_assert_eq!(nack.lost().collect::<Vec<_>>(), lost);
    }

    #[test]
    fn a_remb_keeps_18_bits(bitrate in any::<u64>(), shift in 0_u32..64) {
        let bitrate = bitrate >> shift;
        let mut buffer = [0; 64];
        let len = write_remb(&mut buffer, Ssrc(1), bitrate, &[]).unwrap();
        let RtcpMessage::Remb(remb) = parse_one(&buffer[..len]) else { panic!() };
        prop_assert!(remb.bitrate_bps <= bitrate && bitrate - remb.bitrate_bps <= bitrate >> 17);
    }

    #[test]
    fn any_bytes_are_parsed_without_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..80),
        packet_type in 198_u8..209,
        count in 0_u8..32,
    ) {
        let _ = exhaust(&bytes);
        bytes.resize(bytes.len().next_multiple_of(4).max(4), 0);
        bytes[0] = 0x80 | count;
        bytes[1] = packet_type;
        let words = (bytes.len() / 4 - 1) as u16;
        bytes[2..4].copy_from_slice(&words.to_be_bytes());
        let _ = exhaust(&bytes);
    }

    #[test]
    fn mutated_compounds_are_parsed_without_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = one_of_each();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = exhaust(&bytes);
        let _ = exhaust(&bytes[..cut.index(bytes.len())]);
    }
}

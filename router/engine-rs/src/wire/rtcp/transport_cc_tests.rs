//! Tests of transport-wide feedback: exact chunks, threat R7, and write-then-read against the list of arrivals.

use super::*;
use crate::wire::rtcp::{RtcpMessage, messages};
use proptest::prelude::*;

const HEAD: TransportCcHead = TransportCcHead {
    sender: Ssrc(1),
    media: Ssrc(2),
    base_seq: 65_530,
    feedback_count: 9,
};

fn ms(list: &[i64]) -> Vec<Option<Micros>> {
    list.iter()
        .map(|ms| u64::try_from(*ms).ok().map(Micros::from_millis))
        .collect()
}

fn write(arrivals: &[Option<Micros>]) -> Vec<u8> {
    let mut buffer = [0; 1400];
    let (len, covered) = write_transport_cc(&mut buffer, &HEAD, arrivals).unwrap();
    assert_eq!(covered, arrivals.len());
    buffer[..len].to_vec()
}

fn read(bytes: &[u8]) -> Result<Vec<(u16, Option<i64>)>, ParseError> {
    match messages(bytes).next().unwrap()? {
        RtcpMessage::TransportCc(feedback) => Ok(feedback.statuses().collect()),
        other => panic!("{other:?}"),
    }
}

fn feedback(count: u16, chunks_and_deltas: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x8F, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 10];
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 1, 0]);
    bytes.extend_from_slice(chunks_and_deltas);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes[3] = (bytes.len() / 4 - 1) as u8;
    bytes
}

/// libwebrtc says by the padding bit that it filled the message up, also before another message (`transport_feedback.cc`).
#[test]
fn what_libwebrtc_fills_up_is_read() {
    for count in 1..=8_u8 {
        let mut bytes = feedback(count.into(), &[0x20, count]);
        bytes.truncate(22);
        bytes.extend((0..count).map(|delta| 4 * delta));
        let filled = bytes.len().next_multiple_of(4) - bytes.len();
        if filled > 0 {
            bytes[0] |= 0x20;
            bytes.resize(bytes.len() + filled - 1, 0);
            bytes.push(filled as u8);
        }
        bytes[3] = (bytes.len() / 4 - 1) as u8;
        let compound = [&bytes[..], &bytes[..]].concat();
        assert_eq!(messages(&compound).flatten().count(), 2);
        let statuses = read(&compound).expect("valid");
        let between = statuses
            .windows(2)
            .map(|pair| Some(pair[1].1? - pair[0].1?));
        let expected = (1..i64::from(count)).map(|delta| Some(1_000 * delta));
        assert!(between.eq(expected), "{count}: {statuses:?}");
    }
}

#[test]
fn a_run_of_small_deltas() {
    let bytes = write(&ms(&[64, 65, 66, 67, 68, 69, 70, 71]));
    let expected = [
        0x8F, 205, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 0xFF, 0xFA, 0, 8, 0, 0, 1, 9, // head
        0x20, 8, 0, 4, 4, 4, 4, 4, 4, 4, 0, 0,
    ];
    assert_eq!(bytes, expected);
}

#[test]
fn vectors_of_one_and_two_bits() {
    let one_bit = write(&ms(&[64, -1, 64, -1, 64, -1, 64, -1, 64]));
    assert_eq!(one_bit[20..22], [0b1010_1010, 0b1010_0000]);
    let two_bit = write(&ms(&[64, -1, 1064, 63]));
    assert_eq!(two_bit[20..22], [0b1101_0010, 0b1000_0000]);
    assert_eq!(two_bit[22..27], [0, 0x0F, 0xA0, 0xF0, 0x5C]);
    // A large delta behind seven small symbols: two chunks, the second keeps what the first could not hold.
    let split = write(&ms(&[64, -1, 64, -1, 64, -1, 64, -1, 64, 1064]));
    assert_eq!(split[20..24], [0b1101_0001, 0b0001_0001, 0b1100_0110, 0]);
}

#[test]
fn a_long_gap_is_a_run() {
    let mut list = vec![64];
    list.extend(vec![-1; 5000]);
    list.push(70);
    let arrivals = ms(&list);
    let bytes = write(&arrivals);
    assert!(bytes.len() < 48, "{}", bytes.len());
    assert_eq!(
        read(&bytes)
            .unwrap()
            .iter()
            .filter(|(_, arrival)| arrival.is_some())
            .count(),
        2
    );
}

#[test]
fn arrivals_too_far_apart_go_into_the_next_message() {
    let arrivals = ms(&[0, 8000, 17_000]);
    let mut buffer = [0; 100];
    let (len, covered) = write_transport_cc(&mut buffer, &HEAD, &arrivals).unwrap();
    assert_eq!(covered, 2);
    assert_eq!(
        read(&buffer[..len]).unwrap(),
        [(65_530, Some(0)), (65_531, Some(8_000_000))]
    );
    assert_eq!(
        write_transport_cc(&mut buffer, &HEAD, &arrivals[covered..])
            .unwrap()
            .1,
        1
    );
}

#[test]
fn a_small_buffer_takes_what_fits() {
    let arrivals = ms(&(0..100)
        .map(|n| if n % 3 == 0 { -1 } else { n * 100 })
        .collect::<Vec<_>>());
    let mut buffer = [0; 200];
    for room in 0..200 {
        match write_transport_cc(&mut buffer[..room], &HEAD, &arrivals) {
            Ok((len, covered)) => {
                assert!(len <= room && covered > 0);
                assert_eq!(read(&buffer[..len]).unwrap().len(), covered);
            }
            Err(error) => assert_eq!((error, room < 24), (WriteError::NoRoom, true), "{room}"),
        }
    }
    assert_eq!(
        write_transport_cc(&mut buffer, &HEAD, &[None, None]),
        Err(WriteError::OutOfRange)
    );
    assert_eq!(
        write_transport_cc(&mut buffer, &HEAD, &[]),
        Err(WriteError::OutOfRange)
    );
}

/// Threat R7: the reserved symbol, in each kind of chunk.
#[test]
fn the_reserved_symbol_is_refused() {
    assert_eq!(
        read(&feedback(1, &[0x60, 1, 0, 0])),
        Err(ParseError::BadValue)
    );
    assert_eq!(
        read(&feedback(7, &[0xC0, 3, 0, 0])),
        Err(ParseError::BadValue)
    );
    // Behind the last status it is only padding.
    assert!(read(&feedback(6, &[0xC0, 3, 0, 0])).is_ok());
}

#[test]
fn chunks_and_deltas_must_be_there() {
    assert_eq!(read(&feedback(0, &[])), Err(ParseError::BadValue));
    assert_eq!(read(&feedback(1, &[])), Err(ParseError::TooShort));
    assert_eq!(
        read(&feedback(1, &[0, 0, 0, 0, 0, 0, 0, 0])),
        Err(ParseError::TooShort),
        "runs of nothing"
    );
    assert_eq!(
        read(&feedback(3, &[0x20, 3, 0, 0])),
        Err(ParseError::BadLength),
        "two deltas for three"
    );
    assert_eq!(
        read(&feedback(u16::MAX, &[0x1F, 0xFF].repeat(8))),
        Err(ParseError::BadValue),
        "work for nothing"
    );
}

#[test]
fn negative_reference_times_are_read() {
    let mut bytes = feedback(1, &[0x20, 1, 4, 0]);
    bytes[16..19].copy_from_slice(&[0xFF; 3]);
    assert_eq!(read(&bytes).unwrap(), [(10, Some(-63_000))]);
}

proptest! {
    #[test]
    fn write_then_read_is_identity(
        start in 0_u64..5_000_000,
        steps in prop::collection::vec(prop::option::weighted(0.7, prop_oneof![
            8 => 0_i64..40,
            2 => -200_i64..3000,
            1 => 0_i64..32_000,
        ]), 1..600),
    ) {
        let mut ticks = (start * 4) as i64;
        let arrivals: Vec<_> = steps.iter().map(|step| step.map(|step| {
            ticks = (ticks + step).max(0);
            Micros(ticks as u64 * 250)
        })).collect();
        prop_assume!(arrivals.iter().any(Option::is_some));
        let mut buffer = [0; 1200];
        let mut at = 0;
        while arrivals[at..].iter().any(Option::is_some) {
            let (len, covered) = write_transport_cc(&mut buffer, &HEAD, &arrivals[at..]).unwrap();
            let statuses = read(&buffer[..len]).unwrap();
            prop_assert_eq!(statuses.len(), covered);
            let origin = arrivals[at..].iter().flatten().next().unwrap().0 as i64 / 64_000 / (1 << 23) * (64_000 << 23);
            for (index, (seq, arrival)) in statuses.iter().enumerate() {
                prop_assert_eq!(*seq, HEAD.base_seq.wrapping_add(index as u16));
                prop_assert_eq!(*arrival, arrivals[at + index].map(|time| time.0 as i64 - origin));
            }
            at += covered;
        }
    }
}

//! Tests of STUN: the vectors of RFC 5769, threats I1 and I3, and every byte flipped.

use super::*;
use crate::wire::WriteError;
use proptest::prelude::*;

const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

/// RFC 5769 section 2.1.
const REQUEST: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
    \x00\x06\x00\x09evtj:h6vY   \
    \x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
    \x80\x28\x00\x04\xe5\x7a\x3b\xcf";

/// RFC 5769 section 2.2.
const RESPONSE_V4: &[u8] = b"\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x0btest vector \x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43\
    \x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7\
    \x80\x28\x00\x04\xc0\x7d\x4c\x96";

/// RFC 5769 section 2.3.
const RESPONSE_V6: &[u8] = b"\x01\x01\x00\x48\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x0btest vector \
    \x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9\
    \x00\x08\x00\x14\xa3\x82\x95\x4e\x4b\xe6\x7b\xf1\x17\x84\xc9\x7c\x82\x92\xc2\x75\xbf\xe3\xed\x41\
    \x80\x28\x00\x04\xc8\xfb\x0b\x4c";

fn key() -> IntegrityKey {
    IntegrityKey::new(PASSWORD)
}

/// Appends an attribute and corrects the length field, as an attacker would.
fn append(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&(value.len() as u16).to_be_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
    let length = (message.len() - HEADER) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

fn append_fingerprint(message: &mut Vec<u8>) {
    append(message, attributes::FINGERPRINT, &[0; 4]);
    let at = message.len() - 8;
    let crc = integrity::fingerprint(&message[..at]);
    message[at + 4..].copy_from_slice(&crc.to_be_bytes());
}

/// A request whose attributes are up to the test; integrity keyed by `password`.
fn request(attributes: &[(u16, &[u8])], password: &[u8]) -> Vec<u8> {
    let mut message = b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl".to_vec();
    for (kind, value) in attributes {
        append(&mut message, *kind, value);
    }
    let tag = IntegrityKey::new(password).tag(&message, message.len());
    append(&mut message, attributes::MESSAGE_INTEGRITY, &tag);
    message
}

#[test]
fn rfc_5769_sample_request() {
    let message = StunMessage::parse(REQUEST).unwrap();
    assert_eq!(message.class, StunClass::Request);
    assert_eq!(
        message.transaction_id.0,
        *b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae"
    );
    assert_eq!(message.username, Some(&b"evtj:h6vY"[..]));
    assert_eq!(message.ufrags(), Some((&b"evtj"[..], &b"h6vY"[..])));
    assert_eq!(message.priority, Some(0x6e00_01ff));
    assert_eq!(
        message.role,
        Some(IceRole::Controlled(0x932f_f9b1_5126_3b36))
    );
    assert_eq!(
        (message.use_candidate, message.unknown_required),
        (false, None)
    );
    assert!(message.verify_integrity(&key()) && message.verify_fingerprint());
    assert!(!message.verify_integrity(&IntegrityKey::new(b"VOkJxbRl1RmTxUk/WvJxBT")));
    assert!(!message.verify_integrity(&IntegrityKey::new(b"")));
}

#[test]
fn rfc_5769_sample_responses() {
    for (bytes, address) in [
        (RESPONSE_V4, "192.0.2.1:32853"),
        (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ] {
        let message = StunMessage::parse(bytes).unwrap();
        assert_eq!(message.class, StunClass::Success);
        assert_eq!(message.mapped_address, Some(address.parse().unwrap()));
        assert!(message.verify_integrity(&key()) && message.verify_fingerprint());
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    for original in [REQUEST, RESPONSE_V4, RESPONSE_V6] {
        for at in 0..original.len() {
            for bit in 0..8 {
                let mut bytes = original.to_vec();
                bytes[at] ^= 1 << bit;
                let Ok(message) = StunMessage::parse(&bytes) else {
                    continue;
                };
                let fingerprint_good = message.verify_fingerprint();
                let integrity_good = message.verify_integrity(&key());
                assert!(!fingerprint_good, "byte {at} bit {bit}");
                // The last 8 bytes are FINGERPRINT, which the integrity does not cover.
                assert!(
                    !integrity_good || at >= original.len() - 8,
                    "byte {at} bit {bit}"
                );
            }
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    for original in [REQUEST, RESPONSE_V4, RESPONSE_V6] {
        for len in 0..original.len() {
            assert!(StunMessage::parse(&original[..len]).is_err(), "{len}");
            let mut fixed = original[..len.max(HEADER)].to_vec();
            let length = (fixed.len() - HEADER) as u16;
            fixed[2..4].copy_from_slice(&length.to_be_bytes());
            let good = StunMessage::parse(&fixed).is_ok_and(|message| message.verify_fingerprint());
            assert!(!good, "{len} with its length field made to match");
        }
    }
}

/// Threat I3.
#[test]
fn attributes_behind_the_integrity_are_absent() {
    let mut message = request(&[(attributes::USERNAME, b"a:b")], PASSWORD);
    append(&mut message, attributes::USE_CANDIDATE, &[]);
    append(&mut message, attributes::PRIORITY, &[1; 4]);
    append(&mut message, attributes::ICE_CONTROLLING, &[1; 8]);
    append(&mut message, attributes::USERNAME, b"c:d");
    append(&mut message, 0x7FFF, b"required");
    append_fingerprint(&mut message);
    let parsed = StunMessage::parse(&message).unwrap();
    assert!(parsed.verify_integrity(&key()) && parsed.verify_fingerprint());
    assert!(!parsed.use_candidate);
    assert_eq!(
        (parsed.priority, parsed.role, parsed.unknown_required),
        (None, None, None)
    );
    assert_eq!(parsed.username, Some(&b"a:b"[..]));
}

/// Threat I1.
#[test]
fn integrity_must_be_there_whole_and_of_the_right_key() {
    let bare = b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl";
    let parsed = StunMessage::parse(bare).unwrap();
    assert!(!parsed.has_integrity() && !parsed.verify_integrity(&key()));
    assert!(!parsed.has_fingerprint() && !parsed.verify_fingerprint());

    let wrong_key = request(&[], b"other");
    assert!(
        !StunMessage::parse(&wrong_key)
            .unwrap()
            .verify_integrity(&key())
    );

    let mut sha256_only = bare.to_vec();
    append(&mut sha256_only, 0x001C, &[0; 32]);
    let parsed = StunMessage::parse(&sha256_only).unwrap();
    assert_eq!(
        (parsed.has_integrity(), parsed.unknown_required),
        (false, Some(0x001C))
    );

    for len in [0, 4, 19, 21, 32] {
        let mut truncated = bare.to_vec();
        append(&mut truncated, attributes::MESSAGE_INTEGRITY, &vec![0; len]);
        assert_eq!(
            StunMessage::parse(&truncated).err(),
            Some(ParseError::BadLength),
            "{len}"
        );
    }
}

#[test]
fn usernames_of_any_length_are_bounded() {
    for (len, good) in [
        (0, true),
        (1, true),
        (513, true),
        (514, false),
        (600, false),
    ] {
        let message = request(&[(attributes::USERNAME, &vec![b'u'; len])], PASSWORD);
        assert_eq!(StunMessage::parse(&message).is_ok(), good, "{len}");
    }
    assert_eq!(
        StunMessage::parse(&request(&[(attributes::USERNAME, b"")], PASSWORD))
            .unwrap()
            .ufrags(),
        None
    );
}

#[test]
fn the_first_of_repeated_attributes_counts() {
    let list: [(u16, &[u8]); 4] = [
        (attributes::USERNAME, b"a:b"),
        (attributes::USERNAME, b"c:d"),
        (attributes::ICE_CONTROLLING, &[0; 8]),
        (attributes::ICE_CONTROLLED, &[1; 8]),
    ];
    let message = request(&list, PASSWORD);
    let parsed = StunMessage::parse(&message).unwrap();
    assert_eq!(parsed.username, Some(&b"a:b"[..]));
    assert_eq!(parsed.role, Some(IceRole::Controlling(0)));
}

#[test]
fn other_methods_cookies_and_lengths_are_refused() {
    let with = |at: usize, value: u8| {
        let mut bytes = REQUEST.to_vec();
        bytes[at] = value;
        StunMessage::parse(&bytes).err()
    };
    assert_eq!(with(1, 3), Some(ParseError::UnknownType)); // Allocate
    assert_eq!(with(4, 0), Some(ParseError::BadVersion));
    assert_eq!(with(3, 0x57), Some(ParseError::BadLength));
    assert_eq!(with(3, 0x54), Some(ParseError::BadLength));
    let mut longer = REQUEST.to_vec();
    append(&mut longer, 0x8022, b"late");
    assert_eq!(
        StunMessage::parse(&longer).err(),
        Some(ParseError::BadValue),
        "FINGERPRINT is not the last"
    );
}

#[test]
fn a_written_request_reads_back() {
    let request = BindingRequest {
        transaction_id: TransactionId(*b"0123456789ab"),
        remote_ufrag: "theirs",
        local_ufrag: "our+nonce",
        priority: 0x6E00_01FF,
        role: IceRole::Controlled(77),
        use_candidate: false,
    };
    let mut buffer = [0; MAX_MESSAGE];
    let len = write_binding_request(&mut buffer, &request, &key()).unwrap();
    let parsed = StunMessage::parse(&buffer[..len]).unwrap();
    assert!(parsed.verify_integrity(&key()) && parsed.verify_fingerprint());
    assert_eq!(parsed.ufrags(), Some((&b"theirs"[..], &b"our+nonce"[..])));
    assert_eq!(parsed.priority, Some(request.priority));
    assert_eq!(parsed.role, Some(request.role));
    assert_eq!(
        (parsed.class, parsed.transaction_id),
        (StunClass::Request, request.transaction_id)
    );
    for short in 0..len {
        assert_eq!(
            write_binding_request(&mut buffer[..short], &request, &key()),
            Err(WriteError::NoRoom)
        );
    }
    let long = "u".repeat(MAX_USERNAME);
    let too_long = BindingRequest {
        remote_ufrag: &long,
        ..request
    };
    assert_eq!(
        write_binding_request(&mut buffer, &too_long, &key()),
        Err(WriteError::OutOfRange)
    );
    let longest = BindingRequest {
        remote_ufrag: &long[..MAX_USERNAME - 1],
        local_ufrag: "",
        use_candidate: true,
        ..request
    };
    assert!(write_binding_request(&mut buffer, &longest, &key()).is_ok());
}

#[test]
fn a_written_answer_reads_back() {
    let id = TransactionId([7; 12]);
    let mut buffer = [0; MAX_MESSAGE];
    for (address, seen) in [
        ("192.0.2.1:32853", "192.0.2.1:32853"),
        ("[2001:db8::1]:1", "[2001:db8::1]:1"),
        ("[::ffff:192.0.2.9]:5", "192.0.2.9:5"),
    ] {
        let len =
            write_success_response(&mut buffer, id, address.parse().unwrap(), &key()).unwrap();
        let parsed = StunMessage::parse(&buffer[..len]).unwrap();
        assert!(parsed.verify_integrity(&key()) && parsed.verify_fingerprint());
        assert_eq!(
            (parsed.class, parsed.transaction_id),
            (StunClass::Success, id)
        );
        assert_eq!(parsed.mapped_address, Some(seen.parse().unwrap()));
    }
    let len = write_error_response(&mut buffer, id, ROLE_CONFLICT, &key()).unwrap();
    let parsed = StunMessage::parse(&buffer[..len]).unwrap();
    assert!(parsed.verify_integrity(&key()) && parsed.verify_fingerprint());
    assert_eq!(
        (parsed.class, parsed.error_code),
        (StunClass::Error, Some(487))
    );
    assert_eq!(
        write_error_response(&mut buffer, id, 700, &key()),
        Err(WriteError::OutOfRange)
    );
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let mut message = b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl".to_vec();
        message.extend_from_slice(&bytes);
        message.resize(message.len().next_multiple_of(4), 0);
        let length = (message.len() - HEADER) as u16;
        message[2..4].copy_from_slice(&length.to_be_bytes());
        for bytes in [&bytes, &message] {
            if let Ok(parsed) = StunMessage::parse(bytes) {
                prop_assert!(!parsed.verify_integrity(&key()));
                let _ = (parsed.verify_fingerprint(), parsed.ufrags());
            }
        }
    }

    #[test]
    fn mutated_vectors_are_parsed_without_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = REQUEST.to_vec();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(parsed) = StunMessage::parse(&bytes) {
            let _ = (parsed.verify_integrity(&key()), parsed.verify_fingerprint());
        }
    }
}

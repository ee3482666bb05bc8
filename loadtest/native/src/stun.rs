//! Consent checks (RFC 7675, RFC 8445 section 7, RFC 8489): answers to the server's, and checks of our own.
//!
//! A socket is connected to its server, so who asks is known; the integrity of a request is verified all the same.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use std::net::SocketAddrV4;

const COOKIE: [u8; 4] = 0x2112_A442u32.to_be_bytes();
const HEADER: usize = 20;
const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
const USERNAME: u16 = 0x0006;
const INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const FINGERPRINT: u16 = 0x8028;
const CONTROLLED: u16 = 0x8029;
const CONTROLLING: u16 = 0x802A;
const FINGERPRINT_XOR: u32 = 0x5354_554E;
const INTEGRITY_BYTES: usize = 24;
const FINGERPRINT_BYTES: usize = 8;
/// Of a host candidate of component 1 (RFC 8445 section 5.1.2).
const OUR_PRIORITY: u32 = 0x7E7F_00FF;

/// Names and secrets of one pair.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Ours: requests to us are signed with it, and our answers.
    pub password: Vec<u8>,
    /// `theirs:ours`; empty for a server without ICE.
    pub remote_username: Vec<u8>,
    /// The server's.
    pub remote_password: Vec<u8>,
    /// Our role.
    pub controlling: bool,
}

/// Whether a datagram is a binding request.
pub fn is_request(data: &[u8]) -> bool {
    data.len() >= HEADER && data[..2] == REQUEST.to_be_bytes() && data[4..8] == COOKIE
}

/// The answer to a request signed with our password; `None` if it is not.
pub fn write_answer(
    request: &[u8],
    mapped: SocketAddrV4,
    credentials: &Credentials,
) -> Option<Vec<u8>> {
    verify(request, &credentials.password)?;
    let mut message = begin(SUCCESS, request[8..HEADER].try_into().ok()?);
    let port = mapped.port() ^ 0x2112;
    let address = u32::from(*mapped.ip()) ^ u32::from_be_bytes(COOKIE);
    let mut value = vec![0, 1];
    value.extend(port.to_be_bytes());
    value.extend(address.to_be_bytes());
    attribute(&mut message, XOR_MAPPED_ADDRESS, &value);
    Some(sign(message, &credentials.password))
}

/// A check of ours. `transaction` must not repeat within the life of a pair.
pub fn write_request(transaction: u64, credentials: &Credentials) -> Vec<u8> {
    let mut id = [0; 12];
    id[4..].copy_from_slice(&transaction.to_be_bytes());
    let mut message = begin(REQUEST, id);
    attribute(&mut message, USERNAME, &credentials.remote_username);
    attribute(&mut message, PRIORITY, &OUR_PRIORITY.to_be_bytes());
    let role = if credentials.controlling {
        CONTROLLING
    } else {
        CONTROLLED
    };
    attribute(&mut message, role, &transaction.to_be_bytes());
    sign(message, &credentials.remote_password)
}

fn begin(kind: u16, transaction: [u8; 12]) -> Vec<u8> {
    let mut message = Vec::with_capacity(160);
    message.extend(kind.to_be_bytes());
    message.extend([0, 0]);
    message.extend(COOKIE);
    message.extend(transaction);
    message
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(kind.to_be_bytes());
    message.extend((value.len() as u16).to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn set_length(message: &mut [u8], length: usize) {
    message[2..4].copy_from_slice(&((length - HEADER) as u16).to_be_bytes());
}

fn sign(mut message: Vec<u8>, key: &[u8]) -> Vec<u8> {
    let end = message.len() + INTEGRITY_BYTES;
    set_length(&mut message, end);
    let digest = digest(&[&message], key).finalize().into_bytes();
    attribute(&mut message, INTEGRITY, &digest);
    set_length(&mut message, end + FINGERPRINT_BYTES);
    let checksum = crc32fast::hash(&message) ^ FINGERPRINT_XOR;
    attribute(&mut message, FINGERPRINT, &checksum.to_be_bytes());
    message
}

fn digest(parts: &[&[u8]], key: &[u8]) -> Hmac<Sha1> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// `Some` if MESSAGE-INTEGRITY is there and right.
fn verify(message: &[u8], key: &[u8]) -> Option<()> {
    let mut at = HEADER;
    while at + 4 <= message.len() {
        let kind = u16::from_be_bytes([message[at], message[at + 1]]);
        let length = usize::from(u16::from_be_bytes([message[at + 2], message[at + 3]]));
        if kind == INTEGRITY {
            let value = message.get(at + 4..at + INTEGRITY_BYTES)?;
            let covered = ((at + INTEGRITY_BYTES - HEADER) as u16).to_be_bytes();
            let mac = digest(&[&message[..2], &covered, &message[4..at]], key);
            return mac.verify_slice(value).ok();
        }
        at += 4 + length.next_multiple_of(4);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request of RFC 5769 section 2.1.
    const REQUEST: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\
        \x36\x00\x06\x00\x09evtj:h6vY   \x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\
        \x49\xc1\xb5\x71\xa2\x80\x28\x00\x04\xe5\x7a\x3b\xcf";

    fn credentials(password: &[u8]) -> Credentials {
        Credentials {
            password: password.to_vec(),
            remote_username: b"evtj:h6vY".to_vec(),
            remote_password: password.to_vec(),
            controlling: true,
        }
    }

    #[test]
    fn the_rfcs_request_is_answered_and_a_forged_one_is_not() {
        let mapped = "192.0.2.1:32853".parse().unwrap();
        let ours = credentials(b"VOkJxbRl1RmTxUk/WvJxBt");
        let answer = write_answer(REQUEST, mapped, &ours).unwrap();
        assert_eq!(answer[..2], SUCCESS.to_be_bytes());
        assert_eq!(answer[8..20], REQUEST[8..20]);
        // XOR-MAPPED-ADDRESS of RFC 5769 section 2.2.
        assert_eq!(
            answer[20..32],
            *b"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43"
        );
        assert!(verify(&answer, &ours.password).is_some());
        assert!(write_answer(REQUEST, mapped, &credentials(b"another")).is_none());
        let mut forged = REQUEST.to_vec();
        forged[30] ^= 1;
        assert!(write_answer(&forged, mapped, &ours).is_none());
        assert!(write_answer(&REQUEST[..40], mapped, &ours).is_none());
    }

    #[test]
    fn our_own_check_is_one_that_we_would_answer() {
        let ours = credentials(b"secret");
        let check = write_request(7, &ours);
        assert!(is_request(&check));
        assert!(write_answer(&check, "127.0.0.1:1".parse().unwrap(), &ours).is_some());
        assert_ne!(check, write_request(8, &ours));
    }
}

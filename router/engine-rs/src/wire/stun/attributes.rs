//! STUN attributes: their numbers, their walk (RFC 8489 section 14), and the two with an inner form.

use super::{HEADER, MAGIC_COOKIE, TransactionId};
use crate::wire::ParseError;
use crate::wire::bytes::{read_array, read_u8, read_u16};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub(super) const MAPPED_ADDRESS: u16 = 0x0001;
pub(super) const USERNAME: u16 = 0x0006;
pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
pub(super) const ERROR_CODE: u16 = 0x0009;
pub(super) const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
pub(super) const PRIORITY: u16 = 0x0024;
pub(super) const USE_CANDIDATE: u16 = 0x0025;
pub(super) const FINGERPRINT: u16 = 0x8028;
pub(super) const ICE_CONTROLLED: u16 = 0x8029;
pub(super) const ICE_CONTROLLING: u16 = 0x802A;

/// Iterates over `(type, offset of the attribute, value)`; stops after the first error.
pub(super) struct Attributes<'a> {
    datagram: &'a [u8],
    at: usize,
}

impl<'a> Attributes<'a> {
    pub(super) fn new(datagram: &'a [u8]) -> Self {
        Self {
            datagram,
            at: HEADER,
        }
    }

    fn read_next(&self) -> Result<(u16, usize, &'a [u8]), ParseError> {
        let kind = read_u16(self.datagram, self.at)?;
        let length = read_u16(self.datagram, self.at + 2)? as usize;
        let start = self.at + 4;
        let value = self
            .datagram
            .get(start..start + length)
            .ok_or(ParseError::BadLength)?;
        Ok((kind, self.at, value))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, usize, &'a [u8]), ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.datagram.len() {
            return None;
        }
        let attribute = self.read_next();
        self.at = match attribute {
            Ok((_, at, value)) => at + 4 + value.len().next_multiple_of(4),
            Err(_) => self.datagram.len(),
        };
        Some(attribute)
    }
}

/// The address is hidden from meddling middle boxes by the cookie and the transaction id (RFC 8489 section 14.2).
fn xor_mask(transaction_id: TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(&transaction_id.0);
    mask
}

fn xor<const N: usize>(mut address: [u8; N], mask: &[u8; 16]) -> [u8; N] {
    for (byte, mask) in address.iter_mut().zip(mask) {
        *byte ^= mask;
    }
    address
}

pub(super) fn parse_xor_address(
    value: &[u8],
    transaction_id: TransactionId,
) -> Result<SocketAddr, ParseError> {
    let mask = xor_mask(transaction_id);
    let port = read_u16(value, 2)? ^ (MAGIC_COOKIE >> 16) as u16;
    let ip = match (read_u8(value, 1)?, value.len()) {
        (1, 8) => IpAddr::V4(Ipv4Addr::from(xor(read_array(value, 4)?, &mask))),
        (2, 20) => IpAddr::V6(Ipv6Addr::from(xor(read_array(value, 4)?, &mask))),
        _ => return Err(ParseError::BadValue),
    };
    Ok(SocketAddr::new(ip, port))
}

/// The value of XOR-MAPPED-ADDRESS, and how many of its bytes count.
pub(super) fn xor_address(address: SocketAddr, transaction_id: TransactionId) -> ([u8; 20], usize) {
    let mask = xor_mask(transaction_id);
    let mut value = [0; 20];
    let port = address.port() ^ (MAGIC_COOKIE >> 16) as u16;
    value[2..4].copy_from_slice(&port.to_be_bytes());
    // A dual-stack socket reports IPv4 peers as mapped IPv6 addresses, but they know themselves by IPv4.
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            value[1] = 1;
            value[4..8].copy_from_slice(&xor(ip.octets(), &mask));
            (value, 8)
        }
        IpAddr::V6(ip) => {
            value[1] = 2;
            value[4..].copy_from_slice(&xor(ip.octets(), &mask));
            (value, 20)
        }
    }
}

/// Class 3-6 and number 0-99 (RFC 8489 section 14.8).
pub(super) fn parse_error_code(value: &[u8]) -> Result<u16, ParseError> {
    let (class, number) = (read_u8(value, 2)? & 0x07, read_u8(value, 3)?);
    if !(3..=6).contains(&class) || number > 99 {
        return Err(ParseError::BadValue);
    }
    Ok(u16::from(class) * 100 + u16::from(number))
}

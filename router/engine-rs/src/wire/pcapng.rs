//! Packets as blocks of a pcapng file (draft-ietf-opsawg-pcapng section 4.3), in IP and UDP headers made from their
//! addresses.
//!
//! Of a datagram its payload and 5-tuple are known here, not the headers it travelled in: IP's other fields are the usual
//! ones (TTL 64, don't fragment), lengths and checksums are right. Written little-endian, link type RAW. The blocks
//! around the packets are few and made where the file is put together.

use super::WriteError;
use super::bytes::Writer;
use crate::time::Micros;
use std::net::{IpAddr, SocketAddr};

const ENHANCED_PACKET: u32 = 6;
/// Type, both lengths, interface, time, both sizes, and the flags option with its end.
const BLOCK_OVERHEAD: usize = 12 + 20 + 12;
/// The largest headers that are made up: IPv6 and UDP.
const MAX_HEADERS: usize = 40 + UDP_HEADER;
const UDP_HEADER: usize = 8;
const UDP: u8 = 17;
const TTL: u8 = 64;

/// Most bytes a block has beside those that are kept of its datagram.
pub const MAX_OVERHEAD: usize = BLOCK_OVERHEAD + MAX_HEADERS + 3;

/// Which way a datagram went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    Inbound,
    /// To the peer.
    Outbound,
}

/// What a block says of its datagram.
#[derive(Clone, Copy, Debug)]
pub struct PacketBlock<'a> {
    /// Number of its interface in the file.
    pub interface: u32,
    /// Unix time.
    pub at: Micros,
    /// Which way it went.
    pub direction: Direction,
    /// Source.
    pub from: SocketAddr,
    /// Destination, of the same family.
    pub to: SocketAddr,
    /// The whole datagram.
    pub datagram: &'a [u8],
    /// So many of its bytes go into the file.
    pub kept: usize,
}

/// Writes one Enhanced Packet Block: its length.
pub fn write_packet_block(out: &mut [u8], block: &PacketBlock) -> Result<usize, WriteError> {
    let headers = match block.to {
        SocketAddr::V4(_) => 20 + UDP_HEADER,
        SocketAddr::V6(_) => MAX_HEADERS,
    };
    let kept = block.kept.min(block.datagram.len());
    let (captured, original) = (headers + kept, headers + block.datagram.len());
    let whole = BLOCK_OVERHEAD + captured.next_multiple_of(4);
    let mut out = Writer::new(out.get_mut(..whole).ok_or(WriteError::NoRoom)?);
    for word in [
        ENHANCED_PACKET,
        whole as u32,
        block.interface,
        (block.at.0 >> 32) as u32,
        block.at.0 as u32,
        captured as u32,
        original as u32,
    ] {
        out.put(&word.to_le_bytes())?;
    }
    write_ip(&mut out, block)?;
    out.put(&block.datagram[..kept])?;
    out.pad_to_word()?;
    let flags: u32 = match block.direction {
        Direction::Inbound => 1,
        Direction::Outbound => 2,
    };
    // epb_flags, its length; then opt_endofopt.
    out.put(&[2, 0, 4, 0])?;
    out.put(&flags.to_le_bytes())?;
    out.put(&[0; 4])?;
    out.put(&(whole as u32).to_le_bytes())?;
    Ok(out.len())
}

fn write_ip(out: &mut Writer, block: &PacketBlock) -> Result<(), WriteError> {
    let udp_len = (UDP_HEADER + block.datagram.len()) as u16;
    let checksum = match (block.from.ip(), block.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = [0; 20];
            header[..2].copy_from_slice(&[0x45, 0]);
            header[2..4].copy_from_slice(&(20 + udp_len).to_be_bytes());
            header[6] = 0x40;
            header[8..10].copy_from_slice(&[TTL, UDP]);
            header[12..16].copy_from_slice(&from.octets());
            header[16..20].copy_from_slice(&to.octets());
            let sum = checksum([&header]).to_be_bytes();
            header[10..12].copy_from_slice(&sum);
            out.put(&header)?;
            // None (RFC 768): what is kept may be less than what it would cover.
            0
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            out.put(&[0x60, 0, 0, 0])?;
            out.put_u16(udp_len)?;
            out.put(&[UDP, TTL])?;
            out.put(&from.octets())?;
            out.put(&to.octets())?;
            let (from, to) = (from.octets(), to.octets());
            let ports = [block.from.port(), block.to.port()].map(u16::to_be_bytes);
            let lengths = [0, UDP.into(), udp_len, udp_len].map(u16::to_be_bytes);
            // RFC 8200 section 8.1: never zero.
            match checksum([
                &from[..],
                &to,
                lengths.as_flattened(),
                ports.as_flattened(),
                block.datagram,
            ]) {
                0 => 0xffff,
                sum => sum,
            }
        }
        _ => return Err(WriteError::OutOfRange),
    };
    out.put_u16(block.from.port())?;
    out.put_u16(block.to.port())?;
    out.put_u16(udp_len)?;
    out.put_u16(checksum)
}

/// The Internet checksum (RFC 1071). All parts but the last are of even length.
fn checksum<'a>(parts: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.as_ref().chunks(2) {
            sum += u32::from(u16::from_be_bytes([
                pair[0],
                pair.get(1).copied().unwrap_or(0),
            ]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block<'a>(from: &str, to: &str, datagram: &'a [u8], kept: usize) -> PacketBlock<'a> {
        PacketBlock {
            interface: 3,
            at: Micros(0x0006_0123_4567_89AB),
            direction: Direction::Outbound,
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            datagram,
            kept,
        }
    }

    fn word(bytes: &[u8], at: usize) -> usize {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    }

    #[test]
    fn an_ipv4_packet_has_right_lengths_and_a_right_checksum() {
        let mut out = [0xEE; 200];
        let packet = block("192.0.2.1:5000", "198.51.100.7:6000", b"hello", 5);
        let len = write_packet_block(&mut out, &packet).unwrap();
        assert_eq!((word(&out, 0), word(&out, 4)), (6, len));
        assert_eq!(word(&out, len - 4), len);
        assert_eq!((word(&out, 8), word(&out, 12)), (3, 0x0006_0123));
        assert_eq!((word(&out, 20), word(&out, 24)), (33, 33));
        let ip = &out[28..28 + 33];
        assert_eq!(checksum([&ip[..20]]), 0, "the sum over a right header");
        assert_eq!(ip[2..4], 33_u16.to_be_bytes());
        assert_eq!(ip[12..20], [192, 0, 2, 1, 198, 51, 100, 7]);
        assert_eq!(ip[20..28], [0x13, 0x88, 0x17, 0x70, 0, 13, 0, 0]);
        assert_eq!(&ip[28..], b"hello");
        assert_eq!(out[64..76], [2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        assert!(out[len..].iter().all(|byte| *byte == 0xEE));
    }

    #[test]
    fn what_is_cut_off_still_counts() {
        let mut out = [0; 200];
        let packet = block("192.0.2.1:1", "192.0.2.2:2", &[7; 100], 12);
        let len = write_packet_block(&mut out, &packet).unwrap();
        assert_eq!((word(&out, 20), word(&out, 24)), (28 + 12, 28 + 100));
        assert_eq!(len, BLOCK_OVERHEAD + 40);
        assert_eq!(out[28 + 2..28 + 4], 128_u16.to_be_bytes());
    }

    #[test]
    fn an_ipv6_packet_has_the_checksum_of_its_whole_datagram() {
        let mut out = [0; 300];
        let packet = block("[2001:db8::1]:5000", "[2001:db8::2]:6000", b"odd", 3);
        write_packet_block(&mut out, &packet).unwrap();
        let ip = &out[28..28 + 40 + 8 + 3];
        // Over pseudo-header, header with its checksum, and data, the sum comes out as zero.
        let pseudo = [&ip[8..40], &[0, 0, 0, 11, 0, 0, 0, UDP][..]].concat();
        assert_eq!(checksum([&pseudo[..], &ip[40..]]), 0);
    }

    #[test]
    fn mixed_families_are_refused() {
        let packet = block("192.0.2.1:1", "[2001:db8::2]:2", &[], 0);
        assert!(write_packet_block(&mut [0; 200], &packet).is_err());
    }

    proptest! {
        #[test]
        fn blocks_fit_the_room_they_are_promised(len in 0_usize..1500, kept in 0_usize..1600, v6 in any::<bool>()) {
            let datagram = vec![1; len];
            let (from, to) = if v6 { ("[::1]:1", "[::1]:2") } else { ("127.0.0.1:1", "127.0.0.1:2") };
            let mut out = vec![0; MAX_OVERHEAD + kept.min(len)];
            let written = write_packet_block(&mut out, &block(from, to, &datagram, kept)).unwrap();
            prop_assert_eq!(written % 4, 0);
            prop_assert_eq!(word(&out, 4), written);
            prop_assert!(write_packet_block(&mut out[..written - 1], &block(from, to, &datagram, kept)).is_err());
        }
    }
}

//! Which protocol a datagram belongs to, by its first bytes: RFC 7983 section 7, and RFC 5761 section 4 for RTCP.
//!
//! TURN channels (64-79) and ZRTP (16-19) are of no use on a router's port and count as unknown.

use super::MAX_DATAGRAM;
use super::drop_reason::DropReason;

/// The protocol of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatagramClass {
    /// First byte 0-3.
    Stun,
    /// First byte 20-63.
    Dtls,
    /// First byte 128-191, second byte outside 192-223.
    Rtp,
    /// First byte 128-191, second byte 192-223.
    Rtcp,
}

/// Classifies a datagram, or says why it is dropped unread.
pub fn classify(datagram: &[u8]) -> Result<DatagramClass, DropReason> {
    if datagram.len() > MAX_DATAGRAM {
        return Err(DropReason::Oversized);
    }
    match *datagram {
        [] => Err(DropReason::Empty),
        [0..=3, ..] => Ok(DatagramClass::Stun),
        [20..=63, ..] => Ok(DatagramClass::Dtls),
        [128..=191, 192..=223, ..] => Ok(DatagramClass::Rtcp),
        [128..=191, ..] => Ok(DatagramClass::Rtp),
        _ => Err(DropReason::UnknownClass),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_first_byte_has_the_class_of_rfc_7983() {
        for first in 0..=255_u8 {
            let expected = match first {
                0..=3 => Ok(DatagramClass::Stun),
                20..=63 => Ok(DatagramClass::Dtls),
                128..=191 => Ok(DatagramClass::Rtp),
                _ => Err(DropReason::UnknownClass),
            };
            assert_eq!(classify(&[first]), expected, "{first} alone");
            assert_eq!(classify(&[first, 96, 0, 0]), expected, "{first}");
        }
    }

    #[test]
    fn the_second_byte_tells_rtcp_from_rtp() {
        for second in 0..=255_u8 {
            let expected = if (192..=223).contains(&second) {
                DatagramClass::Rtcp
            } else {
                DatagramClass::Rtp
            };
            assert_eq!(classify(&[0x80, second]), Ok(expected), "{second}");
        }
    }

    #[test]
    fn size_is_checked_first() {
        assert_eq!(classify(&[]), Err(DropReason::Empty));
        assert_eq!(classify(&[0x80; MAX_DATAGRAM]), Ok(DatagramClass::Rtp));
        assert_eq!(
            classify(&[0x80; MAX_DATAGRAM + 1]),
            Err(DropReason::Oversized)
        );
        assert_eq!(classify(&vec![255; 65_507]), Err(DropReason::Oversized));
    }
}

//! STUN as ICE uses it: Binding only (RFC 8489, RFC 8445 section 7), with short-term credentials.
//!
//! [`StunMessage::parse`] checks the form; integrity and fingerprint are separate questions, because the key is known
//! only once USERNAME was read. Attributes behind MESSAGE-INTEGRITY are not protected by it and count as absent, but
//! for FINGERPRINT (RFC 8489 section 14.5, threat I3). Left out: long-term credentials, MESSAGE-INTEGRITY-SHA256 (no
//! ICE agent sends it), TURN.

mod attributes;
mod integrity;
mod write;

pub use integrity::IntegrityKey;
pub use write::{
    BindingRequest, write_binding_request, write_error_response, write_success_response,
};

use super::ParseError;
use super::bytes::{read_array, read_u16, read_u32};
use attributes::{Attributes, parse_error_code, parse_xor_address};
use std::net::SocketAddr;

/// The fixed value that marks a STUN message of RFC 5389 and later.
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// Size of the header.
pub const HEADER: usize = 20;

/// The most that a writer of this module writes, for user names up to [`MAX_USERNAME`].
pub const MAX_MESSAGE: usize = HEADER + 4 + 516 + 3 * 12 + 24 + 8;

/// Longest USERNAME (RFC 8489 section 14.3: fewer than 509 bytes of opaque string, 513 in RFC 5389).
pub const MAX_USERNAME: usize = 513;

/// Error code: our roles conflict (RFC 8445 section 7.3.1.1).
pub const ROLE_CONFLICT: u16 = 487;

const BINDING: u16 = 0x0001;

/// What identifies a transaction; a response repeats it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// Class of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StunClass {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// Answers a request.
    Success,
    /// Refuses a request.
    Error,
}

/// The sender's role, with its tie-breaker (RFC 8445 section 7.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceRole {
    /// ICE-CONTROLLING.
    Controlling(u64),
    /// ICE-CONTROLLED.
    Controlled(u64),
}

/// A parsed Binding message. Of repeated attributes the first counts (RFC 8489 section 14).
#[derive(Clone, Copy, Debug)]
pub struct StunMessage<'a> {
    /// Request, indication, success or error.
    pub class: StunClass,
    /// Transaction id.
    pub transaction_id: TransactionId,
    /// USERNAME.
    pub username: Option<&'a [u8]>,
    /// PRIORITY.
    pub priority: Option<u32>,
    /// USE-CANDIDATE.
    pub use_candidate: bool,
    /// ICE-CONTROLLING or ICE-CONTROLLED.
    pub role: Option<IceRole>,
    /// XOR-MAPPED-ADDRESS.
    pub mapped_address: Option<SocketAddr>,
    /// ERROR-CODE, 300-699.
    pub error_code: Option<u16>,
    /// The first attribute that we had to understand and do not.
    pub unknown_required: Option<u16>,
    datagram: &'a [u8],
    integrity_at: Option<usize>,
    fingerprint_at: Option<usize>,
}

impl<'a> StunMessage<'a> {
    /// Parses a datagram, which must be exactly one Binding message.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, ParseError> {
        let mut message = Self::parse_header(datagram)?;
        for attribute in Attributes::new(datagram) {
            let (kind, at, value) = attribute?;
            message.read_attribute(kind, at, value)?;
        }
        Ok(message)
    }

    fn parse_header(datagram: &'a [u8]) -> Result<Self, ParseError> {
        let kind = read_u16(datagram, 0)?;
        let length = read_u16(datagram, 2)? as usize;
        let cookie = read_u32(datagram, 4)?;
        let transaction_id = TransactionId(read_array(datagram, 8)?);
        if cookie != MAGIC_COOKIE {
            return Err(ParseError::BadVersion);
        }
        if !length.is_multiple_of(4) || datagram.len() != HEADER + length {
            return Err(ParseError::BadLength);
        }
        // Class bits are 4 and 8, the method is the rest (RFC 8489 section 5).
        let class = match kind & 0x0110 {
            0x0000 => StunClass::Request,
            0x0010 => StunClass::Indication,
            0x0100 => StunClass::Success,
            _ => StunClass::Error,
        };
        if kind & !0x0110 != BINDING {
            return Err(ParseError::UnknownType);
        }
        Ok(Self {
            class,
            transaction_id,
            username: None,
            priority: None,
            use_candidate: false,
            role: None,
            mapped_address: None,
            error_code: None,
            unknown_required: None,
            datagram,
            integrity_at: None,
            fingerprint_at: None,
        })
    }

    fn read_attribute(&mut self, kind: u16, at: usize, value: &'a [u8]) -> Result<(), ParseError> {
        if self.fingerprint_at.is_some() {
            return Err(ParseError::BadValue); // it must be the last one (RFC 8489 section 14.7)
        }
        if kind == attributes::FINGERPRINT {
            expect_len(value, 4)?;
            self.fingerprint_at = Some(at);
            return Ok(());
        }
        if self.integrity_at.is_some() {
            return Ok(());
        }
        match kind {
            attributes::USERNAME if value.len() > MAX_USERNAME => {
                return Err(ParseError::BadLength);
            }
            attributes::USERNAME => self.username = self.username.or(Some(value)),
            attributes::MESSAGE_INTEGRITY => {
                expect_len(value, integrity::TAG)?;
                self.integrity_at = Some(at);
            }
            attributes::PRIORITY => {
                expect_len(value, 4)?;
                self.priority = self.priority.or(read_u32(value, 0).ok());
            }
            attributes::USE_CANDIDATE => {
                expect_len(value, 0)?;
                self.use_candidate = true;
            }
            attributes::ICE_CONTROLLING => {
                let tie_breaker =
                    u64::from_be_bytes(value.try_into().map_err(|_| ParseError::BadLength)?);
                self.role = self.role.or(Some(IceRole::Controlling(tie_breaker)));
            }
            attributes::ICE_CONTROLLED => {
                let tie_breaker =
                    u64::from_be_bytes(value.try_into().map_err(|_| ParseError::BadLength)?);
                self.role = self.role.or(Some(IceRole::Controlled(tie_breaker)));
            }
            attributes::XOR_MAPPED_ADDRESS => {
                let address = parse_xor_address(value, self.transaction_id)?;
                self.mapped_address = self.mapped_address.or(Some(address));
            }
            attributes::ERROR_CODE => {
                let code = parse_error_code(value)?;
                self.error_code = self.error_code.or(Some(code));
            }
            // Comprehension-required but harmless: answers of old servers, and hints.
            attributes::MAPPED_ADDRESS | attributes::UNKNOWN_ATTRIBUTES => {}
            required @ 0..=0x7FFF => {
                self.unknown_required = self.unknown_required.or(Some(required));
            }
            _ => {}
        }
        Ok(())
    }

    /// The user fragments of USERNAME: ours, then the peer's (RFC 8445 section 7.2.2).
    pub fn ufrags(&self) -> Option<(&'a [u8], &'a [u8])> {
        let username = self.username?;
        let colon = username.iter().position(|byte| *byte == b':')?;
        Some((&username[..colon], &username[colon + 1..]))
    }

    /// MESSAGE-INTEGRITY is there.
    pub const fn has_integrity(&self) -> bool {
        self.integrity_at.is_some()
    }

    /// MESSAGE-INTEGRITY is there and right. Takes the same time wherever it differs.
    pub fn verify_integrity(&self, key: &IntegrityKey) -> bool {
        self.integrity_at
            .is_some_and(|at| key.verify(self.datagram, at))
    }

    /// FINGERPRINT is there.
    pub const fn has_fingerprint(&self) -> bool {
        self.fingerprint_at.is_some()
    }

    /// FINGERPRINT is there and right.
    pub fn verify_fingerprint(&self) -> bool {
        self.fingerprint_at.is_some_and(|at| {
            let sent = read_u32(self.datagram, at + 4);
            sent == Ok(integrity::fingerprint(&self.datagram[..at]))
        })
    }
}

fn expect_len(value: &[u8], len: usize) -> Result<(), ParseError> {
    if value.len() == len {
        Ok(())
    } else {
        Err(ParseError::BadLength)
    }
}

#[cfg(test)]
mod tests;

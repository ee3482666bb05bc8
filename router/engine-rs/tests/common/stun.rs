//! STUN messages that no honest agent writes: attributes in any order, lying lengths, signatures of the wrong kind.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

pub const USERNAME: u16 = 0x0006;
pub const MESSAGE_INTEGRITY: u16 = 0x0008;
pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
pub const PRIORITY: u16 = 0x0024;
pub const USE_CANDIDATE: u16 = 0x0025;
pub const FINGERPRINT: u16 = 0x8028;
pub const ICE_CONTROLLED: u16 = 0x8029;
pub const ICE_CONTROLLING: u16 = 0x802A;

#[derive(Clone)]
pub struct RawStun(pub Vec<u8>);

impl RawStun {
    /// A Binding message of this type, without attributes.
    pub fn new(kind: u16, transaction: u64) -> Self {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend([0, 0, 0x21, 0x12, 0xA4, 0x42, 0, 0, 0, 0]);
        bytes.extend(transaction.to_be_bytes());
        Self(bytes)
    }

    /// The attributes of a nominating check but for signature and fingerprint.
    pub fn check(transaction: u64, username: &[u8]) -> Self {
        Self::new(0x0001, transaction)
            .with(USERNAME, username)
            .with(PRIORITY, &[0x7E, 0, 0, 0xFF])
            .with(ICE_CONTROLLING, &7u64.to_be_bytes())
            .with(USE_CANDIDATE, &[])
    }

    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(kind.to_be_bytes());
        self.0.extend((value.len() as u16).to_be_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self.set_length(0);
        self
    }

    /// MESSAGE-INTEGRITY under this password.
    pub fn signed(mut self, password: &str) -> Self {
        self.set_length(24);
        let mut hmac = Hmac::<Sha1>::new_from_slice(password.as_bytes()).unwrap();
        hmac.update(&self.0);
        let tag = hmac.finalize().into_bytes();
        self.with(MESSAGE_INTEGRITY, &tag)
    }

    pub fn fingerprinted(mut self) -> Vec<u8> {
        self.set_length(8);
        let crc = crc32fast::hash(&self.0) ^ 0x5354_554E;
        self.with(FINGERPRINT, &crc.to_be_bytes()).0
    }

    /// Makes the length field right for this many more bytes.
    fn set_length(&mut self, more: usize) {
        let length = (self.0.len() + more - 20) as u16;
        self.0[2..4].copy_from_slice(&length.to_be_bytes());
    }
}

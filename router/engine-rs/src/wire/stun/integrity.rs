//! MESSAGE-INTEGRITY (HMAC-SHA1, RFC 8489 section 14.5) and FINGERPRINT (CRC-32, section 14.7).

use super::HEADER;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Bytes of the HMAC.
pub(super) const TAG: usize = 20;

/// "STUN" in ASCII, so that the CRC differs from one of a protocol that carries STUN-like bytes.
const FINGERPRINT_MASK: u32 = 0x5354_554E;

/// A password with its part of the HMAC already computed.
#[derive(Clone)]
pub struct IntegrityKey(Hmac<Sha1>);

impl IntegrityKey {
    /// The key of a short-term credential: the password itself.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: see inside")]
    pub fn new(password: &[u8]) -> Self {
        // HMAC takes keys of any length (RFC 2104 section 2), so there is no key to refuse.
        Self(Hmac::new_from_slice(password).expect("HMAC takes a key of any length"))
    }

    /// The tag over the message up to the attribute at `at`, with the length field as if the attribute ended it.
    pub(super) fn tag(&self, message: &[u8], at: usize) -> [u8; TAG] {
        self.state(message, at).finalize().into_bytes().into()
    }

    /// Compares the tag in constant time. `at` comes from the parser, which has seen all [`TAG`] bytes.
    pub(super) fn verify(&self, message: &[u8], at: usize) -> bool {
        let sent = message.get(at + 4..at + 4 + TAG).unwrap_or_default();
        self.state(message, at).verify_slice(sent).is_ok()
    }

    fn state(&self, message: &[u8], at: usize) -> Hmac<Sha1> {
        let length = (at + 4 + TAG - HEADER) as u16;
        let mut state = self.0.clone();
        state.update(&message[..2]);
        state.update(&length.to_be_bytes());
        state.update(&message[4..at]);
        state
    }
}

impl std::fmt::Debug for IntegrityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IntegrityKey(..)")
    }
}

/// The fingerprint of the message up to its FINGERPRINT attribute, whose length field already counts that attribute.
pub(super) fn fingerprint(message: &[u8]) -> u32 {
    crc32fast::hash(message) ^ FINGERPRINT_MASK
}

//! Writers of Binding messages. Each ends in MESSAGE-INTEGRITY and FINGERPRINT, and carries nothing it need not:
//! an answer is never much longer than its request (threat I7).

use super::attributes::{self, xor_address};
use super::integrity::{IntegrityKey, TAG, fingerprint};
use super::{BINDING, HEADER, IceRole, MAGIC_COOKIE, MAX_USERNAME, TransactionId};
use crate::wire::WriteError;
use crate::wire::bytes::Writer;
use std::net::SocketAddr;

/// A connectivity check to be written.
#[derive(Clone, Copy, Debug)]
pub struct BindingRequest<'a> {
    /// Fresh and unpredictable: it is what proves that the answer comes from where the request went.
    pub transaction_id: TransactionId,
    /// User fragment of the peer, which comes first in USERNAME.
    pub remote_ufrag: &'a str,
    /// Our user fragment.
    pub local_ufrag: &'a str,
    /// PRIORITY.
    pub priority: u32,
    /// Our role.
    pub role: IceRole,
    /// USE-CANDIDATE.
    pub use_candidate: bool,
}

/// Writes a check, keyed by the peer's password. Returns its length.
pub fn write_binding_request(
    buffer: &mut [u8],
    request: &BindingRequest,
    key: &IntegrityKey,
) -> Result<usize, WriteError> {
    let mut writer = Writer::new(buffer);
    write_header(&mut writer, BINDING, request.transaction_id)?;
    let username_len = request.remote_ufrag.len() + 1 + request.local_ufrag.len();
    if username_len > MAX_USERNAME {
        return Err(WriteError::OutOfRange);
    }
    writer.put_u16(attributes::USERNAME)?;
    writer.put_u16(username_len as u16)?;
    writer.put(request.remote_ufrag.as_bytes())?;
    writer.put_u8(b':')?;
    writer.put(request.local_ufrag.as_bytes())?;
    writer.pad_to_word()?;
    put_attribute(
        &mut writer,
        attributes::PRIORITY,
        &request.priority.to_be_bytes(),
    )?;
    let (role, tie_breaker) = match request.role {
        IceRole::Controlling(tie_breaker) => (attributes::ICE_CONTROLLING, tie_breaker),
        IceRole::Controlled(tie_breaker) => (attributes::ICE_CONTROLLED, tie_breaker),
    };
    put_attribute(&mut writer, role, &tie_breaker.to_be_bytes())?;
    if request.use_candidate {
        put_attribute(&mut writer, attributes::USE_CANDIDATE, &[])?;
    }
    finish(writer, key)
}

/// Writes the answer to a good check, keyed by our own password. Returns its length.
pub fn write_success_response(
    buffer: &mut [u8],
    transaction_id: TransactionId,
    mapped: SocketAddr,
    key: &IntegrityKey,
) -> Result<usize, WriteError> {
    let mut writer = Writer::new(buffer);
    write_header(&mut writer, BINDING | 0x0100, transaction_id)?;
    let (value, len) = xor_address(mapped, transaction_id);
    put_attribute(&mut writer, attributes::XOR_MAPPED_ADDRESS, &value[..len])?;
    finish(writer, key)
}

/// Writes a refusal of an authenticated check, such as [`super::ROLE_CONFLICT`], without a reason phrase. Returns its
/// length.
pub fn write_error_response(
    buffer: &mut [u8],
    transaction_id: TransactionId,
    code: u16,
    key: &IntegrityKey,
) -> Result<usize, WriteError> {
    if !(300..700).contains(&code) {
        return Err(WriteError::OutOfRange);
    }
    let mut writer = Writer::new(buffer);
    write_header(&mut writer, BINDING | 0x0110, transaction_id)?;
    put_attribute(
        &mut writer,
        attributes::ERROR_CODE,
        &[0, 0, (code / 100) as u8, (code % 100) as u8],
    )?;
    finish(writer, key)
}

fn write_header(
    writer: &mut Writer,
    kind: u16,
    transaction_id: TransactionId,
) -> Result<(), WriteError> {
    writer.put_u16(kind)?;
    writer.put_u16(0)?;
    writer.put_u32(MAGIC_COOKIE)?;
    writer.put(&transaction_id.0)
}

fn put_attribute(writer: &mut Writer, kind: u16, value: &[u8]) -> Result<(), WriteError> {
    writer.put_u16(kind)?;
    writer.put_u16(value.len() as u16)?;
    writer.put(value)?;
    writer.pad_to_word()
}

/// Adds MESSAGE-INTEGRITY, then FINGERPRINT, each computed over a length field that counts itself.
fn finish(mut writer: Writer, key: &IntegrityKey) -> Result<usize, WriteError> {
    let at = writer.len();
    let tag = key.tag(writer.written(), at);
    put_attribute(&mut writer, attributes::MESSAGE_INTEGRITY, &tag)?;
    debug_assert_eq!(writer.len(), at + 4 + TAG);
    writer.patch_u16(2, (writer.len() + 8 - HEADER) as u16)?;
    let crc = fingerprint(writer.written());
    put_attribute(&mut writer, attributes::FINGERPRINT, &crc.to_be_bytes())?;
    Ok(writer.len())
}

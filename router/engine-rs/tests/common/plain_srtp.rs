//! A session that costs nothing: packets pass as they are, with a tag of zeros. For counting what the core itself does.

use fork_router_engine::srtp::{SrtpError, SrtpSession};

/// Length of the tag of `AEAD_AES_128_GCM`.
pub const TAG: usize = 16;

pub struct PlainSrtp;

fn add_tag(buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
    let tag = buffer.get_mut(len..len + TAG);
    tag.ok_or(SrtpError::Malformed)?.fill(0);
    Ok(len + TAG)
}

fn remove_tag(len: usize) -> Result<usize, SrtpError> {
    len.checked_sub(TAG).ok_or(SrtpError::Malformed)
}

impl SrtpSession for PlainSrtp {
    fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        add_tag(buffer, len)
    }

    fn unprotect_rtp(&mut self, _: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        remove_tag(len)
    }

    fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        add_tag(buffer, len)
    }

    fn unprotect_rtcp(&mut self, _: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        remove_tag(len)
    }
}

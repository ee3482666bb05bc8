//! Opus (RFC 7587): every packet is a frame that decoding can start with. Of the table of contents (RFC 6716 section
//! 3.1) only what tells speech from silence.

use super::ParseError;
use super::bytes::read_u8;
use super::codec::FrameInfo;

/// Longest payload of a packet that only keeps a discontinuous transmission alive (RFC 6716 section 3.2.1).
const DTX_LEN: usize = 2;

/// The sender is silent and says so every 400 ms.
pub fn is_dtx(payload: &[u8]) -> bool {
    (1..=DTX_LEN).contains(&payload.len())
}

/// The packet carries two channels.
pub fn is_stereo(payload: &[u8]) -> bool {
    payload.first().is_some_and(|toc| toc & 0x04 != 0)
}

pub(super) fn inspect(payload: &[u8]) -> Result<FrameInfo, ParseError> {
    read_u8(payload, 0)?;
    Ok(FrameInfo {
        key_frame: true,
        start_of_frame: true,
        ..FrameInfo::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_one_or_two_bytes() {
        assert!(is_dtx(&[0x78]) && is_dtx(&[0x78, 0]));
        assert!(!is_dtx(&[]) && !is_dtx(&[0x78, 1, 2]));
        assert!(is_stereo(&[0x7C]) && !is_stereo(&[0x78]) && !is_stereo(&[]));
        assert!(inspect(&[0x78]).unwrap().key_frame);
    }
}

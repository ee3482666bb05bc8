//! Opus (RFC 7587): every packet is a frame that decoding can start with. Its table of contents is not read.

use super::ParseError;
use super::bytes::read_u8;
use super::codec::FrameInfo;

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
    fn any_packet_but_an_empty_one_begins() {
        assert!(inspect(&[0x78]).unwrap().key_frame);
        assert!(inspect(&[]).is_err());
    }
}

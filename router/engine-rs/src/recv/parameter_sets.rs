//! Where an H.264 stream begins: at its parameter sets, when it sends them with its key frames, else at the IDR slice.
//!
//! Slots switch at parameter sets, or the receiver would decode with those of whatever it was shown before. So an IDR
//! slice whose parameter sets are late or lost begins nothing: they are asked for again, and the slot switches when they
//! come. A sender that stops sending them, or never did (they may be in the SDP), is believed at its second bare IDR.

use super::content::Content;

/// What was seen of one stream, by RTP timestamp of the frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct ParameterSets {
    newest: Option<u32>,
    bare: Option<u32>,
}

impl ParameterSets {
    /// Whether a decoder can begin with this packet of a frame of H.264.
    pub fn begins(&mut self, content: &Content, timestamp: u32) -> bool {
        if content.parameter_sets {
            (self.newest, self.bare) = (Some(timestamp), None);
            return true;
        }
        if !content.begins_key_frame || self.newest.is_none() {
            return content.begins_key_frame;
        }
        if self.newest == Some(timestamp) || self.bare == Some(timestamp) {
            return false;
        }
        if self.bare.is_some() {
            self.newest = None;
            return true;
        }
        self.bare = Some(timestamp);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Codec;
    use crate::recv::content::read_content;

    const SPS: [u8; 3] = [0x67, 0x42, 0xC0];
    const PPS: [u8; 2] = [0x68, 1];
    const IDR: [u8; 2] = [0x65, 1];
    const SLICE: [u8; 2] = [0x41, 1];
    /// SPS, PPS and IDR in one packet.
    const STAP: [u8; 14] = [0x78, 0, 3, 0x67, 0x42, 0xC0, 0, 2, 0x68, 1, 0, 2, 0x65, 1];

    fn beginnings(packets: &[(&[u8], u32)]) -> Vec<bool> {
        let mut sets = ParameterSets::default();
        packets
            .iter()
            .map(|(payload, timestamp)| {
                sets.begins(&read_content(Codec::H264, payload), *timestamp)
            })
            .collect()
    }

    #[test]
    fn a_key_frame_begins_once_at_its_parameter_sets() {
        let separate = [(&SPS[..], 1), (&PPS, 1), (&IDR, 1), (&IDR, 1), (&SLICE, 2)];
        assert_eq!(beginnings(&separate), [true, false, false, false, false]);
        assert_eq!(beginnings(&[(&STAP, 1), (&SLICE, 2)]), [true, false]);
    }

    #[test]
    fn without_parameter_sets_the_slice_begins() {
        assert_eq!(
            beginnings(&[(&IDR, 1), (&SLICE, 2), (&IDR, 3)]),
            [true, false, true]
        );
    }

    #[test]
    fn a_slice_whose_parameter_sets_are_late_waits_for_them() {
        let late = [(&SPS[..], 1), (&IDR, 1), (&IDR, 9), (&IDR, 9), (&SPS, 9)];
        assert_eq!(beginnings(&late), [true, false, false, false, true]);
    }

    #[test]
    fn a_sender_that_stops_sending_them_is_believed_the_second_time() {
        let bare = [(&STAP[..], 1), (&IDR, 5), (&IDR, 9), (&IDR, 13)];
        assert_eq!(beginnings(&bare), [true, false, true, true]);
    }
}

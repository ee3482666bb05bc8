//! RTCP as load clients write and read it (RFC 3550 section 6, RFC 4585, RFC 5104, draft-alvestrand-rmcat-remb).
//!
//! Written: sender reports, receiver reports with loss, CNAME, PLI, REMB. Read: requests for key frames and NACKs, which
//! are counted. Left out: round-trip times, so LSR and DLSR are 0.

/// Report blocks that fit one packet (RFC 3550 section 6.4.1).
pub const MAX_BLOCKS: usize = 31;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const NACK: u8 = 1;
const PLI: u8 = 1;
const FIR: u8 = 4;
const APPLICATION: u8 = 15;
const NTP_OFFSET_S: u64 = 2_208_988_800;

/// One block of a report.
#[derive(Clone, Copy, Debug)]
pub struct ReportBlock {
    /// Of the stream.
    pub ssrc: u32,
    /// Since the last report, in 1/256.
    pub fraction_lost: u8,
    /// In all.
    pub lost: u32,
    /// Extended highest sequence number.
    pub highest: u32,
}

/// What a server asks of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A key frame of this SSRC (PLI or FIR).
    KeyFrame(u32),
    /// Packets of this SSRC again.
    Packets(u32),
}

fn begin(out: &mut Vec<u8>, count: u8, kind: u8, words_after_header: usize) {
    out.extend([0x80 | count, kind]);
    out.extend((words_after_header as u16).to_be_bytes());
}

/// A sender report without blocks.
pub fn write_sender_report(
    out: &mut Vec<u8>,
    ssrc: u32,
    realtime_ns: u64,
    rtp_time: u32,
    sent: (u64, u64),
) {
    begin(out, 0, SENDER_REPORT, 6);
    out.extend(ssrc.to_be_bytes());
    let seconds = realtime_ns / 1_000_000_000 + NTP_OFFSET_S;
    let fraction = ((realtime_ns % 1_000_000_000) << 32) / 1_000_000_000;
    out.extend((seconds as u32).to_be_bytes());
    out.extend((fraction as u32).to_be_bytes());
    out.extend(rtp_time.to_be_bytes());
    out.extend((sent.0 as u32).to_be_bytes());
    out.extend((sent.1 as u32).to_be_bytes());
}

/// A receiver report with at most [`MAX_BLOCKS`] blocks.
pub fn write_receiver_report(out: &mut Vec<u8>, ssrc: u32, blocks: &[ReportBlock]) {
    begin(
        out,
        blocks.len() as u8,
        RECEIVER_REPORT,
        1 + 6 * blocks.len(),
    );
    out.extend(ssrc.to_be_bytes());
    for block in blocks {
        out.extend(block.ssrc.to_be_bytes());
        out.extend((u32::from(block.fraction_lost) << 24 | block.lost & 0xFF_FFFF).to_be_bytes());
        out.extend(block.highest.to_be_bytes());
        // Jitter, LSR, DLSR.
        out.extend([0; 12]);
    }
}

/// The CNAME that every compound packet has (RFC 3550 section 6.1).
pub fn write_cname(out: &mut Vec<u8>, ssrc: u32) {
    begin(out, 1, DESCRIPTION, 4);
    out.extend(ssrc.to_be_bytes());
    out.extend(b"\x01\x08loadtest\x00\x00");
}

/// A picture loss indication (RFC 4585 section 6.3.1).
pub fn write_pli(out: &mut Vec<u8>, ssrc: u32, media: u32) {
    begin(out, PLI, PAYLOAD_FEEDBACK, 2);
    out.extend(ssrc.to_be_bytes());
    out.extend(media.to_be_bytes());
}

/// A receiver's estimate of its bandwidth, for these streams.
pub fn write_remb(out: &mut Vec<u8>, ssrc: u32, bits_per_second: u64, media: &[u32]) {
    begin(out, APPLICATION, PAYLOAD_FEEDBACK, 4 + media.len());
    out.extend(ssrc.to_be_bytes());
    out.extend([0; 4]);
    out.extend(b"REMB");
    let exponent = (64 - bits_per_second.leading_zeros()).saturating_sub(18);
    let mantissa = (bits_per_second >> exponent) as u32;
    out.extend((u32::from(media.len() as u8) << 24 | exponent << 18 | mantissa).to_be_bytes());
    for media in media {
        out.extend(media.to_be_bytes());
    }
}

/// Calls `on_request` for each request of a compound packet.
pub fn parse(mut data: &[u8], mut on_request: impl FnMut(Request)) {
    while let [first, kind, high, low, ..] = *data {
        let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        let Some(packet) = data.get(..length) else {
            return;
        };
        data = &data[length..];
        let word = |at: usize| {
            packet
                .get(at..at + 4)
                .map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap_or_default()))
        };
        match (kind, first & 0x1F) {
            (PAYLOAD_FEEDBACK, PLI) => word(8)
                .into_iter()
                .for_each(|ssrc| on_request(Request::KeyFrame(ssrc))),
            (PAYLOAD_FEEDBACK, FIR) => (12..length)
                .step_by(8)
                .filter_map(word)
                .for_each(|ssrc| on_request(Request::KeyFrame(ssrc))),
            (TRANSPORT_FEEDBACK, NACK) => word(8)
                .into_iter()
                .for_each(|ssrc| on_request(Request::Packets(ssrc))),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(data: &[u8]) -> Vec<Request> {
        let mut found = Vec::new();
        parse(data, |request| found.push(request));
        found
    }

    #[test]
    fn requests_are_found_in_compounds() {
        let mut data = Vec::new();
        write_receiver_report(
            &mut data,
            1,
            &[ReportBlock {
                ssrc: 9,
                fraction_lost: 1,
                lost: 2,
                highest: 3,
            }],
        );
        write_cname(&mut data, 1);
        write_pli(&mut data, 1, 7);
        data.extend([
            0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8, 5, 0, 0, 0,
        ]);
        data.extend([0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 9, 0, 1, 0, 0]);
        assert_eq!(
            requests(&data),
            [
                Request::KeyFrame(7),
                Request::KeyFrame(8),
                Request::Packets(9)
            ]
        );
    }

    #[test]
    fn broken_packets_end_the_reading() {
        assert!(requests(&[0x81, 206, 0, 9, 0, 0]).is_empty());
        assert!(requests(&[0x81, 206, 0, 0]).is_empty());
        assert!(requests(&[]).is_empty());
    }

    #[test]
    fn lengths_are_whole_words_and_say_so() {
        let mut data = Vec::new();
        write_sender_report(&mut data, 1, 1_500_000_000, 2, (3, 4));
        write_cname(&mut data, 1);
        write_remb(&mut data, 1, 100_000_000, &[5, 6]);
        let mut at = 0;
        while at < data.len() {
            at += 4 * (usize::from(u16::from_be_bytes([data[at + 2], data[at + 3]])) + 1);
        }
        assert_eq!(at, data.len());
        // NTP time 1900 + 70 years + 1.5 s.
        assert_eq!(data[8..16], [0x83, 0xAA, 0x7E, 0x81, 0x80, 0, 0, 0]);
        let estimate =
            u32::from_be_bytes(data[data.len() - 12..data.len() - 8].try_into().unwrap());
        let bits = u64::from(estimate & 0x3_FFFF) << (estimate >> 18 & 0x3F);
        assert!((99_900_000..=100_000_000).contains(&bits), "{bits}");
    }
}

//! What a receiver sees, compared with the truth in the stamps.

use super::Stream;
use super::publisher::{DEPENDENCY, PACKETS, Stamp};
use fork_router_engine::core::command::Codec;
use fork_router_engine::wire::dependency_descriptor::{
    DependencyDescriptor, Description, Structure,
};
use fork_router_engine::wire::ext::elements;
use fork_router_engine::wire::rtp::RtpHeader;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A packet that came.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub seq: u16,
    pub timestamp: u32,
    pub marker: bool,
    /// `None`: padding alone.
    pub stamp: Option<Stamp>,
    pub picture_id: Option<u16>,
    pub dependency: Option<Vec<u8>>,
    pub at_ms: u64,
}

impl Arrived {
    pub fn read(packet: &[u8], at_ms: u64) -> Self {
        let header = RtpHeader::parse(packet).expect("what leaves is valid");
        let payload = header.payload.of(packet);
        let dependency = header.extension.and_then(|block| {
            let mut found = elements(packet, &block).filter(|(id, _)| *id == DEPENDENCY);
            found.next().map(|(_, value)| value.of(packet).to_vec())
        });
        // VP8 and VP9 as they are sent here: of 15 bits, behind two fixed bytes or one.
        let picture_id = match payload.first() {
            Some(0x80 | 0x90) => Some(u16::from_be_bytes([payload[2] & 0x7F, payload[3]])),
            Some(first) if first & 0xA0 == 0xA0 => {
                Some(u16::from_be_bytes([payload[1] & 0x7F, payload[2]]))
            }
            _ => None,
        };
        Self {
            seq: header.seq,
            timestamp: header.timestamp,
            marker: header.marker,
            stamp: (!payload.is_empty()).then(|| Stamp::read(payload)),
            picture_id,
            dependency,
            at_ms,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Frames of which a reference came to the router and was not forwarded.
    pub undecodable: u32,
    /// Numbers that never came.
    pub lost: u64,
    /// Frames that came.
    pub forwarded: usize,
    /// Frames that were made and did not.
    pub dropped: usize,
    pub longest_stall_ms: u64,
}

/// Packets in the order of their numbers, each once.
fn in_order(arrived: &[Arrived]) -> BTreeMap<u64, &Arrived> {
    let mut highest: Option<u64> = None;
    let mut all = BTreeMap::new();
    for packet in arrived {
        let number = highest.map_or(1 << 20 | u64::from(packet.seq), |highest| {
            let ahead = packet.seq.wrapping_sub(highest as u16) as i16;
            highest.saturating_add_signed(ahead.into())
        });
        highest = highest.max(Some(number));
        let before = all.insert(number, packet);
        assert!(before.is_none(), "number {} came twice", packet.seq);
    }
    all
}

pub fn check(
    stream: Stream,
    arrived: &[Arrived],
    received: &HashSet<(u64, u8)>,
    made: &[(u64, u8, u8)],
    clean: bool,
) -> Report {
    let packets = in_order(arrived);
    let (first, last) = (
        packets.first_key_value().expect("something came").0,
        packets.last_key_value().expect("something came").0,
    );
    let media: Vec<&Arrived> = packets
        .values()
        .copied()
        .filter(|it| it.stamp.is_some())
        .collect();
    let frames = frames(&media);
    check_numbers(stream, &media, clean);
    check_descriptors(&packets);
    if clean {
        check_markers(&media);
        let whole =
            |(_, parts): (&u64, &(Stamp, HashSet<u8>))| parts.1.len() == usize::from(PACKETS);
        assert!(frames.iter().all(whole), "part of a frame");
    }
    // Of the first picture, what overtook its first packet came before the slot began: its receiver would ask for it.
    let begun = frames.keys().min().expect("something came") + u64::from(stream.mode.spatial);
    let came = |number: u64| {
        number >= begun && (0..PACKETS).all(|part| received.contains(&(number, part)))
    };
    // A late frame of VP8 above the cut only fills the gap that was left for it.
    let filling = if stream.codec == Codec::Vp8 {
        late(arrived)
    } else {
        HashSet::new()
    };
    let counted = frames
        .values()
        .filter(|(stamp, _)| !filling.contains(&stamp.number));
    let undecodable = counted.filter(|(stamp, _)| {
        let mut references = stamp.references.iter();
        let missing = references.find(|number| !frames.contains_key(number) && came(**number));
        if let Some(missing) = missing {
            println!("{missing} was not forwarded, but {stamp:?}");
        }
        missing.is_some()
    });
    Report {
        undecodable: undecodable.count() as u32,
        lost: last + 1 - first - packets.len() as u64,
        forwarded: frames.len(),
        dropped: made.iter().filter(|it| !frames.contains_key(&it.0)).count(),
        longest_stall_ms: longest_stall(&media, &frames),
    }
}

/// Frames that came after others behind them.
fn late(arrived: &[Arrived]) -> HashSet<u64> {
    let mut highest = 0;
    let mut late = HashSet::new();
    for stamp in arrived.iter().filter_map(|it| it.stamp.as_ref()) {
        if stamp.number < highest {
            late.insert(stamp.number);
        }
        highest = highest.max(stamp.number);
    }
    late
}

/// Frames by number, with the packets that came of each.
fn frames(media: &[&Arrived]) -> HashMap<u64, (Stamp, HashSet<u8>)> {
    let mut frames = HashMap::new();
    for stamp in media.iter().filter_map(|it| it.stamp.as_ref()) {
        let entry: &mut (Stamp, HashSet<u8>) = frames
            .entry(stamp.number)
            .or_insert_with(|| (stamp.clone(), HashSet::new()));
        assert!(entry.1.insert(stamp.part), "sent twice: {stamp:?}");
    }
    frames
}

/// Frame numbers, and picture ids of VP9, keep the publisher's distances; picture ids of VP8 have no gap but for loss.
fn check_numbers(stream: Stream, media: &[&Arrived], clean: bool) {
    let mut offsets: HashSet<(bool, u16)> = HashSet::new();
    let mut last: Option<(u64, u16)> = None;
    for packet in media {
        let stamp = packet.stamp.as_ref().expect("media");
        if let Some(value) = &packet.dependency {
            let head = DependencyDescriptor::parse(value).expect("valid");
            offsets.insert((true, head.frame_number.wrapping_sub(stamp.number as u16)));
        }
        let Some(id) = packet.picture_id else {
            continue;
        };
        match stream.codec {
            Codec::Vp9 => {
                offsets.insert((false, id.wrapping_sub(stamp.picture as u16) & 0x7FFF));
            }
            Codec::Vp8 => {
                let step = last.map_or(0, |(_, last)| id.wrapping_sub(last) & 0x7FFF);
                let new = last.is_some_and(|(picture, _)| picture != stamp.picture);
                assert!(
                    !clean || step == u16::from(new),
                    "{packet:?} behind {last:?}"
                );
                last = Some((stamp.picture, id));
            }
            _ => {}
        }
    }
    let kinds: HashSet<bool> = offsets.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds.len(), offsets.len(), "distances changed: {offsets:?}");
}

/// Each picture ends with a marker, and has no other.
fn check_markers(media: &[&Arrived]) {
    for pair in media.windows(2) {
        let ends = pair[0].timestamp != pair[1].timestamp;
        assert_eq!(pair[0].marker, ends, "{:?} before {:?}", pair[0], pair[1]);
    }
}

/// All descriptors can be read with what came before them, and no frame is sent that no active target needs.
fn check_descriptors(packets: &BTreeMap<u64, &Arrived>) {
    let mut known: Option<Box<Structure>> = None;
    for packet in packets.values() {
        let Some(value) = &packet.dependency else {
            continue;
        };
        let description = Description::parse(value, known.as_deref());
        let Ok(description) = description else {
            assert!(known.is_none(), "{packet:?}");
            continue;
        };
        known = description.structure.or(known);
        let targets = known.as_ref().map_or(0, |known| known.targets());
        let active = description.active.unwrap_or(u32::MAX);
        let needed =
            (0..targets).any(|it| active >> it & 1 == 1 && description.indications.is_present(it));
        let stamp = packet.stamp.as_ref().expect("media");
        assert!(needed || stamp.key, "for no active target: {packet:?}");
    }
}

/// Between frames that can be decoded, each with all that it refers to.
fn longest_stall(media: &[&Arrived], frames: &HashMap<u64, (Stamp, HashSet<u8>)>) -> u64 {
    let mut decodable: BTreeMap<u64, bool> = BTreeMap::new();
    let mut numbers: Vec<&u64> = frames.keys().collect();
    numbers.sort();
    for number in numbers {
        let (stamp, parts) = &frames[number];
        let mut references = stamp.references.iter();
        let whole = parts.len() == usize::from(PACKETS);
        let good = whole && references.all(|it| decodable.get(it) == Some(&true));
        decodable.insert(*number, good);
    }
    let good = media.iter().filter(|packet| {
        let stamp = packet.stamp.as_ref().expect("media");
        decodable[&stamp.number]
    });
    let mut times: Vec<u64> = good.map(|packet| packet.at_ms).collect();
    times.sort_unstable();
    times
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap_or(0)
}

//! A talk: members who publish audio with levels and hear a speaker group, in virtual time.

use super::media::{Encoder, Receiver, audio_producer, audio_slot};
use super::{Peer, World};
use fork_router_engine::core::Command;
use fork_router_engine::core::command::SlotConfig;
use fork_router_engine::core::stats::SlotStats;
use fork_router_engine::ids::{GroupId, ProducerId, SlotId};
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtp::RtpHeader;

pub const GROUP: GroupId = GroupId(7);
pub const SPEECH: u8 = 25;
pub const ROOM: u8 = 65;
pub const MUTED: u8 = 127;

/// One participant: number n publishes producer n and hears through slots 100 n, 100 n + 1, …
pub struct Member {
    pub number: u64,
    pub peer: Peer,
    pub encoder: Encoder,
    pub slots: Vec<SlotConfig>,
    pub views: Vec<Receiver>,
}

impl Member {
    pub fn slot_ids(&self) -> Vec<SlotId> {
        self.slots.iter().map(|slot| slot.id).collect()
    }

    /// Whom each slot lets hear in its newest packet, by number; 0 for nobody. Forgets what was heard.
    pub fn take_heard(&mut self) -> Vec<u64> {
        let newest = |view: &mut Receiver| {
            let last = std::mem::take(&mut view.packets).pop_last();
            last.map_or(0, |(_, packet)| speaker_of(&packet))
        };
        self.views.iter_mut().map(newest).collect()
    }
}

/// The number of the member whose packet a slot let through.
pub fn speaker_of(packet: &[u8]) -> u64 {
    let header = RtpHeader::parse(packet).expect("RTP");
    u64::from(*header.csrcs().last().expect("a contributor")) - 0xC0_0000
}

pub struct Talk {
    pub world: World,
    pub members: Vec<Member>,
}

impl Talk {
    /// Members 1, 2, … with so many slots each, all in one group.
    pub fn new(max_heard: usize, slots: &[usize]) -> Self {
        let mut talk = Self {
            world: World::new(slots.len() as u64),
            members: Vec::new(),
        };
        talk.world
            .command(Command::CreateSpeakers(GROUP, max_heard));
        for count in slots {
            talk.join(*count);
        }
        talk
    }

    /// One more member.
    pub fn join(&mut self, slots: usize) {
        let number = self.members.len() as u64 + 1;
        let mut peer = Peer::new(number as u16);
        let world = &mut self.world;
        world.connect(&mut peer);
        world.command(Command::AddProducer(audio_producer(number, peer.transport)));
        world.command(Command::JoinSpeakers {
            producer: ProducerId(number),
            group: GROUP,
            participant: number,
        });
        let slots: Vec<SlotConfig> = (0..slots as u64)
            .map(|index| audio_slot(number * 100 + index, peer.transport))
            .collect();
        for slot in &slots {
            world.command(Command::AddSlot(slot.clone()));
        }
        let encoder = Encoder {
            seq: (number * 9_000) as u16,
            timestamp: (number as u32).wrapping_mul(1_000_000_007),
            ..Encoder::audio(number as u32)
        };
        let views = slots
            .iter()
            .map(|slot| Receiver::new(slot.ssrc, None))
            .collect();
        self.members.push(Member {
            number,
            peer,
            encoder,
            slots,
            views,
        });
        self.follow(number, number);
    }

    /// The slots of a member hear the group, but not this participant.
    pub fn follow(&mut self, number: u64, participant: u64) {
        let slots = self.member(number).slot_ids();
        if !slots.is_empty() {
            self.world.command(Command::FollowSpeakers {
                slots,
                group: GROUP,
                participant,
            });
        }
    }

    pub fn member(&mut self, number: u64) -> &mut Member {
        &mut self.members[number as usize - 1]
    }

    /// A packet of a member, which the others may or may not get.
    pub fn say(&mut self, number: u64, level: Option<u8>) {
        let member = &mut self.members[number as usize - 1];
        member.encoder.level = level;
        let packet = member.encoder.frame(false, 1).remove(0);
        member.encoder.sent.clear();
        let data = member.peer.protect(&packet);
        self.world.receive(member.peer.tuple, &data);
    }

    /// So much time, in which each of these members sends a packet of this level every 20 ms.
    pub fn run(&mut self, ms: u64, voices: &[(u64, u8)]) {
        for _ in 0..ms / 20 {
            for (number, level) in voices {
                self.say(*number, Some(*level));
            }
            self.pass();
        }
    }

    /// 20 ms pass; what was sent is delivered.
    pub fn pass(&mut self) {
        for member in &mut self.members {
            member.encoder.pass(960);
        }
        let mut peers: Vec<&mut Peer> = self.members.iter_mut().map(|it| &mut it.peer).collect();
        self.world.advance_with(Micros::from_millis(20), &mut peers);
        self.deliver();
    }

    pub fn deliver(&mut self) {
        for member in &mut self.members {
            for packet in self.world.take_media(&mut member.peer).0 {
                for view in &mut member.views {
                    view.take(&packet);
                }
            }
        }
    }

    /// Whom each slot of a member lets hear now.
    pub fn heard(&mut self, number: u64) -> Vec<u64> {
        self.member(number).take_heard()
    }

    pub fn slot_stats(&mut self, number: u64) -> Vec<SlotStats> {
        let transport = self.member(number).peer.transport;
        let stats = self.world.core.transport_stats(self.world.now, transport);
        stats.expect("a peer").slots
    }
}

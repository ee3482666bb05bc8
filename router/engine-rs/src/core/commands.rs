//! Obeying Python. A command about something that is gone is counted and ignored: Python learns of losses late.

use super::arena::Ix;
use super::command::TransportConfig;
use super::transport::Transport;
use super::{Command, Core, Sink};
use crate::ids::TransportId;
use crate::time::Micros;
use rand_chacha::rand_core::Rng;

impl Core {
    pub(super) fn on_command(&mut self, now: Micros, command: Command, sink: &mut impl Sink) {
        if self.obey(now, command, sink).is_none() {
            self.totals.stale_commands += 1;
        }
        self.current = None;
    }

    /// `None` when the command names something that does not exist.
    fn obey(&mut self, now: Micros, command: Command, sink: &mut impl Sink) -> Option<()> {
        match command {
            Command::CreateTransport(config) => self.create_transport(now, config),
            Command::SetRemoteIce(id, remote) => {
                let (ix, transport) = self.name_transport(id)?;
                transport.link.agent()?.set_remote(now, remote);
                self.settle_ice(now, ix, sink);
                Some(())
            }
            Command::RestartIce(id, local) => {
                self.name_transport(id)?.1.link.agent()?.restart(local);
                Some(())
            }
            Command::AddTuple {
                transport,
                tuple,
                nominated,
                priority,
            } => {
                let (ix, _) = self.name_transport(transport)?;
                self.add_tuple(now, ix, tuple, (nominated, priority), sink)
            }
            Command::ValidateTuple(id, tuple) => {
                let (ix, transport) = self.name_transport(id)?;
                transport.link.agent()?.validate(now, tuple);
                self.settle_ice(now, ix, sink);
                Some(())
            }
            Command::SetPlainPeer {
                transport,
                peer,
                ssrc,
            } => {
                let (ix, transport) = self.name_transport(transport)?;
                transport.reports.ssrc = ssrc;
                self.set_plain_peer(now, ix, peer, sink)
            }
            Command::SetSrtp(id, session) => self.set_srtp(now, id, session),
            Command::RemoveTransport(id) => self.remove_transport(now, id, sink),
            Command::SetReceiveLimit(id, limit) => self.set_receive_limit(now, id, limit),
            Command::AddProducer(config) => self.add_producer(config),
            Command::Mirror(config) => self.want_mirror(*config),
            Command::PauseProducer(id, paused) => self.pause_producer(now, id, paused),
            Command::FollowDemand(id, follows) => self.follow_demand(now, id, follows),
            Command::RemoveProducer(id) => self.remove_producer(id),
            Command::RequestKeyFrame(id) => self.request_key_frame(now, id),
            Command::AddSlot(config) => self.add_slot(config),
            Command::Assign(id, producer) => self.assign(now, id, producer),
            Command::CreateSpeakers(id, max_heard) => self.create_speakers(id, max_heard),
            Command::RemoveSpeakers(id) => self.remove_speakers(id),
            Command::JoinSpeakers {
                producer,
                group,
                participant,
            } => self.join_speakers(producer, group, participant),
            Command::FollowSpeakers {
                slots,
                group,
                participant,
            } => self.follow_speakers(&slots, group, participant),
            Command::SetLimits(id, limits) => self.set_limits(now, id, limits),
            Command::SetPriority(id, priority, preference) => {
                self.set_priority(now, id, (priority, preference))
            }
            Command::Capture(id, tap) => self.set_tap(id, tap),
            Command::RemoveSlot(id) => self.remove_slot(now, id, sink),
        }
    }

    pub(super) fn name_transport(
        &mut self,
        id: TransportId,
    ) -> Option<(Ix<TransportId>, &mut Transport)> {
        let ix = self.transports.find(id)?;
        self.current = Some(id);
        Some((ix, self.transports.get_mut(ix)?))
    }

    fn create_transport(&mut self, now: Micros, config: TransportConfig) -> Option<()> {
        let tie_breaker = self.rng.next_u64();
        let ix = self
            .transports
            .insert(config.id, Transport::new(now, config, tie_breaker))?;
        self.arm_transport(ix);
        Some(())
    }
}

//! Who goes with whom: a transport takes its producers and slots, a producer leaves its slots empty.
//!
//! Invariant: an index in a route, in a transport's lists or in its stream tables points to what is alive.

use super::arena::Ix;
use super::command::ProducerConfig;
use super::event::LostReason;
use super::mirror::MirrorMessage;
use super::producer::{Home, Producer};
use super::streams::merge_extensions;
use super::{Core, Event, Sink};
use crate::ids::{ProducerId, TransportId};
use crate::route::ladder::MAX_ENCODINGS;
use crate::srtp::SrtpSession;
use crate::time::Micros;

impl Core {
    pub(super) fn set_srtp(
        &mut self,
        now: Micros,
        id: TransportId,
        session: Box<dyn SrtpSession>,
    ) -> Option<()> {
        let (ix, transport) = self.name_transport(id)?;
        transport.srtp_place = session.place();
        transport.srtp = Some(session);
        self.wake_slots(now, ix);
        Some(())
    }

    pub(super) fn set_receive_limit(
        &mut self,
        now: Micros,
        id: TransportId,
        limit_bps: Option<u64>,
    ) -> Option<()> {
        let (ix, transport) = self.name_transport(id)?;
        transport.reports.set_limit(now, limit_bps);
        self.arm_transport(ix);
        Some(())
    }

    pub(super) fn add_producer(&mut self, config: ProducerConfig) -> Option<()> {
        let (ix, transport) = self.name_transport(config.transport)?;
        if config.encodings.is_empty()
            || config.encodings.len() > MAX_ENCODINGS
            || transport.is_lost
        {
            return None;
        }
        let producer = self
            .producers
            .insert(config.id, Producer::new(config, Home::Peer(ix)))?;
        let config = &self.producers.get(producer)?.config;
        let transport = self.transports.get_mut(ix)?;
        transport.streams.add(producer, config);
        transport.producers.push(producer);
        self.merge_extensions(ix);
        Some(())
    }

    fn merge_extensions(&mut self, ix: Ix<TransportId>) {
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        let alive = transport
            .producers
            .iter()
            .filter_map(|producer| self.producers.get(*producer));
        *transport.extensions = merge_extensions(alive.map(|producer| &producer.config));
    }

    pub(super) fn remove_producer(&mut self, id: ProducerId) -> Option<()> {
        let ix = self.producers.find(id)?;
        let Home::Peer(owner) = self.producers.get(ix)?.home else {
            return None;
        };
        self.tell_watchers(ix, MirrorMessage::Gone { producer: id });
        self.forget_producer(ix);
        if let Some(transport) = self.transports.get_mut(owner) {
            transport.streams.remove(ix);
            transport.producers.retain(|producer| *producer != ix);
        }
        self.merge_extensions(owner);
        Some(())
    }

    /// Removes a producer from everything but its transport's lists.
    pub(super) fn forget_producer(&mut self, ix: Ix<ProducerId>) -> Option<()> {
        self.leave_speakers(ix);
        let producer = self.producers.get_mut(ix)?;
        self.mirrors -= usize::from(producer.is_mirror());
        let id = producer.config.id;
        for slot in std::mem::take(&mut producer.route) {
            self.on_producer_gone(slot, ix);
        }
        self.producers.remove(id);
        Some(())
    }

    pub(super) fn request_key_frame(&mut self, now: Micros, id: ProducerId) -> Option<()> {
        let ix = self.producers.find(id)?;
        for stream in &mut self.producers.get_mut(ix)?.streams {
            if stream.is_flowing(now) {
                stream.request_key_frame(now);
            }
        }
        self.arm_producer(ix);
        Some(())
    }

    pub(super) fn remove_transport(
        &mut self,
        now: Micros,
        id: TransportId,
        sink: &mut impl Sink,
    ) -> Option<()> {
        let (ix, _) = self.name_transport(id)?;
        self.say_goodbye(now, ix, sink);
        self.drop_transport(id);
        sink.event(Event::TransportRemoved { transport: id });
        Some(())
    }

    pub(super) fn on_abandoned(&mut self, id: TransportId, sink: &mut impl Sink) {
        self.current = None;
        if self.drop_transport(id).is_some() {
            let reason = LostReason::EngineBug;
            sink.event(Event::TransportLost {
                transport: id,
                reason,
            });
            sink.event(Event::TransportRemoved { transport: id });
        }
    }

    /// Removes a transport and all that hangs on it, without sending anything.
    fn drop_transport(&mut self, id: TransportId) -> Option<()> {
        let ix = self.transports.find(id)?;
        self.forget_tuples(ix);
        let transport = self.transports.get_mut(ix)?;
        let (producers, slots) = (
            std::mem::take(&mut transport.producers),
            std::mem::take(&mut transport.slots),
        );
        for producer in producers {
            if let Some(id) = self
                .producers
                .get(producer)
                .map(|producer| producer.config.id)
            {
                self.remove_producer(id);
            }
        }
        for slot in slots {
            self.drop_slot(slot);
        }
        self.tapped.retain(|tapped| *tapped != id);
        self.transports.remove(id);
        Some(())
    }
}

//! Placeholders of the media path, replaced piece by piece.
#![allow(
    clippy::unnecessary_wraps,
    clippy::unused_self,
    clippy::needless_pass_by_value,
    unused_variables
)]

use super::arena::Ix;
use super::command::{Limits, ProducerConfig, SlotConfig};
use super::{Core, Sink};
use crate::ids::{ProducerId, SlotId, TransportId};
use crate::time::Micros;
use crate::wire::DropReason;

impl Core {
    pub(super) fn on_rtp(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        packet: &mut [u8],
        sink: &mut impl Sink,
    ) {
        self.drop_of(ix, DropReason::UnknownStream);
    }
    pub(super) fn on_rtcp(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        packet: &[u8],
        sink: &mut impl Sink,
    ) {
    }
    pub(super) fn start_media(&mut self, now: Micros, ix: Ix<TransportId>) {}
    pub(super) fn set_receive_limit(
        &mut self,
        now: Micros,
        id: TransportId,
        limit: Option<u64>,
    ) -> Option<()> {
        Some(())
    }
    pub(super) fn add_producer(&mut self, now: Micros, config: ProducerConfig) -> Option<()> {
        Some(())
    }
    pub(super) fn pause_producer(
        &mut self,
        now: Micros,
        id: ProducerId,
        paused: bool,
    ) -> Option<()> {
        Some(())
    }
    pub(super) fn remove_producer(&mut self, now: Micros, id: ProducerId) -> Option<()> {
        Some(())
    }
    pub(super) fn request_key_frame(&mut self, now: Micros, id: ProducerId) -> Option<()> {
        Some(())
    }
    pub(super) fn add_slot(&mut self, config: SlotConfig) -> Option<()> {
        Some(())
    }
    pub(super) fn assign(
        &mut self,
        now: Micros,
        id: SlotId,
        producer: Option<ProducerId>,
    ) -> Option<()> {
        Some(())
    }
    pub(super) fn set_limits(&mut self, now: Micros, id: SlotId, limits: Limits) -> Option<()> {
        Some(())
    }
    pub(super) fn remove_slot(
        &mut self,
        now: Micros,
        id: SlotId,
        sink: &mut impl Sink,
    ) -> Option<()> {
        Some(())
    }
    pub(super) fn remove_transport(
        &mut self,
        now: Micros,
        id: TransportId,
        sink: &mut impl Sink,
    ) -> Option<()> {
        let ix = self.transports.find(id)?;
        self.forget_tuples(ix);
        self.transports.remove(id);
        sink.event(super::Event::TransportRemoved { transport: id });
        Some(())
    }
}

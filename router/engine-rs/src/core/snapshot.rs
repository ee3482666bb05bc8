//! Snapshots of one peer for Python.

use super::producer::Producer;
use super::stats::{ProducerStats, TransportStats};
use super::{Core, DropCounts};
use crate::ids::TransportId;
use crate::recv::ReceiveStream;
use crate::route::slot::codec_name;
use crate::time::Micros;
use crate::wire::DropCounters;

fn occurred(drops: &DropCounters) -> DropCounts {
    let some = drops.iter().filter(|(_, count)| *count > 0);
    some.map(|(reason, count)| (reason.slug(), count)).collect()
}

fn producer_stats(producer: &mut Producer, now: Micros) -> ProducerStats {
    let newest = producer
        .streams
        .iter()
        .max_by_key(|stream| stream.last_packet());
    let codec = newest.and_then(ReceiveStream::codec);
    ProducerStats {
        id: producer.config.id,
        kind: producer.config.kind,
        mid: producer.config.mid,
        paused: producer.paused,
        contributor: producer.config.contributor,
        codec: codec.map(|(codec, _)| codec_name(codec)),
        payload_type: codec.map(|(_, payload_type)| payload_type),
        audio_level: producer.audio_level,
        quality: producer.assessment.quality(),
        encodings: producer
            .streams
            .iter_mut()
            .map(|stream| stream.stats(now))
            .collect(),
    }
}

impl Core {
    pub(super) fn snapshot(&mut self, now: Micros, id: TransportId) -> Option<TransportStats> {
        let transport = self.transports.get_mut(self.transports.find(id)?)?;
        let paths = transport
            .link
            .agent()
            .map(|agent| agent.path_stats().collect());
        let mut producers = Vec::new();
        for ix in &transport.producers {
            producers.extend(
                self.producers
                    .get_mut(*ix)
                    .map(|it| producer_stats(it, now)),
            );
        }
        let mut slots = Vec::new();
        for ix in &transport.slots {
            slots.extend(self.slots.get_mut(*ix).map(|it| it.stats(now)));
        }
        let was_authenticated = transport.was_authenticated;
        Some(TransportStats {
            id,
            selected: transport.link.selected(),
            selected_pair_changes: transport.pair_changes,
            tuples: transport.link.tuples().len(),
            paths: paths.unwrap_or_default(),
            secured: transport.srtp.is_some(),
            packets_received: transport.received.packets,
            bytes_received: transport.received.bytes,
            packets_sent: transport.sent.packets,
            bytes_sent: transport.sent.bytes,
            dropped: occurred(&transport.drops),
            current_round_trip_time_s: transport.link.round_trip().map(Micros::as_secs_f64),
            last_authenticated: was_authenticated.then_some(transport.last_authenticated),
            bandwidth: transport.bandwidth.as_ref().map(|it| it.stats(now)),
            producers,
            slots,
        })
    }
}

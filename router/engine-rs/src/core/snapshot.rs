//! Snapshots of one peer for Python.

use super::Core;
use super::stats::TransportStats;
use crate::ids::TransportId;
use crate::time::Micros;

impl Core {
    pub(super) fn snapshot_transport(
        &self,
        now: Micros,
        id: TransportId,
    ) -> Option<TransportStats> {
        let _ = now;
        let transport = self.transports.get(self.transports.find(id)?)?;
        let occurred = transport.drops.iter().filter(|(_, count)| *count > 0);
        Some(TransportStats {
            id,
            selected: transport.agent.selected(),
            selected_pair_changes: transport.pair_changes,
            tuples: transport.agent.tuples().count(),
            secured: transport.srtp.is_some(),
            packets_received: transport.received.packets,
            bytes_received: transport.received.bytes,
            packets_sent: transport.sent.packets,
            bytes_sent: transport.sent.bytes,
            dropped: occurred
                .map(|(reason, count)| (reason.slug(), count))
                .collect(),
            current_round_trip_time_s: transport.agent.round_trip().map(Micros::as_secs_f64),
            last_authenticated: transport
                .was_authenticated
                .then_some(transport.last_authenticated),
            producers: Vec::new(),
            slots: Vec::new(),
        })
    }
}

//! A slot as Python and the admin API see it.

use super::{Slot, codec_name};
use crate::core::stats::SlotStats;
use crate::route::limited::LimitedBy;
use crate::time::Micros;

impl Slot {
    /// Snapshot of the counters.
    pub fn stats(&mut self, now: Micros) -> SlotStats {
        let counters = self.counters;
        let reason = self.reason();
        let judged = self.judged.as_mut();
        let freezes = judged.map(|it| it.freezes.read(now)).unwrap_or_default();
        let judged = self.judged.as_deref().copied().unwrap_or_default();
        SlotStats {
            id: self.config.id,
            kind: self.config.kind,
            mid: self.config.mid,
            ssrc: self.config.ssrc,
            rtx_ssrc: self.config.rtx_ssrc,
            producer: self.producer(),
            shown_producer: self.shown_producer(),
            waiting: self.producer().is_some() && self.producer() != self.shown_producer(),
            encoding: self.shown,
            reason: reason.text().into(),
            limited_by: LimitedBy::from(reason),
            quality: judged.assessment.quality(),
            codec: self.codec.map(|codec| codec_name(codec.codec)),
            payload_type: self.codec.map(|codec| codec.to),
            packets_sent: counters.packets,
            bytes_sent: counters.bytes,
            header_bytes_sent: counters.header_bytes,
            trimmed_packets_sent: counters.trimmed,
            retransmitted_packets_sent: counters.repair_packets,
            retransmitted_bytes_sent: counters.repair_bytes,
            nack_count: judged.nacks,
            pli_count: judged.plis,
            fir_count: judged.firs,
            bitrate_bps: self.budget.bps(now),
            frames_sent: freezes.frames,
            key_frames_sent: freezes.key_frames,
            frame_width: judged.picture.map(|(width, _)| width),
            frame_height: judged.picture.map(|(_, height)| height),
            frames_per_second: judged.frame_rate.into(),
            freeze_count: freezes.count,
            total_freezes_duration_s: freezes.duration.as_secs_f64(),
            packets_lost: self.receiver.packets_lost(),
            fraction_lost: self.receiver.fraction_lost(),
            jitter_s: self.receiver.jitter_s(),
            round_trip_time_s: self.receiver.rtt().map(Micros::as_secs_f64),
        }
    }
}

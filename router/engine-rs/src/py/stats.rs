//! Snapshots as the typed dictionaries of `_engine.pyi`.

use super::arguments::address_to_python;
use super::media::kind_name;
use super::registry::worker_of;
use crate::core::TransportStats;
use crate::core::census::{CensusCounters, PICTURES, Scores, Ways};
use crate::core::sink::Class;
use crate::core::spread::Spread;
use crate::core::stats::{BandwidthStats, DropCounts, EncodingStats, ProducerStats, SlotStats};
use crate::ice::PathStats;
use crate::io::stats::WorkerCounters;
use crate::media::MediaKind;
use crate::recv::layer_meter::MeasuredLayer;
use crate::route::limited::LimitedBy;
use crate::send::quality::{Quality, model};
use crate::time::Micros;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Builds a dictionary from `key: value` pairs.
macro_rules! dict {
    ($py:expr, { $($key:ident: $value:expr),+ $(,)? }) => {{
        let dict = PyDict::new($py);
        $(dict.set_item(stringify!($key), $value)?;)+
        dict
    }};
}

fn drops<'py>(py: Python<'py>, counts: &DropCounts) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (slug, count) in counts {
        dict.set_item(slug, count)?;
    }
    Ok(dict)
}

fn send_drops<'py>(
    py: Python<'py>,
    counts: &[u64; Class::ALL.len()],
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for class in Class::ALL {
        dict.set_item(class.slug(), counts[class as usize])?;
    }
    Ok(dict)
}

fn scores<'py>(py: Python<'py>, scores: &Scores) -> PyResult<Bound<'py, PyDict>> {
    Ok(dict!(py, {
        buckets: scores.buckets.to_vec(),
        sum: scores.sum_milli as f64 / 1e3,
    }))
}

fn spread<'py>(py: Python<'py>, all: &Spread) -> PyResult<Bound<'py, PyDict>> {
    Ok(dict!(py, {
        buckets: all.buckets.to_vec(),
        sum: all.sum_micro as f64 / 1e6,
    }))
}

fn by_kind<'py>(py: Python<'py>, [audio, video]: &[u64; 2]) -> PyResult<Bound<'py, PyDict>> {
    Ok(dict!(py, { audio: audio, video: video }))
}

fn ways_to_python<'py>(py: Python<'py>, ways: &Ways) -> PyResult<Bound<'py, PyDict>> {
    Ok(dict!(py, {
        loss: spread(py, &ways.loss)?,
        jitter: spread(py, &ways.jitter)?,
        round_trip: spread(py, &ways.round_trip)?,
        lost_packets: by_kind(py, &ways.lost_packets)?,
    }))
}

fn counts(
    py: Python<'_>,
    counts: impl Iterator<Item = (&'static str, u64)>,
) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for (name, count) in counts {
        dict.set_item(name, count)?;
    }
    Ok(dict)
}

fn census_to_python<'py>(py: Python<'py>, all: &CensusCounters) -> PyResult<Bound<'py, PyDict>> {
    let limited = LimitedBy::ALL
        .iter()
        .map(|it| (it.slug(), all.limited[*it as usize]));
    let pictures = PICTURES.into_iter().zip(all.pictures);
    Ok(dict!(py, {
        audio_received: scores(py, &all.audio_received)?,
        audio_sent: scores(py, &all.audio_sent)?,
        video_received: scores(py, &all.video_received)?,
        video_sent: scores(py, &all.video_sent)?,
        freezes: all.freezes,
        frozen_us: all.frozen.0,
        limited: counts(py, limited)?,
        pictures: counts(py, pictures)?,
        tracks: by_kind(py, &all.tracks)?,
        subscriptions: by_kind(py, &all.subscriptions)?,
        received: ways_to_python(py, &all.received)?,
        sent: ways_to_python(py, &all.sent)?,
    }))
}

fn quality_to_python<'py>(
    py: Python<'py>,
    kind: MediaKind,
    quality: Option<&Quality>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some(quality) = quality else {
        return Ok(None);
    };
    Ok(Some(dict!(py, {
        score: (f64::from(quality.score) * 100.0).round() / 100.0,
        category: quality.category().slug(),
        impairment: quality.impairment.slug(),
        model: model(kind),
    })))
}

fn layer_to_python<'py>(py: Python<'py>, layer: &MeasuredLayer) -> PyResult<Bound<'py, PyDict>> {
    Ok(dict!(py, {
        spatial: layer.spatial,
        temporal: layer.temporal,
        bitrate_bps: layer.bps,
        frame_width: layer.size.map(|(width, _)| width),
        frame_height: layer.size.map(|(_, height)| height),
        frames_per_second: layer.frame_rate,
    }))
}

/// One worker's totals.
pub fn counters_to_python<'py>(
    py: Python<'py>,
    all: &WorkerCounters,
) -> PyResult<Bound<'py, PyDict>> {
    let (io, core) = (&all.io, &all.core);
    Ok(dict!(py, {
        worker: all.worker,
        datagrams_received: io.datagrams_received,
        datagram_bytes_received: io.datagram_bytes_received,
        datagrams_sent: io.sent.datagrams,
        datagram_bytes_sent: io.sent.bytes,
        rtp_packets_received: core.rtp_packets_received,
        rtp_bytes_received: core.rtp_bytes_received,
        rtp_packets_sent: core.rtp_packets_sent,
        rtp_bytes_sent: core.rtp_bytes_sent,
        padded_packets: core.padded_packets,
        padding_bytes: core.padding_bytes,
        dropped: drops(py, &core.dropped)?,
        receive_batches: io.receive_batches,
        send_batches: io.sent.batches,
        kernel_drops: io.kernel_drops,
        gro_datagrams: io.runs.runs,
        gro_segments: io.runs.packets,
        receive_buffer_bytes: io.receive_buffer_bytes,
        send_buffer_bytes: io.send_buffer_bytes,
        send_errors: io.sent.errors,
        gso_sends: io.sent.gso_sends,
        gso_segments: io.sent.gso_segments,
        gso_fallbacks: io.sent.gso_fallbacks,
        send_dropped: send_drops(py, &io.sent.dropped)?,
        send_waits: io.sent.waits,
        events_dropped: io.events_dropped,
        panics: io.panics,
        transports: core.transports,
        producers: core.producers,
        slots: core.slots,
        speaker_groups: core.speaker_groups,
        tuples: core.tuples,
        timers: core.timers,
        busy_us: io.busy.0,
        cpu: io.cpu,
        mirrors: core.mirrors,
        mirror_packets_received: core.mirror_packets_received,
        mirror_packets_sent: io.mirror_packets_sent,
        mirror_dropped: io.mirror_dropped,
        nack_received: core.nack_received,
        nack_sent: core.nack_sent,
        pli_received: core.pli_received,
        pli_sent: core.pli_sent,
        fir_received: core.fir_received,
        fir_sent: core.fir_sent,
        retransmitted_packets: core.retransmitted_packets,
        forward_delay_us: io.forward_delay.buckets.to_vec(),
        forward_delay_sum_us: io.forward_delay.sum.0,
        census: census_to_python(py, &core.census)?,
    }))
}

/// One peer.
pub fn transport_to_python<'py>(
    py: Python<'py>,
    stats: &TransportStats,
) -> PyResult<Bound<'py, PyDict>> {
    let producers = PyList::empty(py);
    for producer in &stats.producers {
        producers.append(producer_to_python(py, producer)?)?;
    }
    let slots = PyList::empty(py);
    for slot in &stats.slots {
        slots.append(slot_to_python(py, slot)?)?;
    }
    let paths = PyList::empty(py);
    for path in &stats.paths {
        paths.append(path_to_python(py, path)?)?;
    }
    let bandwidth = stats.bandwidth.as_ref();
    let bandwidth = bandwidth.map(|stats| bandwidth_to_python(py, stats));
    let bandwidth = bandwidth.transpose()?;
    Ok(dict!(py, {
        id: stats.id.0,
        worker: worker_of(stats.id.0),
        socket: stats.selected.map(|tuple| tuple.socket.0),
        remote_address: stats.selected.map(|tuple| address_to_python(tuple.address)),
        selected_pair_changes: stats.selected_pair_changes,
        tuples: stats.tuples,
        paths: paths,
        secured: stats.secured,
        packets_received: stats.packets_received,
        bytes_received: stats.bytes_received,
        packets_sent: stats.packets_sent,
        bytes_sent: stats.bytes_sent,
        dropped: drops(py, &stats.dropped)?,
        current_round_trip_time_s: stats.current_round_trip_time_s,
        last_authenticated_us: stats.last_authenticated.map(micros),
        bandwidth: bandwidth,
        producers: producers,
        slots: slots,
    }))
}

fn path_to_python<'py>(py: Python<'py>, path: &PathStats) -> PyResult<Bound<'py, PyDict>> {
    Ok(dict!(py, {
        socket: path.tuple.socket.0,
        remote_address: address_to_python(path.tuple.address),
        priority: path.priority,
        validated: path.is_validated,
        nominated: path.is_nominated,
        selected: path.is_selected,
        checks_received: path.checks,
        challenges_sent: path.challenges,
        answers_received: path.answers,
        last_alive_us: path.last_alive.0,
    }))
}

fn bandwidth_to_python<'py>(
    py: Python<'py>,
    stats: &BandwidthStats,
) -> PyResult<Bound<'py, PyDict>> {
    Ok(dict!(py, {
        estimate_bps: stats.estimate_bps,
        limit: stats.limit,
        budget_bps: stats.budget_bps,
        granted_bps: stats.granted_bps,
        ideal_bps: stats.ideal_bps,
        is_limited: stats.is_limited,
        acked_bps: stats.acked_bps,
        loss: stats.loss,
        queue_s: stats.queue_s,
        pacer_delay_s: stats.pacer_delay_s,
        padding_bytes: stats.padding_bytes,
        refused_feedback: stats.refused_feedback,
    }))
}

fn micros(time: Micros) -> u64 {
    time.0
}

fn producer_to_python<'py>(py: Python<'py>, stats: &ProducerStats) -> PyResult<Bound<'py, PyDict>> {
    let encodings = PyList::empty(py);
    for encoding in &stats.encodings {
        encodings.append(encoding_to_python(py, encoding)?)?;
    }
    Ok(dict!(py, {
        id: stats.id.0,
        kind: kind_name(stats.kind),
        mid: stats.mid.as_deref(),
        paused: stats.paused,
        contributor: stats.contributor,
        codec: stats.codec,
        payload_type: stats.payload_type.map(|payload_type| payload_type.0),
        audio_level: stats.audio_level,
        quality: quality_to_python(py, stats.kind, stats.quality.as_ref())?,
        encodings: encodings,
    }))
}

fn encoding_to_python<'py>(py: Python<'py>, stats: &EncodingStats) -> PyResult<Bound<'py, PyDict>> {
    let layers = PyList::empty(py);
    for layer in &stats.layers {
        layers.append(layer_to_python(py, layer)?)?;
    }
    Ok(dict!(py, {
        ssrc: stats.ssrc.map(|ssrc| ssrc.0),
        rtx_ssrc: stats.rtx_ssrc.map(|ssrc| ssrc.0),
        rid: stats.rid.as_deref(),
        packets_received: stats.packets_received,
        bytes_received: stats.bytes_received,
        header_bytes_received: stats.header_bytes_received,
        packets_lost: stats.packets_lost,
        packets_duplicated: stats.packets_duplicated,
        packets_repaired: stats.packets_repaired,
        retransmitted_packets_received: stats.retransmitted_packets_received,
        nack_count: stats.nack_count,
        pli_count: stats.pli_count,
        fir_count: stats.fir_count,
        key_frames_received: stats.key_frames_received,
        frames_received: stats.frames_received,
        jitter_s: stats.jitter_s,
        frame_width: stats.frame_width,
        frame_height: stats.frame_height,
        frames_per_second: stats.frames_per_second,
        bitrate_bps: stats.bitrate_bps,
        layers: layers,
        freeze_count: stats.freeze_count,
        total_freezes_duration_s: stats.total_freezes_duration_s,
        last_packet_us: stats.last_packet.map(micros),
    }))
}

fn slot_to_python<'py>(py: Python<'py>, stats: &SlotStats) -> PyResult<Bound<'py, PyDict>> {
    Ok(dict!(py, {
        id: stats.id.0,
        kind: kind_name(stats.kind),
        mid: stats.mid.as_deref(),
        ssrc: stats.ssrc.0,
        rtx_ssrc: stats.rtx_ssrc.map(|ssrc| ssrc.0),
        producer: stats.producer.map(|producer| producer.0),
        shown_producer: stats.shown_producer.map(|producer| producer.0),
        waiting: stats.waiting,
        encoding: stats.encoding,
        reason: stats.reason.as_ref(),
        limited_by: stats.limited_by.slug(),
        quality: quality_to_python(py, stats.kind, stats.quality.as_ref())?,
        codec: stats.codec,
        payload_type: stats.payload_type.map(|payload_type| payload_type.0),
        packets_sent: stats.packets_sent,
        bytes_sent: stats.bytes_sent,
        header_bytes_sent: stats.header_bytes_sent,
        trimmed_packets_sent: stats.trimmed_packets_sent,
        retransmitted_packets_sent: stats.retransmitted_packets_sent,
        retransmitted_bytes_sent: stats.retransmitted_bytes_sent,
        nack_count: stats.nack_count,
        pli_count: stats.pli_count,
        fir_count: stats.fir_count,
        bitrate_bps: stats.bitrate_bps,
        frames_sent: stats.frames_sent,
        key_frames_sent: stats.key_frames_sent,
        frame_width: stats.frame_width,
        frame_height: stats.frame_height,
        frames_per_second: stats.frames_per_second,
        freeze_count: stats.freeze_count,
        total_freezes_duration_s: stats.total_freezes_duration_s,
        packets_lost: stats.packets_lost,
        fraction_lost: stats.fraction_lost,
        jitter_s: stats.jitter_s,
        round_trip_time_s: stats.round_trip_time_s,
    }))
}

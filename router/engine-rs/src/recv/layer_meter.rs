//! What is measured of a stream, layer by layer: bits and frames per second over a sliding window, and which spatial
//! layers still come.
//!
//! One ring of buckets for all layers, so that a packet costs two additions and no more than one slide.

use super::bitrate::{BUCKET, BUCKETS, counted};
use super::layers::{Layer, SPATIAL_LAYERS, TEMPORAL_LAYERS};
use crate::time::Micros;
use arrayvec::ArrayVec;

const CELLS: usize = SPATIAL_LAYERS * TEMPORAL_LAYERS;
/// A spatial layer has stopped when it lags this many frames behind the stream, within the bounds that follow.
const LAG_FRAMES: f32 = 4.0;
const MIN_LAG: Micros = Micros::from_millis(300);
const MAX_LAG: Micros = Micros::from_millis(1_000);
/// After so much silence a stream starts anew; shorter ones are a shared screen that does not move.
const SILENCE: Micros = Micros::from_secs(3);

/// What is measured of a layer with all that its receivers need of those below.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeasuredLayer {
    /// Spatial layer.
    pub spatial: u8,
    /// Temporal layer, where the codec names them.
    pub temporal: Option<u8>,
    /// Bits per second, header and payload.
    pub bps: u64,
    /// Frames per second.
    pub frame_rate: f32,
    /// Picture width and height, where they are told.
    pub size: Option<(u16, u16)>,
}

/// All layers of a stream, in the order of the grid.
pub type MeasuredLayers = ArrayVec<MeasuredLayer, CELLS>;

/// See the module.
#[derive(Clone, Debug)]
pub struct LayerMeter {
    bytes: [[u32; CELLS]; BUCKETS],
    frames: [[u16; TEMPORAL_LAYERS]; BUCKETS],
    byte_sums: [u32; CELLS],
    frame_sums: [u32; TEMPORAL_LAYERS],
    /// Index of the newest bucket, counted since time zero.
    newest: u64,
    started: [Option<Micros>; CELLS],
    /// Last packet of each spatial layer.
    last: [Option<Micros>; SPATIAL_LAYERS],
    last_timestamp: Option<u32>,
    is_named: bool,
    total_frames: u64,
}

impl Default for LayerMeter {
    fn default() -> Self {
        Self {
            bytes: [[0; CELLS]; BUCKETS],
            frames: [[0; TEMPORAL_LAYERS]; BUCKETS],
            byte_sums: [0; CELLS],
            frame_sums: [0; TEMPORAL_LAYERS],
            newest: 0,
            started: [None; CELLS],
            last: [None; SPATIAL_LAYERS],
            last_timestamp: None,
            is_named: false,
            total_frames: 0,
        }
    }
}

impl LayerMeter {
    /// Counts a packet of a layer, if it names one. `timestamp`: of its frame, if it carries some of one; packets behind
    /// the newest frame are no frame more.
    pub fn on_packet(
        &mut self,
        layer: Option<Layer>,
        bytes: usize,
        timestamp: Option<u32>,
        now: Micros,
    ) {
        self.slide(now);
        self.is_named |= layer.is_some();
        let layer = layer.unwrap_or(Layer::BASE);
        let (cell, bucket) = (layer.index(), (self.newest % BUCKETS as u64) as usize);
        if self.byte_sums[cell] == 0 {
            self.start(cell, now);
        }
        self.last[usize::from(layer.spatial)] = Some(now);
        self.bytes[bucket][cell] += bytes as u32;
        self.byte_sums[cell] += bytes as u32;
        let Some(timestamp) = timestamp else { return };
        let newer = |last: u32| timestamp.wrapping_sub(last) as i32 > 0;
        if self.last_timestamp.is_none_or(newer) {
            self.last_timestamp = Some(timestamp);
            let column = usize::from(layer.temporal);
            self.frames[bucket][column] = self.frames[bucket][column].saturating_add(1);
            self.frame_sums[column] += 1;
            self.total_frames += 1;
        }
    }

    /// A layer comes that did not within the window.
    fn start(&mut self, cell: usize, now: Micros) {
        let newest = self.last.iter().flatten().max();
        if newest.is_some_and(|newest| now - *newest > SILENCE) {
            self.started = [None; CELLS];
        }
        self.started[cell].get_or_insert(now);
    }

    /// The stream's timestamps start anew.
    pub fn restart(&mut self) {
        self.last_timestamp = None;
        self.is_named = false;
    }

    fn slide(&mut self, now: Micros) {
        let newest = now.0 / BUCKET.0;
        if newest <= self.newest {
            return;
        }
        let passed = (newest - self.newest).min(BUCKETS as u64);
        for step in 0..passed {
            let bucket = ((newest - step) % BUCKETS as u64) as usize;
            let bytes = std::mem::take(&mut self.bytes[bucket]);
            for (sum, bytes) in self.byte_sums.iter_mut().zip(bytes) {
                *sum -= bytes;
            }
            let frames = std::mem::take(&mut self.frames[bucket]);
            for (sum, frames) in self.frame_sums.iter_mut().zip(frames) {
                *sum -= u32::from(frames);
            }
        }
        self.newest = newest;
    }

    /// Over what is in the buckets: were the newest counted as a whole one, layers would be raised when their rate seems
    /// lowest. In the first second after the start over the time since then, at least two buckets.
    fn per_second(sum: u32, started: Option<Micros>, now: Micros) -> f64 {
        let Some(started) = started else { return 0.0 };
        let span = (now - started).clamp(BUCKET + BUCKET, counted(now));
        f64::from(sum) / span.as_secs_f64()
    }

    fn cell_bps(&self, layer: Layer, now: Micros) -> u64 {
        let cell = layer.index();
        (Self::per_second(self.byte_sums[cell], self.started[cell], now) * 8.0) as u64
    }

    /// Bits per second of everything.
    pub fn bps(&mut self, now: Micros) -> u64 {
        self.slide(now);
        (0..CELLS)
            .map(|cell| self.cell_bps(Layer::at(cell), now))
            .sum()
    }

    /// Frames per second of everything.
    pub fn frame_rate(&mut self, now: Micros) -> f64 {
        self.slide(now);
        self.frame_rate_up_to(TEMPORAL_LAYERS as u8 - 1, now)
    }

    fn frame_rate_up_to(&self, temporal: u8, now: Micros) -> f64 {
        let started = self.started.iter().flatten().min().copied();
        let frames: u32 = self.frame_sums[..=usize::from(temporal)].iter().sum();
        Self::per_second(frames, started, now)
    }

    /// It has just begun: of a picture in several packets only some were counted, which tells nothing of what it costs.
    pub fn is_young(&self, now: Micros) -> bool {
        let started = self.started.iter().flatten().min();
        started.is_some_and(|started| now - *started < BUCKET + BUCKET)
    }

    /// Frames counted so far.
    pub fn total_frames(&self) -> u64 {
        self.total_frames
    }

    /// Every layer that comes. `is_nested`: receivers of a spatial layer need those below it. `size` tells the picture
    /// size of a spatial layer.
    pub fn measure(
        &mut self,
        now: Micros,
        is_nested: bool,
        size: impl Fn(u8) -> Option<(u16, u16)>,
    ) -> MeasuredLayers {
        let frame_rate = self.frame_rate(now) as f32;
        let newest = self.last.iter().flatten().max().copied();
        let lag = Micros((LAG_FRAMES / frame_rate.max(0.1) * 1e6) as u64).clamp(MIN_LAG, MAX_LAG);
        let mut layers = MeasuredLayers::new();
        let mut below = [0; TEMPORAL_LAYERS];
        for spatial in 0..SPATIAL_LAYERS as u8 {
            let last = self.last[usize::from(spatial)];
            let comes = |newest: Micros| last.is_some_and(|last| newest - last < lag);
            if !newest.is_some_and(comes) {
                continue;
            }
            let mut own = 0;
            for temporal in 0..TEMPORAL_LAYERS as u8 {
                let layer = Layer::new(spatial, temporal);
                own += self.cell_bps(layer, now);
                let lower = &mut below[usize::from(temporal)];
                *lower = if is_nested { *lower } else { 0 } + own;
                let bps = *lower;
                if temporal > 0 && self.byte_sums[layer.index()] == 0 {
                    continue;
                }
                layers.push(MeasuredLayer {
                    spatial,
                    temporal: self.is_named.then_some(temporal),
                    bps,
                    frame_rate: self.frame_rate_up_to(temporal, now) as f32,
                    size: size(spatial),
                });
            }
            // What is not there of this layer is there of the ones below.
            for temporal in 1..TEMPORAL_LAYERS {
                below[temporal] = below[temporal].max(below[temporal - 1]);
            }
        }
        layers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(now: f64) -> Micros {
        Micros((now * 1e6) as u64)
    }

    fn near(value: f64, expected: f64) -> bool {
        (value - expected).abs() <= expected * 0.15
    }

    /// 30 frames/s with three spatial and three temporal layers, of 250, 500 and 1000 bytes, from a time on; timestamps
    /// wrap.
    fn feed(meter: &mut LayerMeter, from: f64, seconds: f64, spatial: u8) {
        for frame in 0..(seconds * 30.0) as u32 {
            let at = secs(from + f64::from(frame) / 30.0);
            let timestamp = (u32::MAX - 9_000).wrapping_add((at.0 * 9 / 100) as u32);
            let temporal = [0, 2, 1, 2][frame as usize % 4];
            for row in 0..spatial {
                for _packet in 0..2 {
                    let layer = Some(Layer::new(row, temporal));
                    meter.on_packet(layer, 125 << row, Some(timestamp), at);
                }
            }
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as the meter asks")]
    fn sizes(spatial: u8) -> Option<(u16, u16)> {
        Some((320 << spatial, 180 << spatial))
    }

    #[test]
    fn after_a_silence_it_is_measured_from_its_new_start() {
        let mut meter = LayerMeter::default();
        feed(&mut meter, 1.0, 3.0, 1);
        feed(&mut meter, 10.0, 0.4, 1);
        let bps = meter.bps(secs(10.4));
        assert!(near(bps as f64, 60_000.0), "{bps}");
        // A picture every two seconds is no new start each time.
        let mut still = LayerMeter::default();
        for second in [2, 4, 6] {
            still.on_packet(None, 1_250, Some(second), Micros::from_secs(second.into()));
        }
        assert_eq!(still.bps(secs(6.1)), 11_111, "in the last 0.9 s");
    }

    #[test]
    fn a_steady_rate_does_not_waver_with_the_buckets() {
        let mut meter = LayerMeter::default();
        for number in 0..600_u32 {
            let at = Micros::from_millis(1_000 + 5 * u64::from(number));
            meter.on_packet(None, 250, Some(number), at);
            let bps = meter.bps(at) as f64;
            let off = (bps - 400_000.0).abs() / 400_000.0;
            assert!(number < 400 || off < 0.01, "{at:?}: {bps}");
        }
    }

    #[test]
    fn layers_are_measured_with_those_below() {
        let mut meter = LayerMeter::default();
        feed(&mut meter, 1.0, 3.0, 3);
        for (nested, kbps) in [(true, [60.0, 180.0, 420.0]), (false, [60.0, 120.0, 240.0])] {
            let measured = meter.measure(secs(4.0), nested, sizes);
            assert_eq!(measured.len(), 9);
            for layer in &measured {
                let share = [0.25, 0.5, 1.0][usize::from(layer.temporal.expect("named"))];
                let bps = kbps[usize::from(layer.spatial)] * 1_000.0 * share;
                assert!(near(layer.bps as f64, bps), "{layer:?}, {bps}");
                assert!(near(layer.frame_rate.into(), 30.0 * share), "{layer:?}");
                assert_eq!(layer.size, sizes(layer.spatial));
            }
        }
        assert!(near(meter.bps(secs(4.0)) as f64, 420_000.0));
        assert!(near(meter.frame_rate(secs(4.0)), 30.0));
        assert_eq!(meter.total_frames(), 90);
    }

    #[test]
    fn a_layer_that_stops_is_gone_soon_and_one_that_begins_is_not_diluted() {
        let mut meter = LayerMeter::default();
        feed(&mut meter, 1.0, 2.0, 3);
        feed(&mut meter, 3.0, 0.4, 1);
        let measured = meter.measure(secs(3.4), true, sizes);
        assert!(measured.iter().all(|layer| layer.spatial == 0));
        let mut meter = LayerMeter::default();
        feed(&mut meter, 1.0, 2.0, 1);
        feed(&mut meter, 3.0, 0.4, 2);
        let measured = meter.measure(secs(3.4), false, sizes);
        let upper = measured.last().expect("there");
        assert_eq!((upper.spatial, upper.temporal), (1, Some(2)));
        assert!(near(upper.bps as f64, 120_000.0), "{upper:?}");
    }

    #[test]
    fn a_stream_without_layers_is_one() {
        let mut meter = LayerMeter::default();
        for frame in 0..60u32 {
            let at = secs(f64::from(frame) / 30.0);
            meter.on_packet(None, 1_000, Some(frame * 3_000), at);
            meter.on_packet(None, 200, None, at);
        }
        let measured = meter.measure(secs(2.0), true, |_| None);
        assert_eq!((measured.len(), measured[0].temporal), (1, None));
        assert!(near(measured[0].bps as f64, 288_000.0), "{measured:?}");
        assert!(
            meter
                .measure(secs(60.0), true, |_| None)
                .iter()
                .all(|it| it.bps == 0)
        );
    }
}

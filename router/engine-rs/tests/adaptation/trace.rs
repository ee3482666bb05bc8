//! What a receiver got, in steps of 100 ms.

use fork_router_engine::time::Micros;

pub const STEP: Micros = Micros::from_millis(100);

/// Bytes are of the wire: with SRTP tag, UDP and IP headers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    pub video: usize,
    pub audio: usize,
    pub repairs: usize,
    pub padding: usize,
    pub control: usize,
    /// Longest from the microphone to here.
    pub audio_delay: Micros,
    /// Wait in the link's queue at the end.
    pub queue: Micros,
    pub link: f64,
    pub estimate: u64,
}

pub struct Trace {
    start: Micros,
    pub steps: Vec<Step>,
}

impl Trace {
    pub fn new(start: Micros) -> Self {
        let steps = Vec::new();
        Self { start, steps }
    }

    pub fn of(&mut self, now: Micros) -> &mut Step {
        let index = ((now - self.start).0 / STEP.0) as usize;
        if index >= self.steps.len() {
            self.steps.resize(index + 1, Step::default());
        }
        &mut self.steps[index]
    }

    /// Between two times, in seconds since the start.
    pub fn between(&self, from_s: f64, to_s: f64) -> &[Step] {
        let index = |seconds: f64| ((seconds * 10.0).round() as usize).min(self.steps.len());
        &self.steps[index(from_s)..index(to_s)]
    }

    fn rate(&self, from_s: f64, to_s: f64, of: impl Fn(&Step) -> usize) -> f64 {
        let bytes: usize = self.between(from_s, to_s).iter().map(of).sum();
        bytes as f64 * 8.0 / (to_s - from_s)
    }

    /// Bits per second of video, audio, repairs and padding.
    pub fn received(&self, from_s: f64, to_s: f64) -> f64 {
        let of = |step: &Step| step.video + step.audio + step.repairs + step.padding + step.control;
        self.rate(from_s, to_s, of)
    }

    pub fn padding(&self, from_s: f64, to_s: f64) -> f64 {
        self.rate(from_s, to_s, |step| step.padding)
    }

    pub fn queue(&self, from_s: f64, to_s: f64) -> Micros {
        let waits = self.between(from_s, to_s).iter().map(|step| step.queue);
        waits.max().unwrap_or_default()
    }

    pub fn audio_delay(&self, from_s: f64, to_s: f64) -> Micros {
        let delays = self.between(from_s, to_s).iter();
        delays
            .map(|step| step.audio_delay)
            .max()
            .unwrap_or_default()
    }

    /// Longest time in a row with a queue over `limit`, in seconds.
    pub fn longest_queue_over(&self, from_s: f64, to_s: f64, limit: Micros) -> f64 {
        let (mut longest, mut current) = (0, 0);
        for step in self.between(from_s, to_s) {
            current = if step.queue > limit { current + 1 } else { 0 };
            longest = longest.max(current);
        }
        f64::from(longest) / 10.0
    }
}

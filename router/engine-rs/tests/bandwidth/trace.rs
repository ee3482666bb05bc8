//! What happened to a flow, in steps of 100 ms.

use fork_router_engine::bwe::Limit;
use fork_router_engine::time::Micros;

pub const STEP_MS: u64 = 100;

#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    /// Bytes of media that arrived.
    pub bytes: usize,
    pub padding: usize,
    pub estimate: f64,
    pub limit: Limit,
    /// Wait in the link's queue, at the step's end.
    pub wait: Micros,
    pub link: f64,
}

#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub steps: Vec<Step>,
}

impl Trace {
    pub fn on_arrival(&mut self, at: Micros, bytes: usize, is_media: bool) {
        let index = (at.as_millis() / STEP_MS) as usize;
        if index >= self.steps.len() {
            self.steps.resize(index + 1, Step::default());
        }
        if is_media {
            self.steps[index].bytes += bytes;
        } else {
            self.steps[index].padding += bytes;
        }
    }

    pub fn on_step(&mut self, now: Micros, of: Step) {
        let index = (now.as_millis() / STEP_MS) as usize;
        if index >= self.steps.len() {
            self.steps.resize(index + 1, Step::default());
        }
        let step = &mut self.steps[index];
        (step.estimate, step.limit, step.wait, step.link) =
            (of.estimate, of.limit, of.wait, of.link);
    }

    pub fn between(&self, from_s: f64, to_s: f64) -> &[Step] {
        let index = |seconds: f64| {
            ((seconds * 1_000.0 / STEP_MS as f64).round() as usize).min(self.steps.len())
        };
        &self.steps[index(from_s)..index(to_s)]
    }

    /// Bits of media per second.
    pub fn rate(&self, from_s: f64, to_s: f64) -> f64 {
        let bytes: usize = self
            .between(from_s, to_s)
            .iter()
            .map(|step| step.bytes)
            .sum();
        bytes as f64 * 8.0 / (to_s - from_s)
    }

    pub fn estimate(&self, from_s: f64, to_s: f64) -> f64 {
        let steps = self.between(from_s, to_s);
        steps.iter().map(|step| step.estimate).sum::<f64>() / steps.len() as f64
    }

    /// Share of the link that media filled.
    pub fn utilisation(&self, from_s: f64, to_s: f64) -> f64 {
        let steps = self.between(from_s, to_s);
        let link: f64 = steps.iter().map(|step| step.link).sum::<f64>() / steps.len() as f64;
        self.rate(from_s, to_s) / link
    }

    /// The wait that this share of the steps did not exceed.
    pub fn wait(&self, from_s: f64, to_s: f64, share: f64) -> Micros {
        let mut waits: Vec<_> = self
            .between(from_s, to_s)
            .iter()
            .map(|step| step.wait)
            .collect();
        waits.sort();
        waits[((waits.len() - 1) as f64 * share) as usize]
    }

    /// Longest time in a row with a wait over `limit`, in seconds.
    pub fn longest_wait_over(&self, from_s: f64, to_s: f64, limit: Micros) -> f64 {
        let (mut longest, mut current) = (0, 0);
        for step in self.between(from_s, to_s) {
            current = if step.wait > limit { current + 1 } else { 0 };
            longest = longest.max(current);
        }
        longest as f64 * STEP_MS as f64 / 1_000.0
    }

    /// Seconds from `from_s` until a whole second's rate reaches `bps`.
    pub fn seconds_until(&self, from_s: f64, bps: f64) -> f64 {
        let mut at = from_s;
        while at < self.steps.len() as f64 / 10.0 - 1.0 {
            if self.rate(at, at + 1.0) >= bps {
                return at - from_s;
            }
            at += 0.1;
        }
        f64::INFINITY
    }

    /// One line for each `every_s`.
    pub fn print(&self, name: &str, every_s: f64) {
        println!("{name}\n    time   link  media padding estimate  wait limit");
        let mut at = 0.0;
        while at + every_s <= self.steps.len() as f64 / 10.0 {
            let steps = self.between(at, at + every_s);
            let padding: usize = steps.iter().map(|step| step.padding).sum();
            let Some(last) = steps.last() else { return };
            let most = steps.iter().map(|step| step.wait).max().unwrap_or_default();
            println!(
                "{at:6.1} s {:6.0} {:6.0} {:7.0} {:8.0} {:5} {:?}",
                last.link / 1e3,
                self.rate(at, at + every_s) / 1e3,
                padding as f64 * 8.0 / every_s / 1e3,
                last.estimate / 1e3,
                most.as_millis(),
                last.limit,
            );
            at += every_s;
        }
    }
}

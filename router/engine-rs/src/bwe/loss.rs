//! The rate that losses allow, where they tell more than the delay does: links with short queues, and policers.
//!
//! Radio loses packets at any rate, and to back off from that would starve the receiver for nothing. So the controller
//! learns how much the path loses by itself, takes only what exceeds that for congestion, and treats its own decrease as
//! an experiment: when less sending does not mean fewer losses, they are the path's, and the rate is given back.
//! libwebrtc's `loss_based_bwe_v2.cc` infers the same from a likelihood; this needs no constants of taste beyond the
//! margins below. draft-ietf-rmcat-gcc-02 section 6 has fixed bounds instead (2 % and 10 %).

use super::sent::SentPacket;
use crate::time::Micros;

/// A window lasts at least so long and has so many packets, or so many losses, or lasts at most so long.
const WINDOW: Micros = Micros::from_millis(250);
const WINDOW_PACKETS: u32 = 100;
const WINDOW_LOSSES: u32 = 12;
const MAX_WINDOW: Micros = Micros::from_secs(1);
/// Fewer packets than this tell nothing.
const MIN_PACKETS: u32 = 10;
/// Loss that is taken for the path's own before anything is known, and the most that is ever.
const INHERENT: f64 = 0.02;
const MAX_INHERENT: f64 = 0.25;
/// Loss beyond the path's own that is noise.
const MARGIN: f64 = 0.02;
/// So many windows in a row make a congestion; a single one is a burst.
const PERSISTENCE: u32 = 2;
/// At least this share of the rate is taken away, to see a difference, and at most that.
const DECREASE: (f64, f64) = (0.7, 0.92);
/// Losses that fell to no less than this share of what they were did not fall.
const HELPED: f64 = 0.7;
/// Growth of the limit in a second without congestion.
const GROWTH: f64 = 1.1;

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    began: Option<Micros>,
    last: Micros,
    sent: u32,
    lost: u32,
}

/// A decrease whose effect is awaited.
#[derive(Clone, Copy, Debug)]
struct Experiment {
    began: Micros,
    loss_before: f64,
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct LossControl {
    window: Window,
    /// The window before waits for another one, so that what was overtaken may still arrive.
    ended: Option<Window>,
    /// Share that the path loses by itself.
    inherent: f64,
    /// Share lost in the last window.
    recent: f64,
    congested: u32,
    experiment: Option<Experiment>,
    /// Bits per second; `None` while losses limit nothing.
    limit: Option<f64>,
}

impl Default for LossControl {
    fn default() -> Self {
        Self {
            window: Window::default(),
            ended: None,
            inherent: INHERENT,
            recent: 0.0,
            congested: 0,
            experiment: None,
            limit: None,
        }
    }
}

impl LossControl {
    /// A packet arrived or did not.
    pub fn on_packet(&mut self, packet: &SentPacket, lost: bool) {
        // Until the decrease is felt, what was sent before it proves nothing.
        if self
            .experiment
            .is_some_and(|experiment| packet.sent_at < experiment.began)
        {
            return;
        }
        self.window.began.get_or_insert(packet.sent_at);
        self.window.last = self.window.last.max(packet.sent_at);
        self.window.sent += 1;
        self.window.lost += u32::from(lost);
    }

    /// A packet that was told lost arrived after all.
    pub fn on_late(&mut self, packet: &SentPacket) {
        let current = self
            .window
            .began
            .is_some_and(|began| packet.sent_at >= began);
        let window = if current {
            Some(&mut self.window)
        } else {
            self.ended.as_mut()
        };
        if let Some(window) = window {
            window.lost = window.lost.saturating_sub(1);
        }
    }

    /// The limit, given what the delay allows and what arrives. Call it after each feedback.
    pub fn update(&mut self, now: Micros, delay_based: f64, acked: Option<f64>) -> Option<f64> {
        let window = self.window;
        let span = window.last - window.began.unwrap_or(window.last);
        let tells = window.sent >= WINDOW_PACKETS || window.lost >= WINDOW_LOSSES;
        if span >= WINDOW && (tells || span >= MAX_WINDOW) {
            self.window = Window::default();
            let ended = self.ended.replace(window);
            if let Some(ended) = ended.filter(|ended| ended.sent >= MIN_PACKETS) {
                self.on_window(&ended, now, delay_based, acked);
            }
        }
        self.limit = self.limit.filter(|limit| *limit < delay_based);
        self.limit
    }

    /// The limit as of the last update.
    pub const fn limit(&self) -> Option<f64> {
        self.limit
    }

    /// More is lost than the path loses by itself, or was until a decrease whose effect is awaited.
    pub const fn is_congested(&self) -> bool {
        self.congested > 0 || self.experiment.is_some()
    }

    /// A probe has shown that the path carries this.
    pub fn raise(&mut self, bps: f64) {
        self.limit = self.limit.map(|limit| limit.max(bps));
    }

    /// Share of packets lost in the last window.
    pub const fn recent(&self) -> f64 {
        self.recent
    }

    /// Losses of an outage are nobody's: the window begins anew.
    pub fn forget_window(&mut self) {
        self.window = Window::default();
        self.ended = None;
        self.congested = 0;
        self.experiment = None;
    }

    fn on_window(&mut self, window: &Window, now: Micros, delay_based: f64, acked: Option<f64>) {
        let loss = (f64::from(window.lost) / f64::from(window.sent)).min(1.0);
        self.recent = loss;
        if let Some(experiment) = self.experiment.take() {
            self.conclude(&experiment, loss);
            return;
        }
        let deviation = (self.inherent * (1.0 - self.inherent) / f64::from(window.sent)).sqrt();
        if loss > self.inherent + MARGIN + 2.0 * deviation {
            self.congested += 1;
            if self.congested >= PERSISTENCE {
                self.decrease(loss, now, delay_based, acked);
            }
            return;
        }
        self.congested = 0;
        self.learn(loss);
        let span = window.last - window.began.unwrap_or(window.last);
        let growth = GROWTH.powf(span.as_secs_f64());
        self.limit = self.limit.map(|limit| limit * growth);
    }

    fn decrease(&mut self, loss: f64, now: Micros, delay_based: f64, acked: Option<f64>) {
        let before = self
            .limit
            .map_or(delay_based, |limit| limit.min(delay_based));
        // What arrives and the path's own loss is what the path carries.
        let carried = acked.unwrap_or(before * (1.0 - loss)) / (1.0 - self.inherent);
        self.limit = Some(carried.clamp(DECREASE.0 * before, DECREASE.1 * before));
        self.congested = 0;
        // What was sent before the decrease is no part of the experiment.
        self.window = Window::default();
        self.ended = None;
        self.experiment = Some(Experiment {
            began: now,
            loss_before: loss,
        });
    }

    /// Did less sending mean fewer losses?
    fn conclude(&mut self, experiment: &Experiment, loss: f64) {
        if loss < HELPED * experiment.loss_before {
            return;
        }
        self.inherent = loss.min(MAX_INHERENT);
        if loss <= MAX_INHERENT {
            self.limit = None;
        }
    }

    /// Fewer losses are believed sooner than more.
    fn learn(&mut self, loss: f64) {
        let weight = if loss < self.inherent { 0.05 } else { 0.02 };
        self.inherent += weight * (loss - self.inherent);
        self.inherent = self.inherent.min(MAX_INHERENT);
    }
}

#[cfg(test)]
#[path = "loss_tests.rs"]
mod tests;

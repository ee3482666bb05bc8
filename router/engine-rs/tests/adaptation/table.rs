//! Tables of what was seen, and the rungs that could have been.

use crate::publisher::simulcast;
use crate::receiver::Receiver;
use crate::room::Room;

/// Headers of each packet of video on the wire: IP, UDP, RTP with a contributor, extensions, and the tag.
const VIDEO_HEADERS: f64 = 28.0 + 16.0 + 16.0 + 16.0;
/// Voice on the wire, in bits per second.
const VOICE_BPS: f64 = 58e3;
const MAX_PAYLOAD: f64 = 1_150.0;

/// What a camera with `top` bits per second in its best encoding can be shown at, in bits per second on the wire. Larger
/// pictures below 12 frames a second are left out: cameras skip them.
fn rungs(top: f64) -> Vec<f64> {
    let mut all = Vec::new();
    for (encoding, shape) in simulcast(top).iter().enumerate() {
        for (frame_rate, share) in [(7.5, 0.4), (15.0, 0.6), (30.0, 1.0)] {
            if encoding > 0 && frame_rate < 12.0 {
                continue;
            }
            let bps = shape.bps * share;
            let packets = (bps / 8.0 / frame_rate / MAX_PAYLOAD).ceil() * frame_rate;
            all.push(bps + packets * VIDEO_HEADERS * 8.0);
        }
    }
    all
}

/// What the dearest rung that fits so many bits per second costs on the wire, with the voice.
pub fn best_fit(top: f64, bps: f64) -> f64 {
    let rungs = rungs(top).into_iter();
    let fits = rungs.filter(|rung| rung + VOICE_BPS <= bps);
    fits.fold(0.0, f64::max) + VOICE_BPS
}

/// What was shown: "360p at 15".
pub fn name(rung: Option<(u8, u32)>) -> String {
    rung.map_or("nothing".into(), |(encoding, frame_rate)| {
        let height = [180, 360, 720][usize::from(encoding)];
        format!("{height}p{frame_rate:>3}")
    })
}

impl Room {
    /// The rung that a receiver's slot showed over a second.
    pub fn rung(&self, receiver: &Receiver, slot: usize, at_s: f64) -> Option<(u8, u32)> {
        let (from, to) = (self.at(at_s), self.at(at_s + 1.0));
        receiver.streams[slot].view.rung(from, to)
    }

    /// For how long the picture of a receiver's slot stood still between two times.
    pub fn frozen_s(&self, (receiver, slot): (usize, usize), from_s: f64, to_s: f64) -> f64 {
        let (from, to) = (self.at(from_s), self.at(to_s));
        let freezes = self.receivers[receiver].streams[slot].view.freezes.iter();
        let within = freezes.filter(|(at, _)| (from..to).contains(at));
        within
            .map(|(at, until)| (*until - *at).as_secs_f64())
            .fold(0.0, |sum, it| sum + it)
    }

    pub fn print_head(name: &str) {
        println!(
            "{name}\n     from   link  shown    received  padding unused  queue  voice estimate freezes"
        );
    }

    /// One line about a receiver's first slot between two times.
    pub fn print_line(&self, receiver: usize, from_s: f64, to_s: f64) {
        let receiver = &self.receivers[receiver];
        let trace = &receiver.trace;
        let steps = trace.between(from_s, to_s);
        let link = steps.iter().map(|step| step.link).sum::<f64>() / steps.len() as f64;
        let received = trace.received(from_s, to_s);
        let view = &receiver.streams[0].view;
        let (from, to) = (self.at(from_s), self.at(to_s));
        let freezes = view
            .freezes
            .iter()
            .filter(|(at, _)| (from..to).contains(at));
        println!(
            "{from_s:7.1} s {:6.0} {:>9} {:8.0} {:8.0} {:5.0} % {:4} ms {:3} ms {:7.0} {}",
            link / 1e3,
            name(self.rung(receiver, 0, to_s - 1.0)),
            received / 1e3,
            trace.padding(from_s, to_s) / 1e3,
            100.0 * (1.0 - received / link),
            trace.queue(from_s, to_s).as_millis(),
            trace.audio_delay(from_s, to_s).as_millis(),
            steps.last().map_or(0, |step| step.estimate) as f64 / 1e3,
            freezes.count(),
        );
    }
}

//! The thread that sends and counts for many clients: one epoll, one heap of timers, no lock in its way.
//!
//! Other threads speak to it by commands. Reading is cut into slices, so that a track that is due waits for a few
//! sockets at most; how late tracks were is counted.

use crate::clock::{monotonic_us, pin_to_core, realtime_ns, thread_cpu_us};
use crate::peer::{Peer, Scratch, Totals};
use crate::socket::{Poller, ReceiveBatch, WAKE, wake};
use crate::stream::StreamCounts;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// Sockets read before due tracks are looked at again.
const SLICE: usize = 8;
const MAX_WAIT_US: u64 = 100_000;

/// How often clients report and check.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    /// RTCP, in microseconds.
    pub report_us: u64,
    /// STUN, in microseconds.
    pub check_us: u64,
}

/// What a window of measurement counted.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Of all clients.
    pub totals: Totals,
    /// Of all streams.
    pub counts: StreamCounts,
    /// Streams that had packets.
    pub streams: usize,
    /// Clients that received something.
    pub receivers: usize,
    /// Frames that were skipped because the thread was late, since tracks began.
    pub skipped: u64,
    /// CPU time of the thread, since it began.
    pub cpu_us: u64,
}

enum Command {
    Add(u64, Box<Peer>),
    Remove(u64),
    Run(bool),
    Scale(f64),
    Begin,
    Take(Sender<Snapshot>),
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Track(u64, usize),
    Report(u64),
    Check(u64),
}

/// The handle to the thread.
pub struct Generator {
    commands: Sender<Command>,
    waker: OwnedFd,
    thread: Option<JoinHandle<()>>,
    next: u64,
}

impl Generator {
    /// Starts it, on a core of its own if one is named.
    pub fn start(core: Option<usize>, intervals: Intervals) -> io::Result<Self> {
        let poller = Poller::new()?;
        let waker = poller.waker()?;
        let (commands, inbox) = channel();
        let run = move || {
            if let Some(core) = core {
                // Without it the run is not pinned, which the result's core numbers show.
                let _ = pin_to_core(core);
            }
            Loop::new(poller, inbox, intervals).run();
        };
        let thread = std::thread::Builder::new()
            .name("generator".into())
            .spawn(run)?;
        Ok(Self {
            commands,
            waker,
            thread: Some(thread),
            next: 0,
        })
    }

    fn tell(&self, command: Command) {
        // A thread that ended has nothing left to be told.
        let _ = self.commands.send(command);
        wake(&self.waker);
    }

    /// Adds a client; its number.
    pub fn add(&mut self, peer: Peer) -> u64 {
        let number = self.next;
        self.next += 1;
        self.tell(Command::Add(number, Box::new(peer)));
        number
    }

    /// Removes a client and closes its socket.
    pub fn remove(&self, number: u64) {
        self.tell(Command::Remove(number));
    }

    /// Starts or stops all tracks.
    pub fn set_running(&self, running: bool) {
        self.tell(Command::Run(running));
    }

    /// Makes all video tracks so much faster than they were described.
    pub fn set_scale(&self, scale: f64) {
        self.tell(Command::Scale(scale));
    }

    /// Begins a window of measurement.
    pub fn begin(&self) {
        self.tell(Command::Begin);
    }

    /// What was counted since; the window goes on.
    pub fn snapshot(&self) -> Snapshot {
        let (reply, answer) = channel();
        self.tell(Command::Take(reply));
        answer.recv().unwrap_or_default()
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Loop {
    poller: Poller,
    inbox: Receiver<Command>,
    intervals: Intervals,
    peers: Vec<Option<Box<Peer>>>,
    timers: BinaryHeap<Reverse<(u64, Timer)>>,
    totals: Totals,
    scratch: Scratch,
    batch: ReceiveBatch,
    runs: bool,
    stops: bool,
    scale: f64,
}

impl Loop {
    fn new(poller: Poller, inbox: Receiver<Command>, intervals: Intervals) -> Self {
        Self {
            poller,
            inbox,
            intervals,
            peers: Vec::new(),
            timers: BinaryHeap::new(),
            totals: Totals::default(),
            scratch: Scratch::default(),
            batch: ReceiveBatch::default(),
            runs: false,
            stops: false,
            scale: 1.0,
        }
    }

    fn run(mut self) {
        let mut ready = Vec::new();
        while !self.stops {
            let now = monotonic_us();
            self.fire(now);
            let due = self
                .timers
                .peek()
                .map_or(u64::MAX, |Reverse((due, _))| *due);
            self.poller.wait(
                due.saturating_sub(monotonic_us()).min(MAX_WAIT_US),
                &mut ready,
            );
            for slice in ready.chunks(SLICE) {
                for number in slice {
                    self.read(*number);
                }
                self.fire(monotonic_us());
            }
        }
    }

    fn read(&mut self, number: u64) {
        if number == WAKE {
            while let Ok(command) = self.inbox.try_recv() {
                self.obey(command);
            }
            return;
        }
        let Some(Some(peer)) = self.peers.get_mut(number as usize) else {
            return;
        };
        let count = self.batch.receive(peer.socket.as_raw_fd());
        for index in 0..count {
            let arrival = self.batch.arrival(index);
            peer.handle(
                self.batch.data(index),
                &arrival,
                &mut self.scratch,
                &mut self.totals,
            );
        }
    }

    fn fire(&mut self, now_us: u64) {
        while let Some(Reverse((due, timer))) = self.timers.peek().copied() {
            if due > now_us {
                return;
            }
            self.timers.pop();
            if let Some(next) = self.on_timer(timer, now_us) {
                self.timers.push(Reverse((next, timer)));
            }
        }
    }

    /// When the timer is due again; `None` for one of a client that is gone.
    fn on_timer(&mut self, timer: Timer, now_us: u64) -> Option<u64> {
        let (Timer::Track(number, _) | Timer::Report(number) | Timer::Check(number)) = timer;
        let peer = self.peers.get_mut(number as usize)?.as_mut()?;
        match timer {
            Timer::Track(_, index) if self.runs => {
                // Read anew for each track: what was sent before it took time.
                peer.send_due(
                    index,
                    monotonic_us(),
                    realtime_ns(),
                    &mut self.scratch,
                    &mut self.totals,
                );
                Some(peer.tracks[index].schedule.due_us())
            }
            Timer::Track(..) => None,
            Timer::Report(_) => {
                peer.send_report(now_us, realtime_ns(), &mut self.scratch);
                Some(now_us + self.intervals.report_us)
            }
            Timer::Check(_) => {
                peer.send_check();
                Some(now_us + self.intervals.check_us)
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Add(number, peer) => self.on_add(number, peer),
            Command::Remove(number) => {
                if let Some(place) = self.peers.get_mut(number as usize) {
                    *place = None;
                }
            }
            Command::Run(runs) => self.on_run(runs),
            Command::Scale(scale) => {
                self.scale = scale;
                self.each_track(|track| track.schedule.set_scale(scale));
            }
            Command::Begin => {
                self.totals = Totals::default();
                self.peers
                    .iter_mut()
                    .flatten()
                    .for_each(|peer| peer.begin());
            }
            Command::Take(reply) => {
                let _ = reply.send(self.snapshot());
            }
            Command::Stop => self.stops = true,
        }
    }

    fn each_track(&mut self, mut change: impl FnMut(&mut crate::peer::Track)) {
        self.peers
            .iter_mut()
            .flatten()
            .flat_map(|peer| &mut peer.tracks)
            .for_each(&mut change);
    }

    fn on_add(&mut self, number: u64, mut peer: Box<Peer>) {
        let place = number as usize;
        if self.poller.add(peer.socket.as_raw_fd(), number).is_err() {
            return;
        }
        let now = monotonic_us();
        // Spread over the interval, so that many clients do not report at once.
        let phase = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.timers.push(Reverse((
            now + phase % self.intervals.report_us.max(1),
            Timer::Report(number),
        )));
        self.timers.push(Reverse((
            now + phase % self.intervals.check_us.max(1),
            Timer::Check(number),
        )));
        for (index, track) in peer.tracks.iter_mut().enumerate() {
            track.schedule.set_scale(self.scale);
            track.schedule.restart(now);
            if self.runs {
                self.timers
                    .push(Reverse((now, Timer::Track(number, index))));
            }
        }
        self.peers
            .resize_with(self.peers.len().max(place + 1), || None);
        self.peers[place] = Some(peer);
    }

    fn on_run(&mut self, runs: bool) {
        if runs && !self.runs {
            let now = monotonic_us();
            for (number, peer) in self.peers.iter_mut().enumerate() {
                let tracks = peer.iter_mut().flat_map(|peer| &mut peer.tracks);
                for (index, track) in tracks.enumerate() {
                    track.schedule.restart(now);
                    self.timers
                        .push(Reverse((now, Timer::Track(number as u64, index))));
                }
            }
        } else if !runs {
            self.timers
                .retain(|Reverse((_, timer))| !matches!(timer, Timer::Track(..)));
        }
        self.runs = runs;
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            totals: self.totals.clone(),
            cpu_us: thread_cpu_us(),
            ..Snapshot::default()
        };
        for peer in self.peers.iter().flatten() {
            let streams = peer.add_counts(&mut snapshot.counts);
            snapshot.streams += streams;
            snapshot.receivers += usize::from(streams > 0);
            snapshot.skipped += peer
                .tracks
                .iter()
                .map(|track| track.schedule.skipped)
                .sum::<u64>();
        }
        snapshot
    }
}

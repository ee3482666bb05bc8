//! One worker: a thread that waits on its sockets and its command queue, and lets the core work.
//!
//! Wake-up: commands, then one batch from each readable socket (commands that were told before it was sent go before it),
//! then what is due, then one flush. A panic inside the core costs the transport that was being worked on, never the
//! worker. Nothing here waits for Python.

use super::batch::SendBatch;
use super::capture::CaptureWriter;
use super::clock;
use super::pacing::{Pacing, Work};
use super::queue::{CommandQueue, EventSender};
use super::receive::ReceiveBatch;
use super::ring::{Inlet, Mesh, Outlet, RING_BATCH};
use super::socket::UdpSocket;
use super::stats::{IoCounters, WorkerCounters};
use crate::core::capture::{CaptureId, Tap, What};
use crate::core::{self, Command, Core, TransportStats};
use crate::ids::{SocketId, TransportId, Tuple};
use crate::time::Micros;
use crate::wire::drop_reason::DropReason;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

/// The core's timers run at most this often, so that a deadline in the past can never make the thread spin.
const MIN_TIMEOUT_GAP: Micros = Micros(200);

/// After a panic in the core's timers they rest this long.
const PANIC_REST: Micros = Micros::from_millis(100);

/// Places in the list of polled descriptors: commands, other workers, then sockets.
const COMMANDS: usize = 0;
const INLET: usize = 1;
const SOCKETS: usize = 2;

/// How often the event backlog is retried while Python does not take events.
const BACKLOG_RETRY: Micros = Micros::from_millis(20);

/// What a worker can be told.
pub enum WorkerCommand {
    /// A command for the core.
    Core(Command),
    /// A socket to own.
    AddSocket(UdpSocket),
    /// A socket to close; answered when it is closed.
    CloseSocket(SocketId, SyncSender<()>),
    /// A datagram made in Python.
    Send(Tuple, Vec<u8>),
    /// Begins to capture a peer's packets.
    StartCapture(TransportId, What, CaptureWriter),
    /// Ends it; answered when all that was captured can be read.
    StopCapture(TransportId, CaptureId, SyncSender<()>),
    /// Asks for the totals.
    Counters(SyncSender<WorkerCounters>),
    /// Asks for these peers; those that are gone are left out.
    TransportStats(Vec<TransportId>, SyncSender<Vec<TransportStats>>),
    /// Ends the thread.
    Stop,
}

/// What a worker shares with the engine's other threads.
pub struct Shared {
    /// Commands to it.
    pub commands: Arc<CommandQueue<WorkerCommand>>,
    /// Events from it.
    pub events: EventSender,
    /// The rings to and from its siblings.
    pub mesh: Arc<Mesh>,
    /// Microseconds it has been busy.
    pub busy: Arc<AtomicU64>,
}

/// The state of a worker thread.
pub struct Worker {
    number: usize,
    core: Core,
    commands: Arc<CommandQueue<WorkerCommand>>,
    taken: VecDeque<WorkerCommand>,
    receive: ReceiveBatch,
    batch: SendBatch,
    inlet: Inlet,
    /// Microseconds spent outside the poll call, for others to read.
    busy: Arc<AtomicU64>,
    polled: Vec<libc::pollfd>,
    counters: IoCounters,
    /// The core's timers do not run before.
    timers_rest_until: Micros,
    pacing: Pacing,
    running: bool,
}

impl Worker {
    /// A worker without sockets; `seed` keys the core's random numbers.
    pub fn new(number: usize, seed: [u8; 32], shared: Shared) -> Self {
        let Shared {
            commands,
            events,
            mesh,
            busy,
        } = shared;
        let mut worker = Self {
            number,
            core: Core::new(seed, clock::wall_offset()),
            commands,
            taken: VecDeque::new(),
            receive: ReceiveBatch::new(),
            batch: SendBatch::new(events, Outlet::new(Arc::clone(&mesh), number)),
            inlet: Inlet::new(mesh, number),
            busy,
            polled: Vec::new(),
            counters: IoCounters::default(),
            timers_rest_until: Micros(0),
            pacing: Pacing::default(),
            running: true,
        };
        worker.poll_sockets();
        worker
    }

    /// Says in the counters which CPU the thread is pinned to.
    pub fn note_cpu(&mut self, cpu: Option<usize>) {
        self.counters.cpu = cpu;
    }

    /// Runs until told to stop.
    pub fn run(mut self) {
        clock::sleep_precisely();
        let mut now = clock::now();
        while self.running {
            let timeout = self.wake_at().map(|at| at - now);
            let timeout = if self.inlet.lie_down() {
                timeout
            } else {
                Some(Micros(0))
            };
            wait(&mut self.polled, timeout);
            self.inlet.get_up(self.is_readable(INLET));
            self.gather();
            let woken = clock::now();
            self.handle_wakeup(woken);
            now = clock::now();
            self.counters.busy = self.counters.busy + (now - woken);
            self.busy.store(self.counters.busy.0, Ordering::Relaxed);
            self.pacing.update(now, self.work());
        }
    }

    /// Lets packets that follow the first one arrive, where it pays to forward them together. A command ends it.
    fn gather(&mut self) {
        let gathering = self.pacing.gathering();
        let (commands, media) = self.polled.split_at_mut(INLET);
        let is_readable = media.iter().any(|entry| entry.revents != 0);
        if gathering > Micros(0) && is_readable && commands[0].revents == 0 {
            wait(commands, Some(gathering));
        }
    }

    fn work(&self) -> Work {
        Work {
            busy: self.counters.busy,
            received: self.counters.datagrams_received,
            sent: self.batch.sender.counters.datagrams,
        }
    }

    fn wake_at(&self) -> Option<Micros> {
        let timers = self
            .core
            .poll_deadline()
            .map(|at| at.max(self.timers_rest_until));
        let backlog = self
            .batch
            .events
            .has_backlog()
            .then(|| clock::now() + BACKLOG_RETRY);
        let backlog = backlog.or_else(|| {
            let waits = self.batch.outlet.has_backlog();
            waits.then(|| clock::now() + BACKLOG_RETRY)
        });
        timers.into_iter().chain(backlog).min()
    }

    fn handle_wakeup(&mut self, now: Micros) {
        if self.commands.waker.is_raised() || self.is_readable(COMMANDS) {
            self.handle_commands(now);
            self.batch.flush();
        }
        self.handle_mirrored(now);
        for index in 0..self.batch.sockets.len() {
            if self.is_readable(SOCKETS + index) {
                self.receive_batch(index);
            }
        }
        self.batch.flush();
        self.handle_timeout(clock::now());
        self.batch.flush();
        self.batch.events.announce();
        self.batch.outlet.announce();
        self.batch.captures.publish();
    }

    fn is_readable(&self, index: usize) -> bool {
        self.polled
            .get(index)
            .is_some_and(|entry| entry.revents != 0)
    }

    /// What other workers hand over. Their messages wait until all is obeyed that Python told before: it may have told
    /// us of a producer just before it told another worker to watch it.
    fn handle_mirrored(&mut self, now: Micros) {
        for from in 0..self.inlet.workers() {
            if self.inlet.hold_packets(from, RING_BATCH) {
                self.forward_mirrored(now);
            }
        }
        if !self.inlet.take_messages() {
            return;
        }
        if self.commands.waker.is_raised() {
            self.handle_commands(now);
        }
        while !self.commands.waker.is_raised()
            && let Some((from, message)) = self.inlet.next_message()
        {
            self.guard(|core, batch| core.handle_mirror_message(now, from, message, batch));
        }
    }

    /// Forwards the packets that are held. A panic costs the receiver at hand, and these packets.
    fn forward_mirrored(&mut self, now: Micros) {
        let (core, batch, inlet) = (&mut self.core, &mut self.batch, &self.inlet);
        let call = || {
            for (index, (head, bytes)) in inlet.held().enumerate() {
                batch.begin_forwarding(head.arrived);
                core.take_mirrored(now, head, bytes, index);
            }
            core.forward_pending(now, inlet, batch);
        };
        if catch_unwind(AssertUnwindSafe(call)).is_err() {
            self.abandon_current();
        }
        self.inlet.release_packets();
    }

    fn handle_commands(&mut self, now: Micros) {
        let mut taken = std::mem::take(&mut self.taken);
        self.commands.take(&mut taken);
        for command in taken.drain(..) {
            self.handle_command(now, command);
        }
        self.taken = taken;
    }

    fn handle_command(&mut self, now: Micros, command: WorkerCommand) {
        match command {
            WorkerCommand::Core(command) => {
                self.guard(|core, batch| core.handle_command(now, command, batch));
            }
            WorkerCommand::AddSocket(socket) => {
                self.batch.add_socket(socket);
                self.poll_sockets();
            }
            WorkerCommand::CloseSocket(id, done) => {
                self.batch.flush();
                self.guard(|core, _| core.socket_closed(id));
                self.batch.sockets.retain(|socket| socket.id() != id);
                self.poll_sockets();
                // A caller that gave up waiting is no error.
                let _ = done.send(());
            }
            WorkerCommand::Send(to, data) => {
                self.core.datagram_leaves(now, to, &data, &mut self.batch);
                self.batch.add(&data, to);
            }
            WorkerCommand::StartCapture(transport, what, writer) => {
                let capture = writer.id();
                self.batch.captures.start(writer);
                let tap = Some(Tap { capture, what });
                self.guard(|core, batch| {
                    core.handle_command(now, Command::Capture(transport, tap), batch);
                });
            }
            WorkerCommand::StopCapture(transport, capture, done) => {
                self.guard(|core, batch| {
                    core.handle_command(now, Command::Capture(transport, None), batch);
                });
                self.batch.captures.stop(capture);
                let _ = done.send(());
            }
            WorkerCommand::Counters(reply) => {
                let _ = reply.send(self.snapshot());
            }
            WorkerCommand::TransportStats(ids, reply) => {
                let mut stats = Vec::with_capacity(ids.len());
                self.guard(|core, _| {
                    stats.extend(
                        ids.into_iter()
                            .filter_map(|id| core.transport_stats(now, id)),
                    );
                });
                let _ = reply.send(stats);
            }
            WorkerCommand::Stop => self.running = false,
        }
    }

    /// One system call's worth, in batches of as many packets as [`Pacing`] allows.
    fn receive_batch(&mut self, index: usize) {
        let socket = self.batch.sockets[index].id();
        loop {
            let limit = self.pacing.taken();
            let received = self.receive.receive(&self.batch.sockets[index], limit);
            let Ok(count) = received else {
                return;
            };
            if count == 0 {
                return;
            }
            let now = clock::now();
            // What Python told us before these were sent is obeyed before they are taken in.
            if self.commands.waker.is_raised() {
                self.handle_commands(now);
                let remaining = self.batch.sockets.get(index);
                if remaining.is_none_or(|it| it.id() != socket) {
                    return;
                }
            }
            for index in 0..count {
                self.take_datagram(now, socket, index);
            }
            // Other workers begin with what they were handed while we forward.
            self.batch.outlet.announce();
            self.forward(now);
            if !self.receive.has_more() {
                break;
            }
            self.batch.flush();
            self.handle_timeout(now);
        }
        self.counters.receive_batches += 1;
        if let Some(counter) = self.receive.overflow() {
            self.counters.kernel_drops += self.batch.sockets[index].note_overflow(counter);
        }
    }

    /// Forwards what was taken in. A panic costs the receiver at hand, and this batch.
    fn forward(&mut self, now: Micros) {
        let (core, batch, receive) = (&mut self.core, &mut self.batch, &self.receive);
        let call = || core.forward_pending(now, receive, batch);
        if catch_unwind(AssertUnwindSafe(call)).is_err() {
            self.abandon_current();
        }
    }

    fn take_datagram(&mut self, now: Micros, socket: SocketId, index: usize) {
        let Some(datagram) = self.receive.datagram(index) else {
            return;
        };
        self.counters.datagrams_received += 1;
        self.counters.datagram_bytes_received += datagram.len as u64;
        if datagram.truncated {
            self.counters.oversized += 1;
            return;
        }
        let tuple = Tuple {
            socket,
            address: datagram.source,
        };
        self.batch.begin_forwarding(datagram.arrived);
        let (core, batch) = (&mut self.core, &mut self.batch);
        let datagram = core::Datagram {
            data: datagram.buffer,
            len: datagram.len,
            arrived: datagram.arrived,
            index,
        };
        let call = || core.take_datagram(now, tuple, datagram, batch);
        if catch_unwind(AssertUnwindSafe(call)).is_err() {
            self.abandon_current();
        }
    }

    fn handle_timeout(&mut self, now: Micros) {
        let due = self.core.poll_deadline().is_some_and(|at| at <= now);
        if !due || now < self.timers_rest_until {
            return;
        }
        let fine = self.guard(|core, batch| core.handle_timeout(now, batch));
        self.timers_rest_until = now + if fine { MIN_TIMEOUT_GAP } else { PANIC_REST };
    }

    /// Calls into the core; whether it came back without a panic.
    fn guard(&mut self, call: impl FnOnce(&mut Core, &mut SendBatch)) -> bool {
        let (core, batch) = (&mut self.core, &mut self.batch);
        let fine = catch_unwind(AssertUnwindSafe(|| call(core, batch))).is_ok();
        if !fine {
            self.abandon_current();
        }
        fine
    }

    fn abandon_current(&mut self) {
        self.counters.panics += 1;
        let Some(transport) = self.core.current_transport() else {
            return;
        };
        let (core, batch) = (&mut self.core, &mut self.batch);
        if catch_unwind(AssertUnwindSafe(|| core.abandon(transport, batch))).is_err() {
            self.counters.panics += 1;
        }
    }

    fn poll_sockets(&mut self) {
        let descriptors = self.batch.sockets.iter().map(UdpSocket::descriptor);
        let wakers = [
            self.commands.waker.descriptor(),
            self.inlet.waker().descriptor(),
        ];
        let all = wakers.into_iter().chain(descriptors);
        self.polled.clear();
        self.polled.extend(all.map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        }));
    }

    fn snapshot(&self) -> WorkerCounters {
        let mut core = self.core.counters();
        let sockets = &self.batch.sockets;
        let slug = DropReason::Oversized.slug();
        if let Some((_, drops)) = core.dropped.iter_mut().find(|(reason, _)| *reason == slug) {
            *drops += self.counters.oversized;
        }
        WorkerCounters {
            worker: self.number,
            io: IoCounters {
                sent: self.batch.sender.counters,
                forward_delay: self.batch.forward_delay,
                events_dropped: self.batch.events.dropped(),
                runs: self.receive.runs,
                receive_buffer_bytes: smallest(sockets, UdpSocket::receive_buffer_bytes),
                send_buffer_bytes: smallest(sockets, UdpSocket::send_buffer_bytes),
                mirror_packets_sent: self.batch.outlet.handed_over,
                mirror_dropped: self.batch.outlet.dropped,
                ..self.counters.clone()
            },
            core,
        }
    }
}

/// However the thread ends, nobody waits for it in vain.
impl Drop for Worker {
    fn drop(&mut self) {
        self.commands.close();
    }
}

fn smallest(sockets: &[UdpSocket], bytes: impl Fn(&UdpSocket) -> usize) -> u64 {
    sockets.iter().map(bytes).min().unwrap_or(0) as u64
}

/// Sleeps until a descriptor is readable or the time is over.
fn wait(polled: &mut [libc::pollfd], timeout: Option<Micros>) {
    let timeout = timeout.map(|span| libc::timespec {
        tv_sec: (span.0 / 1_000_000) as libc::time_t,
        tv_nsec: (span.0 % 1_000_000 * 1_000) as _,
    });
    let timeout = timeout
        .as_ref()
        .map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: live, exclusive pollfds; a null or live timespec; no signal mask.
    let ready = unsafe {
        libc::ppoll(
            polled.as_mut_ptr(),
            polled.len() as _,
            timeout,
            std::ptr::null(),
        )
    };
    if ready < 0 {
        // Interrupted: nothing is known to be readable.
        for entry in polled {
            entry.revents = 0;
        }
    }
}

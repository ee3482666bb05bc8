//! One worker: a thread that waits on its sockets and its command queue, and lets the core work.
//!
//! Wake-up: commands, then one batch from each readable socket, then what is due, then one flush. A panic inside the
//! core costs the transport that was being worked on, never the worker. Nothing here waits for Python.

use super::batch::SendBatch;
use super::clock;
use super::queue::{CommandQueue, EventSender};
use super::receive::ReceiveBatch;
use super::socket::UdpSocket;
use super::stats::{IoCounters, WorkerCounters};
use crate::core::{self, Command, Core, TransportStats};
use crate::ids::{SocketId, TransportId, Tuple};
use crate::time::Micros;
use crate::wire::drop_reason::DropReason;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// The core's timers run at most this often, so that a deadline in the past can never make the thread spin.
const MIN_TIMEOUT_GAP: Micros = Micros(200);

/// After a panic in the core's timers they rest this long.
const PANIC_REST: Micros = Micros::from_millis(100);

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
    /// Asks for the totals.
    Counters(SyncSender<WorkerCounters>),
    /// Asks for these peers; those that are gone are left out.
    TransportStats(Vec<TransportId>, SyncSender<Vec<TransportStats>>),
    /// Ends the thread.
    Stop,
}

/// The state of a worker thread.
pub struct Worker {
    number: usize,
    core: Core,
    commands: Arc<CommandQueue<WorkerCommand>>,
    taken: VecDeque<WorkerCommand>,
    receive: ReceiveBatch,
    batch: SendBatch,
    polled: Vec<libc::pollfd>,
    counters: IoCounters,
    /// The core's timers do not run before.
    timers_rest_until: Micros,
    running: bool,
}

impl Worker {
    /// A worker without sockets; `seed` keys the core's random numbers.
    pub fn new(
        number: usize,
        seed: [u8; 32],
        commands: Arc<CommandQueue<WorkerCommand>>,
        events: EventSender,
    ) -> Self {
        let mut worker = Self {
            number,
            core: Core::new(seed, clock::wall_offset()),
            commands,
            taken: VecDeque::new(),
            receive: ReceiveBatch::new(),
            batch: SendBatch::new(events),
            polled: Vec::new(),
            counters: IoCounters::default(),
            timers_rest_until: Micros(0),
            running: true,
        };
        worker.poll_sockets();
        worker
    }

    /// Runs until told to stop.
    pub fn run(mut self) {
        let mut now = clock::now();
        while self.running {
            let timeout = self.wake_at().map(|at| at - now);
            wait(&mut self.polled, timeout);
            let woken = clock::now();
            self.handle_wakeup(woken);
            now = clock::now();
            self.counters.busy = self.counters.busy + (now - woken);
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
        timers.into_iter().chain(backlog).min()
    }

    fn handle_wakeup(&mut self, now: Micros) {
        if self.commands.waker.is_raised() {
            self.handle_commands(now);
            self.batch.flush();
        }
        for index in 0..self.batch.sockets.len() {
            if self
                .polled
                .get(index + 1)
                .is_some_and(|entry| entry.revents != 0)
            {
                self.receive_batch(index);
            }
        }
        self.batch.flush();
        self.handle_timeout(clock::now());
        self.batch.flush();
        self.batch.events.announce();
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
            WorkerCommand::Send(to, data) => self.batch.add(&data, to),
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

    fn receive_batch(&mut self, index: usize) {
        let Ok(count) = self.receive.receive(&self.batch.sockets[index]) else {
            return;
        };
        if count == 0 {
            return;
        }
        let now = clock::now();
        self.batch.begin_forwarding(now);
        self.counters.receive_batches += 1;
        if let Some(counter) = self.receive.overflow(count - 1) {
            self.counters.kernel_drops += self.batch.sockets[index].note_overflow(counter);
        }
        let socket = self.batch.sockets[index].id();
        for index in 0..count {
            self.take_datagram(now, socket, index);
        }
        self.forward(now);
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
        let (core, batch) = (&mut self.core, &mut self.batch);
        let datagram = core::Datagram {
            data: datagram.buffer,
            len: datagram.len,
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
        let all = std::iter::once(self.commands.waker.descriptor()).chain(descriptors);
        self.polled.clear();
        self.polled.extend(all.map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        }));
    }

    fn snapshot(&self) -> WorkerCounters {
        let mut core = self.core.counters();
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

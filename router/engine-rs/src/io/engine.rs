//! The worker threads as one thing: started, told, asked and closed from any other thread.

use super::pin::pin_current_thread;
use super::queue::{COMMAND_WAIT, CommandQueue, EventQueue, EventSender, PushError};
use super::ring::Mesh;
use super::stats::WorkerCounters;
use super::wake::Waker;
use super::worker::{Shared, Worker, WorkerCommand};
use crate::core::capture::CaptureId;
use crate::core::{Event, TransportStats};
use crate::ids::{SocketId, TransportId, WorkerId};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Worker threads at most.
pub const MAX_WORKERS: usize = 256;

/// Why the engine did not do it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EngineError {
    /// It was closed, or the worker's thread is gone.
    #[error("worker {0} is closed")]
    Closed(usize),
    /// Its command queue stayed full, or no answer came.
    #[error("worker {0} did not take a command within 2 s")]
    Busy(usize),
}

struct Handle {
    commands: Arc<CommandQueue<WorkerCommand>>,
    events: Arc<EventQueue>,
    busy: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Running workers. Dropping it ends them.
pub struct Engine {
    workers: Vec<Handle>,
    event_waker: Arc<Waker>,
    /// The worker whose events are read first next time, so that a busy one starves nobody.
    next_worker: AtomicUsize,
}

impl Engine {
    /// Starts so many workers; those that `cpus` has a CPU for are pinned to it.
    pub fn start(workers: usize, cpus: &[usize]) -> io::Result<Self> {
        let mesh = Mesh::new(workers)?;
        let event_waker = Arc::new(Waker::new()?);
        let mut engine = Self {
            workers: Vec::with_capacity(workers),
            event_waker,
            next_worker: AtomicUsize::new(0),
        };
        for number in 0..workers {
            let handle = engine.start_worker(number, cpus.get(number).copied(), &mesh)?;
            engine.workers.push(handle);
        }
        Ok(engine)
    }

    fn start_worker(
        &self,
        number: usize,
        cpu: Option<usize>,
        mesh: &Arc<Mesh>,
    ) -> io::Result<Handle> {
        let commands = Arc::new(CommandQueue::new()?);
        let events = Arc::new(EventQueue::new());
        let busy = Arc::new(AtomicU64::new(0));
        let shared = Shared {
            commands: Arc::clone(&commands),
            events: EventSender::new(Arc::clone(&events), Arc::clone(&self.event_waker)),
            mesh: Arc::clone(mesh),
            busy: Arc::clone(&busy),
        };
        let mut seed = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut seed)?;
        let thread = std::thread::Builder::new()
            .name(format!("router-worker-{number}"))
            .spawn(move || {
                // Before the worker takes memory, which then is near its CPU.
                let pinned = cpu.and_then(pin_current_thread);
                let mut worker = Worker::new(number, seed, shared);
                worker.note_cpu(pinned);
                worker.run();
            })?;
        Ok(Handle {
            commands,
            events,
            busy,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Number of workers.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Microseconds that each worker has been busy; asks nobody.
    pub fn busy_us(&self) -> Vec<u64> {
        let busy = self.workers.iter().map(|it| &it.busy);
        busy.map(|busy| busy.load(Ordering::Relaxed)).collect()
    }

    /// Readable while events wait.
    pub fn event_descriptor(&self) -> RawFd {
        self.event_waker.descriptor()
    }

    /// Takes waiting events, oldest first of each worker, at most `limit`.
    pub fn poll_events(&self, limit: usize) -> Vec<Event> {
        self.event_waker.clear();
        let mut events = Vec::new();
        let first = self.next_worker.fetch_add(1, Ordering::Relaxed);
        let count = self.workers.len();
        for worker in (0..count).map(|i| &self.workers[first.wrapping_add(i) % count]) {
            while events.len() < limit {
                let Some(event) = worker.events.pop() else {
                    break;
                };
                events.push(event);
            }
        }
        if self.workers.iter().any(|worker| !worker.events.is_empty()) {
            self.event_waker.raise();
        }
        events
    }

    /// Tells a worker; its number must be below [`Engine::workers`].
    pub fn tell(&self, worker: usize, command: WorkerCommand) -> Result<(), EngineError> {
        let pushed = self.workers[worker].commands.push(command, COMMAND_WAIT);
        pushed.map_err(|error| match error {
            PushError::Full => EngineError::Busy(worker),
            PushError::Closed => EngineError::Closed(worker),
        })
    }

    fn ask<T>(
        &self,
        worker: usize,
        question: impl FnOnce(SyncSender<T>) -> WorkerCommand,
    ) -> Result<Receiver<T>, EngineError> {
        let (sender, receiver) = sync_channel(1);
        self.tell(worker, question(sender))?;
        Ok(receiver)
    }

    /// Closes a socket and waits until the port is free.
    pub fn close_socket(&self, worker: usize, socket: SocketId) -> Result<(), EngineError> {
        let done = self.ask(worker, |done| WorkerCommand::CloseSocket(socket, done))?;
        answer(worker, &done)
    }

    /// Ends a capture and waits until all of it can be read.
    pub fn stop_capture(
        &self,
        transport: TransportId,
        capture: CaptureId,
    ) -> Result<(), EngineError> {
        let worker = usize::from(WorkerId::of(transport.0).0);
        let stop = |done| WorkerCommand::StopCapture(transport, capture, done);
        answer(worker, &self.ask(worker, stop)?)
    }

    /// One snapshot of every worker's totals.
    pub fn counters(&self) -> Result<Vec<WorkerCounters>, EngineError> {
        self.collect(|_| Some(WorkerCommand::Counters))
    }

    /// One snapshot of these peers, given per worker.
    pub fn transport_stats(
        &self,
        ids: Vec<Vec<TransportId>>,
    ) -> Result<Vec<TransportStats>, EngineError> {
        let mut ids = ids;
        let per_worker = self.collect(|worker| {
            let ids = ids
                .get_mut(worker)
                .map(std::mem::take)
                .filter(|ids| !ids.is_empty())?;
            Some(|reply| WorkerCommand::TransportStats(ids, reply))
        })?;
        Ok(per_worker.into_iter().flatten().collect())
    }

    /// Asks the workers for which there is a question, all at once.
    fn collect<T, Q: FnOnce(SyncSender<T>) -> WorkerCommand>(
        &self,
        mut question: impl FnMut(usize) -> Option<Q>,
    ) -> Result<Vec<T>, EngineError> {
        let mut receivers = Vec::with_capacity(self.workers.len());
        for worker in 0..self.workers.len() {
            if let Some(question) = question(worker) {
                receivers.push((worker, self.ask(worker, question)?));
            }
        }
        let answers = receivers.into_iter();
        answers
            .map(|(worker, receiver)| answer(worker, &receiver))
            .collect()
    }

    /// Ends the threads and closes the sockets. Idempotent.
    pub fn close(&self) {
        for worker in &self.workers {
            // Nobody but `close` ends a worker, so a full queue empties; a dead thread needs no telling.
            let _ = worker.commands.push(WorkerCommand::Stop, COMMAND_WAIT);
        }
        for worker in &self.workers {
            let thread = worker
                .thread
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(thread) = thread {
                // A panic was printed by its own thread already.
                let _ = thread.join();
            }
        }
    }
}

fn answer<T>(worker: usize, receiver: &Receiver<T>) -> Result<T, EngineError> {
    receiver
        .recv_timeout(COMMAND_WAIT)
        .map_err(|error| match error {
            RecvTimeoutError::Timeout => EngineError::Busy(worker),
            RecvTimeoutError::Disconnected => EngineError::Closed(worker),
        })
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::super::socket::{BufferSizes, UdpSocket};
    use super::*;
    use crate::core::Command;
    use crate::ids::Tuple;
    use crate::srtp::{SrtpError, SrtpSession};
    use std::net::SocketAddr;
    use std::time::Duration;

    /// A session whose drop panics: what a bug in the core looks like from outside.
    struct Bomb;

    impl SrtpSession for Bomb {
        fn protect_rtp(&mut self, _: &mut [u8], _: usize) -> Result<usize, SrtpError> {
            Err(SrtpError::Malformed)
        }
        fn unprotect_rtp(&mut self, _: &mut [u8], _: usize) -> Result<usize, SrtpError> {
            Err(SrtpError::Malformed)
        }
        fn protect_rtcp(&mut self, _: &mut [u8], _: usize) -> Result<usize, SrtpError> {
            Err(SrtpError::Malformed)
        }
        fn unprotect_rtcp(&mut self, _: &mut [u8], _: usize) -> Result<usize, SrtpError> {
            Err(SrtpError::Malformed)
        }
    }

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a bug, on purpose");
        }
    }

    /// Its id is the worker plus one.
    fn add_socket(engine: &Engine, worker: usize, host: &str) -> (SocketId, SocketAddr) {
        let id = SocketId(worker as u32 + 1);
        let buffers = BufferSizes {
            receive: 1 << 20,
            send: 1 << 20,
        };
        let address = format!("{host}:0").parse().unwrap();
        let socket = UdpSocket::bind(id, address, buffers).unwrap();
        let address = socket.address();
        engine
            .tell(worker, WorkerCommand::AddSocket(socket))
            .unwrap();
        (id, address)
    }

    fn peer(ip: &str) -> std::net::UdpSocket {
        let peer = std::net::UdpSocket::bind((ip, 0)).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        peer
    }

    /// Two snapshots at least, until the condition holds or two seconds are over.
    fn wait_for(engine: &Engine, mut condition: impl FnMut(&[WorkerCounters]) -> bool) {
        let deadline = super::super::clock::now().0 + 2_000_000;
        while !condition(&engine.counters().unwrap()) {
            assert!(
                super::super::clock::now().0 < deadline,
                "{:?}",
                engine.counters()
            );
            std::thread::yield_now();
        }
    }

    #[test]
    fn each_worker_sends_and_receives_on_its_own_socket() {
        let engine = Engine::start(2, &[]).unwrap();
        for (worker, host, ip) in [(0, "127.0.0.1", "127.0.0.1"), (1, "[::1]", "::1")] {
            let (socket, address) = add_socket(&engine, worker, host);
            let peer = peer(ip);
            let to = Tuple {
                socket,
                address: peer.local_addr().unwrap(),
            };
            engine
                .tell(worker, WorkerCommand::Send(to, vec![1, 2, 3]))
                .unwrap();
            let mut buffer = [0; 10];
            assert_eq!(peer.recv_from(&mut buffer).unwrap(), (3, address));
            peer.send_to(&[0xff; 30], address).unwrap();
            peer.send_to(&[0xff; 3_000], address).unwrap();
            wait_for(&engine, |all| all[worker].io.datagrams_received == 2);
            let counters = &engine.counters().unwrap()[worker];
            assert_eq!(counters.worker, worker);
            assert_eq!(counters.io.oversized, 1);
            let sent = counters.io.sent;
            assert_eq!((sent.datagrams, sent.bytes), (1, 3));
            assert_eq!(counters.core.rtp_packets_received, 0);
        }
    }

    #[test]
    fn a_closed_socket_frees_its_port() {
        let engine = Engine::start(1, &[]).unwrap();
        let (socket, address) = add_socket(&engine, 0, "127.0.0.1");
        assert!(std::net::UdpSocket::bind(address).is_err());
        engine.close_socket(0, socket).unwrap();
        assert!(std::net::UdpSocket::bind(address).is_ok());
    }

    #[test]
    fn a_panic_in_the_core_is_counted_and_survived() {
        let engine = Engine::start(1, &[]).unwrap();
        let command = Command::SetSrtp(TransportId(404), Box::new(Bomb));
        engine.tell(0, WorkerCommand::Core(command)).unwrap();
        wait_for(&engine, |all| all[0].io.panics == 1);
        let (socket, address) = add_socket(&engine, 0, "127.0.0.1");
        let peer = peer("127.0.0.1");
        let to = Tuple {
            socket,
            address: peer.local_addr().unwrap(),
        };
        engine.tell(0, WorkerCommand::Send(to, vec![7])).unwrap();
        assert_eq!(peer.recv_from(&mut [0; 9]).unwrap(), (1, address));
    }

    #[test]
    fn closing_ends_the_threads_and_refuses_commands() {
        let engine = Engine::start(2, &[]).unwrap();
        let (_, address) = add_socket(&engine, 1, "127.0.0.1");
        engine.close();
        assert!(std::net::UdpSocket::bind(address).is_ok());
        assert_eq!(engine.counters(), Err(EngineError::Closed(0)));
        engine.close();
    }
}

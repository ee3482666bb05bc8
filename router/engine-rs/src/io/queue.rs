//! The two queues between Python and a worker, both bounded.
//!
//! Commands: nobody may lose one, so a full queue makes the caller wait, at most [`COMMAND_WAIT`]. The lock is taken
//! once per command by callers and once per wake-up by the worker, which never waits for it.
//!
//! Events: the worker never waits, so a full queue drops. STUN and DTLS, which peers repeat, may fill half of it; the
//! rest is kept for events that change state, and these overflow into a bounded backlog before any is lost.

use super::wake::Waker;
use crate::core::Event;
use crossbeam_queue::ArrayQueue;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, TryLockError};
use std::time::Duration;

/// Commands waiting at most.
pub const COMMAND_CAPACITY: usize = 16_384;

/// How long a caller waits for room, or for an answer.
pub const COMMAND_WAIT: Duration = Duration::from_secs(2);

/// Events waiting at most, of one worker.
pub const EVENT_CAPACITY: usize = 8_192;

/// STUN and DTLS events find room only below this many waiting events.
pub const PUNT_CAPACITY: usize = EVENT_CAPACITY / 2;

/// State events kept by the worker when Python does not take any.
pub const BACKLOG_CAPACITY: usize = 65_536;

/// Why a command was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError {
    /// No room came free in time.
    Full,
    /// Nobody takes commands any more.
    Closed,
}

struct Waiting<T> {
    commands: VecDeque<T>,
    closed: bool,
}

/// Commands to one worker, in order.
pub struct CommandQueue<T> {
    waiting: Mutex<Waiting<T>>,
    room: Condvar,
    /// Readable while commands wait.
    pub waker: Waker,
}

impl<T> CommandQueue<T> {
    /// An empty queue.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            waiting: Mutex::new(Waiting {
                commands: VecDeque::new(),
                closed: false,
            }),
            room: Condvar::new(),
            waker: Waker::new()?,
        })
    }

    /// Adds a command and wakes the worker; waits so long for room.
    pub fn push(&self, command: T, wait: Duration) -> Result<(), PushError> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |waiting: &mut Waiting<T>| {
            !waiting.closed && waiting.commands.len() >= COMMAND_CAPACITY
        };
        let (mut waiting, timeout) = self
            .room
            .wait_timeout_while(waiting, wait, full)
            .unwrap_or_else(PoisonError::into_inner);
        if waiting.closed {
            return Err(PushError::Closed);
        }
        if timeout.timed_out() {
            return Err(PushError::Full);
        }
        waiting.commands.push_back(command);
        drop(waiting);
        self.waker.raise();
        Ok(())
    }

    /// Moves all waiting commands to `into`, which must be empty. While a caller holds the lock nothing is taken, and
    /// the waker stays raised.
    pub fn take(&self, into: &mut VecDeque<T>) {
        self.waker.clear();
        let mut waiting = match self.waiting.try_lock() {
            Ok(waiting) => waiting,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return self.waker.raise(),
        };
        std::mem::swap(&mut waiting.commands, into);
        drop(waiting);
        self.room.notify_all();
    }

    /// Nobody will take commands any more: those that wait are dropped, with the answers they ask for.
    pub fn close(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.closed = true;
        let dropped = std::mem::take(&mut waiting.commands);
        drop(waiting);
        drop(dropped);
        self.room.notify_all();
    }
}

/// Events of one worker, as Python reads them.
pub struct EventQueue {
    waiting: ArrayQueue<Event>,
    dropped: AtomicU64,
}

impl Default for EventQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl EventQueue {
    /// An empty queue.
    pub fn new() -> Self {
        Self {
            waiting: ArrayQueue::new(EVENT_CAPACITY),
            dropped: AtomicU64::new(0),
        }
    }

    /// The oldest event.
    pub fn pop(&self) -> Option<Event> {
        self.waiting.pop()
    }

    /// Whether no event waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Events lost so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The worker's end of an [`EventQueue`].
pub struct EventSender {
    queue: Arc<EventQueue>,
    waker: Arc<Waker>,
    backlog: VecDeque<Event>,
    unannounced: bool,
}

impl EventSender {
    /// The end for one worker; `waker` is shared by all.
    pub fn new(queue: Arc<EventQueue>, waker: Arc<Waker>) -> Self {
        Self {
            queue,
            waker,
            backlog: VecDeque::new(),
            unannounced: false,
        }
    }

    /// Queues an event, or counts it as lost.
    pub fn push(&mut self, event: Event) {
        self.unannounced = true;
        if is_punt(&event)
            && (self.queue.waiting.len() >= PUNT_CAPACITY || !self.backlog.is_empty())
        {
            return self.lose();
        }
        if self.backlog.is_empty() {
            if let Err(event) = self.queue.waiting.push(event) {
                self.backlog.push_back(event);
            }
        } else if self.backlog.len() < BACKLOG_CAPACITY {
            self.backlog.push_back(event);
        } else {
            self.lose();
        }
    }

    /// Tells Python, once per wake-up, and moves the backlog into the queue as far as there is room.
    pub fn announce(&mut self) {
        while let Some(event) = self.backlog.pop_front() {
            if let Err(event) = self.queue.waiting.push(event) {
                self.backlog.push_front(event);
                break;
            }
            self.unannounced = true;
        }
        if std::mem::take(&mut self.unannounced) {
            self.waker.raise();
        }
    }

    /// Whether events wait for room in the queue.
    pub fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Events lost so far.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    fn lose(&self) {
        self.queue.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// STUN and DTLS: unauthenticated, and repeated by the peer when lost.
fn is_punt(event: &Event) -> bool {
    matches!(event, Event::Stun { .. } | Event::Dtls { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{SocketId, TransportId, Tuple};

    fn removed(id: u64) -> Event {
        Event::TransportRemoved {
            transport: TransportId(id),
        }
    }

    fn punt() -> Event {
        let tuple = Tuple {
            socket: SocketId(0),
            address: "192.0.2.1:1".parse().unwrap(),
        };
        Event::Stun {
            tuple,
            data: vec![0; 20],
        }
    }

    fn ends() -> (Arc<EventQueue>, Arc<Waker>, EventSender) {
        let (queue, waker) = (Arc::new(EventQueue::new()), Arc::new(Waker::new().unwrap()));
        let sender = EventSender::new(Arc::clone(&queue), Arc::clone(&waker));
        (queue, waker, sender)
    }

    #[test]
    fn commands_keep_their_order_and_raise_the_waker() {
        let queue = CommandQueue::new().unwrap();
        for i in 0..5 {
            queue.push(i, Duration::ZERO).unwrap();
        }
        assert!(queue.waker.is_raised());
        let mut taken = VecDeque::new();
        queue.take(&mut taken);
        assert_eq!(taken, [0, 1, 2, 3, 4]);
        assert!(!queue.waker.is_raised());
    }

    #[test]
    fn a_closed_queue_refuses_commands_and_drops_what_waits() {
        let queue = CommandQueue::new().unwrap();
        let (answer, receiver) = std::sync::mpsc::channel::<()>();
        queue.push(Some(answer), Duration::ZERO).unwrap();
        for _ in 1..COMMAND_CAPACITY {
            queue.push(None, Duration::ZERO).unwrap();
        }
        std::thread::scope(|scope| {
            let caller = scope.spawn(|| queue.push(None, COMMAND_WAIT));
            queue.close();
            assert_eq!(caller.join().unwrap(), Err(PushError::Closed));
        });
        assert!(receiver.recv().is_err(), "nobody will answer");
        assert_eq!(queue.push(None, COMMAND_WAIT), Err(PushError::Closed));
    }

    #[test]
    fn a_full_command_queue_makes_the_caller_wait() {
        let queue = CommandQueue::new().unwrap();
        for i in 0..COMMAND_CAPACITY {
            queue.push(i, Duration::ZERO).unwrap();
        }
        assert_eq!(
            queue.push(7, Duration::from_millis(1)),
            Err(PushError::Full)
        );
        let taken = std::thread::scope(|scope| {
            let caller = scope.spawn(|| queue.push(8, COMMAND_WAIT));
            let mut taken = VecDeque::new();
            queue.take(&mut taken);
            while taken.is_empty() {
                queue.take(&mut taken);
            }
            assert_eq!(
                caller.join().unwrap(),
                Ok(()),
                "room was made while the caller waited"
            );
            taken
        });
        assert_eq!(taken.len(), COMMAND_CAPACITY);
    }

    #[test]
    fn events_are_announced_once() {
        let (queue, waker, mut sender) = ends();
        sender.announce();
        assert!(!waker.is_raised());
        sender.push(removed(1));
        sender.push(removed(2));
        assert!(!waker.is_raised());
        sender.announce();
        assert!(waker.is_raised());
        assert_eq!(
            (queue.pop(), queue.pop(), queue.pop()),
            (Some(removed(1)), Some(removed(2)), None)
        );
    }

    #[test]
    fn a_flood_of_punts_leaves_room_for_state() {
        let (queue, _, mut sender) = ends();
        for _ in 0..EVENT_CAPACITY * 2 {
            sender.push(punt());
        }
        assert_eq!(queue.dropped(), (EVENT_CAPACITY * 2 - PUNT_CAPACITY) as u64);
        sender.push(removed(1));
        assert!(!sender.has_backlog());
        for _ in 0..PUNT_CAPACITY {
            assert!(is_punt(&queue.pop().unwrap()));
        }
        assert_eq!(queue.pop(), Some(removed(1)));
    }

    #[test]
    fn state_events_overflow_into_a_bounded_backlog_in_order() {
        let (queue, _, mut sender) = ends();
        let kept = (EVENT_CAPACITY + BACKLOG_CAPACITY) as u64;
        for id in 0..kept + 3 {
            sender.push(removed(id));
        }
        assert!(sender.has_backlog());
        assert_eq!(queue.dropped(), 3);
        let mut next = 0;
        while sender.has_backlog() || !queue.is_empty() {
            assert_eq!(queue.pop(), Some(removed(next)));
            next += 1;
            sender.announce();
        }
        assert_eq!(next, kept);
    }
}

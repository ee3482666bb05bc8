//! The rules of handing messages to the kernel, apart from the system calls so that they can be tested: what is tried
//! again, what is skipped, and what goes first when the send buffer is full.
//!
//! A full buffer is waited for once per flush and not longer than [`WAIT_MS`]; after that the other video is dropped, and
//! control, audio and key frames are tried one by one. So a router drops, as it must on a full queue, but audio last.

use super::offload::Offload;
use crate::core::sink::Class;
use crate::time::Micros;
use std::io;
use std::net::SocketAddr;

/// How long one flush may wait for room in a socket's send buffer, in milliseconds.
pub const WAIT_MS: i32 = 1;

/// What became of the datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendCounters {
    /// Datagrams the kernel took.
    pub datagrams: u64,
    /// Bytes of those datagrams.
    pub bytes: u64,
    /// System calls that sent something.
    pub batches: u64,
    /// Datagrams given up for themselves: no route, no such socket.
    pub errors: u64,
    /// Messages of several datagrams.
    pub gso_sends: u64,
    /// Datagrams of those messages.
    pub gso_segments: u64,
    /// Messages that the kernel refused to segment; their datagrams were sent one by one.
    pub gso_fallbacks: u64,
    /// Datagrams dropped for want of room in the send buffer, by class.
    pub dropped: [u64; Class::ALL.len()],
    /// How often a full buffer was waited for.
    pub waits: u64,
}

impl SendCounters {
    /// Counts datagrams that found no room.
    pub fn drop_of(&mut self, class: Class, datagrams: u64) {
        self.dropped[class as usize] += datagrams;
    }
}

/// One message: datagrams of one size to one address, the last may be shorter.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Where to.
    pub to: SocketAddr,
    /// Of its datagrams, that of the most important.
    pub class: Class,
    /// How many they are.
    pub segments: u16,
    /// The place of its first vector.
    pub first: u16,
    /// How many vectors it has: datagrams that lie in a row share one.
    pub vectors: u16,
    /// Bytes in all.
    pub bytes: u32,
    /// Bytes of each but the last.
    pub segment_bytes: u16,
    /// The last one is shorter: nothing may follow.
    pub is_closed: bool,
}

/// The system calls, on messages known by their place.
pub trait Kernel {
    /// Sends messages from `first` on, before `end`: how many it took.
    fn send(&mut self, first: usize, end: usize) -> io::Result<usize>;
    /// Sends one datagram of a message alone.
    fn send_segment(&mut self, message: usize, segment: usize) -> io::Result<()>;
    /// Waits for room; whether there is some.
    fn wait(&mut self) -> bool;
}

/// One flush: how often it may still wait, and the state that outlives it.
pub struct Transmission<'a> {
    /// The kernel.
    pub kernel: &'a mut dyn Kernel,
    /// Totals.
    pub counters: &'a mut SendCounters,
    /// Where segmentation works.
    pub offload: &'a mut Offload,
    /// The flush may still wait.
    pub may_wait: &'a mut bool,
    /// When it is.
    pub now: Micros,
}

impl Transmission<'_> {
    /// Sends all messages, in order while there is room.
    pub fn run(&mut self, messages: &[Message]) {
        let mut next = 0;
        while next < messages.len() {
            match self.kernel.send(next, messages.len()) {
                Ok(sent) => {
                    let sent = sent.clamp(1, messages.len() - next);
                    self.counters.batches += 1;
                    for message in &messages[next..next + sent] {
                        self.count(message);
                    }
                    next += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.wait() {
                        return self.send_important(messages, next);
                    }
                }
                // It concerns the first message alone.
                Err(error) => {
                    self.on_error(messages, next, &error);
                    next += 1;
                }
            }
        }
    }

    fn wait(&mut self) -> bool {
        if !std::mem::replace(self.may_wait, false) {
            return false;
        }
        self.counters.waits += 1;
        self.kernel.wait()
    }

    fn count(&mut self, message: &Message) {
        let segments = u64::from(message.segments);
        self.counters.datagrams += segments;
        self.counters.bytes += u64::from(message.bytes);
        if segments > 1 {
            self.counters.gso_sends += 1;
            self.counters.gso_segments += segments;
        }
    }

    fn on_error(&mut self, messages: &[Message], index: usize, error: &io::Error) {
        let message = &messages[index];
        if message.segments == 1 || !Offload::is_refusal(error.raw_os_error()) {
            self.counters.errors += u64::from(message.segments);
            return;
        }
        self.offload.refuse(message.to, self.now);
        self.counters.gso_fallbacks += 1;
        for segment in 0..usize::from(message.segments) {
            self.send_segment(message, index, segment);
        }
    }

    fn send_segment(&mut self, message: &Message, index: usize, segment: usize) {
        let whole = usize::from(message.segment_bytes);
        let bytes = whole.min(message.bytes as usize - whole * segment);
        loop {
            match self.kernel.send_segment(index, segment) {
                Ok(()) => {
                    self.counters.batches += 1;
                    self.counters.datagrams += 1;
                    self.counters.bytes += bytes as u64;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.wait() {
                        return self.counters.drop_of(message.class, 1);
                    }
                }
                Err(_) => {
                    self.counters.errors += 1;
                    return;
                }
            }
        }
    }

    /// No room and no more waiting: what matters most is tried, the rest dropped.
    fn send_important(&mut self, messages: &[Message], next: usize) {
        for class in Class::ALL {
            let waiting = messages.iter().enumerate().skip(next);
            for (index, message) in waiting.filter(|(_, message)| message.class == class) {
                let sent = class <= Class::VideoKey && self.kernel.send(index, index + 1).is_ok();
                if sent {
                    self.counters.batches += 1;
                    self.count(message);
                } else {
                    self.counters.drop_of(class, u64::from(message.segments));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel that answers as told, and notes what it was asked.
    #[derive(Default)]
    struct Script {
        answers: Vec<io::Result<usize>>,
        segments: Vec<io::Result<()>>,
        writable: bool,
        calls: Vec<(usize, usize)>,
        singles: Vec<(usize, usize)>,
        waits: u32,
    }

    impl Kernel for Script {
        fn send(&mut self, first: usize, end: usize) -> io::Result<usize> {
            self.calls.push((first, end));
            assert!(!self.answers.is_empty(), "the script covers every call");
            self.answers.remove(0)
        }

        fn send_segment(&mut self, message: usize, segment: usize) -> io::Result<()> {
            self.singles.push((message, segment));
            self.segments.remove(0)
        }

        fn wait(&mut self) -> bool {
            self.waits += 1;
            self.writable
        }
    }

    fn errno<T>(code: i32) -> io::Result<T> {
        Err(io::Error::from_raw_os_error(code))
    }

    fn message(segments: u16, class: Class) -> Message {
        Message {
            to: SocketAddr::from(([127, 0, 0, 1], 9)),
            class,
            segments,
            first: 0,
            vectors: segments,
            bytes: u32::from(segments) * 100,
            segment_bytes: 100,
            is_closed: false,
        }
    }

    fn singles(count: usize) -> Vec<Message> {
        vec![message(1, Class::Video); count]
    }

    fn run(script: &mut Script, messages: &[Message]) -> (SendCounters, Offload) {
        let mut counters = SendCounters::default();
        let mut offload = Offload::default();
        Transmission {
            kernel: script,
            counters: &mut counters,
            offload: &mut offload,
            may_wait: &mut true,
            now: Micros(7),
        }
        .run(messages);
        assert!(script.answers.is_empty(), "calls are missing");
        (counters, offload)
    }

    #[test]
    fn a_partial_send_continues_where_it_stopped() {
        let mut script = Script {
            answers: vec![Ok(4), errno(libc::EINTR), Ok(5), Ok(1)],
            ..Script::default()
        };
        let (counters, _) = run(&mut script, &singles(10));
        assert_eq!(script.calls, [(0, 10), (4, 10), (4, 10), (9, 10)]);
        let sent = (counters.datagrams, counters.batches, counters.errors);
        assert_eq!(sent, (10, 3, 0));
        assert_eq!(counters.bytes, 1_000);
    }

    #[test]
    fn single_failures_are_skipped() {
        for code in [
            libc::ENOBUFS,
            libc::ECONNREFUSED,
            libc::EHOSTUNREACH,
            libc::EPERM,
            libc::EMSGSIZE,
        ] {
            let mut script = Script {
                answers: vec![Ok(1), errno(code), Ok(2)],
                ..Script::default()
            };
            let (counters, _) = run(&mut script, &singles(4));
            assert_eq!(script.calls, [(0, 4), (1, 4), (2, 4)]);
            assert_eq!(
                (counters.datagrams, counters.errors, script.waits),
                (3, 1, 0)
            );
        }
    }

    #[test]
    fn segments_are_counted_by_message() {
        let mut script = Script {
            answers: vec![Ok(2)],
            ..Script::default()
        };
        let messages = [message(8, Class::Video), message(1, Class::Video)];
        let (counters, _) = run(&mut script, &messages);
        assert_eq!((counters.datagrams, counters.batches), (9, 1));
        assert_eq!((counters.gso_sends, counters.gso_segments), (1, 8));
    }

    #[test]
    fn what_the_kernel_does_not_segment_goes_one_by_one() {
        for code in [libc::EIO, libc::EINVAL, libc::EMSGSIZE] {
            let mut script = Script {
                answers: vec![errno(code), Ok(1)],
                segments: vec![Ok(()), errno(libc::EINTR), Ok(()), errno(libc::EPERM)],
                ..Script::default()
            };
            let messages = [message(3, Class::Video), message(1, Class::Audio)];
            let (counters, offload) = run(&mut script, &messages);
            assert_eq!(script.singles, [(0, 0), (0, 1), (0, 1), (0, 2)]);
            assert_eq!((counters.datagrams, counters.errors), (3, 1));
            assert_eq!((counters.gso_fallbacks, counters.gso_sends), (1, 0));
            assert_eq!(counters.bytes, 300);
            assert!(!offload.allows(messages[0].to));
        }
    }

    #[test]
    fn a_failure_for_another_reason_is_no_refusal() {
        let mut script = Script {
            answers: vec![errno(libc::ENETUNREACH)],
            ..Script::default()
        };
        let (counters, _) = run(&mut script, &[message(5, Class::Video)]);
        assert_eq!((counters.errors, counters.gso_fallbacks), (5, 0));
    }

    #[test]
    fn a_full_buffer_is_waited_for_once_per_flush() {
        let again = || errno(libc::EAGAIN);
        let mut script = Script {
            answers: vec![Ok(2), again(), Ok(3)],
            writable: true,
            ..Script::default()
        };
        let (counters, _) = run(&mut script, &singles(5));
        assert_eq!(
            (counters.datagrams, counters.waits, script.waits),
            (5, 1, 1)
        );
        let mut script = Script {
            answers: vec![again(), Ok(1), again()],
            writable: true,
            ..Script::default()
        };
        let (counters, _) = run(&mut script, &singles(5));
        assert_eq!((counters.datagrams, script.waits), (1, 1));
        assert_eq!(counters.dropped[Class::Video as usize], 4);
    }

    #[test]
    fn audio_is_tried_before_video_is_given_up() {
        let messages = [
            message(2, Class::VideoLayer),
            message(8, Class::Video),
            message(4, Class::VideoKey),
            message(1, Class::Audio),
            message(1, Class::Control),
        ];
        let mut script = Script {
            answers: vec![errno(libc::EAGAIN), Ok(1), Ok(1), errno(libc::EAGAIN)],
            ..Script::default()
        };
        let (counters, _) = run(&mut script, &messages);
        assert_eq!(script.calls, [(0, 5), (4, 5), (3, 4), (2, 3)]);
        assert_eq!(counters.dropped, [0, 0, 4, 8, 2]);
        assert_eq!(counters.datagrams, 2);
    }
}

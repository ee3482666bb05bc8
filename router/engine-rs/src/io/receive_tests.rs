//! Batches from real sockets of loopback: single packets, runs, when they came, what the kernel dropped.

use super::*;
use crate::ids::SocketId;
use crate::io::socket::tests::loopback;
use crate::io::socket::{BufferSizes, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

fn wait_readable(fd: RawFd) {
    let mut entry = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one live pollfd.
    assert_eq!(unsafe { libc::poll(&raw mut entry, 1, 2_000) }, 1);
}

fn receive_all(socket: &UdpSocket, batch: &mut ReceiveBatch) -> Vec<(SocketAddr, Vec<u8>, bool)> {
    wait_readable(socket.descriptor());
    receive_batch(socket, batch)
}

/// One batch of what is there.
fn receive_batch(socket: &UdpSocket, batch: &mut ReceiveBatch) -> Vec<(SocketAddr, Vec<u8>, bool)> {
    let count = batch.receive(socket, RECEIVE_BATCH).unwrap();
    (0..count)
        .map(|i| {
            let datagram = batch.datagram(i).unwrap();
            (
                datagram.source,
                datagram.buffer[..datagram.len].to_vec(),
                datagram.truncated,
            )
        })
        .collect()
}

#[test]
fn reads_a_batch_of_both_families() {
    for (host, ip) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
        let socket = loopback(host);
        let peer = std::net::UdpSocket::bind((ip, 0)).unwrap();
        for i in 0..10u8 {
            peer.send_to(&[i; 5], socket.address()).unwrap();
        }
        let mut batch = ReceiveBatch::new();
        let received = receive_all(&socket, &mut batch);
        assert_eq!(received.len(), 10);
        for (i, (source, data, truncated)) in received.into_iter().enumerate() {
            assert_eq!(source, peer.local_addr().unwrap());
            assert_eq!(data, [i as u8; 5]);
            assert!(!truncated);
        }
        assert_eq!(
            batch.receive(&socket, RECEIVE_BATCH).unwrap(),
            0,
            "nothing waits any more"
        );
    }
}

#[test]
fn a_full_batch_leaves_the_rest_for_the_next() {
    let socket = loopback("127.0.0.1");
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..RECEIVE_BATCH + 3 {
        peer.send_to(&[], socket.address()).unwrap();
    }
    let mut batch = ReceiveBatch::new();
    assert_eq!(receive_all(&socket, &mut batch).len(), RECEIVE_BATCH);
    assert_eq!(receive_all(&socket, &mut batch).len(), 3);
}

/// To a millisecond: the thread may rest between the readings of the two clocks.
#[test]
fn packets_have_the_time_of_their_arrival() {
    const GAP: Micros = Micros::from_millis(20);
    let socket = loopback("127.0.0.1");
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut sent = Vec::new();
    for _ in 0..3 {
        let before = clock::now();
        peer.send_to(&[1], socket.address()).unwrap();
        sent.push((before, clock::now()));
        while clock::now() - before < GAP {
            std::hint::spin_loop();
        }
    }
    let mut batch = ReceiveBatch::new();
    assert_eq!(batch.receive(&socket, RECEIVE_BATCH).unwrap(), 3, "in one");
    for (index, (before, after)) in sent.into_iter().enumerate() {
        let arrived = batch.datagram(index).unwrap().arrived;
        let slack = Micros::from_millis(1);
        assert!(arrived + slack >= before && arrived <= after + slack);
    }
}

#[test]
fn a_time_that_cannot_be_is_that_of_reading() {
    let mut batch = ReceiveBatch::new();
    let unix_offset = 1_700_000_000_000_000;
    let read_at = Micros::from_secs(1_000);
    batch.read_at = (read_at, unix_offset);
    let arrival = |before: i64| {
        let unix = read_at.0.checked_add_signed(unix_offset - before).unwrap();
        batch.arrival(Some(Micros(unix)))
    };
    assert_eq!(arrival(700), Micros(read_at.0 - 700));
    assert_eq!(arrival(-1), read_at, "the clock was set back meanwhile");
    assert_eq!(arrival(3_600_000_000), read_at, "it was set forward");
    assert_eq!(batch.arrival(Some(Micros(0))), read_at);
    assert_eq!(batch.arrival(None), read_at);
}

#[test]
fn longer_datagrams_are_marked() {
    let socket = loopback("127.0.0.1");
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for len in [MAX_DATAGRAM, MAX_DATAGRAM + 1, 9_000] {
        peer.send_to(&vec![1; len], socket.address()).unwrap();
    }
    let received = receive_all(&socket, &mut ReceiveBatch::new());
    let lengths: Vec<_> = received
        .iter()
        .map(|(_, data, cut)| (data.len(), *cut))
        .collect();
    assert_eq!(lengths, [(1500, false), (1500, true), (1500, true)]);
}

/// Sends by segmentation offload, which loopback delivers as the run it is.
fn send_run(peer: &std::net::UdpSocket, to: &UdpSocket, data: &[u8], segment: u16) {
    peer.connect(to.address()).unwrap();
    let length = size_of::<c_int>() as libc::socklen_t;
    let value = c_int::from(segment);
    // SAFETY: `value` is a live int of `length` bytes.
    let set = unsafe {
        let value = (&raw const value).cast();
        libc::setsockopt(
            peer.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            value,
            length,
        )
    };
    assert_eq!(set, 0, "this kernel has no UDP_SEGMENT");
    assert_eq!(peer.send(data).unwrap(), data.len());
}

/// `count` packets of this length, the last of them of 7 bytes, each full of its number.
fn run(count: usize, segment: usize) -> Vec<u8> {
    let mut data: Vec<u8> = (0..count).flat_map(|i| vec![i as u8; segment]).collect();
    data.truncate((count - 1) * segment + 7);
    data
}

#[test]
fn a_run_is_taken_apart_into_aligned_packets_with_room() {
    for host in ["127.0.0.1", "[::1]"] {
        let socket = loopback(host);
        assert!(socket.joins_packets());
        let peer = std::net::UdpSocket::bind(host.to_owned() + ":0").unwrap();
        peer.send_to(&[99; 20], socket.address()).unwrap();
        send_run(&peer, &socket, &run(11, 1_111), 1_111);
        let mut batch = ReceiveBatch::new();
        let received = receive_all(&socket, &mut batch);
        assert_eq!(received.len(), 12);
        for (i, (source, data, truncated)) in received.into_iter().enumerate().skip(1) {
            let len = if i == 11 { 7 } else { 1_111 };
            assert_eq!((data, truncated), (vec![i as u8 - 1; len], false));
            assert_eq!(source, peer.local_addr().unwrap());
        }
        for i in 0..12 {
            let datagram = batch.datagram(i).unwrap();
            assert_eq!(datagram.buffer.as_ptr() as usize % ALIGNMENT, 0);
            assert!(datagram.buffer.len() >= datagram.len + SRTP_MAX_OVERHEAD);
        }
        assert_eq!((batch.runs.runs, batch.runs.packets), (1, 11));
        assert!(!batch.has_more());
    }
}

#[test]
fn a_batch_has_so_many_packets_however_long_the_runs() {
    let socket = loopback("127.0.0.1");
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..5 {
        send_run(&peer, &socket, &run(50, 1_000), 1_000);
    }
    let mut batch = ReceiveBatch::new();
    let mut numbers: Vec<u8> = Vec::new();
    let mut sizes = Vec::new();
    while sizes.is_empty() || batch.has_more() {
        let received = receive_batch(&socket, &mut batch);
        sizes.push(received.len());
        numbers.extend(received.iter().map(|(_, data, _)| data[0]));
    }
    assert_eq!(sizes, [64, 64, 64, 58]);
    assert!(
        numbers
            .iter()
            .enumerate()
            .all(|(i, number)| usize::from(*number) == i % 50)
    );
    assert_eq!((batch.runs.runs, batch.runs.packets), (5, 250));
    assert_eq!(
        batch.receive(&socket, RECEIVE_BATCH).unwrap(),
        0,
        "nothing waits any more"
    );
}

#[test]
fn packets_stay_until_the_next_call() {
    let socket = loopback("127.0.0.1");
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    send_run(&peer, &socket, &run(30, 100), 100);
    let mut batch = ReceiveBatch::new();
    assert_eq!(receive_all(&socket, &mut batch).len(), 30);
    for i in 0..30 {
        batch.datagram(i).unwrap().buffer[0] ^= 0xFF;
    }
    for i in 0..30u8 {
        assert_eq!(batch.bytes(usize::from(i))[..7], [!i, i, i, i, i, i, i]);
    }
}

#[test]
fn packets_of_a_run_may_be_too_long_as_well() {
    let socket = loopback("127.0.0.1");
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    send_run(&peer, &socket, &run(3, 3_000), 3_000);
    let received = receive_all(&socket, &mut ReceiveBatch::new());
    let lengths: Vec<_> = received
        .iter()
        .map(|(_, data, cut)| (data.len(), *cut))
        .collect();
    assert_eq!(lengths, [(1500, true), (1500, true), (7, false)]);
}

#[test]
fn kernel_drops_are_told() {
    let buffers = BufferSizes {
        receive: 1,
        send: 65_536,
    };
    let mut socket = UdpSocket::bind(SocketId(1), "127.0.0.1:0".parse().unwrap(), buffers).unwrap();
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let sent = 100;
    let mut batch = ReceiveBatch::new();
    for _ in 0..sent {
        peer.send_to(&[0; 1_000], socket.address()).unwrap();
    }
    let first = receive_all(&socket, &mut batch).len();
    // The counter travels with the next datagram that is accepted.
    peer.send_to(&[0; 1_000], socket.address()).unwrap();
    assert_eq!(receive_all(&socket, &mut batch).len(), 1);
    let counter = batch.overflow().expect("drops happened");
    assert_eq!(socket.note_overflow(counter), sent - first as u64);
}

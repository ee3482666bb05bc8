//! The sender on real sockets.

use super::super::socket::UdpSocket;
use super::super::socket::tests::{loopback, receiver};
use super::*;

fn receive(socket: &std::net::UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2_000];
    let len = socket.recv(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

fn sender(socket: &UdpSocket) -> Sender {
    let mut sender = Sender::new();
    sender.offload.probe(socket.descriptor());
    sender
}

/// Sends by a socket whose buffer is empty.
fn send<'a>(
    sender: &mut Sender,
    socket: &UdpSocket,
    datagrams: impl Iterator<Item = Outgoing<'a>>,
) {
    let mut pressure = socket.pressure;
    sender.send(socket.descriptor(), &mut pressure, datagrams);
}

fn without_checksums(socket: &UdpSocket) {
    let on: libc::c_int = 1;
    // SAFETY: a live int of the stated size.
    let result = unsafe {
        libc::setsockopt(
            socket.descriptor(),
            libc::SOL_SOCKET,
            libc::SO_NO_CHECK,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as _,
        )
    };
    assert_eq!(result, 0);
}

fn video(data: &[u8], to: SocketAddr) -> Outgoing<'_> {
    let class = Class::Video;
    Outgoing { data, to, class }
}

/// Payloads of these sizes, each filled with its number.
fn payloads(sizes: &[usize]) -> Vec<Vec<u8>> {
    let numbered = sizes.iter().enumerate();
    numbered.map(|(i, size)| vec![i as u8; *size]).collect()
}

/// Sends payloads of these sizes to one receiver, which gets them as they were: messages of several datagrams, and their
/// datagrams.
fn segments_of(sizes: &[usize]) -> (u64, u64) {
    let socket = loopback("127.0.0.1");
    let peer = receiver("127.0.0.1");
    let to = peer.local_addr().unwrap();
    let mut sender = sender(&socket);
    let all = payloads(sizes);
    send(&mut sender, &socket, all.iter().map(|data| video(data, to)));
    for payload in &all {
        assert_eq!(&receive(&peer), payload);
    }
    let counters = sender.counters;
    let bytes: usize = sizes.iter().sum();
    assert_eq!(counters.datagrams, sizes.len() as u64);
    assert_eq!((counters.bytes, counters.errors), (bytes as u64, 0));
    (counters.gso_sends, counters.gso_segments)
}

#[test]
fn a_run_of_one_size_is_one_message() {
    assert_eq!(segments_of(&[1_100; 8]), (1, 8));
    assert_eq!(segments_of(&[1_100]), (0, 0));
}

#[test]
fn a_shorter_one_ends_the_run() {
    assert_eq!(segments_of(&[1_100, 1_100, 500]), (1, 3));
    assert_eq!(segments_of(&[1_100, 500, 500, 500]), (2, 4));
    assert_eq!(segments_of(&[500, 1_100, 1_100]), (1, 2));
    assert_eq!(segments_of(&[100, 200, 300]), (0, 0));
}

#[test]
fn runs_are_cut_where_the_kernel_wants() {
    let (sends, segments) = segments_of(&[100; 130]);
    assert_eq!((sends, segments), (3, 130), "64, 64, 2");
    let (sends, segments) = segments_of(&[1_400; 60]);
    assert_eq!((sends, segments), (2, 60), "65,000 bytes are 46 of them");
}

#[test]
fn receivers_of_both_families_get_their_own() {
    for host in ["127.0.0.1", "[::1]"] {
        let socket = loopback(host);
        let peers = [receiver(host), receiver(host), receiver(host)];
        let mut sender = sender(&socket);
        let all = payloads(&[700; 24]);
        let to: Vec<_> = peers.iter().map(|it| it.local_addr().unwrap()).collect();
        let datagrams = all
            .iter()
            .enumerate()
            .map(|(i, data)| video(data, to[i / 8]));
        send(&mut sender, &socket, datagrams);
        for (i, payload) in all.iter().enumerate() {
            assert_eq!(&receive(&peers[i / 8]), payload);
        }
        let counters = sender.counters;
        assert_eq!((counters.batches, counters.gso_sends), (1, 3));
    }
}

#[test]
fn without_offload_all_go_alone() {
    let socket = loopback("127.0.0.1");
    let peer = receiver("127.0.0.1");
    let to = peer.local_addr().unwrap();
    let all = payloads(&[2; 300]);
    let mut sender = Sender::new();
    send(&mut sender, &socket, all.iter().map(|data| video(data, to)));
    for payload in &all {
        assert_eq!(&receive(&peer), payload);
    }
    let counters = sender.counters;
    assert_eq!((counters.datagrams, counters.gso_sends), (300, 0));
    assert_eq!(counters.batches, 3);
}

#[test]
fn a_message_that_the_kernel_does_not_segment_arrives_nevertheless() {
    let socket = loopback("127.0.0.1");
    let peer = receiver("127.0.0.1");
    let to = peer.local_addr().unwrap();
    let mut sender = sender(&socket);
    // Without checksums the kernel cannot segment, as on a device that cannot compute them.
    without_checksums(&socket);
    let all = payloads(&[900; 5]);
    for _ in 0..2 {
        sender.begin(Micros(1));
        send(&mut sender, &socket, all.iter().map(|data| video(data, to)));
        for payload in &all {
            assert_eq!(&receive(&peer), payload);
        }
    }
    let counters = sender.counters;
    assert_eq!((counters.datagrams, counters.errors), (10, 0));
    assert_eq!(counters.gso_fallbacks, 1, "then it is known");
    assert_eq!(counters.gso_sends, 0);
}

/// Datagrams that lie in a row in memory, with a gap in the middle, are sent as they are, whole and one by one.
#[test]
fn datagrams_that_lie_in_a_row_share_a_vector() {
    let memory: Vec<u8> = (0..=255).cycle().take(1_000).map(|byte: u8| byte).collect();
    let pieces = [0..100, 100..200, 204..304, 304..404, 404..450];
    for without in [false, true] {
        let socket = loopback("127.0.0.1");
        let peer = receiver("127.0.0.1");
        let to = peer.local_addr().unwrap();
        let mut sender = sender(&socket);
        if without {
            without_checksums(&socket);
        }
        let datagrams = pieces.clone().map(|piece| video(&memory[piece], to));
        for datagram in &datagrams {
            if !sender.append(datagram) {
                sender.begin_message(datagram);
            }
            sender.add_vector(datagram.data);
        }
        assert_eq!((sender.messages.len(), sender.used), (1, 2));
        sender.transmit(socket.descriptor());
        for piece in pieces.clone() {
            assert_eq!(receive(&peer), memory[piece]);
        }
        assert_eq!(sender.counters.gso_fallbacks, u64::from(without));
        assert_eq!(sender.counters.datagrams, 5);
    }
}

#[test]
fn a_datagram_that_cannot_be_sent_is_skipped() {
    let socket = loopback("127.0.0.1");
    let peer = receiver("127.0.0.1");
    let to = peer.local_addr().unwrap();
    let bad: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let other_family: SocketAddr = "[::1]:9".parse().unwrap();
    let targets = [to, bad, to, other_family, bad, to];
    let all: Vec<[u8; 1]> = (0..6).map(|i| [i]).collect();
    let mut sender = sender(&socket);
    let datagrams = all.iter().zip(targets).map(|(data, to)| video(data, to));
    send(&mut sender, &socket, datagrams);
    assert_eq!(
        [receive(&peer), receive(&peer), receive(&peer)],
        [[0], [2], [5]]
    );
    assert_eq!((sender.counters.datagrams, sender.counters.errors), (3, 3));
}

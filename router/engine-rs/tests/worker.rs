//! A worker on real sockets: a bug costs the transport it hit, nobody else.

use fork_router_engine::core::Event;
use fork_router_engine::core::command::{Command, IceCredentials, TransportConfig};
use fork_router_engine::core::event::LostReason;
use fork_router_engine::ids::{SocketId, TransportId, Tuple};
use fork_router_engine::io::engine::Engine;
use fork_router_engine::io::socket::{BufferSizes, UdpSocket};
use fork_router_engine::io::worker::WorkerCommand;
use fork_router_engine::srtp::{SrtpError, SrtpSession};
use fork_router_engine::time::Micros;

const SOCKET: SocketId = SocketId(1);
const BUGGY: TransportId = TransportId(1);
const SOUND: TransportId = TransportId(2);

/// Copies packets as they are, or panics at the first one it gets.
struct Session {
    panics: bool,
}

impl SrtpSession for Session {
    fn protect_rtp(&mut self, _: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        Ok(len)
    }
    fn unprotect_rtp(&mut self, _: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        assert!(!self.panics, "a bug, on purpose");
        Ok(len)
    }
    fn protect_rtcp(&mut self, _: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        Ok(len)
    }
    fn unprotect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        self.unprotect_rtp(buffer, len)
    }
}

fn tell(engine: &Engine, command: Command) {
    engine.tell(0, WorkerCommand::Core(command)).unwrap();
}

/// A transport with a proven path to a new peer, and keys.
fn connect(engine: &Engine, id: TransportId, panics: bool) -> std::net::UdpSocket {
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let tuple = Tuple {
        socket: SOCKET,
        address: peer.local_addr().unwrap(),
    };
    tell(
        engine,
        Command::CreateTransport(TransportConfig {
            id,
            local: IceCredentials {
                ufrag: format!("ufrag{}", id.0),
                password: "p".repeat(22),
            },
            timeout: Micros::from_secs(30),
            cname: "router".into(),
        }),
    );
    tell(
        engine,
        Command::AddTuple {
            transport: id,
            tuple,
            nominated: true,
            priority: 1,
        },
    );
    tell(engine, Command::ValidateTuple(id, tuple));
    tell(engine, Command::SetSrtp(id, Box::new(Session { panics })));
    peer
}

/// The events of everything that was told before.
fn events(engine: &Engine) -> Vec<Event> {
    engine.counters().unwrap();
    engine.poll_events(1_000)
}

#[test]
fn a_bug_costs_the_transport_that_hit_it() {
    let engine = Engine::start(1, &[]).unwrap();
    let buffers = BufferSizes {
        receive: 1 << 20,
        send: 1 << 20,
    };
    let socket = UdpSocket::bind(SOCKET, "127.0.0.1:0".parse().unwrap(), buffers).unwrap();
    let router = socket.address();
    engine.tell(0, WorkerCommand::AddSocket(socket)).unwrap();
    let buggy = connect(&engine, BUGGY, true);
    let sound = connect(&engine, SOUND, false);
    events(&engine);

    let mut rtp = [0xaa; 200];
    rtp[..12].copy_from_slice(&[0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]);
    for _ in 0..3 {
        buggy.send_to(&rtp, router).unwrap();
        sound.send_to(&rtp, router).unwrap();
    }
    let mut found = Vec::new();
    while engine.counters().unwrap()[0].io.datagrams_received < 6 {
        std::thread::yield_now();
    }
    found.extend(events(&engine));
    let lost = Event::TransportLost {
        transport: BUGGY,
        reason: LostReason::EngineBug,
    };
    let removed = Event::TransportRemoved { transport: BUGGY };
    assert_eq!(found, [lost, removed]);
    let counters = &engine.counters().unwrap()[0];
    assert_eq!((counters.io.panics, counters.core.transports), (1, 1));

    tell(&engine, Command::RemoveTransport(SOUND));
    let removed = Event::TransportRemoved { transport: SOUND };
    assert!(events(&engine).contains(&removed));
}

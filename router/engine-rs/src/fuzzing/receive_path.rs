//! The whole receive path: datagrams of a publisher, a receiver and a stranger into one core, with time passing.
//!
//! The input is a list of records: a byte that chooses the action, two that give the length, then the datagram. Encryption
//! is left out, so that the fuzzer reaches what lies behind it. Some actions are commands on the receiver's slot and on the
//! two producers that it can show.

use crate::core::command::{
    Codec, CodecConfig, Command, EncodingConfig, Extension, ExtensionIds, Feedback, IceCredentials,
    Limits, MediaKind, ProducerConfig, SlotConfig, TransportConfig,
};
use crate::core::sink::{Class, MAX_DATAGRAM};
use crate::core::{Core, Event, Sink};
use crate::ids::{Mid, PayloadType, ProducerId, Rid, SlotId, SocketId, Ssrc, TransportId, Tuple};
use crate::srtp::{SRTP_MAX_OVERHEAD, SrtpError, SrtpSession};
use crate::time::Micros;

/// No encryption at all.
struct Plain;

impl SrtpSession for Plain {
    fn protect_rtp(&mut self, _: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        Ok(len)
    }
    fn unprotect_rtp(&mut self, _: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        Ok(len)
    }
    fn protect_rtcp(&mut self, _: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        Ok(len)
    }
    fn unprotect_rtcp(&mut self, _: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        Ok(len)
    }
}

/// Checks what leaves, keeps nothing.
struct Check {
    scratch: Vec<u8>,
    to_strangers: usize,
}

impl Sink for Check {
    fn scratch(&mut self) -> &mut [u8] {
        &mut self.scratch
    }
    fn commit(&mut self, len: usize, to: Tuple, _: Class) {
        assert!(len <= MAX_DATAGRAM, "{len} bytes leave");
        self.to_strangers += usize::from(to == tuple(3));
    }
    fn event(&mut self, _: Event) {}
}

fn tuple(port: u16) -> Tuple {
    Tuple {
        socket: SocketId(0),
        address: ([192, 0, 2, 1], port).into(),
    }
}

fn codecs() -> Vec<CodecConfig> {
    let feedback = vec![Feedback::Nack, Feedback::Pli];
    let codec = |payload_type, rtx: u8, codec, format| CodecConfig {
        payload_type: PayloadType(payload_type),
        rtx_payload_type: Some(PayloadType(rtx)),
        codec,
        format,
        clock_rate: 90_000,
        feedback: feedback.clone(),
    };
    vec![
        codec(96, 97, Codec::Vp8, 8),
        codec(98, 99, Codec::Vp9, 9),
        codec(100, 101, Codec::H264, 264),
        codec(102, 103, Codec::Av1, 1),
    ]
}

fn extensions() -> ExtensionIds {
    ExtensionIds(vec![
        (Extension::Mid, 1),
        (Extension::Rid, 2),
        (Extension::RepairedRid, 3),
        (Extension::TransportCc, 4),
        (Extension::AudioLevel, 5),
        (Extension::CsrcAudioLevel, 6),
        (Extension::DependencyDescriptor, 7),
    ])
}

fn connect(core: &mut Core, sink: &mut Check, id: u64) {
    let credentials = |name: &str| IceCredentials {
        ufrag: name.into(),
        password: name.into(),
    };
    let transport = TransportId(id);
    let config = TransportConfig {
        id: transport,
        local: credentials("local"),
        timeout: Micros::from_secs(30),
        cname: "cname".into(),
    };
    let commands = [
        Command::CreateTransport(config),
        Command::SetRemoteIce(transport, credentials("remote")),
        Command::AddTuple {
            transport,
            tuple: tuple(id as u16),
            nominated: true,
            priority: 1,
        },
        Command::ValidateTuple(transport, tuple(id as u16)),
        Command::SetSrtp(transport, Box::new(Plain)),
    ];
    for command in commands {
        core.handle_command(Micros(0), command, sink);
    }
}

/// Actions from here on are commands.
const COMMANDS: u8 = 0xF0;

fn command(value: u16) -> Command {
    let producer = ProducerId(u64::from(value >> 8 & 1) + 1);
    match value % 4 {
        0 => Command::Assign(SlotId(1), None),
        1 => Command::PauseProducer(producer, value & 0x200 != 0),
        2 => Command::SetLimits(
            SlotId(1),
            Limits {
                max_temporal_layers: Some((value >> 8) as u8 & 3),
                ..Limits::default()
            },
        ),
        _ => Command::Assign(SlotId(1), Some(producer)),
    }
}

fn call(sink: &mut Check) -> Core {
    let mut core = Core::new([7; 32], 1_700_000_000_000_000);
    connect(&mut core, sink, 1);
    connect(&mut core, sink, 2);
    let encoding = |rid: &str| EncodingConfig {
        rid: Rid::from(rid).ok(),
        ..EncodingConfig::default()
    };
    let producer = ProducerConfig {
        id: ProducerId(1),
        transport: TransportId(1),
        kind: MediaKind::Video,
        mid: Mid::from("0").ok(),
        codecs: codecs(),
        extensions: extensions(),
        encodings: vec![
            EncodingConfig {
                ssrc: Some(Ssrc(1)),
                rtx_ssrc: Some(Ssrc(2)),
                rid: None,
            },
            encoding("h"),
        ],
        contributor: 9,
        media_timeout: Micros::from_secs(5),
    };
    let other = ProducerConfig {
        id: ProducerId(2),
        mid: Mid::from("2").ok(),
        encodings: vec![EncodingConfig {
            ssrc: Some(Ssrc(3)),
            ..EncodingConfig::default()
        }],
        ..producer.clone()
    };
    let slot = SlotConfig {
        id: SlotId(1),
        transport: TransportId(2),
        kind: MediaKind::Video,
        mid: Mid::from("1").ok(),
        ssrc: Ssrc(0x10),
        rtx_ssrc: Some(Ssrc(0x11)),
        codecs: codecs(),
        extensions: extensions(),
        allow_mixed_extensions: true,
    };
    let commands = [
        Command::AddProducer(producer),
        Command::AddProducer(other),
        Command::AddSlot(slot),
        Command::Assign(SlotId(1), Some(ProducerId(1))),
    ];
    for command in commands {
        core.handle_command(Micros(0), command, sink);
    }
    core
}

/// Records of datagrams and time.
pub fn receive_path(data: &[u8]) {
    let mut sink = Check {
        scratch: vec![0; MAX_DATAGRAM + SRTP_MAX_OVERHEAD],
        to_strangers: 0,
    };
    let mut core = call(&mut sink);
    let mut now = Micros(0);
    let mut rest = data;
    while let [action, high, low, following @ ..] = rest {
        let value = u16::from_be_bytes([*high, *low]);
        if *action >= COMMANDS {
            core.handle_command(now, command(value), &mut sink);
            rest = following;
            continue;
        }
        if action % 4 == 0 {
            now = now + Micros(u64::from(value) * 100);
            rest = following;
            let mut rounds = 0;
            while core.poll_deadline().is_some_and(|at| at <= now) {
                core.handle_timeout(now, &mut sink);
                rounds += 1;
                assert!(rounds < 100, "the core wants attention without end");
            }
            continue;
        }
        let (datagram, following) = following.split_at(following.len().min(value as usize % 1600));
        rest = following;
        let mut buffer = datagram.to_vec();
        buffer.resize(datagram.len() + SRTP_MAX_OVERHEAD, 0);
        let from = tuple(u16::from(action % 4));
        core.handle_datagram(now, from, &mut buffer, datagram.len(), &mut sink);
    }
    assert_eq!(sink.to_strangers, 0, "a stranger was answered");
    let _ = (
        core.transport_stats(now, TransportId(1)),
        core.transport_stats(now, TransportId(2)),
    );
}

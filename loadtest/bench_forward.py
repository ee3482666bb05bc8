"""CPU per forwarded packet: `python -m loadtest.bench_forward`.

One publisher to many receivers on loopback, SRTP both ways. The engine runs alone in a process pinned to one core;
the generator (publisher, receivers, STUN) has another. There is no signalling: keys are agreed beforehand, so what is
measured is the media path only. The engine's CPU is user + system of its process; on loopback that includes delivering
each datagram into the receiver's buffer, in softirq, which the core's own busy time (also given) counts in any case.
"""

import argparse
import json
import os
import resource
import selectors
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from aioice import stun
from pylibsrtp import Policy, Session

from loadtest.checks import write_answer
from router import _engine
from router.clock import monotonic_us
from router.rtc.constraints import SrtpProfile
from router.rtc.srtp import SrtpSessions, function_addresses, open_sessions

HOST = "127.0.0.1"
PASSWORD = "p" * 22
PUBLISHER_SSRC, FIRST_SLOT_SSRC = 1, 1000
PAYLOAD_TYPE = 96
KEY_FRAME_EVERY = 100
WARM_UP_US = 1_000_000
SETTLE_US = 300_000
BUFFER_BYTES = 4 << 20
PROFILES: dict[SrtpProfile, tuple[int, int]] = {
    "AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
    "AES128_CM_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
}


@dataclass(frozen=True, slots=True)
class ForwardResult:
    """What one run measured."""

    receivers: int
    packet_bytes: int
    profile: str
    seconds: float
    packets_forwarded: int
    packets_per_second: float
    loss: float
    engine_cpu_us_per_packet: float
    engine_user_us_per_packet: float
    core_busy_us_per_packet: float
    core_busy: float
    packets_per_send_call: float
    forward_delay_us: dict[str, int]


# -- The engine's process -----------------------------------------------------------------------------------------


def serve(core: int) -> None:
    """Runs an engine as told on stdin, a JSON value a line; answers on stdout."""
    os.sched_setaffinity(0, {core})
    engine = _engine.Engine(srtp_functions=function_addresses())
    info = engine.open_socket(0, (HOST, 0))
    reply(info["address"][1])
    # The sessions are kept until the engine is closed.
    kept = add_peers(engine, info["id"], json.loads(sys.stdin.readline()))
    reply("ready")
    for _ in sys.stdin:
        engine.poll_events()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        reply({"user": usage.ru_utime, "system": usage.ru_stime, "counters": engine.counters()[0]})
    engine.close()
    kept.clear()


def reply(value: object) -> None:
    """One line to the generator."""
    print(json.dumps(value), flush=True)


def add_peers(engine: _engine.Engine, socket_id: int, setup: dict[str, Any]) -> list[SrtpSessions]:
    """The publisher first, then a slot for each receiver."""
    codec: _engine.CodecParameters = {
        "payload_type": PAYLOAD_TYPE,
        "rtx_payload_type": None,
        "codec": "vp8",
        "format": 1,
        "clock_rate": 90000,
        "feedback": ["nack", "pli"],
    }
    kept = []
    producer = None
    for number, port in enumerate(setup["ports"]):
        transport = engine.create_transport(
            socket_id, local_ufrag=f"router{number}", local_password=PASSWORD, cname="bench"
        )
        engine.set_remote_ice(transport, f"peer{number}", PASSWORD)
        engine.add_tuple(transport, socket_id, (HOST, port), nominated=True, priority=1)
        engine.validate_tuple(transport, socket_id, (HOST, port))
        key = bytes.fromhex(setup["key"])
        kept.append(open_sessions(setup["profile"], key, key))
        engine.set_srtp(transport, *kept[-1].addresses)
        if producer is None:
            producer = engine.add_producer(
                transport,
                kind="video",
                mid="0",
                codecs=[codec],
                extensions={},
                encodings=[{"rid": None, "ssrc": PUBLISHER_SSRC, "rtx_ssrc": None}],
                contributor=7,
            )
        else:
            slot = engine.add_slot(
                transport,
                kind="video",
                mid="0",
                ssrc=FIRST_SLOT_SSRC + number,
                rtx_ssrc=None,
                codecs=[codec],
                extensions={},
            )
            engine.assign_slot(slot, producer)
    return kept


class EngineProcess:
    """The engine, seen from the generator."""

    def __init__(self, core: int) -> None:
        self._core = core
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loadtest.bench_forward", "--serve", "--engine-core", str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = (HOST, int(self._read()))

    def add_peers(self, setup: dict[str, Any]) -> None:
        """Brings all peers up."""
        self._write(setup)
        assert self._read() == "ready"

    def sample(self) -> tuple[float, float, float, dict[str, Any]]:
        """User and system CPU of the process and busy time of its core, in microseconds; the engine's counters."""
        self._write("sample")
        answer = self._read()
        return answer["user"] * 1e6, answer["system"] * 1e6, core_busy_us(self._core), answer["counters"]

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()

    def _write(self, value: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()

    def _read(self) -> Any:  # whatever JSON holds
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the engine's process ended")
        return json.loads(line)


def core_busy_us(core: int) -> float:
    """All the time a core was not idle, interrupts included (proc_stat(5))."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            busy = sum(int(tick) for tick in ticks[:8]) - int(ticks[3]) - int(ticks[4])
            return busy * 1e6 / os.sysconf("SC_CLK_TCK")
    raise RuntimeError(f"no core {core}")


# -- The generator ------------------------------------------------------------------------------------------------


class Generator:
    """One publisher and its receivers. Packets are counted, not decrypted: the tests do that."""

    def __init__(self, router: tuple[str, int], receivers: int, profile: SrtpProfile) -> None:
        self._router = router
        self.received = 0
        self.sent = 0
        number, key_bytes = PROFILES[profile]
        self.key = os.urandom(key_bytes)
        self._session = Session(Policy(key=self.key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=number))
        self._selector = selectors.DefaultSelector()
        self._buffer = bytearray(2048)
        self.sockets = [self._open() for _ in range(receivers + 1)]

    def _open(self) -> socket.socket:
        peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        peer.bind((HOST, 0))
        peer.setblocking(False)
        self._selector.register(peer, selectors.EVENT_READ)
        return peer

    def setup(self, profile: SrtpProfile) -> dict[str, Any]:
        """What the engine's process must know."""
        return {
            "key": self.key.hex(),
            "profile": profile,
            "ports": [peer.getsockname()[1] for peer in self.sockets],
        }

    def receive_until(self, deadline_us: int) -> None:
        """Reads everything, answers checks."""
        while True:
            left = deadline_us - monotonic_us()
            for key, _ in self._selector.select(max(left, 0) / 1e6):
                assert isinstance(key.fileobj, socket.socket)
                self._drain(key.fileobj)
            if left <= 0:
                return

    def _drain(self, peer: socket.socket) -> None:
        buffer = self._buffer
        # Bounded, so that one busy receiver does not hold up the publisher.
        for _ in range(16):
            try:
                length = peer.recv_into(buffer)
            except BlockingIOError:
                return
            if buffer[0] == 0:
                self._answer(peer, bytes(buffer[:length]))
            elif buffer[0] & 0xC0 == 0x80 and buffer[1] & 0x7F == PAYLOAD_TYPE:
                self.received += 1

    def _answer(self, peer: socket.socket, data: bytes) -> None:
        peer.sendto(write_answer(stun.parse_message(data), self._router, PASSWORD), self._router)

    def publish(self, packet_bytes: int, rate: float, burst: int, until_us: int) -> None:
        """Sends frames of `burst` packets, `rate` packets a second, and receives meanwhile."""
        interval = burst * 1e6 / rate
        due = float(monotonic_us())
        while due < until_us:
            self.receive_until(int(due))
            self._send_frame(packet_bytes, burst)
            due += interval

    def _send_frame(self, packet_bytes: int, burst: int) -> None:
        frame = self.sent // burst
        for index in range(burst):
            marker = 0x80 if index == burst - 1 else 0
            header = struct.pack(
                "!BBHII", 0x80, marker | PAYLOAD_TYPE, self.sent & 0xFFFF, frame * 3000 & 0xFFFFFFFF, PUBLISHER_SSRC
            )
            # RFC 7741: a 15-bit picture id; the first packet of a frame carries the frame tag.
            payload = bytes([0x90 if index == 0 else 0x80, 0x80, 0x80 | frame >> 8 & 0x7F, frame & 0xFF])
            if index == 0:
                payload += (
                    b"\x10\x00\x00\x9d\x01\x2a\x80\x02\xe0\x01" if frame % KEY_FRAME_EVERY == 0 else b"\x11\x00\x00"
                )
            packet = (header + payload).ljust(packet_bytes, b"\xa5")
            self.sockets[0].sendto(self._session.protect(packet), self._router)
            self.sent += 1

    def close(self) -> None:
        """Frees the ports."""
        self._selector.close()
        for peer in self.sockets:
            peer.close()


def measure(arguments: argparse.Namespace) -> ForwardResult:
    """One run."""
    engine = EngineProcess(arguments.engine_core)
    os.sched_setaffinity(0, {arguments.generator_core})
    generator = Generator(engine.address, arguments.receivers, arguments.profile)
    try:
        engine.add_peers(generator.setup(arguments.profile))
        load = (arguments.packet_bytes, arguments.rate, arguments.burst)
        generator.receive_until(monotonic_us() + SETTLE_US)
        generator.publish(*load, monotonic_us() + WARM_UP_US)
        generator.receive_until(monotonic_us() + SETTLE_US)
        sent, received = generator.sent, generator.received
        user, system, busy, before = engine.sample()
        started = monotonic_us()
        generator.publish(*load, started + arguments.seconds * 1_000_000)
        seconds = (monotonic_us() - started) / 1e6
        user_after, system_after, busy_after, after = engine.sample()
        generator.receive_until(monotonic_us() + SETTLE_US)
        expected = (generator.sent - sent) * arguments.receivers
        forwarded = max(after["rtp_packets_sent"] - before["rtp_packets_sent"], 1)
        sends = max(after["send_batches"] - before["send_batches"], 1)
        delays = [end - start for end, start in zip(after["forward_delay_us"], before["forward_delay_us"], strict=True)]
        bounds = ("50", "100", "250", "500", "1000", "2500", "5000", "10000", "50000", "inf")
        return ForwardResult(
            receivers=arguments.receivers,
            packet_bytes=arguments.packet_bytes,
            profile=arguments.profile,
            seconds=round(seconds, 2),
            packets_forwarded=forwarded,
            packets_per_second=round(forwarded / seconds),
            loss=round(1 - (generator.received - received) / expected, 5),
            engine_cpu_us_per_packet=round((user_after + system_after - user - system) / forwarded, 2),
            engine_user_us_per_packet=round((user_after - user) / forwarded, 2),
            core_busy_us_per_packet=round((busy_after - busy) / forwarded, 2),
            core_busy=round((busy_after - busy) / 1e6 / seconds, 3),
            packets_per_send_call=round(forwarded / sends, 1),
            forward_delay_us=dict(zip(bounds, delays, strict=True)),
        )
    finally:
        engine.close()
        generator.close()


def main(argv: Sequence[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--receivers", type=int, default=100)
    parser.add_argument("--rate", type=float, default=228, help="packets per second of the publisher (228: 2 Mbit/s)")
    parser.add_argument("--burst", type=int, default=8, help="packets per frame, sent back to back")
    parser.add_argument("--packet-bytes", type=int, default=1100, help="RTP packet before SRTP")
    parser.add_argument("--profile", choices=get_args(SrtpProfile), default="AEAD_AES_128_GCM")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--engine-core", type=int, default=0)
    parser.add_argument("--generator-core", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if _engine.build_info()["profile"] != "release":
        parser.error("the engine is a debug build; build it with --release")
    if arguments.serve:
        serve(arguments.engine_core)
        return
    result = asdict(measure(arguments))
    if arguments.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:>28}  {value}")


if __name__ == "__main__":
    main()

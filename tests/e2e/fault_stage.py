"""A publisher and receivers on a real (virtual) link to an engine in a namespace of its own, whose link can be spoiled.

No DTLS and no signalling: keys are agreed beforehand, so a stage takes a moment. The publisher sends frames as runs
(UDP_SEGMENT) and a voice beside them; each receiver has a slot for either, decrypts all and counts what came.
"""

import ctypes
import fcntl
import select
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from router import _engine
from router.clock import monotonic_us
from router.rtc.srtp import function_addresses
from tests.e2e.netns import Namespace, create_namespace, run_ip
from tests.rtc.media_peer import OPUS, MediaPeer

VP8: "_engine.CodecParameters" = {
    "payload_type": 96,
    "rtx_payload_type": None,
    "codec": "vp8",
    "format": 2,
    "clock_rate": 90000,
    "feedback": [],
}
VOICE, CAMERA = 1, 2
FRAME_US = 20_000
PACKETS = 8
DRAIN_US = 500_000
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17  # linux/sockios.h, linux/ethtool.h


@dataclass(slots=True)
class Receiver:
    """Sequence numbers that came, by track."""

    peer: MediaPeer
    voice: set[int] = field(default_factory=set)
    camera: set[int] = field(default_factory=set)
    reads: bool = True

    def read(self) -> None:
        """Everything that waits."""
        while True:
            try:
                data = self.peer.socket.recv(2048)
            except BlockingIOError:
                return
            if data[0] == 0:
                self.peer.answer(data)
            elif data[0] >= 128 and not 192 <= data[1] < 224:
                packet = self.peer.unprotect_rtp(data)
                (self.voice if packet.ssrc == VOICE else self.camera).add(packet.sequence)


@dataclass(slots=True)
class Stage:
    """Who is there."""

    engine: _engine.Engine
    space: Namespace
    sockets: dict[str, "_engine.SocketInfo"]
    publisher: MediaPeer
    tracks: tuple[int, int]
    receivers: list[Receiver] = field(default_factory=list)
    sent_frames: int = 0

    def join(self, address: str) -> Receiver:
        """A receiver at an address of this side."""
        family = "v6" if ":" in address else "v4"
        peer = MediaPeer(self.engine, self.sockets[family], address=address)
        peer.connect()
        for ssrc, codec, track in ((VOICE, OPUS, 0), (CAMERA, VP8, 1)):
            slot = self.engine.add_slot(
                peer.transport,
                kind="audio" if ssrc == VOICE else "video",
                mid=None,
                ssrc=ssrc,
                rtx_ssrc=None,
                codecs=[codec],
                extensions={},
            )
            self.engine.assign_slot(slot, self.tracks[track])
        self._wait_selected(peer)
        peer.socket.setblocking(False)
        self.receivers.append(Receiver(peer))
        return self.receivers[-1]

    def _wait_selected(self, peer: MediaPeer) -> None:
        """The answer to the engine's challenge is on its way."""
        deadline_us = monotonic_us() + 5_000_000
        while self.engine.transport_stats([peer.transport])[0]["remote_address"] is None:
            assert monotonic_us() < deadline_us
            select.select([], [], [], 0.005)

    def play(self, frames: int, *, payload_bytes: int = 1100, burst: int = 1) -> None:
        """Sends frames, and a packet of the voice with each, at their pace, `burst` at once; the receivers read."""
        for _ in range(frames // burst):
            for _ in range(burst):
                self._send_frame(payload_bytes)
            # Never sooner, so that a busy machine makes no bursts of frames.
            self.wait(burst * FRAME_US)
        self.wait(DRAIN_US)

    def wait(self, us: int) -> None:
        """Lets what is on its way arrive."""
        self._collect(monotonic_us() + us)

    def counters(self) -> "_engine.WorkerCounters":
        """Of the only worker."""
        return self.engine.counters()[0]

    def _send_frame(self, payload_bytes: int) -> None:
        number = self.sent_frames
        self.sent_frames += 1
        self.publisher.send_rtp(number, b"voice", payload_type=111, ssrc=VOICE, timestamp=960 * number)
        tag = b"\x10\x10\x02\x00\x9d\x01\x2a\x80\x02\xe0\x01" if number % 50 == 0 else b"\x10\x11\x00\x00"
        payloads = [tag.ljust(payload_bytes, b"\0"), *[bytes(payload_bytes)] * (PACKETS - 1)]
        packets = (
            self.publisher.write_rtp(
                PACKETS * number + index, payload, payload_type=96, ssrc=CAMERA, timestamp=1800 * number
            )
            for index, payload in enumerate(payloads)
        )
        self.publisher.send_run(list(packets))

    def _collect(self, until_us: int) -> None:
        reading = {receiver.peer.socket: receiver for receiver in self.receivers if receiver.reads}
        while (left := until_us - monotonic_us()) > 0:
            for ready in select.select([*reading, self.publisher.socket], [], [], left / 1e6)[0]:
                if ready in reading:
                    reading[ready].read()
                elif (data := self.publisher.socket.recv(2048))[0] == 0:
                    self.publisher.answer(data)


def _add_track(peer: MediaPeer, codec: "_engine.CodecParameters", ssrc: int) -> int:
    return peer.engine.add_producer(
        peer.transport,
        kind="audio" if ssrc == VOICE else "video",
        mid=None,
        codecs=[codec],
        extensions={},
        encodings=[{"rid": None, "ssrc": ssrc, "rtx_ssrc": None}],
        contributor=ssrc,
    )


@contextmanager
def create_stage(*, send_buffer_bytes: int = 4 << 20) -> Iterator[Stage]:
    """An engine with a socket per address family at the far end of a link, and a publisher at the near one."""
    with ExitStack() as stack:
        space = stack.enter_context(create_namespace())
        run_ip("addr", "add", "fd77::1/64", "dev", space.link, "nodad")
        run_ip("-n", space.name, "addr", "add", "fd77::2/64", "dev", "eth0", "nodad")
        engine = _engine.Engine(srtp_functions=function_addresses())
        stack.callback(engine.close)

        def open_socket(address: str) -> "_engine.SocketInfo":
            return engine.open_socket(0, (address, 0), send_buffer_bytes=send_buffer_bytes)

        sockets = {
            family: space.call(lambda address=address: open_socket(address))  # type: ignore[misc]
            for family, address in {"v4": space.inside, "v6": "fd77::2"}.items()
        }
        publisher = MediaPeer(engine, sockets["v4"], address=space.outside)
        publisher.connect()
        tracks = _add_track(publisher, OPUS, VOICE), _add_track(publisher, VP8, CAMERA)
        stage = Stage(engine, space, sockets, publisher, tracks)
        yield stage
        engine.close()
        for peer in [publisher, *(receiver.peer for receiver in stage.receivers)]:
            peer.close()


def set_rate(space: Namespace, rate: str) -> None:
    """From now on the engine's link carries no more (tc-tbf(8)); the rest waits, charged to the socket."""
    command = ["tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "16kb", "latency", "5s"]
    subprocess.run(space.command(*command), check=True, capture_output=True)


def set_checksum_offload(space: Namespace, on: bool) -> None:
    """As `ethtool -K eth0 tx on` or `off`."""

    def set_inside() -> None:
        value = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_STXCSUM, on))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SIOCETHTOOL, struct.pack("16sP8x", b"eth0", ctypes.addressof(value)))

    space.call(set_inside)

"""The compiled media engine: the contract between Python, which decides, and Rust, which moves packets.

Calls return at once: they check their arguments, put a command on the worker's queue and wake it. The interpreter is
released inside. Ids are never reused. A call with an id that was never issued, or was removed, raises
`EngineStateError`; a bad argument raises `ConfigError`; the operating system's refusals are `OSError` with their errno.
Times are microseconds of the engine's monotonic clock unless a name says otherwise.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Self, TypedDict, final, type_check_only

from router.engine_stats import BandwidthStats, Census, LimitedBy, PathStats, ProducerStats, Quality

__all__ = [
    "Capture",
    "Contributors",
    "DtlsReceived",
    "EncodingActive",
    "EncodingsWanted",
    "Engine",
    "FirstFrame",
    "PairSelected",
    "ProducerSilent",
    "SpeakersChanged",
    "StunReceived",
    "TransportLost",
    "TransportRemoved",
    "build_info",
    "srtp_apply",
]

Address = tuple[str, int]
Kind = Literal["audio", "video"]
Priority = Literal["ordinary", "preferred", "pinned"]
Preference = Literal["motion", "detail"]

@type_check_only
class BuildInfo(TypedDict):
    """How the engine was built."""

    version: str
    profile: Literal["debug", "release"]
    target: str

def build_info() -> BuildInfo:
    """How this engine was built; a benchmark refuses a debug build."""

def srtp_apply(function: int, session: int, packet: bytes, room: int = 64) -> tuple[int, bytes]:
    """Calls one libsrtp function on a copy of `packet`, as the engine does: (status, resulting bytes).

    For the self-test and published vectors. `function` and `session` are addresses as for `Engine`.
    """

@type_check_only
class CodecParameters(TypedDict):
    """One codec of an m-line; see `CodecConfig` in engine-rs/src/core/command.rs."""

    payload_type: int
    rtx_payload_type: int | None
    codec: Literal["opus", "red", "vp8", "vp9", "h264", "av1", "other"]
    format: int
    """Equal for formats that may be exchanged packet by packet, 32 bits."""
    clock_rate: int
    feedback: Sequence[Literal["nack", "pli", "fir", "transport-cc", "remb", "ccfb"]]

@type_check_only
class EncodingParameters(TypedDict):
    """One encoding of a published track."""

    rid: str | None
    ssrc: int | None
    rtx_ssrc: int | None

@type_check_only
class SocketInfo(TypedDict):
    """A bound socket."""

    id: int
    worker: int
    address: Address
    receive_buffer_bytes: int
    """What the kernel granted."""
    send_buffer_bytes: int

@final
class StunReceived:
    """A STUN message that the engine cannot settle alone. Not authenticated."""

    __match_args__ = ("socket", "source", "data")
    socket: int
    source: Address
    data: bytes

@final
class DtlsReceived:
    """A DTLS datagram from a tuple of this transport."""

    __match_args__ = ("transport", "socket", "source", "data")
    transport: int
    socket: int
    source: Address
    data: bytes

@final
class PairSelected:
    """Media of this transport now goes to `address`."""

    __match_args__ = ("transport", "socket", "address")
    transport: int
    socket: int
    address: Address

@final
class FirstFrame:
    """The first key frame left for this transport."""

    __match_args__ = ("transport", "waited_us")
    transport: int
    waited_us: int
    """Since one of its video slots was assigned a track."""

@final
class TransportLost:
    """The engine gave the transport up and stopped sending; the fork should be closed."""

    __match_args__ = ("transport", "reason")
    transport: int
    reason: Literal["consent-expired", "engine-bug"]

@final
class TransportRemoved:
    """The transport left the engine: its SRTP sessions may be freed."""

    __match_args__ = ("transport",)
    transport: int

@final
class EncodingActive:
    """The first authenticated packet of one encoding, also after silence."""

    __match_args__ = ("producer", "encoding", "ssrc")
    producer: int
    encoding: int
    ssrc: int

@final
class EncodingsWanted:
    """What is in use of a published track changed: its publisher, who follows that, need not send the others.

    At once when more is, after a second of disuse and later each time when less is; see `Engine.follow_demand`.
    """

    __match_args__ = ("producer", "encodings")
    producer: int
    encodings: list[int]
    """Indices into the encodings of `Engine.add_producer`, ascending."""

@final
class ProducerSilent:
    """All encodings of a published track fell silent."""

    __match_args__ = ("producer", "reason")
    producer: int
    reason: Literal["bye", "timeout"]

@final
class Contributors:
    """The CSRCs received on a published track changed; levels in -dBov (0-127) where RFC 6465 carries them."""

    __match_args__ = ("producer", "sources")
    producer: int
    sources: list[tuple[int, int | None]]

@final
class SpeakersChanged:
    """Who speaks in a group changed; at most 5 a second, always ending on the true state.

    `stages` has one list per capacity in use, ascending: that many places and one spare place at the end. A participant
    who has a place hears the spare one there.
    """

    __match_args__ = ("group", "dominant", "recent", "stages", "levels")
    group: int
    dominant: int | None
    """The producer that took the floor last, also when it is silent now."""
    recent: list[int]
    """Producers that were dominant, the latest first, at most 32; those that are gone are left out."""
    stages: list[list[int | None]]
    levels: list[tuple[int, int]]
    """How loud the producers in places were in their last packet, in -dBov, where packets say so (RFC 6464)."""

Event = (
    StunReceived
    | DtlsReceived
    | PairSelected
    | FirstFrame
    | TransportLost
    | TransportRemoved
    | EncodingActive
    | EncodingsWanted
    | ProducerSilent
    | Contributors
    | SpeakersChanged
)

@type_check_only
class WorkerCounters(TypedDict):
    """Totals of one worker since its start."""

    worker: int
    datagrams_received: int
    """Of any protocol, also those that are dropped."""
    datagram_bytes_received: int
    datagrams_sent: int
    """What the kernel took, of any protocol."""
    datagram_bytes_sent: int
    rtp_packets_received: int
    """Authentic ones, RTX included. Bytes are with header and SRTP tag."""
    rtp_bytes_received: int
    rtp_packets_sent: int
    """Repairs included."""
    rtp_bytes_sent: int
    padded_packets: int
    """Of the packets sent, those with padding, which evens out the sizes of packets sent in a row."""
    padding_bytes: int
    dropped: dict[str, int]
    """Packets dropped, by `DropReason` slug; every reason is present."""
    receive_batches: int
    send_batches: int
    kernel_drops: int
    """Datagrams the kernel dropped on full receive buffers (SO_RXQ_OVFL)."""
    gro_datagrams: int
    """Of the datagrams received, those in which the kernel had joined packets of one sender (UDP_GRO), and how many
    packets they were; `datagrams_received` counts each packet."""
    gro_segments: int
    receive_buffer_bytes: int
    """What the kernel granted the worker's socket that has the least."""
    send_buffer_bytes: int
    send_errors: int
    """Datagrams given up for themselves: no route, no such socket, an address the kernel refuses."""
    gso_sends: int
    """Messages of several datagrams, which the kernel segmented (UDP_SEGMENT)."""
    gso_segments: int
    """Datagrams of those messages."""
    gso_fallbacks: int
    """Messages that the kernel or a device refused to segment; their datagrams were sent one by one."""
    send_dropped: dict[str, int]
    """Datagrams dropped for want of room in the send buffer: control, audio, video_key, video, video_layer."""
    send_waits: int
    """How often a full send buffer was waited for, at most 1 ms each."""
    events_dropped: int
    panics: int
    """Bugs caught in the engine; each cost one transport, with `TransportLost("engine-bug")`."""
    transports: int
    producers: int
    slots: int
    speaker_groups: int
    tuples: int
    """Addresses that lead to a transport."""
    timers: int
    """Entries in the core's timer heap; those of what is gone stay until they are due."""
    busy_us: int
    """Time spent outside the poll call."""
    cpu: int | None
    """The one it is pinned to."""
    mirrors: int
    """Producers of other workers that it mirrors, for its own slots and speaker groups."""
    mirror_packets_received: int
    mirror_packets_sent: int
    """Packets handed to other workers."""
    mirror_dropped: int
    """Packets for other workers that found no room."""
    nack_received: int
    nack_sent: int
    pli_received: int
    pli_sent: int
    fir_received: int
    fir_sent: int
    retransmitted_packets: int
    forward_delay_us: list[int]
    """Histogram of the time from a packet's arrival at the machine to its sending, upper bounds 50, 100, 250, 500,
    1000, 2500, 5000, 10000, 50000 us and infinity."""
    forward_delay_sum_us: int
    census: Census

@type_check_only
class SlotStats(TypedDict):
    """A sending m-line, W3C outbound-rtp meanings in snake_case, with the receiver's reports."""

    id: int
    kind: Kind
    mid: str | None
    ssrc: int
    rtx_ssrc: int | None
    producer: int | None
    """What is assigned."""
    shown_producer: int | None
    """What is sent, which may be what was assigned before."""
    waiting: bool
    """Assigned, but not sent yet: the key frame is not here, or `reason` says why."""
    encoding: int | None
    reason: str
    """Why the slot shows what it shows: a short text for people."""
    limited_by: LimitedBy
    """The same as a word to rely on."""
    quality: Quality | None
    """For the receiver: loss by its reports less repairs, round trip, jitter, freezes, the picture shown against the
    best that the track has within the slot's limits. None while nothing is to be shown, or nothing is known."""
    codec: str | None
    payload_type: int | None
    packets_sent: int
    bytes_sent: int
    header_bytes_sent: int
    trimmed_packets_sent: int
    """Of those packets, sent without the contributor or something else of ours: 15 CSRCs already, or no room."""
    retransmitted_packets_sent: int
    retransmitted_bytes_sent: int
    nack_count: int
    pli_count: int
    fir_count: int
    bitrate_bps: int
    frames_sent: int
    key_frames_sent: int
    frame_width: int | None
    """Of the picture shown; like the next two as of the last judgement, at most some seconds ago."""
    frame_height: int | None
    frames_per_second: float
    freeze_count: int
    """Freezes of the receiver's picture, as far as they are known here: frames that left no less than
    max(3 d, d + 150 ms) apart, d being their average distance. From a PLI of the receiver to the next key frame no
    frame counts, unless one was under way already. What was stopped on purpose (a pause, a limit, an empty slot) is no
    freeze. One is counted as soon as it is one, and its duration grows while it lasts."""
    total_freezes_duration_s: float
    packets_lost: int
    """As the receiver reported."""
    fraction_lost: float
    jitter_s: float
    round_trip_time_s: float | None

@type_check_only
class TransportStats(TypedDict):
    """One peer."""

    id: int
    worker: int
    socket: int | None
    remote_address: Address | None
    selected_pair_changes: int
    tuples: int
    paths: list[PathStats]
    """Each tuple of a peer with ICE."""
    secured: bool
    """SRTP is keyed and media may pass."""
    packets_received: int
    bytes_received: int
    packets_sent: int
    bytes_sent: int
    dropped: dict[str, int]
    """Only reasons that occurred."""
    current_round_trip_time_s: float | None
    """Of the engine's own path challenges."""
    last_authenticated_us: int | None
    bandwidth: BandwidthStats | None
    """Once it was sent video."""
    producers: list[ProducerStats]
    slots: list[SlotStats]

@final
class Engine:
    """Worker threads with their sockets. Close it, or its threads keep the process alive."""

    def __new__(cls, *, srtp_functions: tuple[int, int, int, int], workers: int = 1, cpus: Sequence[int] = ()) -> Self:
        """`srtp_functions`: addresses of libsrtp 2's protect, unprotect, protect_rtcp and unprotect_rtcp.

        `cpus`: worker N is pinned to the Nth of them, if there is one.
        """

    @property
    def workers(self) -> int:
        """Number of worker threads."""

    def busy_us(self) -> list[int]:
        """Time that each worker has spent working; asks none of them."""

    @property
    def event_fd(self) -> int:
        """Readable while events wait."""

    def poll_events(self, limit: int = 1024) -> list[Event]:
        """Takes waiting events, oldest first of each worker; clears `event_fd` when none is left."""

    def now_us(self) -> int:
        """The engine's clock."""

    def open_socket(
        self, worker: int, address: Address, *, receive_buffer_bytes: int = 4194304, send_buffer_bytes: int = 4194304
    ) -> SocketInfo:
        """Binds a UDP socket, IPv4 or IPv6 by the address (port 0: any), and gives it to the worker."""

    def close_socket(self, socket: int) -> None:
        """Closes it. Tuples on it are forgotten."""

    def send_datagram(self, socket: int, address: Address, data: bytes) -> None:
        """Sends STUN or DTLS made in Python."""

    def create_transport(
        self,
        socket: int,
        *,
        local_ufrag: str,
        local_password: str,
        cname: str,
        timeout_us: int = 30_000_000,
    ) -> int:
        """A new peer on this socket's worker. Passes no media before `set_srtp`."""

    def remove_transport(self, transport: int) -> None:
        """BYE for its slots, then everything of it is dropped; `TransportRemoved` follows."""

    def set_remote_ice(self, transport: int, ufrag: str, password: str) -> None:
        """The peer's credentials, needed to challenge new paths."""

    def restart_ice(self, transport: int, local_ufrag: str, local_password: str) -> None:
        """New local credentials beside the old ones, which die 10 s after the new ones gave a pair."""

    def add_tuple(self, transport: int, socket: int, address: Address, *, nominated: bool, priority: int) -> None:
        """Python authenticated a check from here and answered it."""

    def validate_tuple(self, transport: int, socket: int, address: Address) -> None:
        """DTLS finished here: return-routability is proven."""

    def set_plain_peer(self, transport: int, *, rtp: tuple[int, Address], rtcp: tuple[int, Address], ssrc: int) -> None:
        """A peer without ICE is reached there from now on, and only there; `PairSelected` follows.

        `rtp` and `rtcp` are a socket and the peer's address each. They take the place of all paths there were, and no
        packet ever changes them; STUN and DTLS from there are dropped. `ssrc` is the source of our own RTCP.
        """

    def set_srtp(self, transport: int, inbound: int, outbound: int) -> None:
        """Fingerprint verified, or keys agreed beforehand.

        Addresses of two `srtp_t`; their owner lives until `TransportRemoved`.
        """

    def set_receive_limit(self, transport: int, max_bitrate_bps: int | None) -> None:
        """Caps by REMB what the peer sends."""

    def add_producer(
        self,
        transport: int,
        *,
        kind: Kind,
        mid: str | None,
        codecs: Sequence[CodecParameters],
        extensions: Mapping[str, int],
        encodings: Sequence[EncodingParameters],
        contributor: int,
        media_timeout_us: int = 5_000_000,
    ) -> int:
        """A track the peer publishes. `extensions` maps URI to id; unknown URIs are ignored."""

    def pause_producer(self, producer: int, paused: bool) -> None:
        """Server-side mute."""

    def follow_demand(self, producer: int, follows: bool) -> None:
        """Whether the publisher of a video track pauses what `EncodingsWanted` does not name, and resumes what it does.

        What is paused for that reason stays something that slots can show. With False all is wanted again, without an
        event.
        """

    def remove_producer(self, producer: int) -> None:
        """Slots that show it go quiet."""

    def request_key_frame(self, producer: int) -> None:
        """PLI or FIR to the publisher, merged and throttled."""

    def add_slot(
        self,
        transport: int,
        *,
        kind: Kind,
        mid: str | None,
        ssrc: int,
        rtx_ssrc: int | None,
        codecs: Sequence[CodecParameters],
        extensions: Mapping[str, int],
        allow_mixed_extensions: bool = False,
    ) -> int:
        """A sending m-line, showing nothing.

        `allow_mixed_extensions`: the peer understands two-byte header extensions among one-byte ones.
        """

    def assign_slot(self, slot: int, producer: int | None) -> None:
        """Shows a producer of the same worker and kind, or nothing. Ignored while the slot follows speakers.

        Video changes at the next key frame, which is asked for at once; what was shown goes on until then.
        """

    def set_slot_limits(
        self,
        slot: int,
        *,
        max_bitrate_bps: int | None = None,
        max_width: int | None = None,
        max_height: int | None = None,
        max_frame_rate: int | None = None,
        max_temporal_layers: int | None = None,
        shown_width: int | None = None,
        shown_height: int | None = None,
    ) -> None:
        """Replaces all limits of the slot.

        `shown_width`, `shown_height`: pixels at which the peer shows it. Nothing beyond the smallest picture that
        covers them is sent: a picture is shown whole, so one side that is reached will do, 85 % of it even.
        """

    def set_slot_priority(self, slot: int, priority: Priority, preference: Preference) -> None:
        """How much a slot matters when its peer's bandwidth is short, and what to keep: "motion" of a camera (larger
        pictures only while they still move), "detail" of a shared screen.
        """

    def remove_slot(self, slot: int) -> None:
        """With an RTCP BYE."""

    def create_speakers(self, worker: int, *, max_heard: int = 3) -> int:
        """A speaker group: audio producers of one worker compete to be heard, audio slots hear the loudest of them.

        `max_heard`, 1 to 16, is the most that anybody hears at once. `SpeakersChanged` tells who speaks.
        """

    def remove_speakers(self, group: int) -> None:
        """Its followers go quiet, and may be assigned again."""

    def join_speakers(self, producer: int, group: int, participant: int) -> None:
        """An audio producer competes in the group until it is removed; it leaves a group that it was in.

        `participant` is any 64-bit number that names its owner. A paused producer does not compete.
        """

    def follow_speakers(self, slots: Sequence[int], group: int, participant: int) -> None:
        """These audio slots of one peer, in this order, hear the loudest, but never those of `participant`.

        Slot k hears place k of the stage of capacity min(len(slots), max_heard). A place of one's own participant is
        replaced by the spare one, if that is not one's own too. Slots beyond the capacity stay empty. `assign_slot` on
        such a slot is ignored until the group is removed.
        """

    def counters(self) -> list[WorkerCounters]:
        """One snapshot of totals per worker, cheap whatever the number of peers."""

    def transport_stats(self, transports: Sequence[int]) -> list[TransportStats]:
        """One snapshot of these peers; those that are gone are left out."""

    def close(self) -> None:
        """Ends the threads and closes the sockets. Idempotent."""

@final
class Capture:
    """One peer's packets as pcapng blocks in made-up IP and UDP headers. Stop it, or it goes on until it is full."""

    def __new__(
        cls,
        engine: Engine,
        transport: int,
        *,
        what: Literal["encrypted", "headers"],
        addresses: Sequence[tuple[int, Address]],
        interface: int,
        max_bytes: int,
    ) -> Self:
        """Begins; a peer has one capture at a time, the newest.

        `addresses`: our side of the 5-tuples, by socket. `interface`: its number in the file.
        """

    def read(self) -> bytes:
        """Whole blocks that were not read yet. What is not read in time is dropped."""

    @property
    def packets(self) -> int:
        """Packets captured."""

    @property
    def dropped(self) -> int:
        """Packets that found no room."""

    @property
    def full(self) -> bool:
        """It has `max_bytes`, and takes no more."""

    def stop(self) -> None:
        """Ends it; afterwards the rest can be read."""

"""The native part of the load test (`loadtest/native`): contract of the compiled module."""

from typing import TypedDict

__all__ = ["Floor", "Generator", "build_profile"]

class TrackArguments(TypedDict):
    """A track to send. `rate` is packets a second (steady), bits a second (camera), or unused (voice)."""

    codec: str
    payload_type: int
    ssrc: int
    mid: str
    mid_extension: int | None
    level_extension: int | None
    shape: str
    bytes: int
    per_frame: int
    rate: float
    dtx: bool

class PeerArguments(TypedDict):
    """A client whose descriptor is given away; sessions are addresses of `srtp_t`, 0 for traffic in the clear."""

    fd: int
    remote: tuple[str, int]
    password: bytes
    remote_username: bytes
    remote_password: bytes
    controlling: bool
    inbound: int
    outbound: int
    video_types: list[int]
    remb_bps: int
    tracks: list[TrackArguments]

class HistogramSnapshot(TypedDict):
    """Percentiles, and upper bound and count of each filled bucket."""

    total: int
    max_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    p999_ns: int
    buckets: list[tuple[int, int]]

class Snapshot(TypedDict):
    """What was counted since `begin`; `skipped` and `cpu_us` since the start. See `generator.rs` and `peer.rs`."""

    sent: int
    send_failures: int
    received: int
    received_bytes: int
    datagrams: int
    overflowed: int
    checked: int
    undecryptable: int
    wrong: int
    unknown: int
    key_requests: int
    nacks: int
    answered: int
    unique: int
    expected: int
    lost: int
    duplicates: int
    reordered: int
    restarts: int
    streams: int
    receivers: int
    skipped: int
    cpu_us: int
    latency: HistogramSnapshot
    lateness: HistogramSnapshot

class Generator:
    """A thread that sends and counts for many clients."""

    def __new__(
        cls,
        srtp_functions: tuple[int, int, int, int],
        *,
        core: int | None,
        report_interval_s: float,
        check_interval_s: float,
        coalesces: bool,
    ) -> Generator: ...
    def add(self, peer: PeerArguments) -> int:
        """Takes a client; its number."""

    def remove(self, number: int) -> None:
        """Closes a client's socket."""

    def set_running(self, running: bool) -> None:
        """Starts or stops all tracks."""

    def set_scale(self, scale: float) -> None:
        """Makes all tracks but voices so much faster than they were described."""

    def begin(self) -> None:
        """Begins a window of measurement."""

    def snapshot(self) -> Snapshot:
        """What was counted in the window."""

    def close(self) -> None:
        """Ends the thread and closes all sockets."""

class Floor:
    """A thread that copies, protects and sends, and nothing else."""

    port: int

    def __new__(cls, srtp_functions: tuple[int, int, int, int], core: int | None) -> Floor: ...
    def add(self, member: int, remote: tuple[str, int], session: int, publishes: bool) -> None:
        """Adds a publisher or receiver; nobody receives from the member of the same number."""

    def close(self) -> None:
        """Ends the thread."""

def build_profile() -> str:
    """`release` or `debug`."""

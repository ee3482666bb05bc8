"""Results: the schema of the JSON that `router-loadtest` writes (`router-loadtest schema` prints it)."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class Latency(Record):
    """One way, from the publisher's stamp to the arrival at the receiver's socket, of a sample of packets."""

    samples: int
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    max_us: float
    buckets: list[tuple[int, int]] = Field(description="upper bound in nanoseconds, packets")


class GeneratorUse(Record):
    """Whether the generator could do what it was asked to."""

    core_busy: float = Field(description="share of its core, everything on it")
    thread_cpu: float = Field(description="share of the native thread")
    lateness_p99_us: float = Field(description="from due to sent")
    skipped_frames: int
    sent_share: float = Field(description="of the packets that were due")
    overflowed: int = Field(description="datagrams that receivers' sockets had no room for (SO_RXQ_OVFL)")
    send_failures: int


class Step(Record):
    """One window of measurement."""

    receivers: int
    subscriptions: int
    load: float
    seconds: float
    packets_sent: int = Field(description="by publishers")
    packets_received: int = Field(description="by all receivers")
    packets_per_s: float
    bits_per_s: float
    loss: float = Field(description="the larger of gaps in sequence numbers and packets missing in all")
    duplicates: int
    reordered: int
    wrong: int = Field(description="sampled packets that did not decrypt or were not what was sent")
    checked: int
    server_user_us_per_packet: float
    server_system_us_per_packet: float
    server_cpu_us_per_packet: float
    server_cpu: float = Field(description="share of one core, user and system, all processes")
    server_core_busy: float = Field(description="share of the server's core, everything on it")
    server_pss_kib: int
    server_rss_kib: int
    latency: Latency
    generator: GeneratorUse
    socket_drops: int = Field(description="datagrams that the server's UDP sockets had no room for")
    inconclusive: list[str] = Field(description="why this step says nothing about the server; empty for a good one")


class KneeResult(Record):
    """The highest rate with acceptable loss, and latency below it."""

    packets_per_s: float
    loss: float
    limited_by: Literal["server", "generator", "search"]
    steps: list[Step]
    at_half: Step
    at_ninety: Step


class MemoryResult(Record):
    """Proportional set size of the server, per unit."""

    peers: int
    idle_peer_kib: float
    active_receiver_kib: float
    further_subscription_kib: float | None


class JoinsResult(Record):
    """Full joins: signalling, ICE, DTLS, keys."""

    joins: int
    seconds: float
    per_s: float = Field(description="as it went; the clients' handshakes may be the limit")
    per_server_core_s: float = Field(description="joins by the server's CPU time")
    server_cpu_ms: float = Field(description="per join")
    inconclusive: list[str]


class ChurnResult(Record):
    """Who came and went, and what it left behind."""

    joins: int
    aborts: int
    failed_joins: int
    pss_growth_kib: int
    descriptors_growth: int


class Run(Record):
    """One scenario against one server, once."""

    scenario: str
    server: str
    version: str
    started_at: str
    steps: list[Step] = []
    knee: KneeResult | None = None
    memory: MemoryResult | None = None
    joins: JoinsResult | None = None
    churn: ChurnResult | None = None
    skipped: str = Field("", description="why this server was not measured")


class Report(Record):
    """What one command measured."""

    tool: Literal["router-loadtest 1"] = "router-loadtest 1"
    command: str
    commit: str
    engine: dict[str, str]
    machine: dict[str, str | int]
    server_core: int | None
    generator_core: int | None
    runs: list[Run]

"""Durations and outcomes that Python itself sees, kept in a registry of our own.

One `Metrics` per router. `rtc`, which knows no router, calls the module's `record_*` functions, which write to the
process-wide default. Packet totals are not here: the engine keeps them, and `router.admin.collector` reads them
once per scrape. No label grows with users: rooms, peers and tokens never become labels.
"""

from platform import python_version
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from router import __version__

DURATION_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STORE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0)
LAG_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)

HandshakeResult = Literal["ok", "failed", "timeout", "fingerprint-mismatch", "abandoned"]
CheckDropReason = Literal[
    "unknown-context", "unknown-fork", "bad-integrity", "foreign-peer", "fork-refused", "other-worker"
]

ModerationAction = Literal["mute", "unmute", "remove", "lock", "unlock"]
WebhookResult = Literal["delivered", "failed", "dead"]
Transport = Literal["whip", "whep", "fork"]
PEER_FAULTS: Final = (
    ("ice", "no-check"),
    ("ice", "no-pair"),
    ("dtls", "no-hello"),
    ("dtls", "no-keys"),
    ("dtls", "unfinished"),
    ("dtls", "failed"),
    ("dtls", "timeout"),
    ("dtls", "fingerprint-mismatch"),
)
"""Where and why peers that were admitted come to nothing. Reasons of refusals (`admission`) are slugs of errors."""
LOST_REASONS: Final = ("consent-expired", "closed-by-peer", "engine-bug", "other")

# Each counter would otherwise gain a `_created` gauge; the switch is process-wide in prometheus-client.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Histograms and counters of one router, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.join_duration = Histogram(
            "sfu_join_duration_seconds",
            "Time from the join request to the first moment media could flow.",
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )
        self.first_frame = Histogram(
            "sfu_first_frame_seconds",
            "Time from when a receiver was to see its first picture to the first key frame that left for it.",
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )
        self.join_failures = Counter(
            "sfu_join_failures",
            "Joins that came to nothing, by where (admission, ice, dtls) and why.",
            ["stage", "reason"],
            registry=self.registry,
        )
        self.peers_lost = Counter(
            "sfu_peers_lost", "Connected peers that went without a word, by reason.", ["reason"], registry=self.registry
        )
        self.load_ratio = Gauge(
            "sfu_load_ratio",
            "How full this node is: the share of time that its busiest engine thread works. 1 is full.",
            registry=self.registry,
        )
        self.handshake_duration = Histogram(
            "sfu_dtls_handshake_duration_seconds",
            "Duration of completed DTLS handshakes.",
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )
        self.handshakes = Counter(
            "sfu_dtls_handshakes", "DTLS handshakes by result.", ["result"], registry=self.registry
        )
        self.sessions_started = Counter(
            "sfu_sessions_started", "Sessions that were answered.", ["transport"], registry=self.registry
        )
        self.sessions_ended = Counter("sfu_sessions_ended", "Sessions that ended.", ["reason"], registry=self.registry)
        self.moderation = Counter("sfu_moderation_actions", "What moderators did.", ["action"], registry=self.registry)
        self.checks_dropped = Counter(
            "sfu_ice_checks_dropped",
            "Well-formed connectivity checks that Python did not answer, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.forks_refused = Counter(
            "sfu_forks_refused",
            "Answers to a room's offer, and forks born from a check, that came to nothing, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.loop_lag = Histogram(
            "sfu_event_loop_delay_seconds",
            "How late the event loop woke a timer.",
            buckets=LAG_BUCKETS,
            registry=self.registry,
        )
        self.loop_lag_last = Gauge(
            "sfu_event_loop_lag_seconds",
            "Worst lateness of the event loop in the last ten seconds.",
            registry=self.registry,
        )
        self.redis_up = Gauge(
            "sfu_redis_up",
            "1 when Redis answered the last call, else 0; 0 also without Redis.",
            registry=self.registry,
        )
        self.redis_duration = Histogram(
            "sfu_redis_command_duration_seconds",
            "Duration of answered calls to Redis, by what they are for.",
            ["command"],
            buckets=STORE_BUCKETS,
            registry=self.registry,
        )
        self.redis_failures = Counter(
            "sfu_redis_failures", "Calls to Redis that failed, by reason.", ["reason"], registry=self.registry
        )
        self.store_values_refused = Counter(
            "sfu_store_values_refused", "Values in Redis that fit no schema, by kind.", ["kind"], registry=self.registry
        )
        self.rooms_lost = Counter(
            "sfu_rooms_lost", "Rooms closed here because another node has them.", registry=self.registry
        )
        self.events = Counter("sfu_events", "Events of the log, by kind.", ["kind"], registry=self.registry)
        self.events_lost = Counter(
            "sfu_events_lost", "Events that a slow reader lost, by sink.", ["sink"], registry=self.registry
        )
        self.event_listeners = Gauge(
            "sfu_event_listeners", "Open streams of server-sent events.", registry=self.registry
        )
        self.webhook_deliveries = Counter(
            "sfu_webhook_deliveries",
            "Attempts that were taken (delivered) or not (failed), and webhooks given up (dead).",
            ["result"],
            registry=self.registry,
        )
        self.webhook_queue_depth = Gauge(
            "sfu_webhook_queue_depth",
            "Events that wait for receivers of webhooks, of all together.",
            registry=self.registry,
        )
        self.handler_errors = Counter(
            "sfu_handler_errors", "Event handlers that raised; the connection went on.", registry=self.registry
        )
        self.drain_active = Gauge(
            "sfu_drain_active", "1 while the router drains: no new rooms are opened here.", registry=self.registry
        )
        self.drain_started = Gauge(
            "sfu_drain_started_timestamp_seconds", "When draining began; 0 while serving.", registry=self.registry
        )
        labels = {"version": __version__, "python": python_version()}
        build = Gauge("sfu_build_info", "Always 1; the labels tell the build.", list(labels), registry=self.registry)
        build.labels(**labels).set(1)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """What appears only when it first happens has no rate then: known labels are there from the start."""
        for stage, reason in PEER_FAULTS:
            self.join_failures.labels(stage=stage, reason=reason)
        for counter, name, values in (
            (self.handshakes, "result", get_args(HandshakeResult)),
            (self.checks_dropped, "reason", get_args(CheckDropReason)),
            (self.sessions_started, "transport", get_args(Transport)),
            (self.webhook_deliveries, "result", get_args(WebhookResult)),
            (self.moderation, "action", get_args(ModerationAction)),
            (self.peers_lost, "reason", LOST_REASONS),
        ):
            for value in values:
                counter.labels(**{name: value})

    def record_join(self, seconds: float) -> None:
        """A participant's session can carry media, `seconds` after its request arrived."""
        self.join_duration.observe(seconds)

    def record_join_failed(self, stage: str, reason: str) -> None:
        """A join came to nothing; both are of fixed sets of slugs."""
        self.join_failures.labels(stage=stage, reason=reason).inc()

    def record_peer_lost(self, reason: str) -> None:
        """A connected peer is gone; `reason` is one of `LOST_REASONS`."""
        self.peers_lost.labels(reason=reason).inc()

    def record_handshake(self, seconds: float, result: HandshakeResult = "ok") -> None:
        """A DTLS handshake ended."""
        self.handshakes.labels(result=result).inc()
        if result == "ok":
            self.handshake_duration.observe(seconds)

    def record_fork_refused(self, reason: str) -> None:
        """An answer, or a fork born from a check, came to nothing; `reason` is one of a fixed set of slugs."""
        self.forks_refused.labels(reason=reason).inc()

    def record_session_started(self, transport: Transport) -> None:
        """An offer was answered."""
        self.sessions_started.labels(transport=transport).inc()

    def record_session_ended(self, reason: str) -> None:
        """A session ended; `reason` is one of a fixed set of slugs."""
        self.sessions_ended.labels(reason=reason).inc()

    def record_store_call(self, command: str, seconds: float) -> None:
        """Redis answered; `command` is one of a fixed set of names."""
        self.redis_duration.labels(command=command).observe(seconds)

    def record_store_failure(self, reason: str) -> None:
        """A call to Redis failed; `reason` is one of a fixed set of slugs."""
        self.redis_failures.labels(reason=reason).inc()

    def record_value_refused(self, kind: str) -> None:
        """A value in Redis was poisoned; `kind` is one of a fixed set."""
        self.store_values_refused.labels(kind=kind).inc()

    def record_moderation(self, action: ModerationAction) -> None:
        """A moderator acted."""
        self.moderation.labels(action=action).inc()

    def record_webhook(self, result: WebhookResult, count: int = 1) -> None:
        """An attempt to deliver ended, or webhooks were given up."""
        self.webhook_deliveries.labels(result=result).inc(count)


_default: Metrics | None = None


def default_metrics() -> Metrics:
    """The process-wide instance."""
    global _default
    if _default is None:
        _default = Metrics()
    return _default


def record_handshake(seconds: float, result: HandshakeResult = "ok") -> None:
    """See `Metrics.record_handshake`."""
    default_metrics().record_handshake(seconds, result)


def record_check_dropped(reason: CheckDropReason) -> None:
    """A check was not answered."""
    default_metrics().checks_dropped.labels(reason=reason).inc()


def record_handler_error() -> None:
    """An application's event handler raised."""
    default_metrics().handler_errors.inc()

"""The whole router in one process: engine, sockets, rooms, public and admin port, in order of start and back again.

Start: ports are bound first, so that a taken one is told before anything runs; then the engine, its sockets, the
directory, the two HTTP servers. It ends in reverse: not ready, no newcomers, rooms closed with BYE and close_notify,
servers, sockets, engine. When it ends is decided by whoever runs it: `router.drain` tells when its time has come.
"""

import asyncio
import contextlib
import logging
import resource
import socket
from functools import partial
from types import TracebackType
from typing import Final

from starlette.types import ASGIApp

from router import __version__
from router.access import Access
from router.admin.app import create_admin_app
from router.admin.capture_limits import CaptureLimits
from router.admin.node_client import NodeClient
from router.admin.node_questions import NodeQuestions
from router.admin.state import AdminState
from router.cluster.membership import Membership
from router.cluster.peers import Peers
from router.cluster.revocations import RevocationExchange
from router.cluster.store import OpenStore, open_store
from router.cluster.this_node import join_others
from router.config import Settings
from router.drain import Drain
from router.errors import EngineError
from router.event_sinks import EventSinks
from router.events.log import EventLog
from router.events.model import NodeDraining, NodeStarted, NodeStopped
from router.hosts import in_url
from router.http_protocol import refuse_crowd
from router.listener import HttpLimits, Listener, bind_port, close_all
from router.loop_lag import LoopLag
from router.media_sockets import MediaSockets
from router.metrics import default_metrics
from router.rooms.limits import RoomLimits
from router.rooms.quality_watch import QualityWatch
from router.rooms.registry import RoomRegistry
from router.rooms.revocation import Revocation
from router.rooms.static_offer import OfferLayout
from router.rtc import RTCConnection
from router.rtc.engine import MediaEngine
from router.signaling.app import create_public_app
from router.signaling.cors import CorsMiddleware
from router.signaling.state import IceServer, PublicState, SignalingSettings
from router.tracing import open_tracer

logger = logging.getLogger(__name__)

MAX_READY_LAG_S: Final = 5.0
ROOMS_GRACE_S: Final = 5.0
REQUEST_BURST_S: Final = 3.0
BODY_TIMEOUT_SHARE: Final = 0.8
"""Of the time for a whole request, whose end cuts the connection off: a body that is too slow is told so before."""
SPARE_WATCHERS: Final = 700
"""Events WebSockets of a room beyond one for each participant: second windows, spectators."""
FORK_BURST_S: Final = 2.0
FORK_BURST_PER_ADDRESS_S: Final = 5.0


class RouterServer:
    """A router that runs from `__aenter__` to `stop`."""

    def __init__(self, settings: Settings, *, embedded: bool = False) -> None:
        """Embedded it has no public port: another application serves `make_public_app`."""
        settings.check_startable()
        self.settings = settings
        self._embedded = embedded
        self.metrics = default_metrics()
        self.access = Access(settings)
        self.events = EventLog(max_entries=settings.events.max_entries, metrics=self.metrics)
        self._sinks = EventSinks(self.events, settings, self.metrics)
        self.registry = RoomRegistry(
            self._open_origin,
            limits=_room_limits(settings),
            layout=OfferLayout(settings.rooms.audio_slots, settings.rooms.video_slots, settings.rooms.codecs),
            create_on_first_use=settings.rooms.create_on_first_use,
            metrics=self.metrics,
            events=self.events,
            revocations=self.access.join_tokens.revocations,
        )
        self.drain = Drain(self.registry, deadline_s=settings.drain.deadline_s)
        self._lag = LoopLag(self.metrics)
        self._ports: list[socket.socket] = []
        self._engine: MediaEngine | None = None
        self._membership: Membership | None = None
        self._peers: Peers | None = None
        self._nodes = NodeClient()
        self._sockets: MediaSockets | None = None
        self._public: Listener | None = None
        self._admin: Listener | None = None
        self._stopping = False
        self._closing = contextlib.AsyncExitStack()

    @property
    def public_port(self) -> int:
        """The public TCP port, also when 0 was asked for."""
        return self._public.port if self._public else 0

    def make_public_app(self, prefix: str = "") -> ASGIApp:
        """What the public port serves; once started. The prefix is the path that clients see it below."""
        return create_public_app(self._public_state(prefix))

    @property
    def admin_port(self) -> int:
        """The admin TCP port."""
        return self._admin.port if self._admin else 0

    @property
    def media_ports(self) -> list[int]:
        """The UDP ports."""
        return self._sockets.ports if self._sockets else []

    async def __aenter__(self) -> "RouterServer":
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start(self) -> None:
        settings, closing = self.settings, self._closing
        public_port = None
        if not self._embedded:
            public_port = bind_port(settings.public_host, settings.public.port, "public")
            closing.callback(close_all, public_port)
        admin_port = bind_port(settings.admin.host, settings.admin.port, "admin")
        closing.callback(close_all, admin_port)
        self._engine = await closing.enter_async_context(
            MediaEngine(
                settings.media.worker_count, timeout_s=settings.media.timeout_s, cpus=settings.media.worker_cpus
            )
        )
        self._sockets = MediaSockets(settings, self._engine)
        closing.push_async_callback(self._sockets.close)
        self._sockets.start()
        self.access.start()
        closing.push_async_callback(self.access.close)
        opened = open_store(settings.redis, self.metrics)
        closing.push_async_callback(opened.store.close)
        self._membership = join_others(
            self.registry,
            opened.store,
            settings.redis,
            self.metrics,
            public_url=settings.public.url or "",
            read_busy_us=self._read_busy_us,
        )
        self._membership.start()
        closing.push_async_callback(self._membership.close)
        questions = NodeQuestions(self.access.admin_tokens)
        closing.push_async_callback(questions.close)
        self._peers = Peers(self.registry, opened.store, self._membership, questions)
        self.drain.on_changed = self._membership.wake
        self.events.node = self._membership.node.id
        self._exchange_revocations(opened)
        tracer = open_tracer(settings.tracing)
        if tracer is not None:
            self.registry.joins.on_traced = tracer.record
            closing.push_async_callback(tracer.close)
        self._lag.start()
        closing.callback(self._lag.close)
        self._admin = Listener(create_admin_app(self._admin_state()), admin_port, HttpLimits())
        closing.push_async_callback(self._nodes.close)
        if public_port is not None:
            crowded = CorsMiddleware(refuse_crowd, settings.public.allowed_origins)
            self._public = Listener(self.make_public_app(), public_port, _public_limits(settings), crowded=crowded)
        for listener in filter(None, (self._admin, self._public)):
            closing.push_async_callback(listener.stop)
            listener.start()
        self._sinks.start(opened.events)
        closing.push_async_callback(self._sinks.close)  # before the listeners: streams of events end with the log
        closing.callback(self.events.append, NodeStopped())
        closing.push_async_callback(self._close_rooms)
        quality = QualityWatch(self.registry, settings.events.quality_interval_s)
        quality.start()
        closing.push_async_callback(quality.close)
        self.events.append(NodeStarted(__version__))
        logger.info(
            "router started",
            extra={
                "version": __version__,
                "public": f"{in_url(settings.public_host)}:{self.public_port}",
                "admin": f"{in_url(settings.admin.host)}:{self.admin_port}",
                "udp_ports": self.media_ports,
                "worker_cpus": list(settings.media.worker_cpus),
                "dev": settings.dev,
            },
        )

    def _exchange_revocations(self, opened: OpenStore) -> None:
        revocations = self.access.join_tokens.revocations
        for table in (revocations.revoked, revocations.removed):
            read = partial(Revocation.read, reason=table.reason)
            tokens = opened.open_revoked_tokens(table.reason, read, self.metrics, limit=table.limit)
            if tokens is not None:
                exchange = RevocationExchange(table, tokens)
                exchange.start()
                self._closing.push_async_callback(exchange.close)

    async def stop(self) -> None:
        """Ends everything that was started, newest first. Idempotent."""
        if not self._stopping:
            self._stopping = True
            await self.drain.close()
            if not self.registry.draining:
                self.registry.draining = True
                self.events.append(NodeDraining())
            await self._closing.aclose()
            logger.info("router stopped")

    def check_readiness(self) -> dict[str, bool]:
        """Whether participants can join."""
        return {
            "engine": self._engine_answers(),
            "sockets": self._sockets is not None and self._sockets.open,
            "event-loop": self._lag.recent_s < MAX_READY_LAG_S,
            "not-draining": not self.registry.draining,
        }

    def _engine_answers(self) -> bool:
        try:
            return self._engine is not None and bool(self._engine.native.counters())
        except EngineError:
            return False

    def _read_busy_us(self) -> list[int]:
        try:
            return [worker["busy_us"] for worker in self._engine.native.counters()] if self._engine else []
        except EngineError:
            return []

    async def _close_rooms(self) -> None:
        try:
            async with asyncio.timeout(ROOMS_GRACE_S):
                await self.registry.close()
        except TimeoutError:
            logger.warning("rooms did not close in time", extra={"rooms": len(self.registry.rooms)})

    def _open_origin(self) -> RTCConnection:
        assert self._sockets is not None, "rooms open only after start"
        return self._sockets.open_origin()

    def _admin_state(self) -> AdminState:
        assert self._engine is not None, "called by start"
        assert self._membership is not None, "called by start"
        return AdminState(
            registry=self.registry,
            metrics=self.metrics,
            read_counters=self._engine.native.counters,
            check_readiness=self.check_readiness,
            tokens=self.access.admin_tokens,
            metrics_without_token=self.settings.admin.metrics_without_token,
            describe_store=self._membership.describe,
            webhooks=self._sinks.webhooks,
            drain=self.drain,
            peers=self._peers,
            nodes=self._nodes,
            max_event_listeners=self.settings.events.max_listeners,
            requests_per_s=self.settings.admin.requests_per_s,
            issue_token=lambda grant, seconds: self.access.join_tokens.issue(grant, lifetime_s=seconds),
            max_token_lifetime_s=self.settings.admin.max_token_lifetime_s,
            captures=CaptureLimits(**self.settings.capture.model_dump()),
        )

    def _public_state(self, prefix: str) -> PublicState:
        settings = self.settings
        signaling = SignalingSettings(
            public_url=settings.public.url or prefix or None,
            allowed_origins=settings.public.allowed_origins,
            ice_servers=_ice_servers(settings),
            body_timeout_s=BODY_TIMEOUT_SHARE * settings.public.request_timeout_s,
            requests_per_s=settings.public.requests_per_s,
            request_burst=max(1, round(REQUEST_BURST_S * settings.public.requests_per_s)),
            offer_max_age_s=settings.public.offer_max_age_s,
            other_nodes=settings.redis.url is not None,
            dev=settings.dev,
        )
        tokens, turn = self.access.join_tokens, self.access.turn
        return PublicState(self.registry, tokens, signaling, turn, peers=self._peers, drain=self.drain)


def raise_file_limit() -> None:
    """Every participant may hold a TCP connection: asks for as many descriptors as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 65_536) if hard != resource.RLIM_INFINITY else 65_536
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _room_limits(settings: Settings) -> RoomLimits:
    rooms = settings.rooms
    return RoomLimits(
        max_rooms=rooms.max_rooms,
        max_participants_per_room=rooms.max_participants,
        max_watchers_per_room=rooms.max_participants + SPARE_WATCHERS,
        max_sessions_per_participant=rooms.max_sessions_per_participant,
        max_tracks_per_participant=rooms.max_tracks_per_participant,
        max_speakers=rooms.max_speakers,
        forks_per_s=rooms.forks_per_s,
        fork_burst=max(1, round(FORK_BURST_S * rooms.forks_per_s)),
        forks_per_s_per_address=rooms.forks_per_s_per_address,
        fork_burst_per_address=max(1, round(FORK_BURST_PER_ADDRESS_S * rooms.forks_per_s_per_address)),
        empty_room_delay_s=rooms.empty_timeout_s,
    )


def _public_limits(settings: Settings) -> HttpLimits:
    public = settings.public
    return HttpLimits(public.request_timeout_s, public.max_connections, public.trusted_proxies)


def _ice_servers(settings: Settings) -> tuple[IceServer, ...]:
    return tuple(
        IceServer(server.urls, server.username, server.credential.get_secret_value() if server.credential else None)
        for server in settings.media.ice_servers
    )

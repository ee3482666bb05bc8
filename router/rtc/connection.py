"""`RTCConnection`: the seed's connection, its forks, and what flows through them.

The first connection is the *origin*: it makes the originating context and owns nothing else that forks do not have, so
it may have a remote peer of its own. Every fork is one more peer on the same sockets. Negotiation is the application's:
it brings the peer's description and takes ours. A connection is described once; later changes are ICE restarts, or
another fork.

    >>> import asyncio
    >>> from router.rtc import MediaEngine, RTCSocketOptions
    >>> async def main():
    ...     async with MediaEngine() as engine:
    ...         origin = RTCConnection(constraints=RTCConstraints(max_bitrate_bps=2_000_000))
    ...         origin.add_socket(RTCSocket(options=RTCSocketOptions(address="127.0.0.1"), engine=engine))
    ...         fork = origin.fork()
    ...         fork.set_constraints(RTCConstraints(max_bitrate_bps=500_000), "receive")
    ...         print(fork.get_sockets() == origin.get_sockets())
    ...         print(origin.get_constraints("receive").max_bitrate_bps)
    ...         await origin.close()
    ...         print(fork.closed)
    >>> asyncio.run(main())
    True
    2000000
    True
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, overload

from router.errors import ConfigError, ConflictError, ConnectionClosedError
from router.rtc.agreement import agree
from router.rtc.connection_media import ConnectionMedia
from router.rtc.constraints import ConstraintDirection, RTCConstraints, SrtpProfile
from router.rtc.context import ConnectionContext
from router.rtc.description import Kind, RTCCandidate, RTCCandidatePair, RTCDescription
from router.rtc.events import EventEmitter, HandlerAttribute
from router.rtc.family import ConnectionFamily, ForkOnCheck
from router.rtc.ice import Address, make_candidate
from router.rtc.limits import Constraints, Limits, Target
from router.rtc.negotiation import LocalParameters, answer
from router.rtc.placement import Placement
from router.rtc.plain import PlainTransport
from router.rtc.progress import TransportProgress
from router.rtc.reports import ReportTimer
from router.rtc.shared import shared_parts
from router.rtc.slot import RTCSlot
from router.rtc.socket import RTCSocket
from router.rtc.speakers import DEFAULT_MAX_HEARD, RTCSpeakers
from router.rtc.stream import RTCMediaStream, RTCMediaStreamTrack
from router.rtc.transport import PeerTransport

if TYPE_CHECKING:
    from router._engine import TransportStats
    from router.rtc.engine import MediaEngine

logger = logging.getLogger(__name__)

MAX_REMOTE_CANDIDATES = 64


class RTCConnection(EventEmitter):
    """One peer, or the origin of many."""

    EVENTS = (
        "activeconnectioncandidate",
        "connected",
        "disconnected",
        "firstframe",
        "streamconnected",
        "streamdisconnected",
        "streamreport",
        "trackconnected",
        "trackdisconnected",
        "trackcontributors",
        "trackreport",
        "trackwanted",
    )
    onactiveconnectioncandidate = HandlerAttribute("activeconnectioncandidate")
    """(`RTCCandidatePair`)"""
    onconnected = HandlerAttribute("connected")
    """(`RTCSocket`)"""
    ondisconnected = HandlerAttribute("disconnected")
    """(`RTCSocket` or None, reason), once"""
    onfirstframe = HandlerAttribute("firstframe")
    """(seconds): the first key frame left for the peer, so long after one of its slots was assigned a video track"""
    onstreamconnected = HandlerAttribute("streamconnected")
    """(`RTCMediaStream`)"""
    onstreamdisconnected = HandlerAttribute("streamdisconnected")
    """(`RTCMediaStream`, reason)"""
    onstreamreport = HandlerAttribute("streamreport")
    """(`RTCMediaStream`, list of `ProducerStats`)"""
    ontrackconnected = HandlerAttribute("trackconnected")
    """(`RTCMediaStreamTrack`)"""
    ontrackdisconnected = HandlerAttribute("trackdisconnected")
    """(`RTCMediaStreamTrack`, reason)"""
    ontrackcontributors = HandlerAttribute("trackcontributors")
    """(`RTCMediaStreamTrack` or `RTCSlot`, tuple of `RTCContributor`)"""
    ontrackreport = HandlerAttribute("trackreport")
    """(`RTCMediaStreamTrack`, `ProducerStats`) or (`RTCSlot`, `SlotStats`)"""
    ontrackwanted = HandlerAttribute("trackwanted")
    """(`RTCMediaStreamTrack`, tuple of the indices of its encodings that are in use); see its `follow_demand`"""

    def __init__(self, *, constraints: Constraints | None = None) -> None:
        super().__init__()
        self._family = ConnectionFamily(self, ConnectionContext())
        self.worker: int | None = None
        self._initialise(Limits(constraints), self.context.mint_ufrag(), None)

    def _initialise(self, limits: Limits, ufrag: str, password: str | None) -> None:
        self.closed = False
        self.close_reason = ""
        self.on_ending: Callable[[str], None] | None = None
        """Told the reason just before the end, while all of the connection is still there."""
        self.transport: PeerTransport | PlainTransport = PeerTransport(
            self, self.context, ufrag, password or self.context.fork_password(ufrag)
        )
        self._limits = limits
        self._local: RTCDescription | None = None
        self._remote: RTCDescription | None = None
        self._remote_candidates: list[RTCCandidate] = []
        self.media = ConnectionMedia(self, limits)
        self._active_socket: RTCSocket | None = None
        self._reports = ReportTimer(self)

    # -- the originating context ---------------------------------------------------------------------------------

    @property
    def context(self) -> ConnectionContext:
        """The originating context, the same for all forks."""
        return self._family.context

    @property
    def context_id(self) -> str:
        """Root of every ICE user name fragment."""
        return self.context.context_id

    @property
    def secret(self) -> bytes:
        """Root of every ICE password."""
        return self.context.secret

    @property
    def cname(self) -> str:
        """Identity of our RTCP (RFC 3550 section 6.5.1)."""
        return self.context.cname

    @property
    def origin(self) -> "RTCConnection":
        """The connection that all its siblings were forked from."""
        return self._family.origin

    @property
    def engine(self) -> "MediaEngine":
        """The engine of its sockets."""
        return self._family.engine

    @property
    def fork_on_check(self) -> ForkOnCheck | None:
        """Whether unknown but authentic checks make forks; None, the default, means no."""
        return self._family.fork_on_check

    @fork_on_check.setter
    def fork_on_check(self, hook: ForkOnCheck | None) -> None:
        self._family.fork_on_check = hook

    @property
    def placement(self) -> Placement | None:
        """On which workers forks are born; None, the default, means that of the first socket."""
        return self._family.placement

    @placement.setter
    def placement(self, placement: Placement | None) -> None:
        self._family.placement = placement

    @property
    def connected(self) -> bool:
        """Media can flow: SRTP is keyed, the fingerprint verified."""
        return self.transport.connected and not self.closed

    @property
    def progress(self) -> TransportProgress:
        """How far its peer has come on its way to media."""
        return self.transport.progress

    def add_socket(self, socket: RTCSocket) -> None:
        """Uses one more socket, here and on every fork, living ones included."""
        self._check_open()
        self._family.add_socket(socket)

    def get_sockets(self) -> tuple[RTCSocket, ...]:
        """Those in use, the same objects on every fork."""
        return tuple(self._family.sockets)

    def get_candidates(self) -> tuple[RTCCandidate, ...]:
        """Those of all sockets, as an offer to any number of peers lists them."""
        return self._family.candidates()

    def fork(self, *, constraints: Constraints | None = None) -> "RTCConnection":
        """A connection to one more peer. Constraints are copied, or replaced by those given."""
        self._check_open()
        return self._fork(self.context.mint_ufrag(), None, constraints, self._family.place())

    def fork_as(self, ufrag: str, password: str, *, knocked: int | None = None) -> "RTCConnection":
        """A fork whose credentials the peer already has; `knocked` is the worker that got its check."""
        self._check_open()
        return self._fork(ufrag, password, None, self._family.place(knocked))

    def has_peer(self, ufrag: str) -> bool:
        """Whether the origin or a fork takes checks for this user name fragment now."""
        return any(socket.has_endpoint(ufrag) for socket in self._family.sockets)

    def _fork(
        self, ufrag: str, password: str | None, constraints: Constraints | None, worker: int | None
    ) -> "RTCConnection":
        fork = RTCConnection.__new__(RTCConnection)
        EventEmitter.__init__(fork)
        fork._family = self._family
        fork.worker = worker
        fork._initialise(Limits(self._limits.whole if constraints is None else constraints), ufrag, password)
        self._family.forks[fork] = None
        try:
            for socket in self._family.sockets:
                fork.on_socket_added(socket)
        except ConflictError:
            self._family.remove_fork(fork)
            raise
        return fork

    def on_socket_added(self, socket: RTCSocket) -> None:
        """From the family."""
        if self.worker is None:
            self.worker = socket.options.worker
        if socket.options.worker != self.worker:
            return
        if isinstance(self.transport, PeerTransport) and socket.options.mux:
            self.transport.attach(socket)
        else:
            self.transport = PlainTransport(self, self.context, socket)

    def open_speakers(self, *, max_heard: int = DEFAULT_MAX_HEARD) -> RTCSpeakers:
        """A group of audio tracks of this family that compete to be heard; whoever opens it closes it."""
        self._check_open()
        return RTCSpeakers(self, max_heard=max_heard)

    # -- constraints ---------------------------------------------------------------------------------------------

    @overload
    def get_constraints(self, direction: None = None) -> dict[ConstraintDirection, RTCConstraints]: ...
    @overload
    def get_constraints(self, direction: ConstraintDirection, target: Target | None = None) -> RTCConstraints: ...

    def get_constraints(
        self, direction: ConstraintDirection | None = None, target: Target | None = None
    ) -> RTCConstraints | dict[ConstraintDirection, RTCConstraints]:
        """Those of the connection, of both directions or one; or those set on a stream or track."""
        if direction is None:
            return dict(self._limits.whole)
        return self._limits.get(direction, target)

    def set_constraints(
        self, constraints: RTCConstraints, direction: ConstraintDirection, target: Target | None = None
    ) -> None:
        """Replaces the limits of the connection, or of one stream or track in it. The strictest of the three counts."""
        self._check_open()
        self._limits.set(constraints, direction, target)
        if direction == "send":
            self.media.update_send_limits()
        else:
            self.media.update_receive_limits()

    def limits(self, direction: ConstraintDirection, track: RTCMediaStreamTrack) -> RTCConstraints:
        """What applies to one track: connection, stream and track together."""
        return self._limits.of_track(direction, track)

    def srtp_profiles(self) -> tuple[SrtpProfile, ...]:
        """What both directions allow."""
        return self._limits.srtp_profiles()

    # -- descriptions --------------------------------------------------------------------------------------------

    def get_description(self, side: Literal["local", "remote"]) -> RTCDescription:
        """Ours, complete with the candidates known now, or the peer's."""
        if side == "remote":
            if self._remote is None:
                raise ConflictError("the peer has not been described yet")
            return replace(self._remote, candidates=tuple(self._remote_candidates))
        base = self._local or RTCDescription(ufrag="", password="", fingerprints=self.transport.fingerprints)
        return replace(
            base,
            ufrag=self.transport.ufrag,
            password=self.transport.password,
            lite=self.transport.lite,
            candidates=tuple(item for socket in self._own_sockets() for item in socket.candidates),
            end_of_candidates=all(socket.gathered for socket in self._own_sockets()),
        )

    def _own_sockets(self) -> list[RTCSocket]:
        return [socket for socket in self._family.sockets if socket.options.worker == self.worker]

    def set_description(self, description: RTCDescription, direction: Literal["local", "remote"] = "remote") -> None:
        """Takes the peer's description, once. Ours follows from it, unless the application set one before."""
        self._check_open()
        if self._remote is not None or (direction == "local" and self._local is not None):
            raise ConflictError("this connection is described already: fork for another peer, or restart ICE")
        if direction == "local":
            self._local = description
            return
        local = self._answer(description) if self._local is None else agree(self._local, description)
        self.transport.check_remote(description, local)
        self._local, self._remote = local, remote = shared_parts.share(local), shared_parts.share(description)
        self._remote_candidates = list(description.candidates[:MAX_REMOTE_CANDIDATES])
        self.media.negotiate(remote, local)
        self.transport.set_remote(remote)
        # A handshake that was over already may have been with somebody else.
        self._check_open()

    def _answer(self, offer: RTCDescription) -> RTCDescription:
        if not self._family.sockets:
            raise ConfigError("the connection has no socket yet: call add_socket first")
        kinds: tuple[Kind, ...] = ("audio", "video")
        local = LocalParameters(
            ufrag=self.transport.ufrag,
            password=self.transport.password,
            fingerprints=self.transport.fingerprints,
            cname=self.cname,
            stream_id=self.context_id,
            allocate_ssrc=self.transport.allocate_ssrc,
            kinds=tuple(kind for kind in kinds if all(kind in item.options.kind for item in self._family.sockets)),
        )
        limits = self._limits.whole
        return answer(offer, local=local, receive=limits["receive"], send=limits["send"])

    def add_remote_candidate(self, candidate: RTCCandidate | None) -> None:
        """One more candidate of the peer; None ends them. A lite agent only names pairs by them."""
        self._check_open()
        if candidate is not None and len(self._remote_candidates) < MAX_REMOTE_CANDIDATES:
            self._remote_candidates.append(candidate)

    def restart_ice(self, remote_ufrag: str, remote_password: str) -> tuple[str, str]:
        """Takes the peer's new credentials, gives ours; media goes on over the old path until the new one works."""
        self._check_open()
        credentials = self.transport.restart(remote_ufrag, remote_password)
        self._remote_candidates.clear()
        if self._remote is not None:
            self._remote = replace(self._remote, ufrag=remote_ufrag, password=remote_password)
        return credentials

    # -- media ---------------------------------------------------------------------------------------------------

    @property
    def slots(self) -> tuple[RTCSlot, ...]:
        """One for each m-line that the peer receives, in its order."""
        return self.media.slots

    def get_remote_streams(self) -> tuple[RTCMediaStream, ...]:
        """What the peer publishes."""
        return self.media.remote

    def get_local_streams(self) -> tuple[RTCMediaStream, ...]:
        """What is being sent, in order of attachment."""
        return tuple(self.media.local)

    def receive_stream(self, stream: RTCMediaStream, receive: bool = True) -> None:
        """Takes what the peer publishes in this stream, or stops."""
        self._check_open()
        self.media.receive(stream, receive)

    def send_stream(self, stream: RTCMediaStream, send: bool = True) -> None:
        """Shows its tracks in free slots that can carry them, or takes them out of all slots."""
        self._check_open()
        self.media.send(stream, send)

    async def get_stats(self) -> "TransportStats":
        """One snapshot of this peer."""
        return self.read_stats()

    def read_stats(self) -> "TransportStats":
        """The same for who cannot wait: it takes as long as the worker's current wake-up."""
        transport = self.transport.id
        found = self.engine.native.transport_stats([transport]) if transport is not None and not self.closed else []
        if not found:
            raise ConnectionClosedError("the connection has no peer in the engine")
        return found[0]

    # -- what the engine and the peer do -------------------------------------------------------------------------

    def on_transport_connected(self) -> None:
        """From the transport."""
        logger.debug("peer connected")
        self.emit("connected", self._active_socket or self._own_sockets()[0])

    def on_transport_pair(self, socket: RTCSocket, address: Address) -> None:
        """From the transport."""
        self._active_socket = socket
        if not self.has_handlers("activeconnectioncandidate"):
            return
        own = (socket.address, socket.port)
        local = next(iter(socket.candidates), None) or make_candidate("host", own, base=own)
        found = (item for item in self._remote_candidates if (item.address, item.port) == address)
        remote = next(found, None) or replace(make_candidate("host", address, base=address), type="prflx")
        self.emit("activeconnectioncandidate", RTCCandidatePair(local, remote))

    def on_transport_frame(self, waited_s: float) -> None:
        """From the transport."""
        self.emit("firstframe", waited_s)

    def on_transport_failed(self, reason: str) -> None:
        """From the transport: fatal to this connection alone."""
        self._end(reason)

    # -- the end -------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Ends this peer; closing the origin ends its forks too, then its sockets. Idempotent."""
        self._end("closed")

    def _end(self, reason: str) -> None:
        if self.closed:
            return
        self.close_reason = reason
        if self.on_ending is not None:
            self.on_ending(reason)
        self.media.end(reason)
        if self.media.remote:
            self._family.forget_streams(self)
        self.closed = True
        self._reports.stop()
        self.transport.close()
        self.media.local.clear()
        if self is self.origin:
            for fork in tuple(self._family.forks):
                fork._end(reason)
            self._family.release_sockets()
        else:
            self._family.remove_fork(self)
        # What handlers began before the end is theirs no more; `disconnected` itself may still be handled.
        self.cancel_handlers()
        self.emit("disconnected", self._active_socket, reason)

    def _check_open(self) -> None:
        if self.closed:
            raise ConnectionClosedError(f"the connection is closed: {self.close_reason}")

    def _on_handlers_changed(self, event: str) -> None:
        if event in ("trackreport", "streamreport"):
            self._reports.follow_handlers()

    def __repr__(self) -> str:
        role = "origin" if self is self.origin else "fork"
        return f"<RTCConnection {role} of {self.context_id}{' closed' if self.closed else ''}>"

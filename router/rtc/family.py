"""What an origin and its forks share: context, sockets, and the list of living members."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router import metrics
from router.errors import ConfigError
from router.rtc.context import ConnectionContext
from router.rtc.description import RTCCandidate
from router.rtc.ice import Address, Check, lower_priority
from router.rtc.placement import Placement
from router.rtc.transport import PeerTransport

if TYPE_CHECKING:
    from router.rtc.connection import RTCConnection
    from router.rtc.engine import MediaEngine
    from router.rtc.socket import RTCSocket


@dataclass(frozen=True, slots=True)
class ForkOnCheck:
    """Lets forks be born from their first valid check. Off unless the origin's `fork_on_check` is set."""

    password: Callable[[str], str | None]
    """The password that a check for this unknown user name fragment must be signed with, or None to drop it."""
    born: Callable[["RTCConnection"], None]
    """Told of the new fork, before the check is answered."""
    admit: Callable[[Address], bool] = lambda _: True
    """Whether an authentic check from this address may make a fork now."""


class ConnectionFamily:
    """Shared by an origin and all its forks."""

    def __init__(self, origin: "RTCConnection", context: ConnectionContext) -> None:
        self.origin = origin
        self.context = context
        self.sockets: list[RTCSocket] = []
        self.forks: dict[RTCConnection, None] = {}
        """In order of birth."""
        self.fork_on_check: ForkOnCheck | None = None
        self.placement: Placement | None = None
        """Where forks live; None: on the worker of the first socket."""

    @property
    def engine(self) -> "MediaEngine":
        """The engine of its sockets."""
        if not self.sockets:
            raise ConfigError("the connection has no socket yet: call add_socket first")
        return self.sockets[0].engine

    def add_socket(self, socket: "RTCSocket") -> None:
        """Binds it if need be; living members are reachable there from now on."""
        if socket in self.sockets:
            return
        if self.sockets:
            first = self.sockets[0]
            if socket.engine is not first.engine:
                raise ConfigError("engine: all sockets of a connection must be of one")
            if not (socket.options.mux and first.options.mux):
                raise ConfigError("mux: a socket for plain peers must be the only one of its connection")
        if socket.certificate is not None:
            self.context.use_certificate(socket.certificate)
        socket.open()
        socket.add_origin(self.context.context_id, self)
        self.sockets.append(socket)
        for member in (self.origin, *self.forks):
            member.on_socket_added(socket)

    def place(self, knocked: int | None = None) -> int | None:
        """The worker of one more fork; None: that of the first socket, which is still to come."""
        if self.placement is not None:
            return self.placement.place(knocked)
        return self.sockets[0].options.worker if self.sockets else None

    def remove_fork(self, fork: "RTCConnection") -> None:
        """It has ended."""
        if fork not in self.forks:
            return
        del self.forks[fork]
        if self.placement is not None and fork.worker is not None:
            self.placement.leave(fork.worker)

    def candidates(self) -> tuple[RTCCandidate, ...]:
        """Those of all sockets, for an offer to everybody: newcomers try those of the preferred worker first."""
        if self.placement is None:
            return tuple(item for socket in self.sockets for item in socket.candidates)
        first, *others = dict.fromkeys((self.placement.preferred, *self.placement.workers))
        ranks = {worker: rank for rank, worker in enumerate((first, *others))}
        ordered = sorted(self.sockets, key=lambda socket: ranks.get(socket.options.worker, len(ranks)))
        return tuple(
            lower_priority(item, ranks.get(socket.options.worker, len(ranks)))
            for socket in ordered
            for item in socket.candidates
        )

    def endpoint_for(self, check: Check, source: Address, worker: int) -> "PeerTransport | None":
        """A fork for a check that names none of ours, if the application wants it and the check is authentic.

        None also when the fork lives on another worker than the one that got the check: the peer tries that one too.
        """
        if self.origin.has_peer(check.local_ufrag):
            metrics.record_check_dropped("other-worker")
            return None
        hook = self.fork_on_check
        password = None if hook is None else hook.password(check.local_ufrag)
        if hook is None or password is None or not self.context.owns(check.local_ufrag):
            metrics.record_check_dropped("unknown-fork")
            return None
        if not check.is_authentic(password):
            metrics.record_check_dropped("bad-integrity")
            return None
        if not hook.admit(source):
            metrics.record_check_dropped("fork-refused")
            return None
        fork = self.origin.fork_as(check.local_ufrag, password, knocked=worker)
        hook.born(fork)
        if fork.worker != worker:
            metrics.record_check_dropped("other-worker")
            return None
        assert isinstance(fork.transport, PeerTransport), "sockets for plain peers take no checks"
        return fork.transport

    def forget_streams(self, sender: "RTCConnection") -> None:
        """Nobody sends them any more: their connection ends."""
        for member in (self.origin, *self.forks):
            member.media.forget(sender)

    def release_sockets(self) -> None:
        """Closes those that no other family uses."""
        if self.placement is not None:
            self.placement.close()
            self.placement = None
        for socket in self.sockets:
            if socket.remove_origin(self.context.context_id):
                socket.close()
        self.sockets.clear()

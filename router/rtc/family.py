"""What an origin and its forks share: context, sockets, and the list of living members."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router import metrics
from router.errors import ConfigError
from router.rtc.context import ConnectionContext
from router.rtc.ice import Address, Check
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
            if socket.engine is not first.engine or socket.options.worker != first.options.worker:
                raise ConfigError("worker: all sockets of a connection must be on one worker of one engine")
            if not (socket.options.mux and first.options.mux):
                raise ConfigError("mux: a socket for plain peers must be the only one of its connection")
        if socket.certificate is not None:
            self.context.use_certificate(socket.certificate)
        socket.open()
        socket.add_origin(self.context.context_id, self)
        self.sockets.append(socket)
        for member in (self.origin, *self.forks):
            member.on_socket_added(socket)

    def endpoint_for(self, check: Check, source: Address) -> "PeerTransport | None":
        """A fork for a check that names none of ours, if the application wants it and the check is authentic."""
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
        fork = self.origin.fork_as(check.local_ufrag, password)
        hook.born(fork)
        assert isinstance(fork.transport, PeerTransport), "sockets for plain peers take no checks"
        return fork.transport

    def forget_streams(self, sender: "RTCConnection") -> None:
        """Nobody sends them any more: their connection ends."""
        for member in (self.origin, *self.forks):
            member.media.forget(sender)

    def release_sockets(self) -> None:
        """Closes those that no other family uses."""
        for socket in self.sockets:
            if socket.remove_origin(self.context.context_id):
                socket.close()
        self.sockets.clear()

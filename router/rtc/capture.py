"""A capture of one connection's packets: begun and ended in the engine, read as pcapng blocks.

The engine knows sockets, not always the address that a packet came to: where a socket is bound to all addresses, the
kernel is asked which one it uses towards the peer.
"""

import socket as system_socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal

from router import _engine
from router.errors import ConnectionClosedError
from router.rtc.ice import Address

if TYPE_CHECKING:
    from router.rtc.connection import RTCConnection
    from router.rtc.socket import RTCSocket

CaptureWhat = Literal["encrypted", "headers"]


class PeerCapture:
    """One connection's part of a capture. Stop it when it is no longer read."""

    def __init__(self, connection: "RTCConnection", what: CaptureWhat, *, interface: int, max_bytes: int) -> None:
        """Raises `ConnectionClosedError` when the connection has no peer in the engine."""
        transport = connection.transport.id
        if transport is None or connection.closed:
            raise ConnectionClosedError("the connection has no peer in the engine")
        remote = _remote_host(connection)
        sockets = [socket for socket in connection.get_sockets() if socket.options.worker == connection.worker]
        addresses = [
            (id_, (find_local_host(socket, remote), port)) for socket in sockets for id_, (_, port) in socket.ports
        ]
        self.interface = interface
        self._native = _engine.Capture(
            connection.engine.native,
            transport,
            what=what,
            addresses=addresses,
            interface=interface,
            max_bytes=max_bytes,
        )

    def read(self) -> bytes:
        """Whole blocks that were not read yet."""
        return self._native.read()

    @property
    def packets(self) -> int:
        """Captured so far."""
        return self._native.packets

    @property
    def dropped(self) -> int:
        """Lost, because they were not read in time."""
        return self._native.dropped

    @property
    def full(self) -> bool:
        """It has as many bytes as it may have."""
        return self._native.full

    def stop(self) -> None:
        """Ends it; the rest can still be read."""
        self._native.stop()


def _remote_host(connection: "RTCConnection") -> str | None:
    """Where the peer is, or may be."""
    address = connection.read_stats()["remote_address"]
    if address is not None:
        return address[0]
    candidates = connection.get_description("remote").candidates
    return next((item.address for item in candidates), None)


def find_local_host(socket: "RTCSocket", remote: str | None) -> str:
    """The address of a socket that a peer's packets come to."""
    bound = ip_address(socket.address.partition("%")[0])
    if not bound.is_unspecified:
        return str(bound)
    family = system_socket.AF_INET6 if bound.version == 6 else system_socket.AF_INET
    probe = system_socket.socket(family, system_socket.SOCK_DGRAM)
    try:
        probe.connect((remote or socket.candidates[0].address, 9))
        found: Address = probe.getsockname()[:2]
        return found[0]
    except OSError:
        return socket.candidates[0].address
    finally:
        probe.close()

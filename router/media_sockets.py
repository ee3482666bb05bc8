"""The UDP sockets of all workers, opened once, and the originating connections of rooms that use them.

A room lives on one worker: its origin gets that worker's sockets. A connection closes sockets that nobody uses any
more, so one standing connection per worker keeps them open between rooms.
"""

from collections.abc import Iterable

from router.config import Settings
from router.errors import ConfigError
from router.listener import describe_bind_error
from router.rtc import RTCConnection, RTCSocket, RTCSocketOptions, RTCSocketServer, RTCSocketServers
from router.rtc.engine import MediaEngine
from router.rtc.ice import host_addresses

LOOPBACK = "127.0.0.1"


class MediaSockets:
    """Sockets by worker."""

    def __init__(self, settings: Settings, engine: MediaEngine) -> None:
        self._settings = settings
        self._engine = engine
        self._keepers: list[RTCConnection] = []

    @property
    def ports(self) -> list[int]:
        """The UDP ports in use."""
        return sorted({socket.port for keeper in self._keepers for socket in keeper.get_sockets()})

    @property
    def open(self) -> bool:
        """Whether every worker has its sockets."""
        sockets = [socket for keeper in self._keepers for socket in keeper.get_sockets()]
        return bool(sockets) and not any(socket.closed for socket in sockets)

    def start(self) -> None:
        """Binds all of them, or raises `ConfigError`; server-reflexive candidates come later."""
        for worker in range(self._settings.media.workers):
            keeper = RTCConnection()
            self._keepers.append(keeper)
            for address in self._settings.media.addresses:
                keeper.add_socket(self._open(worker, address))

    def open_origin(self, loads: Iterable[RTCConnection]) -> RTCConnection:
        """A new room's connection, on the worker that has the fewest of those in `loads`."""
        rooms = [0] * len(self._keepers)
        for origin in loads:
            sockets = origin.get_sockets()
            if sockets:
                rooms[sockets[0].options.worker] += 1
        keeper = self._keepers[rooms.index(min(rooms))]
        origin = RTCConnection()
        for socket in keeper.get_sockets():
            origin.add_socket(socket)
        return origin

    async def close(self) -> None:
        """Closes them."""
        for keeper in self._keepers:
            await keeper.close()
        self._keepers.clear()

    def _open(self, worker: int, address: str) -> RTCSocket:
        media = self._settings.media
        port = media.udp_port + worker if media.udp_port else 0
        options = RTCSocketOptions(
            address=address,
            port=port,
            worker=worker,
            announced_addresses=self._announced(address),
            receive_buffer_bytes=media.receive_buffer_bytes,
            send_buffer_bytes=media.send_buffer_bytes,
        )
        servers = RTCSocketServers([RTCSocketServer(url) for url in media.stun_servers])
        socket = RTCSocket(servers, options, engine=self._engine)
        try:
            socket.open()
        except OSError as error:
            raise ConfigError(describe_bind_error(error, address, port, "media", "udp_port")) from error
        return socket

    def _announced(self, address: str) -> tuple[str, ...]:
        """In development browsers of this machine may use loopback or, as Firefox insists, another interface."""
        media = self._settings.media
        if media.announced_addresses or not self._settings.dev or address != "0.0.0.0":  # noqa: S104 - compared only
            return media.announced_addresses
        return tuple(dict.fromkeys([*(host for host, _ in host_addresses((address, 0))), LOOPBACK]))

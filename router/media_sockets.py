"""The UDP sockets of all workers, opened once, and the originating connections of rooms that use them.

A room begins on the least loaded worker. When it may be spread, its origin also has the sockets of other workers, from
the beginning: whoever answers its offer can reach all of them, however old the copy is. A connection closes sockets
that nobody uses any more, so one standing connection per worker keeps them open between rooms.
"""

import asyncio
from collections.abc import Iterable
from ipaddress import ip_address

from router import clock
from router.config import Settings
from router.errors import ConfigError
from router.listener import describe_bind_error
from router.rtc import RTCConnection, RTCSocket, RTCSocketOptions, RTCSocketServer, RTCSocketServers
from router.rtc.engine import MediaEngine
from router.rtc.ice import bound_addresses, host_addresses
from router.rtc.placement import MEASURE_INTERVAL_S, Placement, WorkerLoads

LOOPBACK = "127.0.0.1"
MAX_WORKERS_PER_ROOM = 8
"""Each one adds candidates to the room's offer, and peers check them all."""


def _versions(addresses: Iterable[str]) -> set[int]:
    return {ip_address(address).version for address in addresses}


class MediaSockets:
    """Sockets by worker."""

    def __init__(self, settings: Settings, engine: MediaEngine) -> None:
        self._settings = settings
        self._engine = engine
        self._keepers: list[RTCConnection] = []
        self._timer: asyncio.TimerHandle | None = None
        self.loads = WorkerLoads(settings.media.worker_count)

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
        media = self._settings.media
        addresses = bound_addresses(media.addresses)
        if media.announced_addresses and not _versions(media.announced_addresses) & _versions(addresses):
            raise ConfigError(
                f"media.announced_addresses is {', '.join(media.announced_addresses)}: no socket could be told by it, "
                f"media.addresses binds {', '.join(addresses)}; expected one of the same kind, IPv4 or IPv6"
            )
        for worker in range(media.worker_count):
            keeper = RTCConnection()
            self._keepers.append(keeper)
            for address in addresses:
                keeper.add_socket(self._open(worker, address))
        if len(self._keepers) > 1:
            self._measure()

    def open_origin(self) -> RTCConnection:
        """A new room's connection, on the least loaded worker."""
        workers = self._choose_workers()
        origin = RTCConnection()
        for worker in workers:
            for socket in self._keepers[worker].get_sockets():
                origin.add_socket(socket)
        origin.placement = Placement(self.loads, workers, self._settings.rooms.spread_above)
        return origin

    def _choose_workers(self) -> list[int]:
        left = list(range(len(self._keepers)))
        count = MAX_WORKERS_PER_ROOM if self._settings.rooms.spread_above is not None else 1
        chosen: list[int] = []
        while left and len(chosen) < count:
            chosen.append(self.loads.least(left))
            left.remove(chosen[-1])
        return chosen

    def _measure(self) -> None:
        self.loads.measure(clock.monotonic_us(), self._engine.native.busy_us())
        self._timer = asyncio.get_running_loop().call_later(MEASURE_INTERVAL_S, self._measure)

    async def close(self) -> None:
        """Closes them."""
        if self._timer is not None:
            self._timer.cancel()
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

"""Connections to Redis servers, and one exchange on one of them (threats-and-faults.md H18).

Replies carry no name: whoever reads next on a connection takes the next one. So a connection is idle again only when
every reply of its last exchange has been read; whatever else ends an exchange (cancellation, deadline, an error of the
connection) discards it. Invariant: no reply ever reaches another caller.

redis-py gives the connection: TCP, TLS, Unix sockets, AUTH and the RESP2 parser. Its pools and clients are not used.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from router.cluster.redis_target import Address, Credentials, RedisTarget

Argument = str | bytes | int | float
Command = tuple[Argument, ...]
Reply = Any  # RESP2: bytes, int, None, a list of these, or a ResponseError as a value

MAX_CONNECTIONS: Final = 8
"""In use at a time, to all servers together; further callers wait within their deadline."""


class RedisConnections:
    """Makes, lends and keeps connections. Used on one event loop."""

    def __init__(self, target: RedisTarget, timeout_s: float) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._idle: dict[tuple[Address, Credentials], list[AbstractConnection]] = {}
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)
        self._ending: set[asyncio.Task[None]] = set()
        self.closed = False

    def lend(self, address: Address, credentials: Credentials, *, db: int = 0) -> "Loan":
        """For `async with`: a connection of one's own, for one or more exchanges."""
        return Loan(self, address, credentials, db)

    async def take(self, address: Address, credentials: Credentials, db: int) -> AbstractConnection:
        """For `Loan`."""
        await self._places.acquire()
        connection: AbstractConnection | None = None
        try:
            idle = self._idle.get((address, credentials), [])
            while idle:
                connection = idle.pop()
                if await _is_quiet(connection):
                    return connection
                self.discard(connection)
            connection = self._make(address, credentials, db)
            async with asyncio.timeout(self._timeout_s):
                await connection.connect()  # type: ignore[no-untyped-call] # redis-py's
        except BaseException:
            self._places.release()
            if connection is not None:
                self.discard(connection)
            raise
        return connection

    def give_back(self, address: Address, credentials: Credentials, connection: AbstractConnection) -> None:
        """For `Loan`: every reply was read."""
        self._places.release()
        if self.closed:
            self.discard(connection)
        else:
            self._idle.setdefault((address, credentials), []).append(connection)

    def drop(self, connection: AbstractConnection) -> None:
        """For `Loan`: replies may be on their way."""
        self._places.release()
        self.discard(connection)

    def discard(self, connection: AbstractConnection) -> None:
        """Closes it in a task of its own, which no caller's cancellation reaches."""
        task = asyncio.get_running_loop().create_task(self._end(connection))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def forget(self, address: Address) -> None:
        """Closes what is idle there."""
        for key in [key for key in self._idle if key[0] == address]:
            for connection in self._idle.pop(key):
                self.discard(connection)

    async def close(self) -> None:
        """Closes all. Idempotent."""
        self.closed = True
        for connections in self._idle.values():
            for connection in connections:
                self.discard(connection)
        self._idle.clear()
        while self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)

    @staticmethod
    async def _end(connection: AbstractConnection) -> None:
        await connection.disconnect(nowait=True)

    def _make(self, address: Address, credentials: Credentials, db: int) -> AbstractConnection:
        options: dict[str, Any] = {  # Any: what redis-py takes
            "username": credentials.username,
            "password": credentials.password,
            "db": db,
            "protocol": 2,  # no pushes: everything that comes is a reply
            "socket_timeout": None,  # deadlines are the exchange's
            "retry": Retry(NoBackoff(), 0),
            "driver_info": None,  # two round trips less
        }
        host, port = address
        if not port:
            return UnixDomainSocketConnection(path=host, **options)
        if not self._target.tls:
            return Connection(host=host, port=port, **options)
        options |= {"ssl_check_hostname": self._target.check_hostname, **dict(self._target.tls_files)}
        return SSLConnection(host=host, port=port, **options)


async def _is_quiet(connection: AbstractConnection) -> bool:
    """False when the server closed it, or says something that nobody asked for."""
    try:
        return connection.is_connected and not await connection.can_read()
    except RedisError:
        return False


class Loan:
    """One connection for the time of an `async with`."""

    def __init__(self, connections: RedisConnections, address: Address, credentials: Credentials, db: int) -> None:
        self._connections = connections
        self._address = address
        self._credentials = credentials
        self._db = db
        self._connection: AbstractConnection | None = None

    async def __aenter__(self) -> "Loan":
        self._connection = await self._connections.take(self._address, self._credentials, self._db)
        return self

    async def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Sends all in one go and reads all replies; a command that Redis refused has a `ResponseError` for a reply."""
        connection = self._connection
        assert connection is not None, "between __aenter__ and __aexit__"
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        return [await self._read(connection) for _ in commands]

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        connection, self._connection = self._connection, None
        assert connection is not None, "entered before"
        if kind is None:
            self._connections.give_back(self._address, self._credentials, connection)
        else:
            self._connections.drop(connection)

    @staticmethod
    async def _read(connection: AbstractConnection) -> Reply:
        try:
            return await connection.read_response(disable_decoding=True, disconnect_on_error=False)
        except ResponseError as error:
            return error
        except (ValueError, TypeError, IndexError, RecursionError) as error:
            # redis-py's parser met what is no RESP.
            raise InvalidResponse("not RESP") from error

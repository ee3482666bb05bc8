"""A TCP port and the uvicorn server on it: bound before anything else starts, with limits and deadlines, no signals."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from router.errors import ConfigError
from router.hosts import ALL
from router.http_protocol import make_http_protocol, make_websocket_protocol, refuse_crowd

BACKLOG: Final = 2048
MAX_WEBSOCKET_MESSAGE_BYTES: Final = 65_536
GRACE_S: Final = 5
UNACKNOWLEDGED_MS: Final = 20_000
"""The kernel ends a connection whose peer took nothing for so long: a pulled cable, or a reader that stopped."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one server allows its clients."""

    request_timeout_s: float = 10.0
    max_connections: int = 8192
    trusted_proxies: tuple[str, ...] = ()


def bind_port(host: str, port: int, key: str) -> list[socket.socket]:
    """Listening sockets of one port that nobody accepts from yet: one, for `*` one for each of IPv4 and IPv6.

    Two, for on a socket of both an IPv4 client has another address (`::ffff:…`), which no list of networks holds.
    A `ConfigError` names the setting, such as `public`.
    """
    if host != ALL:
        return [_bind(host, port, key)]
    bound = [_bind("0.0.0.0", port, key)]  # noqa: S104 - a server's purpose
    if _has_ipv6():
        try:
            bound.append(_bind("::", bound[0].getsockname()[1], key))
        except ConfigError:
            bound[0].close()
            raise
    return bound


def _has_ipv6() -> bool:
    """Whether the kernel lets anybody listen by IPv6: containers and hardened machines may do without."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def _bind(host: str, port: int, key: str) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise ConfigError(f"{key}.host is {host!r}: expected an address or name of this machine ({error})") from None
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)  # its connections inherit it
        bound.bind(address)
        bound.listen(BACKLOG)  # only now is a port that another process has bound, but not yet opened, refused
    except OSError as error:
        bound.close()
        raise ConfigError(describe_bind_error(error, host, port, key)) from None
    bound.setblocking(False)
    return bound


def close_all(bound: list[socket.socket]) -> None:
    """Closes them."""
    for each in bound:
        each.close()


def describe_bind_error(error: OSError, host: str, port: int, key: str, port_key: str = "port") -> str:
    """One line that names the setting and the fix."""
    flag = f"ROUTER_{key.upper()}__{port_key.upper()}"
    if error.errno == errno.EADDRINUSE:
        return f"{key}.{port_key} is {port}: taken by another process on {host}; stop that one or set {flag}"
    if error.errno == errno.EACCES:
        return f"{key}.{port_key} is {port}: not allowed; expected a port above 1023, set {flag}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{key}: {host} is not an address of this machine"
    return f"{key}.{port_key} is {port}: cannot listen on {host} ({error.strerror or error})"


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to `RouterServer`: there are two servers and an engine to end, in order."""
        yield


class Listener:
    """Serves one application on one port; `crowded` answers what comes beyond `limits.max_connections`."""

    def __init__(
        self, app: ASGIApp, bound: list[socket.socket], limits: HttpLimits, *, crowded: ASGIApp = refuse_crowd
    ) -> None:
        self.port: int = bound[0].getsockname()[1]
        self._bound = bound
        self._task: asyncio.Task[None] | None = None
        self._server = _Server(
            uvicorn.Config(
                app,
                http=make_http_protocol(limits.request_timeout_s, crowded),
                ws=make_websocket_protocol(limits.request_timeout_s),
                ws_max_size=MAX_WEBSOCKET_MESSAGE_BYTES,
                ws_per_message_deflate=False,  # a compression bomb would be inflated before its size is known
                ws_ping_interval=20.0,
                ws_ping_timeout=20.0,
                lifespan="off",
                log_config=None,
                server_header=False,
                proxy_headers=bool(limits.trusted_proxies),
                forwarded_allow_ips=list(limits.trusted_proxies),
                limit_concurrency=limits.max_connections,
                backlog=BACKLOG,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=GRACE_S,
            )
        )

    @property
    def serving(self) -> bool:
        """Whether it accepts connections."""
        return self._server.started and self._task is not None and not self._task.done()

    def start(self) -> None:
        """Connections are accepted from the next turn of the loop on."""
        self._task = asyncio.get_running_loop().create_task(self._server.serve(self._bound), name="Listener.serve")

    async def stop(self) -> None:
        """Stops accepting, lets requests end for a few seconds, and returns when all is closed."""
        if self._task is None:
            close_all(self._bound)
            return
        self._server.should_exit = True
        await asyncio.gather(self._task, return_exceptions=True)

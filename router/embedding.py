"""A router inside another ASGI application: its public paths under a prefix, in the application's own process.

    router = EmbeddedRouter()

    @asynccontextmanager
    async def lifespan(app):
        async with router:
            yield

    app = FastAPI(lifespan=lifespan)
    router.mount(app, "/media")

The application's server takes the place of the public port: its TLS, its limits, its signals. Everything else is as
with `router serve`: settings (files and environment), the admin port, the UDP ports, Redis. One process and one event
loop only: a second worker process would want the same UDP ports and know other rooms.

The process is the application's: a drain that is over (`POST /v1/drain` on the admin port, or `router.drain.begin`)
ends nothing but calls `on_drained`, once. The guide is `router/examples/README.md`.
"""

import asyncio
import logging
import multiprocessing
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from router.config import Settings, load_settings
from router.drain import Drain
from router.errors import ConfigError
from router.rooms.registry import RoomRegistry
from router.server import RouterServer
from router.tokens import DEFAULT_LIFETIME_S, JoinGrant

logger = logging.getLogger(__name__)


class Mountable(Protocol):
    """FastAPI and Starlette applications."""

    def mount(self, path: str, app: ASGIApp) -> None:
        """Serves `app` below `path`."""


class EmbeddedRouter:
    """From `async with` on, as often as the application starts; it can be mounted before, and once."""

    def __init__(self, settings: Settings | None = None, *, on_drained: Callable[[], None] | None = None) -> None:
        """With the settings of files and environment, or those given (`load_settings(flags=…)`).

        `on_drained` is called on the event loop when a drain is over: the time to stop the application's server.
        """
        self._settings = settings if settings is not None else load_settings()
        self._settings.check_startable()
        self._on_drained = on_drained
        self._prefix: str | None = None
        self._server: RouterServer | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._public: ASGIApp | None = None

    def mount(self, app: Mountable, path: str) -> None:
        """Serves the public paths (`client.js`, `/rooms`, `/whip`, `/whep`, the demo room) below `path`."""
        if not path.startswith("/") or path.endswith("/"):
            raise ConfigError(f"path is {path!r}: expected one such as /media")
        if self._prefix is not None:
            raise ConfigError(f"the router is mounted at {self._prefix}: expected one place")
        self._prefix = path
        app.mount(path, self._serve)

    async def __aenter__(self) -> "EmbeddedRouter":
        if self._waiting is not None:
            raise ConfigError("the router runs: expected one `async with` at a time")
        server = self._open()
        self._waiting = asyncio.get_running_loop().create_task(self._wait_drained(server), name="EmbeddedRouter")
        try:
            await server.__aenter__()
        except BaseException as error:
            await self._close()
            if isinstance(error, ConfigError) and multiprocessing.parent_process() is not None:
                raise ConfigError(f"{error} (a router needs one process: expected one worker)") from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def rooms(self) -> RoomRegistry:
        """The rooms that are open here."""
        return self._open().registry

    @property
    def drain(self) -> Drain:
        """Going away without throwing anybody out: `drain.begin("operator", deadline_s=60)`, `drain.cancel()`."""
        return self._open().drain

    @property
    def admin_port(self) -> int:
        """Where its admin port listens; 0 while it does not run."""
        return self._server.admin_port if self._server is not None else 0

    def issue_token(
        self,
        room: str,
        identity: str,
        name: str = "",
        *,
        lifetime_s: float = DEFAULT_LIFETIME_S,
        **rights: Any,  # Any: fields of JoinGrant
    ) -> str:
        """A join token for one of the application's users; `rights` are fields of `JoinGrant`, as `may_publish`."""
        return self._open().access.join_tokens.issue(JoinGrant(room, identity, name, **rights), lifetime_s=lifetime_s)

    def _open(self) -> RouterServer:
        """The one that runs, or that will: each runs once."""
        if self._server is None:
            self._server = RouterServer(self._settings, embedded=True)
        return self._server

    async def _close(self) -> None:
        server, waiting = self._server, self._waiting
        if waiting is not None:
            waiting.cancel()
        if server is not None:
            await server.stop()
        self._server = self._waiting = self._public = None

    async def _wait_drained(self, server: RouterServer) -> None:
        await server.drain.finished.wait()
        if self._on_drained is None:
            logger.warning("drained; the process goes on, for EmbeddedRouter has no on_drained")
            return
        try:
            self._on_drained()
        except Exception:
            logger.exception("on_drained failed; the process goes on")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one WebSocket. The root path is the application's own and that of the mount: it is what
        clients see before the router's paths, which need not know of it."""
        if self._public is None:
            if self._waiting is None:
                raise RuntimeError(
                    "the router does not run: expected `async with router` in the application's lifespan"
                )
            self._public = self._open().make_public_app(scope.get("root_path", ""))
        await self._public(_without_root(scope), receive, send)


def _without_root(scope: Scope) -> Scope:
    """The router's own path. A proxy may have taken the application's root off the path already (Starlette notes it as
    `app_root_path`), never that of the mount."""
    root: str = scope.get("root_path", "")
    mounted_at = root.removeprefix(scope.get("app_root_path", ""))
    path: str = scope["path"]
    for prefix in (root, mounted_at):
        if prefix and (path == prefix or path.startswith(prefix + "/")):
            raw = scope.get("raw_path")
            rest = {"path": path.removeprefix(prefix) or "/", "raw_path": raw and raw.removeprefix(prefix.encode())}
            return {**scope, "root_path": "", **rest}
    return scope

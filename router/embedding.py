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
loop only: a second worker process would want the same UDP ports and know other rooms. The guide is
`router/examples/README.md`.
"""

from types import TracebackType
from typing import Any, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from router.config import Settings, load_settings
from router.errors import ConfigError
from router.rooms.registry import RoomRegistry
from router.server import RouterServer
from router.tokens import DEFAULT_LIFETIME_S, JoinGrant


class Mountable(Protocol):
    """FastAPI and Starlette applications."""

    def mount(self, path: str, app: ASGIApp) -> None:
        """Serves `app` below `path`."""


class EmbeddedRouter:
    """From `async with` on; it can be mounted before, and once."""

    def __init__(self, settings: Settings | None = None) -> None:
        """With the settings of files and environment, or those given (`load_settings(flags=…)`)."""
        self._settings = settings if settings is not None else load_settings()
        self._settings.check_startable()
        self._prefix = ""
        self._server: RouterServer | None = None

    def mount(self, app: Mountable, path: str) -> None:
        """Serves the public paths (`client.js`, `/rooms`, `/whip`, `/whep`, the demo room) below `path`."""
        if not path.startswith("/") or path.endswith("/"):
            raise ConfigError(f"path is {path!r}: expected one such as /media")
        if self._server is not None:
            raise ConfigError("the router is mounted: expected one place")
        self._prefix = path
        app.mount(path, _Mounted(self._open()))

    async def __aenter__(self) -> "EmbeddedRouter":
        await self._open().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            await self._server.stop()

    @property
    def rooms(self) -> RoomRegistry:
        """The rooms that are open here."""
        return self._open().registry

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
        if self._server is None:
            self._server = RouterServer(self._settings, public_prefix=self._prefix)
        return self._server


class _Mounted:
    """The public application, which need not know below which path it is mounted."""

    def __init__(self, server: RouterServer) -> None:
        self._server = server
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, or one WebSocket; the application is made for the first one."""
        if self._app is None:
            self._app = self._server.make_public_app()
        await self._app(_without_root(scope), receive, send)


def _without_root(scope: Scope) -> Scope:
    root: str = scope.get("root_path", "")
    path: str = scope["path"]
    if not root or not path.startswith(root):
        return scope
    raw = scope.get("raw_path")
    rest = {"path": path.removeprefix(root) or "/", "raw_path": raw and raw.removeprefix(root.encode())}
    return {**scope, "root_path": "", **rest}

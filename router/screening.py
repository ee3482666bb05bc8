"""What no route should have to look at: requests that are refused before any of them sees one, on both ports.

HTTP gets the problem document, a WebSocket that wants to open the close code 1008 (RFC 6455 section 7.4.1).
"""

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from router.errors import RouterError
from router.problems import write_problem

CLOSE_POLICY: Final = 1008


class Screening:
    """ASGI middleware; `check` raises a `RouterError` for a scope that is refused."""

    def __init__(self, app: ASGIApp, check: Callable[[Scope], None]) -> None:
        self._app = app
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        try:
            if scope["type"] in ("http", "websocket"):
                self._check(scope)
        except RouterError as error:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": CLOSE_POLICY})
            else:
                await write_problem(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

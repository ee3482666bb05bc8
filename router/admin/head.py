"""HEAD wherever there is GET (RFC 9110 section 9.3.2): the same answer without its body, which monitors ask for.

Routes see GET. An answer that would never end, such as a stream of events, ends after its head.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadMiddleware:
    """Outermost but for what turns exceptions into answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})  # routes that wait for their client see it go

        await self._app({**scope, "method": "GET"}, receive, send_head)

"""Every refusal as a problem document (RFC 9457), made in one place for both HTTP ports.

Known errors bring slug, status and title themselves. Unknown ones become a 500 that says nothing, and a log line that
says everything.
"""

import json
import logging
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from router.errors import ConfigError, RouterError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:fork-router:problem:"
_HTTP_SLUGS = {404: "unknown-path", 405: "method-not-allowed"}


def describe_problem(slug: str, title: str, status: int, detail: str) -> dict[str, Any]:
    """The members of the document."""
    return {"type": TYPE_PREFIX + slug, "title": title, "status": status, "detail": detail, "slug": slug}


def write_problem(error: RouterError, headers: dict[str, str] | None = None) -> Response:
    """The response to an error."""
    headers = dict(headers or {})
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status in (408, 413):
        # The rest of the body is not wanted.
        headers["Connection"] = "close"
    return _respond(describe_problem(error.slug, error.title, error.status, error.public_detail), headers)


async def on_router_error(_request: Request, error: Exception) -> Response:
    """Exception handler for `RouterError`."""
    known = cast(RouterError, error)
    if known.status >= 500 and known.status != 503:
        logger.error("request failed", exc_info=error)
    if isinstance(known, ConfigError):
        # A setting of ours, not a mistake of the client's.
        logger.error("configuration refused while serving", exc_info=error)
        return write_problem(RouterError())
    return write_problem(known, getattr(error, "response_headers", None))


async def on_http_exception(_request: Request, error: Exception) -> Response:
    """Exception handler for what routing itself refuses."""
    known = cast(HTTPException, error)
    slug = _HTTP_SLUGS.get(known.status_code, "http-error")
    problem = describe_problem(slug, known.detail, known.status_code, known.detail)
    return _respond(problem, dict(known.headers or {}))


class UnknownErrorMiddleware:
    """Turns an exception nobody foresaw into a problem, inside of CORS, so that browsers can read it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_noting_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_noting_start)
        except Exception:
            # The path is left out: it may hold the secret id of a session.
            logger.exception("request failed", extra={"method": scope["method"]})
            if started:
                raise
            await write_problem(RouterError())(scope, receive, send)


def _respond(problem: dict[str, Any], headers: dict[str, str]) -> Response:
    body = json.dumps(problem).encode()
    return Response(body, status_code=problem["status"], media_type=MEDIA_TYPE, headers=headers)

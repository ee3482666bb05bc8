"""The admin application: one router per resource, one place that makes problem documents, one bearer token."""

from typing import Any

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry, ProcessCollector
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response

from router import __version__
from router.admin import (
    captures,
    diagnosis,
    docs,
    events,
    health,
    join_tokens,
    metrics,
    moderation,
    participant_changes,
    participants,
    revocations,
    room_changes,
    rooms,
    slots,
    stats,
    tracks,
    webhooks,
)
from router.admin.auth import require_token
from router.admin.collector import RouterCollector
from router.admin.event_stream import Listeners
from router.admin.gate import Gate
from router.admin.openapi import complete_document
from router.admin.state import AdminState
from router.errors import RequestError, RouterError
from router.problems import UnknownErrorMiddleware, on_http_exception, on_router_error, write_problem

MAX_QUOTED_CHARACTERS = 64
LOOPBACK_NAMES = ["127.0.0.1", "localhost", "[::1]"]


class AdminApp(FastAPI):
    """With problems, headers and examples in its OpenAPI document that are the same for all routes."""

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            complete_document(super().openapi())
        assert self.openapi_schema is not None, "kept by FastAPI"
        return self.openapi_schema


def create_admin_app(state: AdminState) -> FastAPI:
    """The application for the admin port."""
    app = AdminApp(
        title="fork-router admin",
        version=__version__,
        description="Rooms, participants, statistics and health of one router.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.admin = state
    # A registry of its own: what Python counts outlives the application, in tests if nowhere else.
    app.state.snapshots = CollectorRegistry()
    app.state.snapshots.register(RouterCollector(state.registry, state.read_counters))
    ProcessCollector(registry=app.state.snapshots)
    app.state.event_listeners = Listeners(state.max_event_listeners, state.metrics)
    state.registry.on_session_ending = state.ended.remember
    for resource in (
        *(rooms, room_changes, participants, participant_changes, moderation, tracks, slots, stats),
        *(join_tokens, revocations, events, webhooks, diagnosis, captures),
    ):
        app.include_router(resource.router, dependencies=[Depends(require_token)])
    for resource in (health, metrics, docs):
        app.include_router(resource.router)
    app.add_exception_handler(RouterError, on_router_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_bad_parameter)
    app.add_middleware(Gate, state=state)
    app.add_middleware(UnknownErrorMiddleware)
    if not state.tokens:
        # Without a token, a web page could read this port through DNS rebinding.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK_NAMES)
    return app


async def _on_bad_parameter(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = str(first["loc"][-1])[:MAX_QUOTED_CHARACTERS]  # may be a key of the client's own making
    return write_problem(RequestError(f"{where}: {first['msg'].replace('Input should be', 'expected')}"))

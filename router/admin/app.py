"""The admin application: one router per resource, one place that makes problem documents, one bearer token."""

from typing import Any

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry, ProcessCollector
from starlette.exceptions import HTTPException

from router import __version__
from router.admin import (
    captures,
    dashboard,
    diagnosis,
    docs,
    drain,
    events,
    health,
    join_tokens,
    metrics,
    moderation,
    node_rooms,
    nodes,
    overview,
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
from router.admin.forwarding import ForwardingMiddleware
from router.admin.gate import Gate
from router.admin.head import HeadMiddleware
from router.admin.loopback_pages import check_page
from router.admin.openapi import complete_document
from router.admin.refusals import on_bad_parameter, on_refused_route
from router.admin.state import AdminState
from router.admin.survey import Survey
from router.errors import RouterError
from router.problems import UnknownErrorMiddleware, on_router_error
from router.request_path import check_request_path
from router.screening import Screening


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
    app.state.survey = Survey(state.registry)
    state.registry.on_session_ending = state.ended.remember
    for resource in (
        *(rooms, room_changes, participants, participant_changes, moderation, tracks, slots, stats),
        *(join_tokens, revocations, events, webhooks, nodes, drain, diagnosis, captures),
        overview,
    ):
        app.include_router(resource.router, dependencies=[Depends(require_token)])
    for resource in (health, metrics, docs, dashboard, node_rooms):
        app.include_router(resource.router)
    app.add_exception_handler(RouterError, on_router_error)
    app.add_exception_handler(HTTPException, on_refused_route)
    app.add_exception_handler(RequestValidationError, on_bad_parameter)
    app.add_middleware(ForwardingMiddleware, state=state)
    app.add_middleware(Gate, state=state)
    if not state.tokens:
        app.add_middleware(Screening, check=check_page)
    app.add_middleware(Screening, check=check_request_path)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(UnknownErrorMiddleware)
    return app

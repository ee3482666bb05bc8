"""The admin application: one router per resource, one place that makes problem documents, one bearer token."""

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry, ProcessCollector
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from router import __version__
from router.admin import (
    docs,
    events,
    health,
    metrics,
    participant_changes,
    participants,
    revocations,
    rooms,
    stats,
    webhooks,
)
from router.admin.auth import require_token
from router.admin.collector import RouterCollector
from router.admin.event_stream import Listeners
from router.admin.guard import GuardMiddleware
from router.admin.state import AdminState
from router.errors import RequestError, RouterError
from router.problems import (
    DESCRIBED_PROBLEM,
    UnknownErrorMiddleware,
    on_http_exception,
    on_router_error,
    write_problem,
)
from router.request_path import RequestPathMiddleware


def create_admin_app(state: AdminState) -> FastAPI:
    """The application for the admin port."""
    app = FastAPI(
        title="fork-router admin",
        version=__version__,
        description="Rooms, participants, statistics and health of one router.",
        docs_url=None,
        redoc_url=None,
        responses={"default": DESCRIBED_PROBLEM},
    )
    app.state.admin = state
    # A registry of its own: what Python counts outlives the application, in tests if nowhere else.
    app.state.snapshots = CollectorRegistry()
    app.state.snapshots.register(RouterCollector(state.registry, state.read_counters))
    ProcessCollector(registry=app.state.snapshots)
    app.state.event_listeners = Listeners(state.max_event_listeners, state.metrics)
    for resource in (rooms, participants, participant_changes, stats, revocations, events, webhooks):
        app.include_router(resource.router, dependencies=[Depends(require_token)])
    for resource in (health, metrics, docs):
        app.include_router(resource.router)
    app.add_exception_handler(RouterError, on_router_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_bad_parameter)
    app.add_middleware(GuardMiddleware, state=state)
    app.add_middleware(RequestPathMiddleware)
    app.add_middleware(UnknownErrorMiddleware)
    return app


async def _on_bad_parameter(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return write_problem(RequestError(f"{first['loc'][-1]}: {first['msg'].replace('Input should be', 'expected')}"))

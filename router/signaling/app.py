"""The public application: offers and forks, WHIP, WHEP, the events WebSocket and the demo room on one port.

No trailing-slash redirects, for POST must not be redirected by accident (RFC 9725 section 4.5). No documentation pages
here; the admin port has them. Absolute URLs come from a setting, never from `Host`.
"""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from router.errors import ElsewhereError, RouterError
from router.problems import UnknownErrorMiddleware, on_http_exception, on_router_error
from router.rates import RateLimiter
from router.request_path import check_request_path
from router.screening import Screening
from router.signaling.cors import CorsMiddleware
from router.signaling.dev import DevTokens
from router.signaling.elsewhere import on_elsewhere
from router.signaling.events import EventsResource
from router.signaling.forks import ForksResource
from router.signaling.ice_servers import IceServersResource
from router.signaling.offer import OfferResource
from router.signaling.resources import PATHS, EndpointResource
from router.signaling.roster import RosterResource
from router.signaling.session_resource import SessionResource
from router.signaling.state import PublicState
from router.signaling.static import FILES, SecurityHeadersMiddleware
from router.signaling.whep import WhepEndpoint
from router.signaling.whip import WhipEndpoint
from router.static_files import StaticFiles

Handler = Callable[[Request], Awaitable[Response]]


def create_public_app(state: PublicState) -> Starlette:
    """The ASGI application of the public port. It starts and stops nothing: the server owns rooms and engine."""
    app = Starlette()
    app.router.redirect_slashes = False
    app.state.router = state
    app.add_exception_handler(RouterError, on_router_error)
    app.add_exception_handler(ElsewhereError, on_elsewhere)
    app.add_exception_handler(HTTPException, on_http_exception)
    # The last one added is the outermost: errors become responses inside, headers are added outside.
    app.add_middleware(Screening, check=check_request_path)
    app.add_middleware(UnknownErrorMiddleware)
    settings = state.settings
    app.add_middleware(SecurityHeadersMiddleware, public_url=settings.public_url, other_nodes=settings.other_nodes)
    app.add_middleware(CorsMiddleware, allowed_origins=state.settings.allowed_origins)
    limiter = RateLimiter(state.settings.requests_per_s, state.settings.request_burst)
    session = SessionResource(state, limiter)
    endpoints: list[EndpointResource] = [WhipEndpoint(state, limiter), WhepEndpoint(state, limiter)]
    session_methods = {"patch": session.patch, "delete": session.delete, "get": session.get, "head": session.head}
    for endpoint in endpoints:
        path = PATHS[endpoint.endpoint]
        _add(app, path, post=endpoint.post, get=endpoint.get, head=endpoint.head, options=endpoint.options)
        _add(app, path + "/{session}", **session_methods, options=session.options)
    offer, forks = OfferResource(state, limiter), ForksResource(state, limiter)
    _add(app, "/rooms/{room}/offer", get=offer.get, head=offer.head, options=offer.options)
    _add(app, PATHS["fork"], post=forks.post, get=forks.get, head=forks.head, options=forks.options)
    _add(app, PATHS["fork"] + "/{session}", **session_methods, options=session.options)
    ice_servers = IceServersResource(state, limiter)
    _add(app, "/rooms/{room}/ice-servers", get=ice_servers.get, options=ice_servers.options)
    _add(app, "/rooms/{room}/roster", get=RosterResource(state, limiter).get)
    app.router.add_websocket_route("/rooms/{room}/events", EventsResource(state).serve)
    static = StaticFiles(state.settings.web_root, FILES)
    for path in FILES:
        _add(app, path, get=static.get, head=static.get)
    if state.settings.dev:
        _add(app, "/dev/token", get=DevTokens(state.tokens).get)
    return app


def _add(app: Starlette, path: str, **handlers: Handler) -> None:
    """One route per path, so that a wrong method is told all the right ones."""

    async def serve(request: Request) -> Response:
        # Starlette adds HEAD to whatever has GET.
        return await handlers.get(request.method.lower(), handlers["get"])(request)

    app.router.add_route(path, serve, methods=[method.upper() for method in handlers])

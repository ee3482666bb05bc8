"""What FastAPI itself refuses, before a route is called, as problem documents that say what was expected where."""

from collections.abc import Mapping
from typing import Any, Final, cast

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from router.errors import RequestError
from router.problems import on_http_exception, write_problem

MAX_QUOTED_CHARACTERS: Final = 64
METHOD_NOT_ALLOWED: Final = 405
METHODS: Final = ("DELETE", "GET", "PATCH", "POST", "PUT")
_BY_TYPE: Final[Mapping[str, str]] = {
    "missing": "required",
    "extra_forbidden": "unknown",
    "model_attributes_type": "expected an object",
}
_WORDS: Final = (
    ("Value error, ", ""),
    ("Input should be greater", "expected a number greater"),
    ("Input should be less", "expected a number less"),
    ("Input should be", "expected"),
)
"""pydantic's words, and ours."""


async def on_bad_parameter(_request: Request, error: Exception) -> Response:
    """Exception handler for `RequestValidationError`."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return write_problem(RequestError(f"{_locate(first['loc'])}: {_explain(first)}"))


async def on_refused_route(request: Request, error: Exception) -> Response:
    """Exception handler for `HTTPException`. A method that is not allowed is told all that are (RFC 9110 section
    15.5.6): a path here has a route for each of its methods, of which the first one would speak for all."""
    known = cast(HTTPException, error)
    if known.status_code == METHOD_NOT_ALLOWED:
        known = HTTPException(METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(sorted(_find_methods(request)))})
    return await on_http_exception(request, known)


def _find_methods(request: Request) -> set[str]:
    methods = {method for method in METHODS if _has_route(request, method)}
    return methods | {"HEAD"} if "GET" in methods else methods


def _has_route(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


def _locate(loc: tuple[str | int, ...]) -> str:
    """Such as `rights.can_publish_sources.0`; may hold a key of the client's own making."""
    return ".".join(str(part) for part in loc[1:])[:MAX_QUOTED_CHARACTERS] or "body"


def _explain(error: Mapping[str, Any]) -> str:
    text = str(error["msg"])
    for theirs, ours in _WORDS:
        text = text.replace(theirs, ours)
    return _BY_TYPE.get(error["type"], text)

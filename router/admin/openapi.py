"""Completes the OpenAPI document that FastAPI makes: what holds for all routes is said here, once.

Each operation gets the problems it may answer with, each with an example; the token it needs; `Idempotency-Key` where
it is a POST; and the examples of its models beside its bodies, where tools look for them. Routes say themselves what is
theirs alone, as `responses`.
"""

from http import HTTPStatus
from typing import Any, Final

from router.admin.gate import IDEMPOTENCY_KEY, PREFIX
from router.admin.idempotency import MAX_KEY_CHARACTERS
from router.problems import MEDIA_TYPE, describe_problem

Json = dict[str, Any]

METHODS: Final = ("get", "post", "put", "patch", "delete")
PROBLEMS: Final[dict[int, tuple[str, str, str]]] = {
    400: ("bad-request", "Bad request", "limit: expected a number less than or equal to 200"),
    401: ("unauthorized", "Not authorised", "expected the header Authorization: Bearer with the admin token"),
    403: ("read-only-token", "Forbidden", "this admin token is for reading only"),
    404: ("unknown-room", "Not found", "no such room"),
    408: ("request-timeout", "Request timeout", "the body did not arrive within 10 s"),
    409: ("request-in-progress", "Conflict", "the same request is being served"),
    412: ("precondition-failed", "Precondition failed", "it was changed meanwhile: read it again"),
    413: ("payload-too-large", "Payload too large", "the body is longer than 65536 bytes"),
    415: ("unsupported-media-type", "Unsupported media type", "Content-Type: expected application/json"),
    422: ("idempotency-key-reused", "Unprocessable content", "this Idempotency-Key came with another request before"),
    429: ("rate-limited", "Too many requests", "too many requests with this token"),
    503: ("draining", "Capacity reached", "the router is draining"),
}
RETRY_AFTER: Final = frozenset((409, 429, 503))
SCHEMA: Final[Json] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. `slug` is stable, and the end of `type`.",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "slug": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail", "slug"],
}
KEY_PARAMETER: Final[Json] = {
    "name": IDEMPOTENCY_KEY,
    "in": "header",
    "required": False,
    "description": "Of the client's making. The same request sent again within an hour is not done again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARACTERS},
    "example": "0f8c5e0e-6d1c-4c0c-9f4e-3f1d2b7a9c11",
}


def complete_document(document: Json) -> None:
    """In place."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                _complete_operation(path, method, item[method], schemas)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)  # what FastAPI would answer; ours are problems
    schemas["Problem"] = SCHEMA
    components["securitySchemes"] = {"adminToken": {"type": "http", "scheme": "bearer"}}


def _complete_operation(path: str, method: str, operation: Json, schemas: Json) -> None:
    responses: Json = operation["responses"]
    responses.pop("422", None)
    guarded = path.startswith(PREFIX)
    if guarded and method == "post":
        operation.setdefault("parameters", []).append(KEY_PARAMETER)
    if guarded or path == "/metrics":
        operation["security"] = [{"adminToken": []}]
    for status in _problems_of(path, method, operation):
        responses.setdefault(str(status), {"description": PROBLEMS[status][1]})
    for name, response in responses.items():
        if int(name) >= 400:
            _describe_problem(int(name), response)
    for body in (operation.get("requestBody", {}), *responses.values()):
        for media in body.get("content", {}).values():
            _give_example(media, schemas)
    operation["responses"] = dict(sorted(responses.items()))


def _problems_of(path: str, method: str, operation: Json) -> list[int]:
    if not path.startswith(PREFIX):
        return [401] if path == "/metrics" else []
    found = [401, 429]
    if operation.get("parameters") or "requestBody" in operation:
        found.append(400)
    if "{" in path:
        found.append(404)
    if method != "get":
        found += [403, 408, 413, 415]
    if method == "post":
        found += [409, 422]
    if any(parameter["name"] == "if-match" for parameter in operation.get("parameters", ())):
        found.append(412)
    return found


def _describe_problem(status: int, response: Json) -> None:
    phrase = HTTPStatus(status).phrase
    slug, title, detail = PROBLEMS.get(status, ("http-error", phrase, response.get("description", phrase)))
    example = describe_problem(slug, title, status, detail)
    content = response.setdefault("content", {})
    content.pop("application/json", None)
    content.setdefault(MEDIA_TYPE, {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example})
    if status in RETRY_AFTER:
        text = "Seconds after which trying again may fare better"
        response.setdefault("headers", {})["Retry-After"] = {"description": text, "schema": {"type": "integer"}}


def _give_example(media: Json, schemas: Json) -> None:
    name = media.get("schema", {}).get("$ref", "").rpartition("/")[2]
    examples = schemas.get(name, {}).get("examples")
    if examples and "example" not in media:
        media["example"] = examples[0]

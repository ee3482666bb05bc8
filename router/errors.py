"""Every exception fork-router raises, in one tree.

    RouterError
    ├── ConfigError (also ValueError)   a setting or an argument is wrong; the message names it and what was expected
    ├── EngineError
    │   ├── EngineStateError            unknown id or wrong state
    │   └── EngineBug                   a panic caught in the engine: our fault, never the peer's
    ├── ConnectionClosedError           the connection or room was closed
    ├── SdpError
    │   ├── LocalSdpError               we were asked for something impossible
    │   └── RemoteSdpError              the peer's description is malformed or unusable
    ├── DtlsError                       handshake failed, or the fingerprint does not match
    ├── AuthError                       no token, a bad token, or a right that the token does not give
    │   ├── UnauthorizedError
    │   └── ForbiddenError
    ├── NotFoundError                   unknown room, participant, track or session
    ├── ConflictError                   already published, no publisher yet, wrong state
    ├── CapacityError                   room full, router full, draining
    │   └── ElsewhereError              another node is the one to ask
    ├── NodeUnreachableError            another node should have answered and did not
    │   └── NodeTimeoutError
    └── RequestError                    an HTTP request is malformed
        ├── UnsupportedMediaTypeError
        ├── PayloadTooLargeError
        ├── RequestTimeoutError
        ├── PreconditionRequiredError
        ├── PreconditionFailedError
        ├── UnprocessableError
        └── RateLimitedError

Each class carries the stable `slug`, `status` and `title` of its RFC 9457 problem document; a raise may give a more
specific slug. The text of the exception is the document's `detail`.
"""

from typing import ClassVar


class RouterError(Exception):
    """Root of the tree."""

    default_slug: ClassVar[str] = "internal-error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str = "", *, slug: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(detail or self.title)
        self.slug = slug or self.default_slug
        self.retry_after_s = retry_after_s

    @property
    def public_detail(self) -> str:
        """What clients may read. Errors of our own making keep their details to themselves."""
        return str(self) if self.status < 500 or self.status == 503 else self.title


class ConfigError(RouterError, ValueError):
    """A setting or an argument is wrong."""

    default_slug = "bad-configuration"
    status = 400
    title = "Bad configuration"


class EngineError(RouterError):
    """The engine refused."""

    default_slug = "engine-error"


class EngineStateError(EngineError):
    """Unknown engine id, or the wrong state for the call."""

    default_slug = "engine-state"


class EngineBug(EngineError):
    """A panic was caught inside the engine."""

    default_slug = "engine-bug"


class ConnectionClosedError(RouterError):
    """The connection or room was closed."""

    default_slug = "connection-closed"
    status = 409
    title = "Connection closed"


class SdpError(RouterError):
    """A session description cannot be used."""

    default_slug = "bad-sdp"
    status = 400
    title = "Bad session description"


class LocalSdpError(SdpError):
    """We were asked for an impossible description."""

    default_slug = "local-sdp"
    status = 500


class RemoteSdpError(SdpError):
    """The peer's description is malformed or unusable."""

    default_slug = "remote-sdp"


class DtlsError(RouterError):
    """The handshake failed, or the fingerprint does not match."""

    default_slug = "dtls-failed"
    status = 400
    title = "DTLS failed"


class AuthError(RouterError):
    """Root of refusals by right."""

    default_slug = "auth"
    status = 401
    title = "Not authorised"


class UnauthorizedError(AuthError):
    """No token, or one that is malformed, expired or signed by somebody else."""

    default_slug = "unauthorized"


class ForbiddenError(AuthError):
    """The token is good but does not give this right."""

    default_slug = "forbidden"
    status = 403
    title = "Forbidden"


class NotFoundError(RouterError):
    """Unknown room, participant, track or session."""

    default_slug = "not-found"
    status = 404
    title = "Not found"


class ConflictError(RouterError):
    """The state does not allow it now."""

    default_slug = "conflict"
    status = 409
    title = "Conflict"


class CapacityError(RouterError):
    """A cap was reached, or the router is draining."""

    default_slug = "capacity"
    status = 503
    title = "Capacity reached"


class ElsewhereError(CapacityError):
    """Another node is the one to ask; `node_url` is its public URL where that is known and is not ours."""

    default_slug = "room-elsewhere"
    title = "Elsewhere"

    def __init__(
        self, detail: str, *, node_url: str | None, slug: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(detail, slug=slug, retry_after_s=retry_after_s)
        self.node_url = node_url


class NodeUnreachableError(RouterError):
    """Another node should have answered and did not. The text names the node, and no address."""

    default_slug = "node-unreachable"
    status = 502
    title = "Node unreachable"

    @property
    def public_detail(self) -> str:
        """Made for operators."""
        return str(self)


class NodeTimeoutError(NodeUnreachableError):
    """It took too long."""

    default_slug = "node-timeout"
    status = 504
    title = "Node did not answer in time"


class RequestError(RouterError):
    """A malformed HTTP request."""

    default_slug = "bad-request"
    status = 400
    title = "Bad request"


class UnsupportedMediaTypeError(RequestError):
    """Wrong content type."""

    default_slug = "unsupported-media-type"
    status = 415
    title = "Unsupported media type"


class PayloadTooLargeError(RequestError):
    """The body is larger than allowed."""

    default_slug = "payload-too-large"
    status = 413
    title = "Payload too large"


class RequestTimeoutError(RequestError):
    """The request took too long to arrive."""

    default_slug = "request-timeout"
    status = 408
    title = "Request timeout"


class PreconditionRequiredError(RequestError):
    """If-Match is missing."""

    default_slug = "precondition-required"
    status = 428
    title = "Precondition required"


class PreconditionFailedError(RequestError):
    """If-Match names another entity tag."""

    default_slug = "precondition-failed"
    status = 412
    title = "Precondition failed"


class UnprocessableError(RequestError):
    """Well-formed, but not something this resource can do."""

    default_slug = "unprocessable"
    status = 422
    title = "Unprocessable content"


class RateLimitedError(RequestError):
    """Too many requests."""

    default_slug = "rate-limited"
    status = 429
    title = "Too many requests"

"""One attempt to deliver a webhook: a POST whose token proves who sent it, and that the body is what was sent.

In LiveKit's shape: `Authorization` is a bare JWT (HS256, no "Bearer") with `iss`, `nbf`, `exp` five minutes later, and
`sha256`, the base64 of the body's hash. No redirect is followed, at most `MAX_ANSWER_BYTES` of the answer are read, and
the whole attempt, from resolving the name to the end of the answer, has one deadline.
"""

import asyncio
import base64
import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

import httpcore
import jwt

from router import __version__, clock
from router.events.addresses import AddressPolicy
from router.events.guarded_network import ForbiddenAddressError, GuardedNetwork, Resolve, resolve

TOKEN_LIFETIME_S: Final = 300
CLOCK_SKEW_S: Final = 60
"""The token is good from so long ago: clocks differ."""
MAX_ANSWER_BYTES: Final = 16_384
MEDIA_TYPE: Final = "application/webhook+json"

FailureReason = Literal["network", "timeout", "answer-too-large", "status", "redirect", "forbidden-address"]


class DeliveryError(Exception):
    """The receiver did not take it. `retry` tells whether it may do so later."""

    def __init__(
        self, reason: FailureReason, *, retry: bool, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason if status is None else f"{reason} {status}")
        self.reason: FailureReason = reason
        self.retry = retry
        self.status = status
        self.retry_after_s = retry_after_s


class Post(Protocol):
    """Delivers one body, or raises `DeliveryError`."""

    async def post(self, body: bytes) -> None:
        """One attempt."""

    async def close(self) -> None:
        """Frees connections."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes the token of one attempt."""

    key: str
    """Names the secret, as `iss`."""
    secret: str
    now_s: Callable[[], float] = clock.wall_s

    def sign(self, body: bytes) -> str:
        """The token for this body, good for five minutes."""
        now = int(self.now_s())
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        claims = {"iss": self.key, "nbf": now - CLOCK_SKEW_S, "exp": now + TOKEN_LIFETIME_S, "sha256": digest}
        return jwt.encode(claims, self.secret, algorithm="HS256")


class HttpPost:
    """A `Post` by HTTP."""

    def __init__(
        self,
        url: str,
        signer: Signer,
        policy: AddressPolicy,
        *,
        timeout_s: float,
        resolve: Resolve = resolve,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._url = url
        self._signer = signer
        self._timeout_s = timeout_s
        secure = url.startswith("https:")
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context or (ssl.create_default_context() if secure else None),
            max_connections=None,  # the queue bounds what is under way
            max_keepalive_connections=4,
            keepalive_expiry=30.0,
            network_backend=GuardedNetwork(policy, resolve=resolve),
        )

    async def post(self, body: bytes) -> None:
        """See `Post`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._post(body)
        except TimeoutError as error:
            raise DeliveryError("timeout", retry=True) from error
        except ForbiddenAddressError as error:
            raise DeliveryError("forbidden-address", retry=False) from error
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise DeliveryError("network", retry=True) from error
        except (httpcore.UnsupportedProtocol, OSError) as error:
            raise DeliveryError("network", retry=True) from error

    async def close(self) -> None:
        """See `Post`."""
        await self._pool.aclose()

    async def _post(self, body: bytes) -> None:
        headers = {
            "Host": urlsplit(self._url).netloc,
            "Authorization": self._signer.sign(body),
            "Content-Type": MEDIA_TYPE,
            "Content-Length": str(len(body)),
            "User-Agent": f"fork-router/{__version__}",
            "Accept-Encoding": "identity",
        }
        async with self._pool.stream("POST", self._url, headers=list(headers.items()), content=body) as answer:
            size = 0
            async for part in answer.aiter_stream():
                size += len(part)
                if size > MAX_ANSWER_BYTES:
                    # Leaving the block closes the connection.
                    raise DeliveryError("answer-too-large", retry=False)
            given = {name.lower(): value for name, value in answer.headers}
            check_status(answer.status, given.get(b"retry-after"))


def check_status(status: int, retry_after: bytes | None = None) -> None:
    """Raises `DeliveryError` for anything but success.

    >>> check_status(204)
    """
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise DeliveryError("redirect", retry=False, status=status)
    retry = status >= 500 or status in (408, 425, 429)
    after = int(retry_after) if retry_after is not None and retry_after.isdigit() and len(retry_after) < 6 else None
    raise DeliveryError("status", retry=retry, status=status, retry_after_s=after if retry else None)

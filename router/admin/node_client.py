"""Requests to other nodes' admin ports: bounded in connections, time and size; follows no redirect, reads no proxy.

URLs come from the registry of nodes only (`router.cluster.peers`), never from a request.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpcore

from router.errors import NodeTimeoutError, NodeUnreachableError

MAX_CONNECTIONS: Final = 32
CONNECT_TIMEOUT_S: Final = 2.0
SILENCE_TIMEOUT_S: Final = 10.0
WHOLE_TIMEOUT_S: Final = 60.0
MAX_ANSWER_BYTES: Final = 67_108_864
Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of it, and its body as it comes."""

    status: int
    headers: Sequence[Header]
    body: AsyncIterator[bytes]


class NodeClient:
    """Used on one event loop."""

    def __init__(
        self,
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        silence_timeout_s: float = SILENCE_TIMEOUT_S,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._max_connections = max_connections
        self._timeouts = {
            "connect": min(connect_timeout_s, silence_timeout_s),
            "pool": min(connect_timeout_s, silence_timeout_s),
            "read": silence_timeout_s,
            "write": silence_timeout_s,
        }
        self._pool: httpcore.AsyncConnectionPool | None = None

    @asynccontextmanager
    async def send(
        self, node: str, method: str, url: str, headers: Sequence[Header], body: bytes
    ) -> AsyncIterator[Answer]:
        """One request; `NodeUnreachableError` and `NodeTimeoutError` name the node."""
        if self._pool is None:
            self._pool = httpcore.AsyncConnectionPool(
                max_connections=self._max_connections, max_keepalive_connections=8, keepalive_expiry=15.0
            )
        host = urlsplit(url).netloc.rpartition("@")[2].encode()
        length = [(b"Content-Length", str(len(body)).encode())] if body or method not in ("GET", "HEAD") else []
        try:
            async with (
                asyncio.timeout(WHOLE_TIMEOUT_S),
                self._pool.stream(
                    method,
                    url,
                    headers=[(b"Host", host), *length, *headers],
                    content=body,
                    extensions={"timeout": self._timeouts},
                ) as answer,
            ):
                yield Answer(answer.status, answer.headers, _bounded(answer.aiter_stream(), node))
        except (TimeoutError, httpcore.TimeoutException) as error:
            raise NodeTimeoutError(f"node {node} did not answer in time") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError) as error:
            raise NodeUnreachableError(f"node {node} cannot be reached") from error

    async def close(self) -> None:
        """Closes all connections. Idempotent."""
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None


async def _bounded(parts: AsyncIterator[bytes], node: str) -> AsyncIterator[bytes]:
    size = 0
    async for part in parts:
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            # Leaving the block of `send` closes the connection.
            raise NodeUnreachableError(f"the answer of node {node} is too large")
        yield part

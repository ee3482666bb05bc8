"""An HTTP receiver on loopback that records what it gets and answers as a test says; shares no code with the sender."""

import asyncio
import base64
import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import jwt

SECRET = "a secret of webhooks, long enough for HS256"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Request:
    """One POST."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """Its body."""
        event: dict[str, Any] = json.loads(self.body)
        return event

    def verify(self, secret: str = SECRET, key: str = "fork-router") -> dict[str, Any]:
        """As LiveKit's receivers do: signature, times and issuer of the token, then the body's hash."""
        claims: dict[str, Any] = jwt.decode(
            self.headers["authorization"],
            secret,
            algorithms=["HS256"],
            issuer=key,
            options={"require": ["exp", "nbf", "iss"]},
        )
        assert claims["sha256"] == base64.b64encode(hashlib.sha256(self.body).digest()).decode()
        return claims


def answer(status: int, *headers: str, body: bytes = b"") -> bytes:
    """A response."""
    head = "\r\n".join([f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


@dataclass
class Receiver:
    """What came, and what is answered next: bytes, or None to hang. When nothing is left, 200."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    answers: list[bytes | None] = field(default_factory=list)
    connections: int = 0
    closes: bool = False
    """After each answer."""
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while (request := await read_request(reader)) is not None:
                reply = self.answers.pop(0) if self.answers else OK
                self.requests.append(request)
                self.came.set()
                if reply is None:
                    await reader.read()
                    return
                writer.write(reply)
                await writer.drain()
                if self.closes:
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            with suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async def wait_for(self, count: int, timeout_s: float = 10.0) -> list[Request]:
        """The requests, once there are so many."""
        async with asyncio.timeout(timeout_s):
            while len(self.requests) < count:
                self.came.clear()
                await self.came.wait()
        return self.requests


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """One request with a Content-Length; None at the end of the connection."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(method, path, headers, await reader.readexactly(int(headers["content-length"])))


@asynccontextmanager
async def receiving(
    host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """Listens until the end of the block."""
    receiver = Receiver()
    tasks: set[asyncio.Task[None]] = set()

    def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(receiver.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(on_connection, host, port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

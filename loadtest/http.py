"""HTTP/1.1 without a client library, so that the generator's own cost stays out of the figures.

One request a connection, whole bodies, no redirects, no chunked replies: what the router's signalling needs.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: str

    def json(self) -> Any:  # whatever JSON holds
        """The body's value."""
        return json.loads(self.body)

    @classmethod
    def parse(cls, text: str) -> "Reply":
        """Reads a response that was read to its end."""
        head, _, body = text.partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return cls(int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, body)


async def request(
    address: tuple[str, int], method: str, path: str, *, headers: Mapping[str, str], body: str = ""
) -> Reply:
    """One request of any method and its reply, whatever the status."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        payload = body.encode()
        fields = {"Host": address[0], "Connection": "close", "Content-Length": str(len(payload)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + payload)
        return Reply.parse((await reader.read()).decode())
    finally:
        writer.close()


async def post(host: str, port: int, path: str, token: str, body: str) -> str:
    """POSTs an offer; returns the body of a 201, else raises RuntimeError with the reply."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    reply = await request((host, port), "POST", path, headers=headers, body=body)
    if reply.status != 201:
        raise RuntimeError(f"{path}: {reply.status} {reply.body[:600]}")
    return reply.body

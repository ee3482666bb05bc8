"""Requests for a room that another node holds go to that node, so that whichever node is asked, the answer is true.

What is here is answered here at once, with the store down as well. A request that came from another node goes no
further (`Fork-Router-Hop`), so there are no loops; who holds a room changes, and the next request follows. The caller's
rights travel as a proof (`router.admin.node_proof`), are judged here first and there again. The answer says which node
gave it (`Fork-Router-Node`). `/v1/nodes/{node}/drain` goes to that node in the same way.
"""

import logging
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from router.admin import node_proof
from router.admin.auth import require_token
from router.admin.node_client import Answer, Header, NodeClient
from router.admin.node_proof import read_target
from router.admin.state import AdminState
from router.cluster.entries import NodeEntry
from router.cluster.peers import Peers
from router.cluster.redis_errors import StoreError
from router.errors import NodeUnreachableError, PayloadTooLargeError, RouterError
from router.problems import write_problem
from router.rooms.names import MAX_NAME_CHARACTERS, check_room_name

logger = logging.getLogger(__name__)

HOP: Final = "Fork-Router-Hop"
ANSWERED_BY: Final = b"fork-router-node"
MAX_BODY_BYTES: Final = 1_048_576
SENT: Final = frozenset(
    (b"accept", b"content-type", b"if-match", b"if-none-match", b"idempotency-key", b"traceparent", b"tracestate")
)
RETURNED: Final = frozenset(
    (
        *(b"content-type", b"content-length", b"content-disposition", b"etag", b"cache-control", b"last-modified"),
        *(b"location", b"link", b"allow", b"retry-after", b"www-authenticate", b"idempotency-replayed"),
    )
)
RETURNED_PREFIXES: Final = (b"ratelimit", b"x-ratelimit")


class ForwardingMiddleware:
    """Around the routes of the admin application."""

    def __init__(self, app: ASGIApp, *, state: AdminState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        peers, nodes = self._state.peers, self._state.nodes
        if scope["type"] != "http" or peers is None or nodes is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        begun = False

        async def send_noting_begin(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            owner = await self._find_owner(request, peers)
            if owner is not None:
                await self._forward(request, owner, nodes, send_noting_begin)
                return
        except ClientDisconnect:
            return
        except RouterError as error:
            logger.warning("a request could not be passed on", extra={"reason": str(error)})
            if not begun:
                await write_problem(error)(scope, receive, send)
            # Else the server sees an answer that does not end, and cuts the connection off.
            return
        await self._app(scope, receive, send)

    async def _find_owner(self, request: Request, peers: Peers) -> NodeEntry | None:
        """The other node to ask; None: this one, which also refuses whoever may not ask at all."""
        kind, name = read_subject(request.scope)
        here = peers.has(name) if kind == "room" else name == peers.id
        if not name or here or HOP in request.headers or len(name) > MAX_NAME_CHARACTERS:
            return None
        try:
            require_token(request, self._state)
            if kind == "room":
                check_room_name(name)
        except RouterError:
            return None
        try:
            return await (peers.find_owner(name) if kind == "room" else peers.find_node(name))
        except StoreError as error:
            raise StoreError(error.reason, f"this node does not have the {kind}, and others are not known") from error

    async def _forward(self, request: Request, owner: NodeEntry, nodes: NodeClient, send: Send) -> None:
        if not owner.admin_url:
            raise NodeUnreachableError(f"node {owner.id} tells no admin URL: expected its setting redis.admin_url")
        target = read_target(request.scope)
        headers: list[Header] = [item for item in request.headers.raw if item[0] in SENT]
        headers.append((HOP.encode(), b"1"))
        if self._state.tokens:
            token = require_token(request, self._state)
            headers.append((b"Authorization", node_proof.sign(token, owner.id, request.method, target).encode()))
        url = owner.admin_url.rstrip("/") + target
        async with nodes.send(owner.id, request.method, url, headers, await _read_body(request)) as answer:
            await _pass_on(answer, owner, send)


def read_subject(scope: Scope) -> tuple[str, str]:
    """What a path is about: a room or a node by its name, or nothing that another node could have.

    >>> read_subject({"path": "/v1/rooms/a b/stats", "raw_path": b"/v1/rooms/a%20b/stats"})
    ('room', 'a b')
    """
    parts = read_target({**scope, "query_string": b""}).split("/")
    if parts[:3] == ["", "v1", "rooms"] and len(parts) > 3 and parts[3]:
        return "room", unquote(parts[3])
    if parts[:3] == ["", "v1", "nodes"] and parts[4:] == ["drain"]:
        return "node", unquote(parts[3])
    return "", ""


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise PayloadTooLargeError(f"a body has at most {MAX_BODY_BYTES} bytes")
    return bytes(body)


async def _pass_on(answer: Answer, owner: NodeEntry, send: Send) -> None:
    headers = [*_returned(answer.headers), (ANSWERED_BY, owner.id.encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    async for part in answer.body:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _returned(headers: Iterable[Header]) -> Iterable[Header]:
    lower = ((name.lower(), value) for name, value in headers)
    return [(name, value) for name, value in lower if name in RETURNED or name.startswith(RETURNED_PREFIXES)]

"""Requests for a room that another node holds go to that node, so that whichever node is asked, the answer is true.

What is here is answered here at once, with the store down as well. A request that came from another node goes no
further (`Fork-Router-Hop`), so there are no loops; who holds a room changes, and the next request follows. The caller's
rights travel as a proof (`router.admin.node_proof`), are judged here by the gate and there again. The answer says which
node gave it (`Fork-Router-Node`). `/v1/nodes/{node}/drain` and `…/overview` go to that node in the same way, and so
does the creation of a room that another node has, or is to open (`router.cluster.neighbours`). Bodies were bounded
by the gate.
"""

import logging
from collections.abc import Iterable
from typing import Final, Literal
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from router.admin import node_proof
from router.admin.auth import READING, require_token
from router.admin.gate import replay
from router.admin.node_client import Answer, Header, NodeClient
from router.admin.node_proof import read_target
from router.admin.state import AdminState
from router.cluster.entries import NodeAddress
from router.cluster.peers import Peers
from router.cluster.redis_errors import StoreError
from router.errors import NodeUnreachableError, RequestError, RouterError
from router.json_input import read_object
from router.problems import write_problem
from router.rooms.names import MAX_NAME_CHARACTERS, check_room_name

logger = logging.getLogger(__name__)

HOP: Final = "Fork-Router-Hop"
ANSWERED_BY: Final = b"fork-router-node"
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
        begun = False

        async def send_noting_begin(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        request = Request(scope, receive)
        try:
            body = b"" if request.method in READING else await request.body()
            owner = await self._find_owner(request, body, peers)
            if owner is not None:
                await self._forward(request, body, owner, nodes, send_noting_begin)
                return
        except ClientDisconnect:
            return
        except RouterError as error:
            logger.warning("a request could not be passed on", extra={"reason": str(error)})
            if not begun:
                await write_problem(error)(scope, receive, send)
            # Else the server sees an answer that does not end, and cuts the connection off.
            return
        await self._app(scope, replay(body, receive), send)

    async def _find_owner(self, request: Request, body: bytes, peers: Peers) -> NodeAddress | None:
        """The other node to ask; None: this one."""
        kind, name = read_subject(request.scope, body)
        here = name == peers.id if kind == "node" else peers.has(name)
        if not name or here or HOP in request.headers or len(name) > MAX_NAME_CHARACTERS:
            return None
        try:
            if kind == "node":
                node = await peers.find_node(name)
                return node.address if node is not None else None
            check_room_name(name)
            if kind == "room":
                return await peers.find_owner(name)
            place = await peers.find_place(name)
            return place.owner or place.opener
        except RequestError:
            return None
        except StoreError as error:
            raise StoreError(error.reason, f"this node does not have the {kind}, and others are not known") from error

    async def _forward(self, request: Request, body: bytes, owner: NodeAddress, nodes: NodeClient, send: Send) -> None:
        if not owner.admin_url:
            raise NodeUnreachableError(f"node {owner.id} tells no admin URL: expected its setting redis.admin_url")
        target = read_target(request.scope)
        headers: list[Header] = [item for item in request.headers.raw if item[0] in SENT]
        headers.append((HOP.encode(), b"1"))
        if self._state.tokens:
            proof = node_proof.sign(require_token(request), owner.id, request.method, target)
            headers.append((b"Authorization", proof.encode()))
        url = owner.admin_url.rstrip("/") + target
        async with nodes.send(owner.id, request.method, url, headers, body) as answer:
            await _pass_on(answer, owner, send)


def read_subject(scope: Scope, body: bytes = b"") -> tuple[Literal["room", "new room", "node"], str]:
    """What a request is about: a room or a node by its name; no name: nothing that another node could have.

    >>> read_subject({"method": "GET", "path": "/v1/rooms/a b/stats", "raw_path": b"/v1/rooms/a%20b/stats"})
    ('room', 'a b')
    """
    parts = read_target({**scope, "query_string": b""}).split("/")
    if parts == ["", "v1", "rooms"] and scope["method"] == "POST":
        return "new room", _read_name(body)
    if parts[:3] == ["", "v1", "rooms"] and len(parts) > 3:
        return "room", unquote(parts[3])
    if parts[:3] == ["", "v1", "nodes"] and parts[4:] in (["drain"], ["overview"]):
        return "node", unquote(parts[3])
    return "node", ""


def _read_name(body: bytes) -> str:
    try:
        name = read_object(body.decode()).get("name")
    except (RequestError, UnicodeDecodeError):
        return ""
    return name if isinstance(name, str) else ""


async def _pass_on(answer: Answer, owner: NodeAddress, send: Send) -> None:
    headers = [*_returned(answer.headers), (ANSWERED_BY, owner.id.encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    async for part in answer.body:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _returned(headers: Iterable[Header]) -> Iterable[Header]:
    lower = ((name.lower(), value) for name, value in headers)
    return [(name, value) for name, value in lower if name in RETURNED or name.startswith(RETURNED_PREFIXES)]

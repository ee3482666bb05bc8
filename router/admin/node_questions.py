"""Asks another node which rooms it has or knows of: `router.cluster.neighbours`, answered by `router.admin.node_rooms`.

Somebody joins and waits meanwhile, so a host has half a second to accept the connection, and its process, which may be
busy, a second in all. At most one request to a node is under way; rooms that are asked for meanwhile go together into
the next one. So a node whose people all come back at once is asked a few times, and one that is silent holds up one
connection, and everybody for no longer than that.

Where to ask is read from the store, which is not trusted: no redirect is followed, no proxy used, the admin token is
not shown but a proof for this one request (`router.admin.node_proof`), and the answer is bounded and checked.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final
from urllib.parse import quote

from router.admin import node_proof
from router.admin.node_client import Header, NodeClient
from router.admin.node_rooms import PATH
from router.admin.tokens import AdminToken, AdminTokens
from router.cluster.entries import NodeAddress
from router.cluster.told import MAX_ROOMS, MAX_TOLD_BYTES, Told, read_told
from router.errors import NodeUnreachableError

logger = logging.getLogger(__name__)

ACCEPT_TIMEOUT_S: Final = 0.5
ASK_TIMEOUT_S: Final = 1.0
"""In all. A busy router is not dead, and to take it for dead splits its rooms; a host that is gone accepts nothing."""
MAX_QUERY_CHARACTERS: Final = 3_000
"""Part of what is proven, and a proof is bounded; the longest name fits."""
MAX_TOKENS: Final = 4
"""Tried one after another: while tokens are replaced, nodes do not change at once."""
Waiting = list[tuple[str, "asyncio.Future[Told | None]"]]


@dataclass(slots=True)
class _Line:
    """Of one node."""

    waiting: Waiting = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class NodeQuestions:
    """See `router.cluster.neighbours.Ask`. Used on one event loop."""

    def __init__(self, tokens: AdminTokens, *, timeout_s: float = ASK_TIMEOUT_S) -> None:
        self._tokens = tokens
        self._timeout_s = timeout_s
        self._client = NodeClient(connect_timeout_s=ACCEPT_TIMEOUT_S, silence_timeout_s=timeout_s)
        self._lines: dict[NodeAddress, _Line] = {}

    async def __call__(self, node: NodeAddress, room: str) -> Told | None:
        """What the node says; None where it said nothing in time, or nothing that can be believed."""
        loop = asyncio.get_running_loop()
        line = self._lines.setdefault(node, _Line())
        future: asyncio.Future[Told | None] = loop.create_future()
        line.waiting.append((room, future))
        if line.task is None:
            line.task = loop.create_task(self._serve(node, line), name="NodeQuestions.serve")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await future
        except TimeoutError:
            return None

    async def close(self) -> None:
        """Asks nobody any more. Idempotent."""
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    async def _serve(self, node: NodeAddress, line: _Line) -> None:
        try:
            while batch := _take(line):
                told = await self._ask([room for room, _ in batch], node)
                _answer(batch, told)
        finally:
            _answer(line.waiting, None)
            self._lines.pop(node, None)

    async def _ask(self, rooms: Sequence[str], node: NodeAddress) -> list[Told] | None:
        """What the node says of them all."""
        query = "&".join(map(_write_name, rooms))
        target = PATH.format(node=quote(node.id, safe="")) + "?" + query
        try:
            async with asyncio.timeout(self._timeout_s):
                for headers in self._prove(node, target):
                    async with self._client.send(
                        node.id, "GET", node.admin_url.rstrip("/") + target, headers, b""
                    ) as answer:
                        if answer.status == 200:
                            told = read_told(await _read(answer.body), len(rooms))
                            return told if told[0].by.id == node.id else None
                        if answer.status != 401:
                            break
        except (NodeUnreachableError, TimeoutError, ValueError) as error:  # an odd URL, or an answer that is none
            logger.debug("a node did not answer", extra={"node": node.id, "reason": str(error)})
        return None

    def _prove(self, node: NodeAddress, target: str) -> list[list[Header]]:
        if not self._tokens:
            return [[]]
        return [[(b"Authorization", _prove(token, node, target))] for token in islice(self._tokens, MAX_TOKENS)]


def _prove(token: AdminToken, node: NodeAddress, target: str) -> bytes:
    return node_proof.sign(token, node.id, "GET", target).encode()


def _write_name(room: str) -> str:
    return f"name={quote(room, safe='')}"


def _take(line: _Line) -> Waiting:
    """The next ones that fit into a request."""
    line.waiting = [(room, future) for room, future in line.waiting if not future.done()]  # some waited long enough
    batch: Waiting = []
    left = MAX_QUERY_CHARACTERS
    for room, future in line.waiting:
        left -= len(_write_name(room)) + 1
        if batch and (left < 0 or len(batch) == MAX_ROOMS):
            break
        batch.append((room, future))
    line.waiting = line.waiting[len(batch) :]
    return batch


def _answer(batch: Waiting, told: Sequence[Told] | None) -> None:
    for number, (_, future) in enumerate(batch):
        if not future.done():  # who waited may have gone
            future.set_result(told[number] if told is not None else None)


async def _read(parts: AsyncIterator[bytes]) -> bytes:
    whole = bytearray()
    async for part in parts:
        whole += part
        if len(whole) > MAX_TOLD_BYTES:
            raise ValueError("too long")
    return bytes(whole)

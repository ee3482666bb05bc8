"""What other nodes say themselves of a room, where the store does not say it, so that no room is at two of them.

- The store works and knows of no living node that has the room, but of the one that had it. That one may be dead, or
  only cut off from the store: then its calls go on, and it says so.
- The store does not answer. Perhaps only this node is cut off from it: then another one knows who has the room, or that
  nobody has it; and it is the other one that is to open it, for here the room could not be claimed. Where no store
  answers anybody, each node still knows what it has itself.

A question is answered at once from memory, or from the store in bounded time, and never by asking a third node: so
nobody waits for himself in a circle. Who does not answer in time is taken for gone (`router.admin.node_questions`).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from router.cluster.entries import NodeAddress
from router.cluster.told import Told

MAX_ASKED: Final = 16
"""Nodes that are asked at once while the store is away; of more the others are not."""


class Ask(Protocol):
    """The way to other nodes."""

    async def __call__(self, node: NodeAddress, room: str, /) -> Told | None:
        """What it says; None where it said nothing in a short time, or nothing that can be believed."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What the others say together. Neither: nobody has it, or only as far as the store says in this node's name."""

    owner: NodeAddress | None = None
    opener: NodeAddress | None = None
    """Who is to open it, because its store works."""


async def still_has(ask: Ask, home: NodeAddress, room: str) -> bool:
    """Whether the node that had the room lives and has it."""
    told = await ask(home, room) if home.admin_url else None
    return told is not None and told.owner is not None and told.owner.id == home.id


async def ask_others(ask: Ask, others: Sequence[NodeAddress], this: str, room: str) -> Advice | None:
    """What others know of a room; None: no more than this node. The first one that knows who has it is believed."""
    asked = [asyncio.ensure_future(ask(node, room)) for node in others[:MAX_ASKED] if node.admin_url]
    able: list[Told] = []
    try:
        for answer in asyncio.as_completed(asked):
            told = await answer
            if told is None:
                continue
            if told.owner is not None:
                return Advice() if told.owner.id == this else Advice(owner=told.owner)
            if told.known:
                able.append(told)
    finally:
        for task in asked:
            task.cancel()
    if not able:
        return None
    serving = [told for told in able if told.serving]
    best = min(serving, key=lambda told: (told.load, told.by.id), default=None)
    return Advice(opener=best.by if best else None)

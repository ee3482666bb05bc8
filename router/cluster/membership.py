"""This node among others: a heartbeat every second that says that it is there and how loaded, and writes its rooms.

A node has an epoch from its first heartbeat on. If another process took its id meanwhile (its epoch is greater), this
one is *fenced*: it writes nothing any more, its calls go on, and health says so. Should the store be away, slow,
emptied or failing over, every turn tries again, and the first one that succeeds writes everything.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from router import clock
from router.cluster.directory import RoomDirectory
from router.cluster.entries import NodeEntry
from router.cluster.store import Store, StoreError

logger = logging.getLogger(__name__)

TURN_S: Final = 1.0
MIN_GAP_S: Final = 0.03
"""Between turns that `wake` asks for: what changes is in the store within 100 ms, a storm of it is one turn."""
OTHERS_US: Final = 3_000_000
"""So often it is read who else is there, for when the store will be away; while there is nobody, at each turn."""
RETRY_S: Final = 0.3
"""While the store is away; most of these calls end at once (`breaker`)."""
WARNING_INTERVAL_US: Final = 60_000_000
LEAVE_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class NodeLoad:
    """What the heartbeat says of this node now."""

    load: float
    rooms: int
    participants: int
    draining: bool


class Membership:
    """Runs from `start` to `close`."""

    def __init__(
        self,
        node: NodeEntry,
        store: Store,
        directory: RoomDirectory,
        measure: Callable[[], NodeLoad],
        *,
        turn_s: float = TURN_S,
        now_us: Callable[[], int] = clock.monotonic_us,
        now_s: Callable[[], float] = clock.wall_s,
    ) -> None:
        self.node = node
        """As it was written last."""
        self.fenced = False
        self.others: tuple[NodeEntry, ...] = ()
        """The other nodes, as they were when the store was read last."""
        self._others_read_us = 0
        self._store = store
        self._directory = directory
        self._measure = measure
        self._turn_s = turn_s
        self._now_us = now_us
        self._now_s = now_s
        self._warned_us: int | None = None
        self._failure: StoreError | None = None
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins with the heartbeat."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="Membership.run")

    def wake(self) -> None:
        """Something changed that others should know soon."""
        self._woken.set()

    async def close(self) -> None:
        """Ends it, and takes this node and its rooms out of the store if that answers soon. Idempotent."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        if self.fenced:
            return
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                await self._directory.remove_all()
                await self._store.remove_node(replace(self.node, seen_s=self._now_s()))
        except (StoreError, TimeoutError) as error:
            self._warn(error)

    def describe(self) -> Mapping[str, Any]:  # Any: JSON
        """The store and this node's place in it, for health pages."""
        store, error = self._store.describe(), self._failure
        health = {"up": store["up"] and error is None, "error": error.reason if error else store.get("error")}
        return {**store, **health, "node": self.node.id, "epoch": self.node.epoch, "fenced": self.fenced}

    def has_written(self, room: str) -> bool:
        """Whether the store has a room of this name from this life of the node."""
        return self._directory.has_written(room)

    @property
    def failure(self) -> StoreError | None:
        """Why the store could not be used when that was tried last, if so."""
        return self._failure

    async def beat(self) -> None:
        """One turn."""
        try:
            await self._store.check()
            kept = await self._write_node()
            again = self._failure is not None
            if again or not kept:
                self._directory.distrust(lost=not kept)
            # From here on the store is asked again: whoever is put out of a room below comes back at once.
            self._failure = None
            if not self.fenced:
                await self._directory.write(self.node.id)
                await self._read_others()
        except StoreError as error:
            self._failure = error
            self._warn(error)
            return
        if again:
            logger.info("the store is in use again")

    async def _write_node(self) -> bool:
        """Whether the store still had what the last heartbeat wrote."""
        load = self._measure()
        mine = replace(
            self.node,
            state="draining" if load.draining else "serving",
            load=round(load.load, 4),
            rooms=load.rooms,
            participants=load.participants,
            seen_s=self._now_s(),
        )
        stands, was_there = await self._store.write_node(mine)
        first = mine.epoch == 0
        fenced = not first and stands.epoch != mine.epoch
        if fenced and not self.fenced:
            logger.error("another process has this node's id: the store is left to it", extra={"node": mine.id})
        self.fenced = fenced
        self.node = mine if fenced else stands
        return was_there or (first and self._failure is None)

    async def _read_others(self) -> None:
        now_us = self._now_us()
        if not self.others or now_us - self._others_read_us >= OTHERS_US:
            self.others = tuple(node for node in await self._store.read_nodes() if node.id != self.node.id)
            self._others_read_us = now_us

    async def _run(self) -> None:
        while True:
            try:
                await self.beat()
            except Exception:
                logger.exception("a heartbeat failed")
            await asyncio.sleep(MIN_GAP_S)
            try:
                async with asyncio.timeout(self._pause_s() - MIN_GAP_S):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()

    def _pause_s(self) -> float:
        """A turn; less while the store is away, where rooms are left to write, and where claims were put off."""
        if self._failure is not None:
            return min(RETRY_S, self._turn_s)
        if self._directory.behind:
            return MIN_GAP_S
        wait_s = self._directory.wait_s()
        return min(self._turn_s, wait_s + 2 * MIN_GAP_S) if wait_s else self._turn_s

    def _warn(self, error: Exception) -> None:
        now_us = self._now_us()
        if self._warned_us is None or now_us - self._warned_us >= WARNING_INTERVAL_US:
            self._warned_us = now_us
            logger.warning("the store cannot be used; calls go on", extra={"reason": str(error)})

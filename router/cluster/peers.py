"""The other nodes, as requests see them: who has a room that is not here, and who takes newcomers instead of us.

For what is here nobody is asked. Every question to the store has a short deadline, and none is asked while heartbeats
fail. A node that died is taken out of the store by whoever looks for one of its rooms and finds out
(`router.cluster.suspicion`). One look finds both the other node that has the room and what the room was, if its node
died with it; all who ask for a room meanwhile share it. Where the store cannot tell, nodes are asked themselves
(`router.cluster.neighbours`): a room that nobody ever had costs no such question while the store works.
"""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from router.cluster.entries import NodeAddress, NodeEntry, RoomEntry, RoomSetup
from router.cluster.membership import Membership
from router.cluster.neighbours import Ask, ask_others, still_has
from router.cluster.redis_errors import StoreError
from router.cluster.single_flight import SingleFlight
from router.cluster.store import Store
from router.cluster.suspicion import is_dead
from router.cluster.told import Told
from router.errors import RequestError
from router.rooms.registry import RoomRegistry
from router.rooms.remembered import RememberedRoom

logger = logging.getLogger(__name__)

T = TypeVar("T")

LOOKUP_TIMEOUT_S: Final = 1.0
"""Two exchanges with a store that is 200 ms away, and one to connect to it."""
TELL_TIMEOUT_S: Final = 0.25
"""The same for another node's question: less than that one waits, for it may have asked for other rooms as well."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a room is that is not here."""

    owner: NodeAddress | None = None
    """The other node that has it."""
    opener: NodeAddress | None = None
    """The other node that is to open it: this one is cut off from the store, where it would have to be claimed."""
    remembered: RememberedRoom | None = None
    """What it was, if its node died with it."""


NOWHERE: Final = Place()


class Peers:
    """Of one router. Used on one event loop."""

    def __init__(
        self,
        registry: RoomRegistry,
        store: Store,
        membership: Membership,
        ask: Ask | None = None,
        *,
        timeout_s: float = LOOKUP_TIMEOUT_S,
    ) -> None:
        """Without a way to `ask` other nodes, what the store says is all there is."""
        self._registry = registry
        self._store = store
        self._membership = membership
        self._ask_node = ask
        self._timeout_s = timeout_s
        self._looks = SingleFlight(self._look)

    @property
    def id(self) -> str:
        """Of this node."""
        return self._membership.node.id

    def describe_this(self) -> NodeEntry:
        """This node, true in this moment but for its load, which is measured once a second."""
        rooms = self._registry.rooms.values()
        return replace(
            self._membership.node,
            state="draining" if self._registry.draining else "serving",
            rooms=len(rooms),
            participants=sum(len(room.participants) for room in rooms),
        )

    def has(self, room: str) -> bool:
        """Whether it is open here."""
        return room in self._registry.rooms

    async def find_owner(self, room: str) -> NodeAddress | None:
        """The other node that has the room; None where none has it. `StoreError` where that cannot be known."""
        return None if self.has(room) else (await self._looks.ask(room)).owner

    async def find_place(self, room: str) -> Place:
        """For whoever joins or creates a room that is not here. Where nobody knows more it is nowhere: people join all
        the same."""
        try:
            return await self._looks.ask(room)
        except StoreError:
            return NOWHERE

    async def tell(self, room: str) -> Told:
        """What this node knows of a room, for another one that asks."""
        here = self.describe_this()
        owner, known = (here.address if self.has(room) else None), True
        if owner is None:
            try:
                found = await self._ask(self._store.find_owner(room), TELL_TIMEOUT_S)
                owner = found.node.address if found is not None and found.node.id != self.id else None
            except StoreError:
                known = False
        return Told(here.address, here.state == "serving", here.load, owner, known)

    async def find_node(self, id_: str) -> NodeEntry | None:
        """One of those alive; `StoreError` where that cannot be known."""
        return self.describe_this() if id_ == self.id else await self._ask(self._store.find_node(id_))

    async def read_nodes(self) -> list[NodeEntry]:
        """All, this one among them, by id; `StoreError` where others cannot be known."""
        nodes = {node.id: node for node in await self._ask(self._store.read_nodes())}
        return [node for _, node in sorted({**nodes, self.id: self.describe_this()}.items())]

    async def read_rooms_after(self, name: str, limit: int) -> list[RoomEntry]:
        """Rooms of other nodes by name, as many as asked for or as there are; `StoreError`."""
        found: list[RoomEntry] = []
        while len(found) < limit:
            page = await self._ask(self._store.read_rooms_after(name, limit))
            found += [room for room in page if room.node != self.id and not self.has(room.name)]
            if len(page) < limit:
                break
            name = page[-1].name
        return found[:limit]

    async def choose_serving(self) -> NodeEntry | None:
        """The least loaded of those that take newcomers and that clients can be sent to. None where there is none."""
        try:
            nodes = await self.read_nodes()
        except StoreError:
            return None
        able = [node for node in nodes if node.state == "serving" and self.may_send_to(node.address)]
        return min(able, key=lambda node: (node.load, node.participants, node.id), default=None)

    def may_send_to(self, node: NodeAddress) -> bool:
        """Whether clients that are sent to its public URL come to another place than this one."""
        return node.public_url not in ("", self._membership.node.public_url)

    # -- one look ------------------------------------------------------------------------------------------------

    async def _look(self, room: str) -> Place:
        try:
            owner, setup = await asyncio.gather(self._find_living(room), self._find_setup(room))
        except StoreError as error:
            return await self._ask_others(room, error)
        if owner is not None:
            return Place(owner=owner)
        # What this life of the node has written and closed is removed by its next heartbeat, and then forgotten.
        if setup is None or self._membership.has_written(room):
            return NOWHERE
        home = setup.home
        if home is not None and home.id != self.id and self._ask_node and await still_has(self._ask_node, home, room):
            logger.info("a room is left to a node that the store has lost", extra={"room": room, "node": home.id})
            return Place(owner=home)
        return Place(remembered=_read_remembered(room, setup))

    async def _find_living(self, room: str) -> NodeAddress | None:
        owner = await self._ask(self._store.find_owner(room))
        if owner is not None and owner.node.id != self.id and await is_dead(owner):
            logger.warning("a node died: its rooms may be opened again", extra={"node": owner.node.id})
            await self._ask(self._store.remove_node(owner.node))
            owner = await self._ask(self._store.find_owner(room))
        return owner.node.address if owner is not None and owner.node.id != self.id else None

    async def _find_setup(self, room: str) -> RoomSetup | None:
        try:
            return await self._ask(self._store.find_setup(room))
        except StoreError:
            return None  # who has the room counts all the same

    async def _ask_others(self, room: str, error: StoreError) -> Place:
        others = [node.address for node in self._membership.others]
        advice = await ask_others(self._ask_node, others, self.id, room) if self._ask_node else None
        if advice is None:
            raise error
        return Place(advice.owner, advice.opener)

    async def _ask(self, question: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        if self._membership.failure is not None:
            question.close()
            raise StoreError(self._membership.failure.reason, "other nodes cannot be asked for")
        try:
            async with asyncio.timeout(timeout_s or self._timeout_s):
                return await question
        except TimeoutError:
            raise StoreError("timeout") from None


def _read_remembered(room: str, setup: RoomSetup) -> RememberedRoom | None:
    try:
        return RememberedRoom.read(setup.config)
    except RequestError as error:
        logger.warning("what was remembered of a room was refused", extra={"room": room, "reason": str(error)})
        return None

"""Nodes that are cut off from the store or from each other, turn by turn: who is sent where, and who closes what."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from router.cluster.directory import GRACE_US, MOVED, RoomDirectory
from router.cluster.entries import NodeAddress, NodeEntry, Owner, RoomEntry, RoomSetup
from router.cluster.membership import Membership, NodeLoad
from router.cluster.memory_store import NODE_TTL_S, MemoryStore
from router.cluster.peers import NOWHERE, Peers, Place
from router.cluster.redis_errors import StoreError
from router.cluster.told import Told
from router.errors import ElsewhereError
from router.metrics import Metrics
from router.rooms.options import RoomOptions
from router.rooms.registry import RoomRegistry
from router.rooms.remembered import RememberedRoom
from router.signaling.elsewhere import check_place
from tests.admin.conftest import FakeConnection
from tests.cluster.conftest import node
from tests.cluster.test_membership import Clock


class Kept(MemoryStore):
    """Keeps what rooms were made of when they are gone, as Redis does for an hour."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(now_s=clock.now_s, now_us=clock.now_us)

    async def find_setup(self, name: str) -> RoomSetup | None:
        return self._setups.get(name)


class View:
    """The store as one node reaches it."""

    def __init__(self, store: Kept) -> None:
        self.store = store
        self.cut = False

    def describe(self) -> Mapping[str, object]:
        return self.store.describe()

    async def check(self) -> None:
        self._reach()

    async def write_node(self, entry: NodeEntry) -> tuple[NodeEntry, bool]:
        return await self._reach().write_node(entry)

    async def remove_node(self, entry: NodeEntry) -> None:
        await self._reach().remove_node(entry)

    async def read_nodes(self) -> list[NodeEntry]:
        for _ in range(5):
            await asyncio.sleep(0)  # over a network others come in between
        return await self._reach().read_nodes()

    async def find_node(self, id_: str) -> NodeEntry | None:
        return await self._reach().find_node(id_)

    async def write_rooms(self, rooms: Sequence[RoomEntry], setups: Mapping[str, RoomSetup]) -> list[RoomEntry]:
        return await self._reach().write_rooms(rooms, setups)

    async def refresh_rooms(self, rooms: Sequence[RoomEntry]) -> list[RoomEntry]:
        return await self._reach().refresh_rooms(rooms)

    async def remove_rooms(self, rooms: Sequence[RoomEntry], *, forget: bool = True) -> None:
        await self._reach().remove_rooms(rooms, forget=forget)

    async def read_rooms(self) -> list[RoomEntry]:
        return await self._reach().read_rooms()

    async def read_rooms_after(self, name: str, limit: int) -> list[RoomEntry]:
        return await self._reach().read_rooms_after(name, limit)

    async def find_room(self, name: str) -> RoomEntry | None:
        return await self._reach().find_room(name)

    async def find_owner(self, room: str) -> Owner | None:
        return await self._reach().find_owner(room)

    async def find_setup(self, name: str) -> RoomSetup | None:
        return await self._reach().find_setup(name)

    async def close(self) -> None:
        pass

    def _reach(self) -> Kept:
        if self.cut:
            raise StoreError("timeout")
        return self.store


class Node:
    """One router as far as this goes, with a way to the others."""

    def __init__(self, cluster: "Cluster", id_: str) -> None:
        self.id = id_
        self.cluster = cluster
        self.view = View(cluster.store)
        self.ended: list[str] = []
        self.load = 0.0
        here = node(id_, admin_url=f"http://{id_.lower()}:8081", public_url=f"https://{id_.lower()}")
        self.address = here.address
        self.registry = RoomRegistry(FakeConnection)  # type: ignore[arg-type] # only pretends

        def describe(room: object) -> RoomSetup:
            kept = RememberedRoom.of(room).describe()  # type: ignore[arg-type] # a room
            return RoomSetup(kept, 1, "Context1234", bytes(32), self.address)

        directory = RoomDirectory(self.registry, self.view, Metrics(), 30.0, describe, now_us=cluster.clock.now_us)
        self.membership = Membership(
            here,
            self.view,
            directory,
            lambda: NodeLoad(self.load, 0, 0, draining=False),
            now_us=cluster.clock.now_us,
            now_s=cluster.clock.now_s,
        )
        self.peers = Peers(self.registry, self.view, self.membership, self.ask)

    async def ask(self, address: NodeAddress, room: str) -> Told | None:
        """As it goes over the network."""
        self.cluster.asked.append((self.id, address.id, room))
        if (self.id, address.id) in self.cluster.cuts:
            return None
        other = self.cluster.nodes.get(address.id)
        return await other.peers.tell(room) if other is not None else None

    async def join(self, room: str) -> str:
        """Where somebody who comes here ends up: the URL he is sent to, or `here`."""
        try:
            remembered = await check_place(self.registry, self.peers, room)
        except ElsewhereError as error:
            return str(error.node_url)
        self.registry.open_room(room, remembered)
        return "here"


class Cluster:
    """Nodes that share a store."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Kept(self.clock)
        self.nodes: dict[str, Node] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.cuts: set[tuple[str, str]] = set()

    def cut(self, one: Node, other: Node) -> None:
        """Neither reaches the other."""
        self.cuts |= {(one.id, other.id), (other.id, one.id)}

    async def pass_s(self, seconds: int) -> None:
        """Everybody's heartbeat once a second."""
        for _ in range(seconds):
            self.clock.advance(1)
            await self.beat()

    async def beat(self) -> None:
        for one in self.nodes.values():
            await one.membership.beat()

    def owners(self, room: str) -> list[str]:
        return [one.id for one in self.nodes.values() if room in one.registry.rooms]


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """Nodes A, B and C that know each other; A has room `a`, which takes seven people."""
    made = Cluster()
    for id_ in ("A", "B", "C"):
        made.nodes[id_] = Node(made, id_)
    made.nodes["A"].registry.create_room("a", RoomOptions(max_participants=7))
    await made.beat()
    await made.pass_s(4)
    yield made
    for one in made.nodes.values():
        await one.registry.close()


@pytest.fixture
def abc(cluster: Cluster) -> tuple[Node, Node, Node]:
    a, b, c = cluster.nodes.values()
    return a, b, c


Three = tuple[Node, Node, Node]


async def test_a_node_that_only_lost_the_store_keeps_its_rooms_for_as_long_as_it_says_so(
    cluster: Cluster, abc: Three
) -> None:
    a, b, _ = abc
    a.view.cut = True
    for _ in range(10):
        await cluster.pass_s(6)
        assert await b.join("a") == "https://a"
        assert await a.join("a") == "here"
        owner = await b.peers.find_owner("a")
        assert owner is not None
        assert owner.admin_url == "http://a:8081", "operators' requests go there too"
    assert cluster.owners("a") == ["A"]
    a.view.cut = False
    await cluster.pass_s(3)
    assert cluster.owners("a") == ["A"]
    assert await b.join("a") == "https://a"


async def test_while_the_store_names_a_living_owner_or_nobody_ever_had_it_no_node_is_asked(
    cluster: Cluster, abc: Three
) -> None:
    _, b, c = abc
    assert await b.join("a") == "https://a"
    assert await b.join("new") == "here"
    await cluster.pass_s(1)
    assert await c.join("new") == "https://b"
    assert cluster.asked == []


@pytest.mark.parametrize("way", ["died", "silent", "closed it"])
async def test_a_room_that_nobody_has_any_more_opens_as_it_was(cluster: Cluster, abc: Three, way: str) -> None:
    a, b, _ = abc
    a.view.cut = True
    await cluster.pass_s(int(NODE_TTL_S) + 1)
    if way == "died":
        del cluster.nodes["A"]
    elif way == "silent":
        cluster.cut(a, b)
    else:
        a.registry.close_room(a.registry.rooms["a"])
    assert await b.join("a") == "here"
    assert b.registry.rooms["a"].options.max_participants == 7
    assert cluster.asked == [("B", "A", "a")]


async def test_a_node_that_is_cut_off_sends_those_who_want_another_room_to_who_can_claim_it(
    cluster: Cluster, abc: Three
) -> None:
    a, b, c = abc
    assert await b.join("b") == "here"
    await cluster.pass_s(1)
    b.load, c.load = 0.9, 0.1
    a.view.cut = True
    await cluster.pass_s(20)
    assert await a.join("b") == "https://b", "who has it"
    assert await a.join("new") == "https://c", "nobody has it: the least loaded"
    assert cluster.owners("new") == []
    assert await c.join("new") == "here"
    await cluster.pass_s(1)
    assert await a.join("new") == "https://c"
    assert (await a.peers.find_place("other")).opener == c.address


async def test_two_nodes_that_are_cut_off_find_each_others_rooms(cluster: Cluster, abc: Three) -> None:
    a, b, c = abc
    a.view.cut = c.view.cut = True
    await cluster.pass_s(20)
    assert await c.join("a") == "https://a"
    assert await c.join("new") == "https://b"
    assert b.registry.rooms == {}


async def test_without_a_store_for_anybody_rooms_open_and_are_found(cluster: Cluster, abc: Three) -> None:
    a, b, c = abc
    for one in abc:
        one.view.cut = True
    await cluster.pass_s(60)
    assert await b.join("a") == "https://a"
    assert await b.join("new") == "here"
    assert await c.join("new") == "https://b"
    assert [cluster.owners(room) for room in ("a", "new")] == [["A"], ["B"]]
    for one in abc:
        one.view.cut = False
    await cluster.pass_s(4)
    assert [cluster.owners(room) for room in ("a", "new")] == [["A"], ["B"]]
    assert await a.join("new") == "https://b"


async def test_what_the_store_says_in_a_nodes_own_name_it_may_open(cluster: Cluster, abc: Three) -> None:
    """Else it would be sent to and fro until its entry expires."""
    a, _, _ = abc
    a.registry.close_room(a.registry.rooms["a"])
    a.view.cut = True
    await a.membership.beat()
    assert await a.join("a") == "here"


async def test_nobody_is_sent_to_a_node_that_drains_or_that_clients_cannot_tell_from_this_one(
    cluster: Cluster, abc: Three
) -> None:
    a, b, c = abc
    a.view.cut = True
    await cluster.pass_s(9)
    b.registry.draining = True
    b.load, c.load = 0.0, 0.9
    assert (await a.peers.find_place("new")).opener == c.address
    c.registry.draining = True
    assert await a.peers.find_place("new") == NOWHERE


async def test_a_node_that_is_asked_asks_nobody_else(cluster: Cluster, abc: Three) -> None:
    """Who asks a question that makes another one ask him would wait for himself."""
    a, b, _ = abc
    a.registry.close_room(a.registry.rooms["a"])
    a.view.cut = True
    await cluster.pass_s(int(NODE_TTL_S) + 1)
    assert await a.peers.find_place("a") == Place(opener=b.address)
    assert cluster.asked == [("A", "B", "a"), ("A", "C", "a")]


async def test_cut_off_from_everybody_two_open_a_room_and_the_first_one_closes_when_it_is_told(
    cluster: Cluster, abc: Three, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "router.rooms")
    a, b, c = abc
    a.view.cut = True
    cluster.cut(a, b)
    cluster.cut(a, c)
    await cluster.pass_s(3)
    assert await b.join("a") == "https://a", "it was heard of a moment ago"
    await cluster.pass_s(int(NODE_TTL_S))
    assert await b.join("a") == "here"
    assert await a.join("alone") == "here", "nobody tells it otherwise"
    await cluster.pass_s(60)
    assert cluster.owners("a") == ["A", "B"]
    back: list[asyncio.Task[str]] = []
    a.registry.on_rooms_changed = lambda: back.append(asyncio.create_task(a.join("a")))
    a.view.cut = False
    await cluster.pass_s(1)
    a.registry.on_rooms_changed = None
    assert [await task for task in back] == ["https://b"], "who comes back in the same moment is sent there"
    assert cluster.owners("a") == ["B"], "within one heartbeat, and it is the younger claim that stands"
    reasons = [vars(record)["reason"] for record in caplog.records if record.getMessage() == "room closed"]
    assert reasons == [MOVED]
    assert await a.join("a") == "https://b"
    await cluster.pass_s(int(GRACE_US / 1e6) + 1)
    assert cluster.owners("alone") == ["A"]
    assert await b.join("alone") == "https://a"


async def test_a_question_to_the_store_that_fails_once_is_answered_by_another_node(
    cluster: Cluster, abc: Three
) -> None:
    _, b, _ = abc
    b.view.cut = True
    assert b.membership.failure is None
    assert await b.join("a") == "https://a"


async def test_nodes_that_tell_no_admin_url_are_not_asked(cluster: Cluster, abc: Three) -> None:
    a, b, c = abc
    for one in abc:
        one.membership.others = ()
    a.view.cut = True
    await a.membership.beat()
    assert await a.peers.find_place("new") == NOWHERE
    a.membership.others = (node("B", admin_url=""), node("C", admin_url=""))
    assert await a.peers.find_place("new") == NOWHERE
    assert cluster.asked == []
    setup = cluster.store._setups["a"]
    cluster.store._setups["a"] = RoomSetup(
        setup.config, 1, setup.context_id, setup.secret, NodeAddress("A", "", "https://a")
    )
    cluster.clock.advance(NODE_TTL_S + 1)
    await b.membership.beat()
    assert await b.join("a") == "here"
    assert cluster.asked == []
    assert c.registry.rooms == {}

"""Nodes and one store: what one revokes the others learn, also around outages and losses, and at what price."""

import asyncio
import math
from collections.abc import Sequence

import pytest

from router.cluster.revocations import CHECK_S, SKEW_S, RevocationExchange
from router.cluster.revoked_tokens import PAGE, Page
from router.cluster.store import StoreError
from router.rooms.revocation import Revocation
from router.rooms.revocations import Revocations


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s

    def now_us(self) -> int:
        return int(self.now_s * 1e6)


class Store:
    """`RevokedTokens` of nodes in one process; fails when it is told to, and counts."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, Revocation]] = {}
        self._written = 0
        self.down = False
        self.read_texts = 0
        self.added = 0

    def _check_up(self) -> None:
        if self.down:
            raise StoreError("connection")

    async def add(self, revocations: Sequence[Revocation]) -> None:
        self._check_up()
        self.added += len(revocations)
        for revocation in revocations:
            self._written += 1
            self._kept[revocation.write()] = (self._written, revocation)

    async def remove(self, revocations: Sequence[Revocation]) -> None:
        for revocation in revocations:
            self._kept.pop(revocation.write(), None)

    async def read(self, after: float) -> Page[Revocation]:
        self._check_up()
        found = sorted((kept for kept in self._kept.values() if kept[0] > after), key=lambda kept: kept[0])[:PAGE]
        self.read_texts += len(found)
        return Page([one for _, one in found], found[-1][0] if found else after, last=len(found) < PAGE)

    async def find_end(self) -> float:
        return max((written for written, _ in self._kept.values()), default=-math.inf)

    async def check(self) -> int:
        return len(self._kept)

    def lose(self, *token_ids: str) -> None:
        """Some, or all."""
        for text, (_, kept) in tuple(self._kept.items()):
            if not token_ids or kept.token_id in token_ids:
                del self._kept[text]

    @property
    def kept(self) -> list[str]:
        return sorted(one.token_id for _, one in self._kept.values())


class Node:
    def __init__(self, store: Store, clock: Clock, limit: int = 65_536) -> None:
        self.clock = clock
        self.revocations = Revocations(limit=limit, now_s=clock)
        self.table = self.revocations.revoked
        self.exchange = RevocationExchange(self.table, store, now_s=clock, now_us=clock.now_us)
        self.table.on_local = self.exchange._on_local

    @property
    def known(self) -> list[str]:
        return sorted(one.token_id for one in self.table)

    async def look(self) -> None:
        """As its task does, until there is nothing more to do at once."""
        while await self.exchange.exchange():
            pass


async def pass_time(clock: Clock, nodes: Sequence[Node], seconds: float) -> None:
    for _ in range(int(seconds)):
        clock.now_s += 1.0
        for node in nodes:
            await node.look()


Cluster = tuple[Clock, Store, Sequence[Node]]


async def revoke_many(one: Node, other: Node) -> int:
    """Twenty pages that one has revoked and both know; how many that is."""
    count = 20 * PAGE
    for number in range(count):
        one.revocations.revoke_token(f"t{number}")
    for node in (one, other):
        await node.look()
    return count


@pytest.fixture
def cluster() -> Cluster:
    clock, store = Clock(), Store()
    return clock, store, [Node(store, clock), Node(store, clock)]


async def test_one_look_after_a_revocation_all_know(cluster: Cluster) -> None:
    _, _, (one, other) = cluster
    for node in (one, other):
        await node.look()
    one.revocations.revoke_token("a")
    await one.look()
    await other.look()
    assert other.known == ["a"]


async def test_what_was_revoked_in_an_outage_is_told_after_it(cluster: Cluster) -> None:
    _, store, (one, other) = cluster
    await other.look()
    store.down = True
    one.revocations.revoke_token("a")
    with pytest.raises(StoreError):
        await one.exchange.exchange()
    assert one.known == ["a"], "here it is in force all the same"
    store.down = False
    await one.look()
    await other.look()
    assert other.known == ["a"]


async def test_what_was_made_long_ago_and_is_written_late_is_not_missed(cluster: Cluster) -> None:
    clock, store, (one, other) = cluster
    one.revocations.revoke_token("a")
    clock.now_s += 3_600.0
    other.revocations.revoke_token("b")
    await other.look()
    store.read_texts = 0
    await one.exchange.exchange()
    await other.exchange.exchange()
    assert other.known == ["a", "b"]


async def test_a_newcomer_reads_everything_at_once(cluster: Cluster) -> None:
    clock, store, (one, _) = cluster
    for number in range(2 * PAGE + 3):
        one.revocations.revoke_token(f"t{number}")
    await one.look()
    newcomer = Node(store, clock)
    await newcomer.look()
    assert newcomer.known == one.known


# -- losses ----------------------------------------------------------------------------------------------------------


async def test_an_emptied_store_is_filled_again_and_who_starts_meanwhile_learns_it(cluster: Cluster) -> None:
    clock, store, (one, other) = cluster
    for number in range(2 * PAGE + 3):
        one.revocations.revoke_token(f"t{number}")
    for node in (one, other):
        await node.look()
    store.lose()
    newcomer = Node(store, clock)
    await newcomer.look()
    assert newcomer.known == []
    newcomer.revocations.revoke_token("n")
    await pass_time(clock, [newcomer, one, other], CHECK_S)
    await newcomer.look()
    for node in (newcomer, one, other):
        assert node.known == sorted([f"t{number}" for number in range(2 * PAGE + 3)] + ["n"])
    assert store.kept == one.known


async def test_what_a_node_revoked_that_is_gone_is_written_again_by_the_others(cluster: Cluster) -> None:
    clock, store, (one, other) = cluster
    one.revocations.revoke_token("a")
    await one.look()
    await other.look()
    store.lose()
    await pass_time(clock, [other], CHECK_S)
    assert store.kept == ["a"]


async def test_nodes_that_lost_the_same_share_the_writing(cluster: Cluster) -> None:
    clock, store, (one, other) = cluster
    count = await revoke_many(one, other)
    store.lose()
    store.added = 0
    clock.now_s += CHECK_S
    more = [True, True]
    while any(more):
        more = [await node.exchange.exchange() for node in (one, other)]
    assert len(store.kept) == count
    assert store.added < 1.2 * count


async def test_the_loss_of_a_few_is_noticed_and_of_few_that_others_make_up_for_soon(cluster: Cluster) -> None:
    clock, store, (one, _) = cluster
    for number in range(4 * PAGE):
        one.revocations.revoke_token(f"t{number}")
    await one.look()
    await pass_time(clock, [one], CHECK_S)
    store.lose("t1", f"t{3 * PAGE}")
    await pass_time(clock, [one], CHECK_S)
    assert len(store.kept) == 4 * PAGE

    store.lose("t1")
    # Nobody reads it, and it makes their number right again.
    store._kept["poison"] = (store._written, Revocation("t0", "", "", 1.0, 2.0**33))
    await pass_time(clock, [one], 5 * CHECK_S)
    assert "t1" in store.kept


async def test_after_a_failure_everything_is_read_again(cluster: Cluster) -> None:
    """A replica that took over may lack what we have read, and others write where we no longer look."""
    _, store, (one, other) = cluster
    one.revocations.revoke_token("a")
    await one.look()
    await other.look()
    store.down = True
    with pytest.raises(StoreError):
        await other.exchange.exchange()
    store._kept[Revocation("b", "", "", 1.0, 2_000.0).write()] = (-5, Revocation("b", "", "", 1.0, 2_000.0))
    store.down = False
    await other.look()
    assert other.known == ["a", "b"]


async def test_a_page_that_fails_is_not_left_out(cluster: Cluster) -> None:
    clock, store, (one, _) = cluster
    for number in range(3 * PAGE):
        one.revocations.revoke_token(f"t{number}")
    await one.look()
    newcomer = Node(store, clock)
    assert await newcomer.exchange.exchange()
    store.down = True
    with pytest.raises(StoreError):
        await newcomer.exchange.exchange()
    store.down = False
    await newcomer.look()
    assert newcomer.known == one.known


# -- what is over ----------------------------------------------------------------------------------------------------


async def test_what_is_over_is_removed_but_no_sooner_than_slow_clocks_think_so(cluster: Cluster) -> None:
    clock, store, nodes = cluster
    one, other = nodes
    one.revocations.revoke_token("a", expires_at_s=1_010.0)
    one.revocations.revoke_token("b")
    await pass_time(clock, nodes, 10 + SKEW_S - 1)
    assert (one.known, other.known) == (["b"], ["b"])
    assert store.kept == ["a", "b"]
    await pass_time(clock, nodes, 1 + CHECK_S)
    assert store.kept == ["b"]


async def test_what_is_revoked_again_and_again_takes_one_place(cluster: Cluster) -> None:
    clock, store, nodes = cluster
    for _ in range(20):
        nodes[0].revocations.revoke_identity("ada")
        await pass_time(clock, nodes, 1)
    await pass_time(clock, nodes, CHECK_S)
    (kept,) = store._kept.values()
    assert kept[1] == nodes[0].table.get(("", "", "ada")) == nodes[1].table.get(("", "", "ada"))


async def test_one_that_is_not_written_yet_removes_nothing(cluster: Cluster) -> None:
    """Else a newcomer would know neither, should its node die."""
    clock, store, (one, _) = cluster
    one.revocations.revoke_identity("ada")
    await one.look()
    clock.now_s += CHECK_S
    read = store.read

    async def revoke_meanwhile(after: float) -> Page[Revocation]:
        page = await read(after)
        one.revocations.revoke_identity("ada")
        clock.now_s += 1.0
        return page

    store.read = revoke_meanwhile  # type: ignore[method-assign] # until the next line but one
    await one.exchange.exchange()
    store.read = read  # type: ignore[method-assign]
    assert len(store._kept) == 1


async def test_what_a_full_table_has_no_room_for_leaves_the_store() -> None:
    clock, store = Clock(), Store()
    nodes = [Node(store, clock, limit=3) for _ in range(2)]
    for number in range(5):
        nodes[number % 2].revocations.revoke_token(f"t{number}", expires_at_s=2_000.0 + number)
    await pass_time(clock, nodes, 2 * CHECK_S)
    assert store.kept == nodes[0].known == nodes[1].known == ["t2", "t3", "t4"]
    store.added = 0
    await pass_time(clock, nodes, 5 * CHECK_S)
    assert store.added == 0, "nobody writes again what the others have no room for"


# -- the price -------------------------------------------------------------------------------------------------------


async def test_what_is_read_does_not_grow_with_what_is_revoked(cluster: Cluster) -> None:
    clock, store, (one, other) = cluster
    count = await revoke_many(one, other)
    store.read_texts = store.added = 0
    await pass_time(clock, [other], 10 * CHECK_S)
    assert PAGE <= store.read_texts <= 11 * PAGE, "a page in five seconds, where all of it was read"
    assert store.added == 0
    assert len(other.known) == count


async def test_what_is_revoked_is_written_between_two_pages(cluster: Cluster) -> None:
    _, store, (one, other) = cluster
    for number in range(10 * PAGE):
        one.revocations.revoke_token(f"t{number}")
    await one.look()
    await other.exchange.exchange()
    other.revocations.revoke_token("now")
    assert await other.exchange.exchange(), "it is still reading"
    assert "now" in store.kept


# -- the task --------------------------------------------------------------------------------------------------------


async def test_the_task_tells_at_once(cluster: Cluster) -> None:
    _, store, (one, _) = cluster
    one.exchange.start()
    one.revocations.revoke_token("a")
    for _ in range(20):
        await asyncio.sleep(0)
    assert store.kept == ["a"]
    await one.exchange.close()
    assert one.table.on_local is None


async def test_what_waits_is_written_when_the_node_ends(cluster: Cluster) -> None:
    _, store, (one, other) = cluster
    one.exchange.start()
    await asyncio.sleep(0)
    one.revocations.revoke_token("a")
    await one.exchange.close()
    assert store.kept == ["a"]
    other.exchange.start()
    await asyncio.sleep(0)
    store.down = True
    other.revocations.revoke_token("b")
    await other.exchange.close()

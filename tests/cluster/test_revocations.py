"""Two nodes and one store: what one revokes the other learns, also around an outage and after the store was emptied."""

from collections.abc import Sequence

import pytest

from router.cluster.revocations import FULL_READ_S, MemoryRevokedTokens, RevocationExchange
from router.cluster.store import StoreError
from router.rooms.revocation import Revocation, Revocations


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class FailingStore(MemoryRevokedTokens):
    def __init__(self) -> None:
        super().__init__()
        self.down = False

    async def add(self, revocation: Revocation) -> None:
        if self.down:
            raise StoreError("connection")
        await super().add(revocation)

    async def read(self, since_s: float) -> list[Revocation]:
        if self.down:
            raise StoreError("connection")
        return await super().read(since_s)

    def empty(self) -> None:
        self._kept.clear()


class Node:
    def __init__(self, store: FailingStore, clock: Clock) -> None:
        self.revocations = Revocations(now_s=clock)
        self.exchange = RevocationExchange(self.revocations, store, now_s=clock)
        self.revocations.on_local = self.exchange._on_local

    @property
    def known(self) -> list[str]:
        return sorted(one.token_id for one in self.revocations)


@pytest.fixture
def cluster() -> tuple[Clock, FailingStore, Sequence[Node]]:
    clock, store = Clock(), FailingStore()
    return clock, store, [Node(store, clock), Node(store, clock)]


async def test_one_look_after_a_revocation_all_know(cluster: tuple[Clock, FailingStore, Sequence[Node]]) -> None:
    _, _, (one, other) = cluster
    one.revocations.revoke_token("a")
    await one.exchange.exchange()
    await other.exchange.exchange()
    assert other.known == ["a"]


async def test_what_was_revoked_in_an_outage_is_told_after_it(
    cluster: tuple[Clock, FailingStore, Sequence[Node]],
) -> None:
    _, store, (one, other) = cluster
    store.down = True
    one.revocations.revoke_token("a")
    with pytest.raises(StoreError):
        await one.exchange.exchange()
    assert one.known == ["a"], "here it is in force all the same"
    store.down = False
    await one.exchange.exchange()
    await other.exchange.exchange()
    assert other.known == ["a"]


async def test_an_emptied_store_is_filled_again(cluster: tuple[Clock, FailingStore, Sequence[Node]]) -> None:
    clock, store, (one, _) = cluster
    one.revocations.revoke_token("a")
    await one.exchange.exchange()
    store.empty()
    newcomer = Node(store, clock)
    clock.now_s += FULL_READ_S
    for _ in range(2):
        await one.exchange.exchange()
    await newcomer.exchange.exchange()
    assert newcomer.known == ["a"]


async def test_the_task_tells_at_once(cluster: tuple[Clock, FailingStore, Sequence[Node]]) -> None:
    import asyncio

    _, store, (one, _) = cluster
    one.exchange.start()
    one.revocations.revoke_token("a")
    for _ in range(20):
        await asyncio.sleep(0)
    assert [kept.token_id for kept in await store.read(0.0)] == ["a"]
    await one.exchange.close()
    assert one.revocations.on_local is None

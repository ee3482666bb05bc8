"""Nodes with wrong clocks revoke, start, end and lose their Redis in any order: soon all know what any of them knows.

The one thing that may be lost is what only nodes knew that ended while the store had lost it.
"""

import random

import pytest

from router import clock
from router.cluster.redis_link import RedisLink
from router.cluster.revocations import CHECK_S, INTERVAL_S, RevocationExchange
from router.cluster.revoked_tokens import RedisRevokedTokens
from router.metrics import Metrics
from router.rooms.revocation import Revocation
from router.rooms.revocations import Revocations, RevocationTable
from tests.cluster.redis_servers import RedisServer, needs_redis

pytestmark = [needs_redis, pytest.mark.timeout(120)]

KEY = "test:{revoked}:since"
STEPS = 150


class Node:
    def __init__(self, link: RedisLink, chance: random.Random) -> None:
        skew_s = chance.choice((-3_600.0, -20.0, -0.1, 0.0, 0.1, 20.0, 3_600.0))
        self.us = chance.randrange(int(CHECK_S * 1e6))
        self.revocations = Revocations(now_s=lambda: clock.wall_s() + skew_s)
        store = RedisRevokedTokens(
            link, KEY, Revocation.read, Metrics(), limit=100_000, now_s=lambda: clock.wall_s() + skew_s
        )
        self.table: RevocationTable = self.revocations.revoked
        self.exchange = RevocationExchange(self.table, store, now_us=lambda: self.us)
        self.table.on_local = self.exchange._on_local

    @property
    def known(self) -> set[str]:
        return {one.token_id for one in self.table}

    async def look(self) -> None:
        self.us += int(INTERVAL_S * 1e6)
        while await self.exchange.exchange():
            pass


@pytest.mark.parametrize("seed", range(6))
async def test_all_know_what_any_of_them_knows(
    server: RedisServer, link: RedisLink, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    for module in ("revocations", "revoked_tokens"):
        monkeypatch.setattr(f"router.cluster.{module}.PAGE", 7)
    nodes, number = [Node(link, chance) for _ in range(3)], 0
    for _ in range(STEPS):
        what = chance.choices(("look", "revoke", "start", "end", "lose one", "lose all"), (60, 25, 3, 3, 3, 2))[0]
        node = chance.choice(nodes)
        if what == "look":
            await node.look()
        elif what == "revoke":
            for _ in range(chance.randrange(1, 12)):
                number += 1
                node.revocations.revoke_token(f"t{number}")
        elif what == "start":
            nodes.append(Node(link, chance))
        elif what == "end" and len(nodes) > 2:
            await node.exchange.close()
            nodes.remove(node)
        elif what == "lose one":
            await server.command("ZREMRANGEBYRANK", KEY, str(chance.randrange(20)), str(chance.randrange(20)))
        elif what == "lose all":
            await server.command("FLUSHALL")
    expected = set[str]().union(*(node.known for node in nodes))
    looks = int(CHECK_S / INTERVAL_S) + 1
    for _ in range(looks * (number // 7 + 3)):
        for node in chance.sample(nodes, len(nodes)):
            await node.look()
    assert [len(expected - node.known) for node in nodes] == [0] * len(nodes), f"seed {seed}, of {number}"


@pytest.mark.parametrize("seed", range(6))
async def test_without_a_loss_all_know_it_at_their_next_look(
    link: RedisLink, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Whatever their clocks say, and however many write at once."""
    chance = random.Random(seed)
    for module in ("revocations", "revoked_tokens"):
        monkeypatch.setattr(f"router.cluster.{module}.PAGE", 7)
    nodes, number = [Node(link, chance) for _ in range(4)], 0
    for node in nodes:
        await node.look()
    for _ in range(STEPS // 3):
        for node in chance.sample(nodes, chance.randrange(1, 4)):
            for _ in range(chance.randrange(1, 12)):
                number += 1
                node.revocations.revoke_token(f"t{number}")
            await node.look()
        if chance.random() < 0.2:
            nodes.append(Node(link, chance))
            await nodes[-1].look()
        for node in nodes:
            # Those who go round the whole would find it also there.
            node.us -= int(INTERVAL_S * 1e6)
            await node.look()
            assert len(node.known) == number, f"seed {seed}"

"""The set of revocations in a real Redis: an order of writing that no clock spoils, pages, caps, what is refused."""

import json
import math
import time
from dataclasses import dataclass
from typing import Any

import pytest

from router import clock
from router.cluster.redis_link import RedisLink
from router.cluster.revocations import CHECK_S, INTERVAL_S, RevocationExchange
from router.cluster.revoked_tokens import MAX_TRIES, PAGE, RedisRevokedTokens
from router.metrics import Metrics
from router.rooms.revocation import Revocation
from router.rooms.revocations import MAX_REVOCATIONS, Revocations
from tests.cluster.redis_servers import RedisServer, needs_redis

pytestmark = needs_redis

KEY = "test:{revoked}:since"
DAY_S = 86_400.0


@dataclass(frozen=True)
class Revoked:
    id: str
    revoked_at_s: float = 0.0

    def write(self) -> str:
        return json.dumps([self.id, self.revoked_at_s])


def parse(text: str) -> Revoked:
    fields = json.loads(text)
    if not isinstance(fields, list) or len(fields) != 2:
        raise ValueError("expected two fields")
    return Revoked(*fields)


class Tokens(RedisRevokedTokens[Revoked]):
    """As a node has it whose clock is wrong by `skew_s`."""

    def __init__(self, link: RedisLink, skew_s: float = 0.0, limit: int = 65_536) -> None:
        self.metrics = Metrics()
        super().__init__(link, KEY, parse, self.metrics, limit=limit, now_s=lambda: clock.wall_s() + skew_s)

    @property
    def refused(self) -> float:
        name = "sfu_store_values_refused_total"
        return self.metrics.registry.get_sample_value(name, {"kind": "revoked"}) or 0.0

    async def read_ids(self, after: float = -math.inf) -> list[str]:
        return [one.id for one in (await self.read(after)).found]


async def test_what_was_written_is_read_in_its_order_and_goes(server: RedisServer, link: RedisLink) -> None:
    tokens = Tokens(link)
    assert await tokens.find_end() == -math.inf
    await tokens.add([Revoked("a", 9.0), Revoked("b", 1.0)])
    await tokens.add([Revoked("c")])
    page = await tokens.read(-math.inf)
    assert ([one.id for one in page.found], page.last) == (["a", "b", "c"], True)
    assert page.end == await tokens.find_end()
    assert await tokens.read_ids(page.end) == []
    await tokens.add([Revoked("a", 9.0)])
    assert await tokens.read_ids(page.end) == ["a"], "what is written again is news again"
    assert await tokens.check() == 3
    await tokens.remove([Revoked("b", 1.0), Revoked("never there")])
    assert await tokens.read_ids() == ["c", "a"]
    assert await server.command("KEYS", "*") == [KEY]


@pytest.mark.parametrize("behind_s", [1.0, 40.0, DAY_S / 2])
async def test_a_clock_that_is_behind_keeps_nothing_from_those_who_read_on(link: RedisLink, behind_s: float) -> None:
    right, behind = Tokens(link), Tokens(link, -behind_s)
    await right.add([Revoked("a")])
    end = (await right.read(-math.inf)).end
    await behind.add([Revoked("b"), Revoked("c")])
    assert await right.read_ids(end) == ["b", "c"]
    end = (await right.read(end)).end
    ahead = Tokens(link, behind_s)
    await ahead.add([Revoked("d")])
    end = (await right.read(end)).end
    await right.add([Revoked("e")])
    await Tokens(link).add([Revoked("f")])
    assert await right.read_ids(end) == ["e", "f"]


async def test_of_two_that_know_the_same_end_the_later_one_writes_behind_the_other(link: RedisLink) -> None:
    """With the same score, whoever has read on to the first would miss the second."""
    right, one, other = Tokens(link), Tokens(link, -40.0), Tokens(link, -40.0)
    await right.add([Revoked("a")])
    for tokens in (one, other):
        await tokens.find_end()
    await one.add([Revoked("b"), Revoked("c")])
    page = await right.read(-math.inf)
    await other.add([Revoked("A"), Revoked("d")])
    assert await right.read_ids(page.end) == ["A", "d"]


async def test_after_a_loss_it_goes_on_behind_what_everybody_has_read(server: RedisServer, link: RedisLink) -> None:
    ahead, right = Tokens(link, 40.0), Tokens(link)
    await ahead.add([Revoked("a")])
    end = (await right.read(-math.inf)).end
    await server.command("FLUSHALL")
    await right.add([Revoked("b")])
    assert await ahead.read_ids(end) == ["b"]


async def test_many_are_read_page_by_page(link: RedisLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """65,536 in one reply took longer than a call may, so nothing was read and the link counted a failure."""
    count, tokens, sizes = 3 * PAGE + 7, Tokens(link), []
    await tokens.add([Revoked(f"{number:06}") for number in range(count)])

    async def run(*given: Any, **options: Any) -> list[Any]:
        replies = await RedisLink.run(link, *given, **options)
        sizes.append(sum(len(reply) for reply in replies if isinstance(reply, list)))
        return replies

    monkeypatch.setattr(link, "run", run)
    found, position, last = [], -math.inf, False
    while not last:
        page = await tokens.read(position)
        position, last = page.end, page.last
        found += [one.id for one in page.found]
    assert found == [f"{number:06}" for number in range(count)]
    assert max(sizes) == 2 * PAGE, "texts and scores"


async def test_who_keeps_writing_ahead_does_not_keep_a_writer_for_ever(
    server: RedisServer, link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def run(*given: Any, **options: Any) -> list[Any]:
        nonlocal tries
        tries += 1
        await server.command("ZADD", KEY, str(clock.wall_s() + 100 * tries), Revoked("x", tries).write())
        return await RedisLink.run(link, *given, **options)

    monkeypatch.setattr(link, "run", run)
    await Tokens(link).add([Revoked("a")])
    assert tries == MAX_TRIES


@pytest.mark.parametrize(
    "text",
    ["poison", Revoked("x" * 3000).write(), Revoked("a", clock.wall_s() + 2 * DAY_S).write()],
    ids=["no revocation", "too long", "of the future"],
)
async def test_poison_is_left_out_and_counted(server: RedisServer, link: RedisLink, text: str) -> None:
    tokens = Tokens(link)
    await tokens.add([Revoked("a")])
    await server.command("ZADD", KEY, str(clock.wall_s()), text)
    await tokens.add([Revoked("b")])
    assert await tokens.read_ids() == ["a", "b"]
    assert tokens.refused == 1


@pytest.mark.parametrize("score", ["inf", "1e300", str(clock.wall_s() + 2 * DAY_S)], ids=["never", "late", "soon"])
async def test_what_claims_to_be_written_in_the_future_moves_nobody_and_goes(
    server: RedisServer, link: RedisLink, score: str
) -> None:
    writer, reader = Tokens(link), Tokens(link)
    await server.command("ZADD", KEY, score, Revoked("future").write())
    assert await reader.find_end() == -math.inf
    await writer.add([Revoked("a")])
    page = await reader.read(-math.inf)
    assert [one.id for one in page.found] == ["a"]
    assert page.end < clock.wall_s() + 1
    assert (await reader.check(), reader.refused) == (1, 1)
    assert (await reader.check(), reader.refused) == (1, 1)


async def test_a_key_of_another_type_is_made_anew(server: RedisServer, link: RedisLink) -> None:
    tokens = Tokens(link)
    await server.command("SET", KEY, "poison")
    assert (await tokens.check(), tokens.refused) == (0, 1)
    await server.command("SET", KEY, "poison")
    await tokens.add([Revoked("a")])
    assert await tokens.read_ids() == ["a"]


async def test_beyond_the_cap_those_written_first_are_forgotten(server: RedisServer, link: RedisLink) -> None:
    tokens = Tokens(link, limit=5)
    for number in range(8):
        await tokens.add([Revoked(str(number))])
    assert await tokens.read_ids() == list("34567")
    await tokens.add([Revoked(letter) for letter in "abcdefg"])
    assert await tokens.read_ids() == list("cdefg")
    assert await server.command("ZCARD", KEY) == 5


@pytest.mark.timeout(120)
async def test_the_most_that_may_be_revoked_costs_a_node_little_once_it_was_read(link: RedisLink) -> None:
    """CPU of this process in five seconds, with looks in their real number and no time between them."""
    now_us, count = 0, MAX_REVOCATIONS
    store = RedisRevokedTokens(link, KEY, Revocation.read, Metrics(), limit=count)
    now_s = clock.wall_s()
    await store.add([Revocation(f"{number:020}", "", "", now_s, now_s + 86_400.0) for number in range(count)])
    table = Revocations().revoked
    exchange = RevocationExchange(table, store, now_us=lambda: now_us)
    started_s = time.process_time()
    while await exchange.exchange():
        pass
    read_s = time.process_time() - started_s
    assert len(table) == count
    looks, rounds = math.ceil(CHECK_S / INTERVAL_S), 4
    started_s = time.process_time()
    for _ in range(rounds * looks):
        now_us += int(INTERVAL_S * 1e6)
        assert not await exchange.exchange()
    spent_s = (time.process_time() - started_s) / rounds
    print(f"\n{count} revocations: read once in {read_s:.2f} s of CPU, then {spent_s * 1e3:.0f} ms in {CHECK_S:.0f} s")
    assert spent_s < 0.1 * read_s

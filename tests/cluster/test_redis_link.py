"""The link to one Redis: replies reach their callers only, deadlines hold, a dead server costs nobody time."""

import asyncio
import random
import signal
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection

from router import clock
from router.cluster.breaker import FAILURES, MAX_PAUSE_US
from router.cluster.redis_connections import Loan, RedisConnections
from router.cluster.redis_link import MAX_COMMANDS, MAX_CONFLICTS, RedisLink
from router.cluster.redis_target import parse_target
from router.cluster.store import StoreError
from router.metrics import Metrics
from tests.cluster.redis_servers import RedisServer, SlowProxy, needs_redis

pytestmark = needs_redis

ROUNDS = 10_000
DELAY_S = 0.1
AT_ONCE = 200


def open_link(port: int, metrics: Metrics | None = None, **options: Any) -> RedisLink:
    return RedisLink(parse_target(f"redis://127.0.0.1:{port}"), metrics or Metrics(), **options)


class Callers:
    """Many at once who ask for what only they asked for, and of whom most are cancelled somewhere on the way."""

    def __init__(self, link: RedisLink, seed: int) -> None:
        self.answered = self.cancelled = 0
        self.foreign: list[tuple[int, object]] = []
        self._link = link
        self._random = random.Random(seed)

    async def run(self, rounds: int) -> None:
        for start in range(0, rounds, AT_ONCE):
            tasks = [asyncio.create_task(self._call(start + number)) for number in range(AT_ONCE)]
            for task in tasks:
                if self._random.random() < 0.8:
                    # Anywhere between "not begun" and "answered": connecting, waiting for a place, sending, reading.
                    asyncio.get_running_loop().call_later(self._random.uniform(0, 3 * DELAY_S), task.cancel)
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _call(self, number: int) -> None:
        try:
            replies = await self._link.run("test", [("ECHO", f"{number}"), ("ECHO", f"{number}!")])
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        except StoreError:
            return
        self.answered += 1
        if replies != [b"%d" % number, b"%d!" % number]:
            self.foreign.append((number, replies))


@pytest.fixture
def many_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product has fewer connections, and these tests less time."""
    monkeypatch.setattr("router.cluster.redis_connections.MAX_CONNECTIONS", 100)


async def run_callers(server: RedisServer, rounds: int) -> Callers:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    async with SlowProxy(server.port, DELAY_S) as proxy:
        link = open_link(proxy.port, timeout_s=5.0)
        callers = Callers(link, seed)
        await callers.run(rounds)
        # Whoever comes after the storm gets its own as well.
        for number in range(16):
            assert await link.run("test", [("ECHO", f"late {number}")]) == [b"late %d" % number]
        await link.close()
    return callers


@pytest.mark.usefixtures("many_places")
@pytest.mark.timeout(180)
async def test_a_cancelled_call_never_leaves_its_reply_to_another(server: RedisServer) -> None:
    """threats-and-faults.md H18: 10,000 calls through a proxy that is 100 ms late, most of them cancelled."""
    callers = await run_callers(server, ROUNDS)
    assert callers.foreign == []
    assert callers.cancelled > ROUNDS // 3
    assert callers.answered > ROUNDS // 50


@pytest.mark.usefixtures("many_places")
async def test_without_the_protection_replies_do_reach_others(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above sees what it is there to see: here a connection goes back however its exchange ended."""

    async def give_back_always(self: Loan, *_: object) -> None:
        connection, self._connection = self._connection, None
        assert connection is not None
        self._connections.give_back(self._address, self._credentials, connection)

    async def always_quiet(_connection: AbstractConnection) -> bool:
        return True

    monkeypatch.setattr(Loan, "__aexit__", give_back_always)
    monkeypatch.setattr("router.cluster.redis_connections._is_quiet", always_quiet)
    async with SlowProxy(server.port, DELAY_S) as proxy:
        link = open_link(proxy.port, timeout_s=5.0)
        callers = Callers(link, 1)
        await callers.run(2 * AT_ONCE)
        await link.close()
    assert callers.foreign != []


async def test_places_of_cancelled_callers_are_free_again(server: RedisServer) -> None:
    async with SlowProxy(server.port, 0.02) as proxy:
        link = open_link(proxy.port)
        for _ in range(50):
            task = asyncio.create_task(link.run("test", [("PING",)]))
            asyncio.get_running_loop().call_later(random.uniform(0, 0.03), task.cancel)
            await asyncio.gather(task, return_exceptions=True)
        assert await link.run("test", [("PING",)]) == [b"PONG"]
        await link.close()


async def test_an_idle_connection_that_the_server_closed_is_not_used(server: RedisServer, link: RedisLink) -> None:
    assert await link.run("test", [("PING",)]) == [b"PONG"]
    await server.command("CLIENT", "KILL", "TYPE", "normal")
    assert await link.run("test", [("PING",)]) == [b"PONG"]


async def test_a_command_that_is_refused_spoils_nothing(link: RedisLink) -> None:
    await link.run("test", [("SET", "text", "x")])
    with pytest.raises(StoreError, match="wrong-type"):
        await link.run("test", [("GET", "text"), ("ZRANGE", "text", 0, 1), ("GET", "text")])
    first, second, third = await link.run(
        "test", [("GET", "text"), ("ZRANGE", "text", 0, 1), ("GET", "text")], refused_is_error=False
    )
    assert (first, third) == (b"x", b"x")
    assert isinstance(second, Exception)


async def test_check_and_write_is_asked_again_when_others_wrote(server: RedisServer, link: RedisLink) -> None:
    seen: list[object] = []

    def decide(replies: list[Any]) -> list[tuple[str, ...]]:
        seen.append(replies[0])
        return [("SET", "a", f"{len(seen)}")]

    other = open_link(server.port)
    original = decide

    async def write_between() -> None:
        await other.run("test", [("SET", "a", "theirs")])

    interfered = asyncio.Event()

    class Interfering(Loan):
        async def exchange(self, commands: Any) -> list[Any]:
            replies = await super().exchange(commands)
            if commands[0][0] == "WATCH" and not interfered.is_set():
                interfered.set()
                await write_between()
            return replies

    def lend(address: Any, credentials: Any, *, db: int = 0) -> Loan:
        return Interfering(link._connections, address, credentials, db)

    link._connections.lend = lend  # type: ignore[method-assign] # the other side of a race
    await link.check_and_write("test", [("GET", "a")], original)
    assert seen == [None, b"theirs"]
    assert await other.run("test", [("GET", "a")]) == [b"2"]
    await other.close()


async def test_a_call_that_a_stopped_redis_does_not_answer_ends(server: RedisServer) -> None:
    metrics = Metrics()
    link = open_link(server.port, metrics, timeout_s=0.1)
    assert await link.run("test", [("PING",)]) == [b"PONG"]
    server.signal(signal.SIGSTOP)
    for _ in range(FAILURES):
        started_us = clock.monotonic_us()
        with pytest.raises(StoreError, match="timeout"):
            await link.run("test", [("PING",)])
        assert clock.monotonic_us() - started_us < 1_000_000
    started_us = clock.monotonic_us()
    with pytest.raises(StoreError, match="paused"):
        await link.run("test", [("PING",)])
    assert clock.monotonic_us() - started_us < 50_000
    assert metrics.registry.get_sample_value("sfu_redis_up") == 0
    assert metrics.registry.get_sample_value("sfu_redis_failures_total", {"reason": "timeout"}) == FAILURES
    server.signal(signal.SIGCONT)
    await until_answered(link, 2 * MAX_PAUSE_US)
    assert metrics.registry.get_sample_value("sfu_redis_up") == 1
    await link.close()


async def until_answered(link: RedisLink, within_us: int) -> None:
    deadline_us = clock.monotonic_us() + within_us
    while True:
        try:
            assert await link.run("test", [("PING",)]) == [b"PONG"]
        except StoreError:
            assert clock.monotonic_us() < deadline_us
            await asyncio.sleep(0.02)
        else:
            return


async def test_a_call_that_is_slow_in_every_step_ends(server: RedisServer) -> None:
    async with SlowProxy(server.port, 1.0) as proxy:
        link = open_link(proxy.port, timeout_s=0.2)
        with pytest.raises(StoreError, match="timeout"):
            async with asyncio.timeout(1):
                await link.run("test", [("PING",)])
        await link.close()


async def test_an_exchange_that_is_not_answered_ends_before_the_call_would(server: RedisServer) -> None:
    link = open_link(server.port, timeout_s=1.0)
    await link.run("test", [("PING",)])
    server.signal(signal.SIGSTOP)
    started_us = clock.monotonic_us()
    with pytest.raises(StoreError, match="timeout"):
        await link.run("test", [("PING",)])
    assert clock.monotonic_us() - started_us < 2_500_000
    server.signal(signal.SIGCONT)
    await link.close()


@pytest.mark.parametrize(("delay_s", "reason"), [(0.0, "conflict"), (0.15, "timeout")])
async def test_a_transaction_that_others_keep_from_succeeding_ends(
    server: RedisServer, delay_s: float, reason: str
) -> None:
    """After some rounds, and within the call's deadline though each of its exchanges is in time."""
    rounds = 0
    other = open_link(server.port)
    async with SlowProxy(server.port, delay_s) as proxy:
        link = open_link(proxy.port, timeout_s=0.25)

        class Interfering(Loan):
            async def exchange(self, commands: Any) -> list[Any]:
                replies = await super().exchange(commands)
                if commands[0][0] == "WATCH":
                    await other.run("test", [("SET", "a", "theirs")])
                return replies

        def lend(address: Any, credentials: Any, *, db: int = 0) -> Loan:
            return Interfering(link._connections, address, credentials, db)

        def decide(_: list[Any]) -> list[tuple[str, ...]]:
            nonlocal rounds
            rounds += 1
            return [("SET", "a", "mine")]

        link._connections.lend = lend  # type: ignore[method-assign] # the other side of a race
        with pytest.raises(StoreError, match=reason):
            await link.check_and_write("test", [("GET", "a")], decide)
        assert rounds <= MAX_CONFLICTS
        await link.close()
    await other.close()


async def test_latency_is_measured_by_what_calls_are_for(server: RedisServer) -> None:
    metrics = Metrics()
    link = open_link(server.port, metrics)
    await link.run("index", [("PING",)])
    count = metrics.registry.get_sample_value("sfu_redis_command_duration_seconds_count", {"command": "index"})
    assert count == 1
    await link.close()


async def test_many_commands_are_several_exchanges(link: RedisLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between which the event loop does other things."""
    sizes = []

    async def exchange(self: Loan, commands: Any) -> list[Any]:
        sizes.append(len(commands))
        return await original(self, commands)

    original = Loan.exchange
    monkeypatch.setattr(Loan, "exchange", exchange)
    replies = await link.run("test", [("ECHO", str(number)) for number in range(2 * MAX_COMMANDS + 3)])
    assert replies == [b"%d" % number for number in range(2 * MAX_COMMANDS + 3)]
    assert max(sizes) == MAX_COMMANDS <= 250


async def test_closing_closes_all_connections(server: RedisServer) -> None:
    link = open_link(server.port)
    await asyncio.gather(*(link.run("test", [("PING",)]) for _ in range(8)))
    assert len(str(await server.command("CLIENT", "LIST")).splitlines()) > 1
    await link.close()
    deadline_us = clock.monotonic_us() + 2_000_000
    while len(str(await server.command("CLIENT", "LIST")).splitlines()) > 1:
        assert clock.monotonic_us() < deadline_us


def test_the_number_of_connections_is_capped() -> None:
    from router.cluster import redis_connections

    connections = RedisConnections(parse_target("redis://localhost"), 1.0)
    assert connections._places._value == redis_connections.MAX_CONNECTIONS

"""The one way to Redis: commands in, replies out, each call within a deadline, on whatever servers there are.

- `run` sends commands that do not depend on each other and gives their replies in order; `check_and_write` reads, lets
  the caller decide and writes only if nothing of what was watched changed meanwhile (WATCH, MULTI, EXEC; no Lua).
- A key is a command's second word, and decides where it goes. MOVED and ASK are followed, a demoted or vanished master
  is looked for anew at the next call.
- A call ends within `CALL_DEADLINES` times the setting, its connecting and each exchange within once. After some that
  had no answer calls fail at once for a moment (`router.cluster.breaker`), so a dead Redis costs nobody time.
- A call that was cancelled or late never leaves its reply to another (`router.cluster.redis_connections`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from redis.exceptions import RedisError, ResponseError

from router import clock
from router.cluster.breaker import Breaker
from router.cluster.redis_connections import Command, RedisConnections, Reply
from router.cluster.redis_errors import OF_THE_SERVER, StoreError, code_of, explain, refuse
from router.cluster.redis_target import Address, Credentials, RedisTarget
from router.cluster.redis_topology import open_topology, read_redirect
from router.metrics import Metrics

T = TypeVar("T")
Decide = Callable[[list[Reply]], Sequence[Command]]
"""From what was read to what shall be written; empty: nothing."""

SCHEMA_CALL: Final = "schema"
CALL_DEADLINES: Final = 3
MAX_REDIRECTS: Final = 4
MAX_CONFLICTS: Final = 4
MAX_COMMANDS: Final = 250
"""In one exchange: more would hold the event loop up."""


class RedisLink:
    """Used on one event loop. Redis need not be there when it is made."""

    def __init__(
        self,
        target: RedisTarget,
        metrics: Metrics,
        *,
        timeout_s: float = 1.0,
        now_us: Callable[[], int] = clock.monotonic_us,
    ) -> None:
        self.mode = target.mode
        self.last_error: StoreError | None = None
        """None while the last call was answered, and before the first."""
        self.asked = False
        self.refusal: StoreError | None = None
        """Why nothing but the schema may be read, although Redis answers."""
        self._target = target
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._now_us = now_us
        self._breaker = Breaker()
        self._connections = RedisConnections(target, timeout_s)
        self._topology = open_topology(target, self._ask)

    async def run(self, call: str, commands: Sequence[Command], *, refused_is_error: bool = True) -> list[Reply]:
        """All commands, in as few exchanges as their servers allow. `call` is the metric's label.

        Raises `StoreError`, also for a command that Redis refused, unless refusals are wanted as replies. What was
        sent before is not undone.
        """
        replies: list[Reply] = []
        for start in range(0, len(commands), MAX_COMMANDS):
            chunk = commands[start : start + MAX_COMMANDS]
            replies += await self._call(call, lambda chunk=chunk: self._run(chunk))  # type: ignore[misc] # mypy#12557
        for reply in replies if refused_is_error else ():
            if isinstance(reply, ResponseError):
                raise self.refused(reply)
        return replies

    async def check_and_write(self, call: str, reads: Sequence[Command], decide: Decide) -> list[Reply]:
        """Reads, and writes what `decide` makes of it in one transaction; gives the replies to the reads.

        All keys must be of one `group`. `decide` is asked again when somebody else wrote meanwhile.
        """
        return await self._call(call, lambda: self._check_and_write(reads, decide))

    def group(self, key: str) -> int:
        """Keys with the same number may be in one transaction."""
        return self._topology.group(key)

    async def close(self) -> None:
        """Closes all connections. Idempotent."""
        await self._connections.close()

    # -- one call ------------------------------------------------------------------------------------------------

    async def _call(self, call: str, attempt: Callable[[], Awaitable[T]]) -> T:
        started_us = self._now_us()
        if self.refusal is not None and call != SCHEMA_CALL:
            raise self.refusal
        if not self._breaker.admit(started_us):
            self._metrics.record_store_failure("paused")
            raise StoreError("paused", "it did not answer lately")
        try:
            async with asyncio.timeout(CALL_DEADLINES * self._timeout_s):
                result = await attempt()
        except (RedisError, OSError, StoreError) as error:
            # TimeoutError is an OSError.
            raise self._failed(explain(error)) from error
        self._breaker.succeed()
        self.last_error, self.asked = None, True
        self._metrics.redis_up.set(1)
        self._metrics.record_store_call(call, (self._now_us() - started_us) / 1e6)
        return result

    def _failed(self, error: StoreError) -> StoreError:
        self._metrics.record_store_failure(error.reason)
        if error.reason in OF_THE_SERVER:
            self._topology.forget()
            self._breaker.fail(self._now_us())
            self._metrics.redis_up.set(0)
        self.last_error, self.asked = error, True
        return error

    def refused(self, reply: ResponseError) -> StoreError:
        """For a refusal among the replies of `run` that stands: counts it and is to be raised."""
        return self._failed(refuse(reply))

    # -- exchanges -----------------------------------------------------------------------------------------------

    async def _ask(
        self, address: Address, credentials: Credentials, commands: Sequence[Command], *, asking: bool = False
    ) -> list[Reply]:
        db = 0 if credentials is self._target.sentinel_credentials else self._target.db
        async with self._connections.lend(address, credentials, db=db) as loan, asyncio.timeout(self._timeout_s):
            if not asking:
                return await loan.exchange(commands)
            pairs = [part for command in commands for part in (("ASKING",), command)]
            return (await loan.exchange(pairs))[1::2]

    async def _run(self, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = [None] * len(commands)
        places: dict[tuple[Address, bool], list[int]] = {}
        for index, command in enumerate(commands):
            places.setdefault((await self._locate(command), False), []).append(index)
        for _ in range(MAX_REDIRECTS):
            again: dict[tuple[Address, bool], list[int]] = {}
            for (address, asking), indices in places.items():
                batch = [commands[index] for index in indices]
                found = await self._ask(address, self._target.credentials, batch, asking=asking)
                for index, reply in zip(indices, found, strict=True):
                    replies[index] = reply
                    place = self._follow(reply, address)
                    if place is not None:
                        again.setdefault(place, []).append(index)
            if not again:
                return replies
            places = again
        return replies

    def _follow(self, reply: Reply, asked: Address) -> tuple[Address, bool] | None:
        """Where a command goes that this server does not do; None: the reply stands."""
        if not isinstance(reply, ResponseError):
            return None
        redirect = read_redirect(reply, asked)
        if redirect is not None:
            if redirect[0] == "MOVED":
                self._topology.forget()
            return redirect[1], redirect[0] == "ASK"
        if code_of(reply) == "READONLY":
            self._topology.forget()
            self._connections.forget(asked)
        return None

    async def _locate(self, command: Command) -> Address:
        return await self._topology.locate(str(command[1]) if len(command) > 1 else "")

    async def _check_and_write(self, reads: Sequence[Command], decide: Decide) -> list[Reply]:
        keys = [read[1] for read in reads]
        for _ in range(MAX_CONFLICTS):
            address = await self._locate(reads[0])
            lend = self._connections.lend(address, self._target.credentials, db=self._target.db)
            # The watch belongs to the connection: if this ends early, both end together.
            async with lend as loan:
                async with asyncio.timeout(self._timeout_s):
                    watched, *replies = await loan.exchange([("WATCH", *keys), *reads])
                if isinstance(watched, ResponseError):
                    if read_redirect(watched, address) is None:
                        raise watched
                    self._topology.forget()
                    continue
                writes = decide(replies)
                batch: list[Command] = [("MULTI",), *writes, ("EXEC",)] if writes else [("UNWATCH",)]
                async with asyncio.timeout(self._timeout_s):
                    *queued, done = await loan.exchange(batch)
            _raise_refusal(queued)
            if not writes or isinstance(done, list):
                _raise_refusal(done if writes else ())
                return replies
            if isinstance(done, ResponseError):
                raise done
        raise StoreError("conflict", "others kept writing the same")


def _raise_refusal(replies: Any) -> None:  # Any: what Redis replied to a transaction
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise reply

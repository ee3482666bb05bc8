"""Who was removed from a room at one router is refused by the others: while the room is open there, after it emptied,
and after its node died; with whole routers and a real Redis, which may lose everything."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from router import clock
from router.rooms.rights import JoinGrant
from router.tokens import JoinTokens
from tests.attack.stage import READER, ROOM, SECRET, WRITER, Stage, attack_settings, bearer, run_stage
from tests.cluster.redis_servers import RedisServer, needs_redis, run_servers
from tests.cluster.test_two_routers import Router, run_routers
from tests.cluster.waiting import until
from tests.rooms.fakes import publish_offer
from tests.signaling.public import SDP, text

pytestmark = [needs_redis, pytest.mark.timeout(120)]

WITHIN_S = 1.0
"""What a removal may take to be known everywhere."""
RESTORED_S = 6.0
"""Five seconds to the next look at everything, and the look."""
REMOVED = (403, "removed", "a moderator removed this identity; it needs a new token")


def issue(identity: str, later_s: float = 0.0) -> str:
    return JoinTokens(SECRET, now_s=lambda: clock.wall_s() + later_s).issue(JoinGrant(ROOM, identity))


async def publish(url: httpx.URL | str, token: str) -> tuple[int, str, str]:
    """Status, and slug and detail of a refusal."""
    async with httpx.AsyncClient(base_url=url) as client:
        headers = {"Content-Type": SDP, "Accept": "application/problem+json", **bearer(token)}
        reply = await client.post(f"/whip/{ROOM}", content=text(publish_offer()), headers=headers)
    problem: dict[str, Any] = reply.json() if reply.status_code != 201 else {}
    return reply.status_code, problem.get("slug", ""), problem.get("detail", "")


async def remove(admin: str, identity: str, token: str = WRITER, *, ban: bool = True) -> None:
    async with httpx.AsyncClient(base_url=admin, headers=bearer(token) if token else {}) as client:
        people = (await client.get(f"/v1/rooms/{ROOM}/participants")).json()["items"]
        (participant,) = [one["id"] for one in people if one["identity"] == identity]
        path = f"/v1/rooms/{ROOM}/participants/{participant}"
        assert (await client.delete(path, params={"ban": ban})).status_code == 204


@asynccontextmanager
async def run_routers_here(directory: Path) -> AsyncIterator[tuple[RedisServer, AsyncExitStack, list[Stage]]]:
    """Two, and a stack for more."""
    async with AsyncExitStack() as stack:
        (server,) = await stack.enter_async_context(run_servers([RedisServer(directory)]))
        stages = [await start(stack, server, name) for name in ("one", "other")]
        yield server, stack, stages


async def start(stack: AsyncExitStack, server: RedisServer, name: str) -> Stage:
    settings = attack_settings(redis={"url": server.url, "prefix": "test", "node": name})
    return await stack.enter_async_context(run_stage(settings, people=False))


async def knows_room(stage: Stage) -> bool:
    """What one node opened is at the others a moment later; whoever joins there before opens it again."""
    rooms = (await stage.admin.get("/v1/rooms", headers=bearer(READER))).json()["items"]
    return ROOM in [room["name"] for room in rooms]


async def is_banned(stage: Stage, identity: str) -> bool:
    return stage.server.registry.revocations.is_revoked(JoinGrant(ROOM, identity, issued_at_s=0.0))


@pytest.mark.e2e
async def test_who_was_removed_is_refused_elsewhere_once_the_room_emptied(tmp_path: Path) -> None:
    async with run_routers_here(tmp_path) as (_, _, (one, other)):
        ada, eve = issue("ada"), issue("eve")
        for token in (ada, eve):
            assert (await publish(one.public.base_url, token))[0] == 201
        await until(lambda: knows_room(other))
        assert (await publish(other.public.base_url, ada))[1] == "room-elsewhere"
        await remove(str(one.admin.base_url), "ada")
        await remove(str(one.admin.base_url), "eve", ban=False)
        took_s = await until(lambda: is_banned(other, "ada"), WITHIN_S)
        print(f"\nknown elsewhere after {took_s * 1e3:.0f} ms")
        assert await publish(one.public.base_url, ada) == REMOVED
        assert await publish(other.public.base_url, ada) == REMOVED

        await one.server.registry.close_room(one.server.registry.rooms[ROOM])
        await until(lambda: can_join(other, eve))
        assert await publish(other.public.base_url, ada) == REMOVED
        assert (await publish(other.public.base_url, issue("ada", later_s=2.0)))[0] == 201


async def can_join(stage: Stage, token: str) -> bool:
    return (await publish(stage.public.base_url, token))[0] == 201


async def test_a_fresh_token_lets_in_at_every_node(tmp_path: Path) -> None:
    async with run_routers_here(tmp_path) as (_, _, (one, other)):
        assert (await publish(one.public.base_url, issue("ada")))[0] == 201
        await remove(str(one.admin.base_url), "ada")
        await until(lambda: is_banned(other, "ada"), WITHIN_S)
        fresh = issue("ada", later_s=2.0)
        assert (await publish(one.public.base_url, fresh))[0] == 201
        await until(lambda: knows_room(other))
        assert (await publish(other.public.base_url, fresh))[1] == "room-elsewhere", (
            "by the place of the room, not the ban"
        )


async def test_who_was_removed_is_refused_elsewhere_after_the_node_died(server: RedisServer) -> None:
    settings = {"ROUTER_AUTH__SECRETS": SECRET}
    async with run_routers(server, 2, **settings) as (one, other):
        ada, eve = issue("ada"), issue("eve")
        assert (await publish(one.public, ada))[0] == 201
        await remove(one.admin, "ada", token="")

        async def is_refused() -> bool:
            return await publish(other.public, ada) == REMOVED

        await until(is_refused, WITHIN_S)
        one.process.kill()
        await one.process.wait()
        await until(lambda: joins(other, eve))
        assert await publish(other.public, ada) == REMOVED
        assert (await publish(other.public, issue("ada", later_s=2.0)))[0] == 201


async def joins(router: Router, token: str) -> bool:
    return (await publish(router.public, token))[0] == 201


@pytest.mark.e2e
@pytest.mark.parametrize("gone", [False, True], ids=["who banned is there", "who banned is gone"])
async def test_a_router_that_starts_after_redis_lost_everything_learns_it(tmp_path: Path, gone: bool) -> None:
    async with run_routers_here(tmp_path) as (server, stack, (one, other)):
        assert (await publish(one.public.base_url, issue("ada")))[0] == 201
        ada = issue("ada")
        await remove(str(one.admin.base_url), "ada")
        one.server.registry.revocations.revoke_identity("mallory")
        for identity in ("ada", "mallory"):
            await until(partial(is_banned, other, identity), WITHIN_S)
        if gone:
            await one.server.stop()
        await server.command("FLUSHALL")
        third = await start(stack, server, "third")
        for identity in ("ada", "mallory"):
            took_s = await until(partial(is_banned, third, identity), RESTORED_S)
            print(f"\n{identity} is refused by the third after {took_s:.1f} s")
        assert await publish(third.public.base_url, ada) == REMOVED

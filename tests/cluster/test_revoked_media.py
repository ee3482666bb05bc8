"""A token revoked during a call, by the router that has the call or by another one: when the last packet passes.

Whole routers on one real Redis, raw SRTP between two of the people.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from router import clock
from router.rooms import JoinGrant
from tests.attack.stage import WRITER, Stage, attack_settings, bearer, run_stage
from tests.cluster.redis_servers import RedisServer, needs_redis, run_servers
from tests.signaling.public import TOKENS
from tests.signaling.real_router import RealRouter
from tests.signaling.test_rights_media import Member, hears, join

pytestmark = [pytest.mark.e2e, pytest.mark.alone, needs_redis, pytest.mark.timeout(120)]

WITHIN_S = 1.0
"""What the issue allows."""
PACKET_S = 0.01
SILENCE_S = 0.5
"""So long without a packet, where one is sent every 10 ms, is the end."""


@asynccontextmanager
async def two_routers(directory: Path) -> AsyncIterator[tuple[Stage, Stage]]:
    async with run_servers([RedisServer(directory)]) as (server,):
        one, other = (
            attack_settings(
                redis={"url": server.url, "prefix": "test", "node": node},
                auth={"secrets": ["0123456789abcdef0123456789abcdef"]},  # of `TOKENS`
            )
            for node in ("one", "other")
        )
        async with run_stage(one, people=False) as here, run_stage(other, people=False) as there:
            yield here, there


async def end_of_media_s(listener: Member, speaker: Member, revoke: Callable[[], Awaitable[None]]) -> float:
    """How long after it was asked for the last packet of a steady speaker arrived."""
    started_us = last_us = clock.monotonic_us()
    heard = listener.heard
    revoking = asyncio.ensure_future(revoke())
    while clock.monotonic_us() - last_us < SILENCE_S * 1e6:
        speaker.speak(1)
        await asyncio.sleep(PACKET_S)
        if listener.heard > heard:
            heard, last_us = listener.heard, clock.monotonic_us()
        assert last_us - started_us < 10 * WITHIN_S * 1e6, "the media goes on"
    await revoking
    return (last_us - started_us) / 1e6


@pytest.mark.parametrize("asked", ["the router with the call", "another router"])
@pytest.mark.parametrize("what", ["token", "identity"])
async def test_media_of_a_revoked_token_stops_in_time(tmp_path: Path, asked: str, what: str) -> None:
    async with two_routers(tmp_path) as (here, there):
        assert here.server._engine is not None, "it runs"
        router = RealRouter(here.server.registry, here.server._engine, here.public)
        token = TOKENS.issue(JoinGrant("lobby", "ada"))
        grant = TOKENS.verify(token)
        ada, eve = await join(router, "ada", token=token), await join(router, "eve")
        await hears(eve, ada)
        admin = here.admin if asked == "the router with the call" else there.admin
        body = {"token_id": grant.token_id} if what == "token" else {"identity": "ada", "room": "lobby"}

        async def revoke() -> None:
            reply = await admin.post("/v1/tokens/revocations", json=body, headers=bearer(WRITER))
            assert reply.status_code == 201, reply.text

        took_s = await end_of_media_s(eve, ada, revoke)
        print(f"\nrevoked at {asked}, by {what}: the last packet after {took_s * 1e3:.0f} ms")
        assert took_s <= WITHIN_S
        assert list(router.registry.rooms["lobby"].participants) == ["eve"]
        for stage in (here, there):
            assert stage.server.registry.revocations.is_revoked(grant)
        for member in (ada, eve):
            member.peer.close()

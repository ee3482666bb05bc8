"""A scrape costs the same with two peers and with five thousand, and next to nothing of the engine's time.

The peers are real to the engine and to the rooms: forks with tracks and slots, negotiated and assigned, with SRTP keys
of both directions. Only the handshake that would agree on these is left out.
"""

import os

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from router import clock
from router.admin.app import create_admin_app
from router.admin.state import AdminState
from router.admin.tokens import AdminTokens
from router.rooms.limits import RoomLimits
from router.rooms.rights import JoinGrant
from router.rtc.constraints import SrtpProfile
from router.rtc.srtp import KEY_BYTES
from tests.rtc.offers import player, publisher
from tests.signaling.real_router import RealRouter, real_router

PEERS = 5_000
ROOM_OF = 500
MAX_SCRAPE_MS = 20.0
MAX_ENGINE_US = 200.0
"""Of a worker's time a scrape."""
LABELS = {
    *("worker", "direction", "kind", "reason", "stage", "result", "transport", "command", "le", "limited_by", "height"),
    *("class", "version", "python", "sink", "action"),
}
SILENCE_S = 600.0
"""These peers never send."""
LIMITS = RoomLimits(max_participants_per_room=ROOM_OF, connect_timeout_s=SILENCE_S)


async def fill(router: RealRouter, peers: int) -> None:
    """Rooms of one publisher each, the others watch and hear it."""
    profile: SrtpProfile = "AEAD_AES_128_GCM"
    for number in range(peers):
        room = f"canary-room-{number // ROOM_OF}"
        grant = JoinGrant(room, f"canary-peer-{number}")
        publishes = number % ROOM_OF == 0
        joining = router.registry.join(
            room, grant, publisher() if publishes else player(), "whip" if publishes else "whep"
        )
        transport = (await joining).connection.transport
        assert transport is not None
        assert transport.id is not None
        inbound, outbound = (os.urandom(KEY_BYTES[profile]) for _ in range(2))
        router.engine.set_srtp(transport.id, profile, inbound, outbound)


def admin(router: RealRouter) -> httpx.AsyncClient:
    registry = router.registry
    state = AdminState(registry, registry.metrics, router.engine.native.counters, dict, AdminTokens([]))
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_admin_app(state)), base_url="http://127.0.0.1")


async def scrape(client: httpx.AsyncClient) -> str:
    return (await client.get("/metrics")).text


def samples(text: str) -> list[tuple[str, frozenset[str]]]:
    families = text_string_to_metric_families(text)
    return [(sample.name, frozenset(sample.labels)) for family in families for sample in family.samples]


def busy_us(router: RealRouter) -> int:
    return sum(worker["busy_us"] for worker in router.engine.native.counters())


@pytest.mark.timeout(120)
async def test_a_scrape_looks_at_no_peer() -> None:
    async with real_router(LIMITS, timeout_s=SILENCE_S) as router, admin(router) as client:
        for _ in range(2):
            await fill(router, 2)
            few = samples(await scrape(client))
            await router.registry.get_room("canary-room-0").close()
        await fill(router, PEERS)
        took_ms = []
        for _ in range(9):
            begun_us = clock.monotonic_us()
            text = await scrape(client)
            took_ms.append((clock.monotonic_us() - begun_us) / 1e3)
        before_us = busy_us(router)
        for _ in range(50):
            router.engine.native.counters()
        engine_us = (busy_us(router) - before_us) / 50
        print(f"{min(took_ms):.1f}, mostly {sorted(took_ms)[4]:.1f} ms a scrape, {engine_us:.0f} us of the engine")
        assert f"sfu_forks {float(PEERS)}" in text
        assert min(took_ms) < MAX_SCRAPE_MS
        assert engine_us < MAX_ENGINE_US
        many = samples(text)
        assert set(many) == set(few), "nothing is told of one room or peer"
        assert len(many) == len(few)
        assert set().union(*(labels for _, labels in many)) <= LABELS
        assert "canary" not in text

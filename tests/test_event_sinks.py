"""Events of a whole router: in this process, and as a process of its own, to real receivers and listeners."""

import asyncio
import signal
from typing import Any

import httpx

from router.config import Settings, load_settings
from router.server import RouterServer
from tests.e2e.router_process import ADMIN_TOKEN, run_router
from tests.events.receiver import SECRET, Receiver, answer, receiving

FREE = {"public": {"port": 0}, "admin": {"port": 0}, "media": {"udp_port": 0, "addresses": ["127.0.0.1"]}}
CANARY = "canary-in-the-path-of-the-url"


def settings(*receivers: Receiver, **changes: Any) -> Settings:
    webhooks = {
        "urls": [f"http://127.0.0.1:{receiver.port}/{CANARY}?token={CANARY}" for receiver in receivers],
        "secret": SECRET,
        "allow_http": True,
        "allowed_networks": ["127.0.0.1/32"],
        **changes,
    }
    return load_settings(flags={"dev": True, **FREE, "webhooks": webhooks})


def events_of(receiver: Receiver, room: str | None = None) -> list[str]:
    """Kinds in the order of their first arrival."""
    events = [request.event for request in receiver.requests]
    return [event["event"] for event in events if (event.get("room") or {}).get("name") == room]


async def test_receivers_are_told_the_life_of_node_and_rooms() -> None:
    async with receiving() as one, receiving() as other:
        async with RouterServer(settings(one, other)) as server:
            for name in ("a", "b"):
                await server.registry.create_room(name).close()
            server.registry.create_room("c")
            # What is under way together may come in any order, so the last room's is not waited for by count alone.
            await one.wait_for(6)
            await other.wait_for(6)
        for receiver in (one, other):
            assert events_of(receiver) == ["node_started", "node_draining", "node_stopped"]
            for room in ("a", "b", "c"):
                assert events_of(receiver, room) == ["room_started", "room_finished"]
            for request in receiver.requests:
                request.verify()
                assert request.event["node"].startswith("N_")
            assert len({request.event["id"] for request in receiver.requests}) == 9
        assert [r.event["reason"] for r in one.requests if r.event["event"] == "room_finished"][-1] == "shutting-down"


async def test_a_receiver_that_fails_or_hangs_hurts_no_other_and_does_not_hold_up_the_end() -> None:
    async with receiving() as good, receiving() as failing, receiving() as hanging:
        failing.answers = [answer(302, "Location: http://169.254.169.254/")] * 50
        hanging.answers = [None] * 50
        async with RouterServer(settings(good, failing, hanging)) as server:
            await server.registry.create_room("a").close()
            await good.wait_for(3)
            await failing.wait_for(3)
            async with asyncio.timeout(5):
                counts = await read_webhooks(server, until=lambda items: items[1]["dead"] == 3)
            assert [item["delivered"] for item in counts] == [3, 0, 0]
            assert counts[1]["last_failure"] == "redirect 302"
            assert counts[2]["queued"] == 3
            assert CANARY not in str(counts)
            stopping = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - stopping < 10
        assert events_of(good) == ["node_started", "node_draining", "node_stopped"]
        assert events_of(hanging, "a") == ["room_started"], "the second waits for the first"


async def read_webhooks(server: RouterServer, until: Any) -> Any:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.admin_port}") as client:
        while True:
            items = (await client.get("/v1/webhooks")).json()["items"]
            if until(items):
                return items


async def test_only_the_kinds_that_were_asked_for() -> None:
    async with receiving() as receiver:
        async with RouterServer(settings(receiver, kinds=["room_finished"])) as server:
            await server.registry.create_room("a").close()
        assert events_of(receiver, "a") == ["room_finished"]
        assert events_of(receiver) == []


async def test_loopback_is_refused_unless_it_is_allowed() -> None:
    async with receiving() as receiver:
        async with RouterServer(settings(receiver, allowed_networks=[])) as server:
            async with asyncio.timeout(5):
                (item,) = await read_webhooks(server, until=lambda items: items[0]["dead"] == 1)
            assert item["last_failure"] == "forbidden-address"
        assert receiver.connections == 0


async def test_a_router_process_tells_listener_and_receiver_and_ends_in_order() -> None:
    async with receiving() as receiver:
        environment = {
            "ROUTER_WEBHOOKS__URLS": f"http://127.0.0.1:{receiver.port}/{CANARY}",
            "ROUTER_WEBHOOKS__SECRET": SECRET,
            "ROUTER_WEBHOOKS__ALLOW_HTTP": "true",
            "ROUTER_WEBHOOKS__ALLOWED_NETWORKS": "127.0.0.0/8",
            "ROUTER_LOG__LEVEL": "debug",
        }
        async with run_router(settings=environment) as router:
            admin = f"http://127.0.0.1:{router.admin_port}/v1/events"
            headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Last-Event-ID": "from the beginning"}
            lines: list[str] = []
            async with httpx.AsyncClient() as client, client.stream("GET", admin, headers=headers) as stream:
                token = {"Authorization": f"Bearer {router.token('lobby', 'ada')}"}
                offer = await client.get(f"{router.url}/rooms/lobby/offer", headers=token)
                assert offer.status_code == 200
                await receiver.wait_for(2)
                router.process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(10):
                    lines = [line async for line in stream.aiter_lines() if line.startswith("event: ")]
            assert await router.process.wait() == 0
            kinds = [line.removeprefix("event: ") for line in lines]
            assert kinds == ["gap", "node_started", "room_started", "node_draining", "room_finished", "node_stopped"]
            assert events_of(receiver) == ["node_started", "node_draining", "node_stopped"]
            assert events_of(receiver, "lobby") == ["room_started", "room_finished"]
            log = "\n".join(router.log)
            assert [secret for secret in (CANARY, SECRET, ADMIN_TOKEN, "sha256") if secret in log] == []

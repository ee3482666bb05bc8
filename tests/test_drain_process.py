"""SIGTERM on a router with a call: a process of its own, real peers, and what everybody sees meanwhile."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from aiortc import RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from router import clock
from router.server import RouterServer
from tests.cluster.waiting import until
from tests.rooms.fakes import publish_offer
from tests.rtc.peers import make_peer
from tests.signaling.public import SDP, text
from tests.test_server import read_until, settings, start_process

pytestmark = pytest.mark.timeout(60)

FLAGS = ("--dev", "--port", "0", "--admin-port", "0", "--udp-port", "0")


class Router:
    """The process, and clients of its two ports."""

    def __init__(self, process: asyncio.subprocess.Process | None, started: dict[str, str]) -> None:
        self._process = process
        self._tokens: dict[tuple[str, str], str] = {}
        self.public = httpx.AsyncClient(base_url=f"http://{started['public']}")
        self.admin = httpx.AsyncClient(base_url=f"http://{started['admin']}")

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "where it is not in this one"
        return self._process

    async def token(self, room: str, name: str) -> str:
        if (room, name) not in self._tokens:
            reply = await self.public.get("/dev/token", params={"room": room, "name": name})
            self._tokens[room, name] = reply.json()["token"]
        return self._tokens[room, name]

    async def publish(self, room: str, name: str, offer: str | None = None) -> httpx.Response:
        headers = {"Content-Type": SDP, "Authorization": f"Bearer {await self.token(room, name)}"}
        return await self.public.post(f"/whip/{room}", content=offer or text(publish_offer()), headers=headers)

    @asynccontextmanager
    async def events(self, room: str, name: str) -> AsyncIterator[ClientConnection]:
        url = f"{self.public.base_url}".replace("http", "ws").rstrip("/")
        async with connect(f"{url}/rooms/{room}/events?access_token={await self.token(room, name)}") as events:
            yield events

    async def end_s(self, within_s: float) -> float:
        """How long it took to end."""
        started_us = clock.monotonic_us()
        async with asyncio.timeout(within_s):
            await self.process.communicate()
        return (clock.monotonic_us() - started_us) / 1e6


@asynccontextmanager
async def running(**environment: str) -> AsyncIterator[Router]:
    process = await start_process(*FLAGS, **environment)
    router = Router(process, json.loads((await read_until(process, "router started"))[-1]))
    try:
        async with router.public, router.admin:
            yield router
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_call_goes_on_and_the_process_ends_when_it_does() -> None:
    async with running(ROUTER_DRAIN__DEADLINE_S="600") as router:
        peer = make_peer()
        peer.addTrack(AudioStreamTrack())

        async def is_connected() -> bool:
            return str(peer.connectionState) == "connected"

        await peer.setLocalDescription(await peer.createOffer())
        answer = await router.publish("a", "ada", peer.localDescription.sdp)
        await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        async with router.events("a", "ada") as events:
            assert json.loads(await events.recv())["type"] == "welcome"

            router.process.send_signal(signal.SIGTERM)
            signalled_us = clock.monotonic_us()
            while (reply := await router.admin.get("/readyz")).status_code == 200:
                assert clock.monotonic_us() - signalled_us < 1_000_000
            assert "not-draining" in reply.json()["detail"]
            assert {**reply.json()["drain"], "since": None, "remaining_s": None} == {
                "state": "draining", "by": "signal", "since": None, "remaining_s": None, "exit": True,
                "rooms": 1, "participants": 1,
            }  # fmt: skip
            assert reply.json()["drain"]["remaining_s"] > 590
            while (message := json.loads(await events.recv()))["type"] != "draining":
                pass
            assert message["draining"] is True
            assert 590 < message["ends_in_s"] <= 600

            refused = await router.publish("b", "bob")
            assert (refused.status_code, refused.json()["slug"]) == (503, "draining")
            assert 1 <= int(refused.headers["Retry-After"]) <= 5
            joined = await router.publish("a", "bob")
            assert joined.status_code == 201
            undrained = await router.admin.delete("/v1/drain")
            assert (undrained.status_code, undrained.json()["slug"]) == (409, "drain-by-signal")
            await until(is_connected)
            assert (await router.admin.get("/healthz")).status_code == 200

            for reply, name in ((joined, "bob"), (answer, "ada")):
                authorization = {"Authorization": f"Bearer {await router.token('a', name)}"}
                left = await router.public.delete(reply.headers["Location"], headers=authorization)
                assert left.status_code == 200
        assert await router.end_s(5) < 3
        assert router.process.returncode == 0
        await peer.close()


async def test_it_ends_at_the_deadline() -> None:
    async with running(ROUTER_DRAIN__DEADLINE_S="1.5") as router:
        assert (await router.publish("a", "ada")).status_code == 201
        router.process.send_signal(signal.SIGTERM)
        assert 1.3 < await router.end_s(10) < 8
        assert router.process.returncode == 0


async def test_a_second_signal_ends_it_in_order() -> None:
    async with running(ROUTER_DRAIN__DEADLINE_S="600") as router:
        assert (await router.publish("a", "ada")).status_code == 201
        async with router.events("a", "ada") as events:
            router.process.send_signal(signal.SIGTERM)
            await read_until(router.process, "draining")
            router.process.send_signal(signal.SIGTERM)
            messages: list[Any] = []
            with suppress(ConnectionClosedError):  # to the library, 1012 is one
                while True:
                    messages.append(await events.recv())
            assert json.loads(messages[-1])["slug"] == "shutting-down"
            assert events.close_code == 1012
        assert await router.end_s(5) < 5
        assert router.process.returncode == 0


async def test_an_operators_drain_is_taken_back_and_ends_the_process_when_asked_to() -> None:
    async with RouterServer(settings()) as server:
        router = Router(None, {"public": f"127.0.0.1:{server.public_port}", "admin": f"127.0.0.1:{server.admin_port}"})
        async with router.public, router.admin:
            assert (await router.publish("a", "ada")).status_code == 201
            reply = await router.admin.post("/v1/drain", json={"deadline_s": None, "exit": False})
            assert (reply.status_code, reply.json()["state"], reply.json()["by"]) == (202, "draining", "operator")
            assert (await router.admin.get("/readyz")).status_code == 503
            assert (await router.publish("b", "bob")).status_code == 503
            assert (await router.admin.delete("/v1/drain")).json()["state"] == "serving"
            assert (await router.admin.get("/readyz")).status_code == 200
            assert (await router.publish("b", "bob")).status_code == 201
            assert (await router.admin.post("/v1/drain", json={"deadline_s": -1})).status_code == 400
            assert (await router.admin.post("/v1/drain")).json()["remaining_s"] == pytest.approx(60, abs=2)
            assert not server.drain.finished.is_set()
            reply = await router.admin.post("/v1/drain", json={"deadline_s": 0})
            assert (reply.status_code, reply.json()["state"]) == (202, "stopping")
            assert server.drain.finished.is_set()

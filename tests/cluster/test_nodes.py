"""Two routers of one process over a real Redis: one answers for what the other holds, and sends clients to it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest
from websockets.asyncio.client import connect

from router import clock
from router.cluster.entries import NodeEntry, RoomEntry
from router.config import load_settings
from router.server import RouterServer
from tests.cluster.conftest import node, open_redis
from tests.cluster.redis_servers import RedisServer, free_port, needs_redis
from tests.cluster.waiting import until
from tests.rooms.fakes import publish_offer
from tests.signaling.public import SDP, text

pytestmark = [needs_redis, pytest.mark.timeout(60)]

SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f00112233445566778"
TOKEN, READER = "an-admin-token-4711-canary", "a-reading-token-0815-canary"
WITH = {"Authorization": f"Bearer {TOKEN}"}


class Node:
    """A router, and clients of its ports."""

    def __init__(self, server: RouterServer, name: str) -> None:
        self.server = server
        self.id = name
        self.admin = httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.admin_port}", headers=WITH)
        self.public = httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.public_port}")

    async def publish(self, room: str, identity: str, **headers: str) -> httpx.Response:
        given = {"Content-Type": SDP, "Authorization": f"Bearer {join_token(room, identity)}", **headers}
        return await self.public.post(f"/whip/{room}?a=1", content=text(publish_offer()), headers=given)


def join_token(room: str, identity: str) -> str:
    grant = {"room": room, "sub": identity, "publish": True, "subscribe": True, "exp": 4102444800}
    return jwt.encode(grant, SECRET, algorithm="HS256")


def settings(url: str, name: str) -> dict[str, Any]:
    admin, public = free_port(), free_port()
    return {
        "public": {"host": "127.0.0.1", "port": public, "url": f"http://127.0.0.1:{public}"},
        "admin": {"port": admin, "token": TOKEN, "tokens": {"reader": {"token": READER}}},
        "media": {"udp_port": 0, "addresses": ["127.0.0.1"]},
        "auth": {"secrets": [SECRET]},
        "redis": {"url": url, "prefix": "test", "node": name, "admin_url": f"http://127.0.0.1:{admin}"},
    }


@asynccontextmanager
async def run_node(url: str, name: str) -> AsyncIterator[Node]:
    async with RouterServer(load_settings(flags=settings(url, name))) as server:
        made = Node(server, name)
        async with made.admin, made.public:
            yield made


@pytest.fixture
async def nodes(server: RedisServer) -> AsyncIterator[tuple[Node, Node]]:
    async with run_node(server.url, "one") as one, run_node(server.url, "two") as two:

        async def both_are_known() -> bool:
            return len((await two.admin.get("/v1/nodes")).json()["items"]) == 2

        await until(both_are_known)
        yield one, two


async def share(nodes: tuple[Node, Node], room: str = "a room") -> str:
    """A room at the first node, known to the second; its path."""
    one, two = nodes
    assert (await one.publish(room, "ada")).status_code == 201
    path = f"/v1/rooms/{room.replace(' ', '%20')}"

    async def is_known() -> bool:
        return (await two.admin.get(path)).status_code == 200

    assert await until(is_known) < 1.0
    return path


async def test_whoever_is_asked_answers_with_the_truth_of_who_has_the_room(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    path = await share(nodes)
    there = await two.admin.get(path)
    assert there.headers["Fork-Router-Node"] == "one"
    here = await one.admin.get(path)
    assert "Fork-Router-Node" not in here.headers
    assert there.json() == here.json()
    (ada,) = (await two.admin.get(f"{path}/participants", params={"limit": 5})).json()["items"]
    changed = await two.admin.patch(f"{path}/participants/{ada['id']}", json={"name": "Ada Lovelace"})
    assert (changed.status_code, changed.json()["name"]) == (200, "Ada Lovelace")
    assert (await one.admin.get(f"{path}/participants/{ada['id']}")).json()["name"] == "Ada Lovelace"
    refused = await two.admin.patch(f"{path}/participants/{ada['id']}", json={"name": 5})
    assert refused.status_code == 400
    unknown = await two.admin.get(f"{path}/participants/P_none")
    assert (unknown.status_code, unknown.json()["slug"]) == (404, "unknown-participant")
    large = await two.admin.patch(f"{path}/participants/{ada['id']}", content=b" " * 65_537)
    assert (large.status_code, large.json()["slug"]) == (413, "payload-too-large")
    assert (await two.admin.get("/v1/rooms/none")).json()["slug"] == "unknown-room"
    created = await two.admin.post("/v1/rooms", json={"name": "a room"})
    assert (created.status_code, created.headers["Fork-Router-Node"]) == (200, "one")
    created = await two.admin.post("/v1/rooms", json={"name": "another"})
    assert (created.status_code, created.headers.get("Fork-Router-Node")) == (201, None)


async def test_what_is_sent_again_is_answered_again_by_whichever_node_it_comes_to(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    path = await share(nodes)
    key = {"Idempotency-Key": "once"}
    replies = [await asked.admin.post(f"{path}/lock", headers=key) for asked in (two, one, two)]
    told = [(reply.status_code, reply.headers.get("Idempotency-Replayed")) for reply in replies]
    assert told == [(200, None), (200, "true"), (200, "true")]


async def test_rights_are_those_of_the_caller(nodes: tuple[Node, Node]) -> None:
    _, two = nodes
    path = await share(nodes)
    reading = {"Authorization": f"Bearer {READER}"}
    assert (await two.admin.get(path, headers=reading)).status_code == 200
    refused = await two.admin.patch(f"{path}/participants/P_none", headers=reading, json={})
    assert (refused.status_code, refused.json()["slug"]) == (403, "read-only-token")
    for wrong in ("Bearer another", "Node-Proof abc.def.ghi", ""):
        assert (await two.admin.get(path, headers={"Authorization": wrong})).status_code == 401


async def test_lists_are_of_all_nodes(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    for room in ("a", "c", "e"):
        await one.publish(room, "ada")
    await two.publish("b", "bob")
    await two.publish("d", "bob")

    async def all_are_listed() -> bool:
        return len((await two.admin.get("/v1/rooms")).json()["items"]) == 5

    await until(all_are_listed)
    items, cursor = [], None
    while True:
        page = (await two.admin.get("/v1/rooms", params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        items += page["items"]
        if (cursor := page["next_cursor"]) is None:
            break
    assert [(item["name"], item.get("node")) for item in items] == [
        ("a", "one"), ("b", None), ("c", "one"), ("d", None), ("e", "one"),
    ]  # fmt: skip
    listed = (await two.admin.get("/v1/nodes")).json()
    assert listed["complete"]
    assert [(item["id"], item["here"], item["state"]) for item in listed["items"]] == [
        ("one", False, "serving"), ("two", True, "serving"),
    ]  # fmt: skip
    assert listed["items"][1]["rooms"] == 2
    assert (await two.admin.get("/v1/nodes/one")).json()["admin_url"] == str(one.admin.base_url).rstrip("/")
    assert (await two.admin.get("/v1/nodes/none")).json()["slug"] == "unknown-node"


async def test_without_redis_nodes_find_each_others_rooms_and_say_what_they_cannot_know(
    nodes: tuple[Node, Node], server: RedisServer
) -> None:
    one, two = nodes
    path = await share(nodes)
    await server.kill()

    async def is_noticed() -> bool:
        return not (await two.admin.get("/v1/nodes")).json()["complete"]

    await until(is_noticed)
    asked_us = clock.monotonic_us()
    assert (await one.admin.get(path)).status_code == 200
    assert clock.monotonic_us() - asked_us < 200_000
    there = await two.admin.get(path)
    assert (there.status_code, there.headers["Fork-Router-Node"]) == (200, "one"), "it says itself that it has it"
    unknown = await two.admin.get("/v1/rooms/none")
    assert (unknown.status_code, unknown.json()["slug"]) == (503, "store-unavailable")
    assert (await two.publish("a room", "bob")).headers["Location"].startswith(str(one.public.base_url))
    assert (await two.publish("new", "bob")).status_code == 201


async def claim(server: RedisServer, entry: NodeEntry, room: str) -> None:
    """Writes a node and its room as whoever can write to the store may."""
    store = open_redis(server.url)
    stands, _ = await store.write_node(entry)
    await store.write_rooms([RoomEntry(room, stands.id, 1, 1000.0)], {})
    await store.close()


async def test_a_node_that_is_away_or_silent_is_told_and_learns_no_token(
    nodes: tuple[Node, Node], server: RedisServer
) -> None:
    _, two = nodes
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        await claim(server, node("gone", admin_url=f"http://127.0.0.1:{closed.getsockname()[1]}"), "lost")
        reply = await two.admin.get("/v1/rooms/lost")
        assert (reply.status_code, reply.json()["slug"]) == (502, "node-unreachable")
        assert "gone" in reply.json()["detail"]
    await claim(server, node("mute", admin_url=""), "untold")
    assert (await two.admin.get("/v1/rooms/untold")).status_code == 502

    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(4096):
            heard.extend(part)
        writer.close()

    await two.server._nodes.close()
    two.server._nodes.__init__(silence_timeout_s=0.3)  # type: ignore[misc] # a shorter patience, in place
    async with await asyncio.start_server(listen, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        await claim(server, node("silent", admin_url=f"http://127.0.0.1:{port}/prefix"), "still")
        reply = await two.admin.get("/v1/rooms/still?limit=5")
        assert (reply.status_code, reply.json()["slug"]) == (504, "node-timeout")
    assert heard.startswith(b"GET /prefix/v1/rooms/still?limit=5 HTTP/1.1\r\n")
    assert b"Node-Proof" in heard
    assert b"canary" not in heard


async def test_a_request_goes_one_hop(nodes: tuple[Node, Node], server: RedisServer) -> None:
    one, two = nodes
    await claim(server, node("mirror", admin_url=str(one.admin.base_url)), "loop")
    # The proof is for the node "mirror", so "one" would refuse; without the hop header it would ask itself for ever.
    assert (await two.admin.get("/v1/rooms/loop")).status_code == 401
    assert (await two.admin.get("/v1/rooms/loop", headers={"Fork-Router-Hop": "1"})).json()["slug"] == "unknown-room"


async def test_clients_are_sent_to_the_node_that_has_their_room(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    await share(nodes, "b")
    home = str(one.public.base_url).rstrip("/")
    reply = await two.publish("b", "bob")
    assert (reply.status_code, reply.headers["Location"]) == (307, f"{home}/whip/b?a=1")
    reply = await two.publish("b", "bob", Accept="application/problem+json")
    assert (reply.status_code, reply.json()["slug"], reply.json()["node_url"]) == (503, "room-elsewhere", home)
    authorization = {"Authorization": f"Bearer {join_token('b', 'bob')}"}
    assert (await two.public.get("/rooms/b/offer", headers=authorization)).status_code == 307
    events = f"{two.public.base_url}".replace("http", "ws").rstrip("/")
    async with connect(f"{events}/rooms/b/events?access_token={join_token('b', 'bob')}") as websocket:
        assert json.loads(await websocket.recv())["node_url"] == home
    assert two.server.registry.rooms == {}


async def test_a_node_tells_what_another_has_as_the_other_sees_it(nodes: tuple[Node, Node]) -> None:
    _, two = nodes
    await share(nodes)
    theirs = await two.admin.get("/v1/nodes/one/overview", params={"search": "ROOM", "limit": 1})
    assert theirs.headers["Fork-Router-Node"] == "one"
    told = theirs.json()
    assert (told["node"]["id"], told["total"], [room["name"] for room in told["rooms"]]) == ("one", 1, ["a room"])
    assert told["node"]["counters"]["transports"] == [1]
    assert (await two.admin.get("/v1/nodes/two/overview")).json()["total"] == 0
    assert (await two.admin.get("/v1/nodes/none/overview")).json()["slug"] == "unknown-node"


async def test_newcomers_of_a_node_that_drains_go_to_another_which_may_ask_it_to(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    path = await share(nodes, "b")
    began = await two.admin.post("/v1/nodes/one/drain", json={"deadline_s": None})
    assert (began.status_code, began.headers["Fork-Router-Node"], began.json()["participants"]) == (202, "one", 1)
    assert not one.server.check_readiness()["not-draining"]

    async def is_known() -> bool:
        return bool((await two.admin.get("/v1/nodes/one")).json()["state"] == "draining")

    assert await until(is_known) < 0.5
    other = str(two.public.base_url).rstrip("/")
    assert (await one.publish("new", "bob")).headers["Location"] == f"{other}/whip/new?a=1"
    assert (await one.publish("b", "bob")).status_code == 201
    assert (await two.admin.get(path)).json()["participants"] == 2
    ended = await two.admin.delete("/v1/nodes/one/drain")
    assert (ended.status_code, ended.json()["state"]) == (200, "serving")
    assert (await one.publish("new", "bob")).status_code == 201
    assert (await two.admin.post("/v1/nodes/none/drain")).json()["slug"] == "unknown-node"


async def test_a_room_that_a_drain_closed_opens_as_it_was_at_another_node(
    nodes: tuple[Node, Node], server: RedisServer
) -> None:
    one, two = nodes
    path = await share(nodes, "b")
    assert (await one.admin.patch(path, json={"locked": True, "metadata": "tea"})).status_code == 200
    store = open_redis(server.url)

    async def is_kept() -> bool:
        setup = await store.find_setup("b")
        return setup is not None and setup.config.get("inside") == ["ada"]

    await until(is_kept)
    await store.close()
    assert (await one.admin.post("/v1/drain", json={"deadline_s": 0.5, "exit": False})).status_code == 202

    async def is_let_in() -> bool:
        return (await two.publish("b", "ada")).status_code == 201

    await until(is_let_in)
    there = (await two.admin.get(path)).json()
    assert (there["locked"], there["metadata"], there["participants"]) == (True, "tea", 1)
    refused = await two.publish("b", "eve")
    assert (refused.status_code, refused.json()["slug"]) == (403, "room-locked")

"""Asking another node which rooms it has: what is sent, what is believed, and how long anybody waits."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from router import clock
from router.admin import node_proof
from router.admin.node_questions import ASK_TIMEOUT_S, MAX_QUERY_CHARACTERS, NodeQuestions
from router.admin.tokens import AdminToken, AdminTokens
from router.cluster.directory import RoomDirectory
from router.cluster.entries import NodeAddress
from router.cluster.membership import Membership, NodeLoad
from router.cluster.memory_store import MemoryStore
from router.cluster.peers import TELL_TIMEOUT_S, Peers
from router.cluster.told import MAX_ROOMS, MAX_TOLD_BYTES, Told, write_told
from tests.admin.conftest import TOKEN, Router, open_client
from tests.cluster.conftest import SETUP, node, room
from tests.cluster.waiting import until

TOKENS = AdminTokens([AdminToken("old", "an-old-token-canary-4711"), AdminToken("new", "a-new-token-canary-0815")])
TIMEOUT_S = 0.3
Answer = Callable[["Asked"], Awaitable[bytes]]


@dataclass
class Asked:
    """One request."""

    target: str
    headers: dict[str, str]

    @property
    def rooms(self) -> list[str]:
        return parse_qs(urlsplit(self.target).query)["name"]

    @property
    def signer(self) -> str | None:
        scheme, _, proof = self.headers.get("authorization", "").partition(" ")
        assert scheme == node_proof.SCHEME
        token = node_proof.find_signer(proof, TOKENS, "N_1", "GET", self.target)
        return token.name if token else None


@dataclass
class Far:
    """A node at the other end, which answers as a test says."""

    answer: Answer
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    under_way: int = 0
    most_under_way: int = 0
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: "set[asyncio.Task[Any] | None]" = field(default_factory=set)

    @property
    def address(self) -> NodeAddress:
        return NodeAddress("N_1", f"http://127.0.0.1:{self.port}", "https://one.example.org")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until the client or the test has enough."""
        self.tasks.add(asyncio.current_task())
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.raw += head
                lines = head.decode().split("\r\n")
                fields = (line.split(": ", 1) for line in lines[1:] if line)
                self.asked.append(Asked(lines[0].split(" ")[1], {name.lower(): value for name, value in fields}))
                self.heard.set()
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
                try:
                    writer.write(await self.answer(self.asked[-1]))
                    await writer.drain()
                finally:
                    self.under_way -= 1
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def run_far(answer: Answer) -> AsyncIterator[Far]:
    far = Far(answer)
    async with await asyncio.start_server(far.serve, "127.0.0.1", 0) as server:
        far.port = server.sockets[0].getsockname()[1]
        yield far
        for task in filter(None, far.tasks):
            task.cancel()
        await asyncio.gather(*filter(None, far.tasks))


@pytest.fixture
async def ask() -> AsyncIterator[NodeQuestions]:
    made = NodeQuestions(TOKENS, timeout_s=TIMEOUT_S)
    yield made
    await made.close()
    await made.close()


def reply(body: object, status: str = "200 OK", headers: str = "") -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(raw)}\r\n\r\n".encode() + raw


def tell(asked: Asked, *, by: str = "N_1", has: str = "a") -> bytes:
    """It has room `a`."""
    here = NodeAddress(by, "http://127.0.0.1:1", "https://one.example.org")
    told = [Told(here, True, 0.5, here if name == has else None, True) for name in asked.rooms]
    return reply(write_told(here, True, 0.5, told))


async def tell_well(asked: Asked) -> bytes:
    return tell(asked)


async def test_a_node_says_what_it_has_and_sees_a_proof_and_no_token(ask: NodeQuestions) -> None:
    async with run_far(tell_well) as far:
        told = await ask(far.address, "a")
        assert told is not None
        assert told.owner is not None
        assert (told.owner.id, told.by.public_url, told.known) == ("N_1", "https://one.example.org", True)
        told = await ask(far.address, "b & ü/?#%")
        assert told is not None
        assert told.owner is None
    assert [one.rooms for one in far.asked] == [["a"], ["b & ü/?#%"]]
    assert [one.signer for one in far.asked] == ["old", "old"]
    assert b"canary" not in far.raw


async def test_without_tokens_nothing_is_shown(ask: NodeQuestions) -> None:
    async with run_far(tell_well) as far:
        bare = NodeQuestions(AdminTokens())
        assert await bare(far.address, "a") is not None
        await bare.close()
    assert b"uthorization" not in far.raw


async def test_while_tokens_are_replaced_the_other_one_is_tried(ask: NodeQuestions) -> None:
    async def know_the_new_one(asked: Asked) -> bytes:
        return tell(asked) if asked.signer == "new" else reply({}, "401 Unauthorized")

    async with run_far(know_the_new_one) as far:
        assert await ask(far.address, "a") is not None
    assert [one.signer for one in far.asked] == ["old", "new"]


async def test_rooms_that_are_asked_for_meanwhile_go_together_one_request_at_a_time(ask: NodeQuestions) -> None:
    go = asyncio.Event()

    async def wait(asked: Asked) -> bytes:
        await go.wait()
        return tell(asked, has="room-150")

    async with run_far(wait) as far:
        names = [f"room-{number}" for number in range(200)]
        tasks = [asyncio.create_task(ask(far.address, names[0]))]
        await far.heard.wait()
        tasks += [asyncio.create_task(ask(far.address, name)) for name in names[1:]]
        await asyncio.sleep(0)
        go.set()
        told = await asyncio.gather(*tasks)
    assert all(one is not None for one in told)
    assert [name for name, one in zip(names, told, strict=True) if one is not None and one.owner] == ["room-150"]
    assert [len(one.rooms) for one in far.asked] == [1, MAX_ROOMS, MAX_ROOMS, MAX_ROOMS, 200 - 1 - 3 * MAX_ROOMS]
    assert far.most_under_way == 1


async def test_long_names_go_in_several_requests_each_of_which_can_be_proven(ask: NodeQuestions) -> None:
    async with run_far(tell_well) as far:
        names = [f"{number}" + "\U0001f600" * 127 for number in range(5)]
        told = await asyncio.gather(*(ask(far.address, name) for name in names))
    assert None not in told
    assert [one.signer for one in far.asked] == ["old"] * len(far.asked)
    assert all(len(one.target) < MAX_QUERY_CHARACTERS + 200 for one in far.asked)
    assert [name for one in far.asked for name in one.rooms] == names


async def test_who_is_silent_costs_all_who_wait_one_deadline_and_one_connection(ask: NodeQuestions) -> None:
    async def never(_asked: Asked) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    async with run_far(never) as far:
        started_us = clock.monotonic_us()
        told = await asyncio.gather(*(ask(far.address, f"room-{number}") for number in range(200)))
        passed_s = (clock.monotonic_us() - started_us) / 1e6
        assert told == [None] * 200
        assert TIMEOUT_S <= passed_s < 3 * TIMEOUT_S
        assert [len(one.rooms) for one in far.asked] == [MAX_ROOMS]
        assert await until(lambda: is_idle(ask), TIMEOUT_S) < TIMEOUT_S


async def is_idle(ask: NodeQuestions) -> bool:
    return not ask._lines


async def test_a_host_that_refuses_is_gone_at_once(ask: NodeQuestions) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        started_us = clock.monotonic_us()
        address = NodeAddress("N_1", f"http://127.0.0.1:{closed.getsockname()[1]}", "")
        assert await ask(address, "a") is None
        assert clock.monotonic_us() - started_us < TIMEOUT_S * 1e6


@pytest.mark.parametrize(
    "url",
    [
        "", "http://", "http://[::1", "http://no-such-host.invalid:8081", "http://127.0.0.1:99999", "http://a b",
        "http://user:pass@127.0.0.1:1", "http://127.0.0.1:1/\x7f", "ftp://127.0.0.1:1", "http://" + "a" * 300 + ".org",
        "http://127.0.0.1:1/prefix?query#fragment", "https://127.0.0.1:1", "http://xn--\xff.org",
    ],
)  # fmt: skip
async def test_an_odd_url_is_no_answer(ask: NodeQuestions, url: str) -> None:
    assert await ask(NodeAddress("N_1", url, ""), "a") is None


async def test_what_is_no_answer_is_not_believed_and_nothing_is_followed(ask: NodeQuestions) -> None:
    async with run_far(tell_well) as target:

        def answers() -> list[bytes]:
            there = f"Location: http://127.0.0.1:{target.port}/nodes/N_1/rooms?name=a\r\n"
            asked = Asked("/?name=a", {})
            good = json.loads(tell(asked).partition(b"\r\n\r\n")[2])
            return [
                *(reply({}, status, there) for status in ("301 Moved", "302 Found", "307 Temporary", "308 Permanent")),
                *(reply(good, status) for status in ("204 Empty", "404 Not Found", "429 Too Many", "500 Bug")),
                reply(b"not json"), reply({}), reply({**good, "rooms": []}), tell(asked, by="N_2"),
                reply(b" " * (MAX_TOLD_BYTES + 1)), b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
                b"SSH-2.0-OpenSSH\r\n\r\n", b"\0" * 1_000,
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            ]  # fmt: skip

        for raw in answers():

            async def say(_asked: Asked, raw: bytes = raw) -> bytes:
                return raw

            async with run_far(say) as far:
                assert await ask(far.address, "a") is None, raw[:80]
                assert len(far.asked) == 1
        assert target.asked == []


async def test_an_answer_without_end_ends_before_its_time() -> None:
    async def flood(_asked: Asked) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n" + b"x" * (2 * MAX_TOLD_BYTES)

    ask = NodeQuestions(TOKENS, timeout_s=10.0)
    async with run_far(flood) as far, asyncio.timeout(5.0):
        assert await ask(far.address, "a") is None
    await ask.close()


async def test_whoever_stops_waiting_takes_nothing_from_the_others(ask: NodeQuestions) -> None:
    go = asyncio.Event()

    async def wait(asked: Asked) -> bytes:
        await go.wait()
        return tell(asked)

    async with run_far(wait) as far:
        first = asyncio.create_task(ask(far.address, "x"))
        await far.heard.wait()
        second, third = (asyncio.create_task(ask(far.address, name)) for name in ("y", "a"))
        await asyncio.sleep(0)
        first.cancel()
        second.cancel()
        await asyncio.sleep(0)
        go.set()
        told = await third
        assert told is not None
        assert told.owner is not None
    assert [one.rooms for one in far.asked] == [["x"], ["a"]]


# -- the other end -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def home(router: Router) -> AsyncIterator[tuple[httpx.AsyncClient, MemoryStore]]:
    """Node N_1, which has room `a`, over a store where N_2 has room `b`."""
    store = MemoryStore()
    directory = RoomDirectory(router.registry, store, router.metrics, 30.0, lambda _: SETUP)
    here = node("N_1", public_url="https://one.example.org")
    membership = Membership(here, store, directory, lambda: NodeLoad(0.5, 0, 0, draining=False))
    router.registry.create_room("a")
    await store.write_node(node("N_2", admin_url="http://10.0.0.2:8081"))
    await store.write_rooms([room("b", "N_2")], {})
    peers = Peers(router.registry, store, membership, timeout_s=60.0)
    async with open_client(router.app(peers=peers)) as client:
        yield client, store


async def read_rooms(client: httpx.AsyncClient, *names: str, path: str = "/nodes/N_1/rooms") -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return await client.get(path, params=[("name", name) for name in names], headers=headers)


async def test_a_node_answers_in_order_of_the_question(home: tuple[httpx.AsyncClient, MemoryStore]) -> None:
    client, _ = home
    answer = (await read_rooms(client, "b", "none", "a", "ü/")).json()
    assert answer["by"] == {
        "id": "N_1", "admin_url": "http://10.0.0.1:8081", "public_url": "https://one.example.org",
    }  # fmt: skip
    told = [(one["owner"] and one["owner"]["id"], one["known"]) for one in answer["rooms"]]
    assert told == [("N_2", True), (None, True), ("N_1", True), (None, True)]
    assert answer["serving"] is True


async def test_with_a_store_that_hangs_it_still_tells_what_it_has_in_time(
    home: tuple[httpx.AsyncClient, MemoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, store = home

    async def hang(_room: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(store, "find_owner", hang)
    assert TELL_TIMEOUT_S <= ASK_TIMEOUT_S / 4
    async with asyncio.timeout(10.0):  # an answer that waited for the store would come after a minute
        answer = (await read_rooms(client, "a", *(f"other-{number}" for number in range(MAX_ROOMS - 1)))).json()
    assert [one["known"] for one in answer["rooms"]] == [True] + [False] * (MAX_ROOMS - 1)
    assert answer["rooms"][0]["owner"]["id"] == "N_1"


async def test_only_who_shows_a_proof_or_a_token_is_told_and_only_of_this_node(
    home: tuple[httpx.AsyncClient, MemoryStore],
) -> None:
    client, _ = home
    target = "/nodes/N_1/rooms?name=a"
    token = AdminToken("admin", TOKEN)
    for node_id, path, status in (
        ("N_1", target, 200), ("N_2", target, 401), ("N_1", "/nodes/N_1/rooms?name=b", 401),
        ("N_1", "/v1/rooms/a", 401),
    ):  # fmt: skip
        proof = node_proof.sign(token, node_id, "GET", path)
        assert (await client.get(target, headers={"Authorization": proof})).status_code == status
    assert (await client.get(target)).status_code == 401
    assert (await read_rooms(client, "a", path="/nodes/N_9/rooms")).status_code == 404
    assert (await read_rooms(client)).status_code == 400
    assert (await read_rooms(client, "x" * 129)).status_code == 400
    assert (await read_rooms(client, *["x"] * (MAX_ROOMS + 1))).status_code == 400


async def test_questions_cost_nobody_his_rate(router: Router) -> None:
    """A question that is refused would be taken for the answer of a dead node."""
    store = MemoryStore()
    directory = RoomDirectory(router.registry, store, router.metrics, 30.0, lambda _: SETUP)
    membership = Membership(node("N_1"), store, directory, lambda: NodeLoad(0.5, 0, 0, draining=False))
    app = router.app(peers=Peers(router.registry, store, membership), requests_per_s=1.0)
    async with open_client(app) as client:
        assert [(await read_rooms(client, "a")).status_code for _ in range(20)] == [200] * 20
        assert (await read_rooms(client, path="/v1/rooms")).status_code == 200

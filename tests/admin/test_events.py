"""`GET /v1/events` over real sockets: filters, resuming, gaps, slow and many listeners, heartbeats, the end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from router.admin import event_stream
from router.events.model import NodeStarted, ParticipantChanged, ParticipantInfo
from router.listener import HttpLimits, Listener, bind_port
from tests.admin.conftest import TOKEN, Router


@dataclass
class Told:
    """One event of a stream."""

    event: str = ""
    data: Any = None
    id: str | None = None


@dataclass
class Stream:
    """A listener that parses by the book (WHATWG HTML section 9.2.6), comments counted."""

    response: httpx.Response
    comments: int = 0
    _lines: AsyncIterator[str] | None = field(default=None)

    async def next(self) -> Told:
        """The next event with data."""
        self._lines = self._lines or self.response.aiter_lines()
        told = Told()
        async with asyncio.timeout(5):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if line.startswith(":"):
                    self.comments += 1
                elif name == "event":
                    told.event = value
                elif name == "id":
                    told.id = value
                elif name == "data":
                    told.data = json.loads(value)
                elif not line and told.data is not None:
                    return told
        raise EOFError

    async def kinds(self, count: int) -> list[str]:
        """Of the next so many."""
        return [(await self.next()).event for _ in range(count)]


@dataclass
class Served:
    """The admin application on a port."""

    router: Router
    client: httpx.AsyncClient

    @asynccontextmanager
    async def listen(self, query: str = "", **headers: str) -> AsyncIterator[Stream]:
        async with self.client.stream("GET", f"/v1/events{query}", headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            yield Stream(response)

    def append(self, count: int = 1) -> None:
        for _ in range(count):
            self.router.registry.events.append(NodeStarted("1"))


@pytest.fixture
async def served(router: Router) -> AsyncIterator[Served]:
    bound = bind_port("127.0.0.1", 0, "admin")
    listener = Listener(router.app(), bound, HttpLimits())
    listener.start()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}", headers=headers) as client:
        yield Served(router, client)
    router.registry.events.end()
    await listener.stop()


async def test_rooms_are_told_as_they_live(served: Served) -> None:
    async with served.listen() as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.response.headers["cache-control"] == "no-store"
        room = served.router.registry.create_room("lobby")
        served.router.add_session(room, "ada")
        await room.close()
        told = [await stream.next() for _ in range(4)]
    assert [one.event for one in told] == ["room_started", "participant_joined", "participant_left", "room_finished"]
    assert [one.data["sequence"] for one in told] == [1, 2, 3, 4]
    assert told[1].data["participant"]["identity"] == "ada"
    assert all(one.id == one.data["id"] for one in told)


async def test_filters(served: Served) -> None:
    create = served.router.registry.create_room
    async with (
        served.listen("?room=b%20b") as of_room,
        served.listen("?kind=room_finished&kind=node_started") as of_kind,
    ):
        await create("a").close()
        await create("b b").close()
        served.append()
        rooms = [(one.event, one.data["room"]["name"]) for one in (await of_room.next(), await of_room.next())]
        assert rooms == [("room_started", "b b"), ("room_finished", "b b")]
        assert await of_kind.kinds(3) == ["room_finished", "room_finished", "node_started"]


@pytest.mark.parametrize("query", ["?kind=room_exploded", "?room=a/b", "?room=%07", "?room=", "?room=" + "x" * 200])
async def test_bad_filters(served: Served, query: str) -> None:
    response = await served.client.get(f"/v1/events{query}")
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_listener_that_comes_back_misses_nothing(served: Served) -> None:
    served.append(3)
    second = list(served.router.registry.events)[1].id
    async with served.listen(**{"Last-Event-ID": second}) as stream:
        served.append()
        assert [(await stream.next()).data["sequence"] for _ in range(2)] == [3, 4]


@pytest.mark.parametrize("last", ["E_0000000000000000-3", "nonsense", "E_0000000000000000-" + "9" * 40])
async def test_a_gap_is_told(served: Served, last: str) -> None:
    served.append(3)
    async with served.listen(**{"Last-Event-ID": last}) as stream:
        first = await stream.next()
        assert (first.event, first.id) == ("gap", None)
        assert [(await stream.next()).data["sequence"] for _ in range(3)] == [1, 2, 3]


async def test_many_missed_events_come_in_order(served: Served) -> None:
    served.append(1_000)
    first = next(iter(served.router.registry.events)).id
    async with served.listen(**{"Last-Event-ID": first}) as stream:
        served.append()
        assert [(await stream.next()).data["sequence"] for _ in range(1_000)] == list(range(2, 1_002))


async def test_a_listener_that_is_too_slow_is_told_what_it_lost(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "CAPACITY", 10)
    async with served.listen() as stream:
        served.append(25)  # in one turn of the loop: it cannot read meanwhile
        lost = await stream.next()
        assert (lost.event, lost.data, lost.id) == ("lost", {"count": 15}, None)
        assert (await stream.next()).data["sequence"] == 16
    metrics = served.router.metrics.registry
    assert metrics.get_sample_value("sfu_events_lost_total", {"sink": "sse"}) == 15


async def test_one_that_reads_nothing_holds_up_nobody_and_is_bounded(served: Served) -> None:
    """Its connection stays, with what the kernel took; what its queue does not hold is lost to it alone."""
    changed = ParticipantChanged(ParticipantInfo("P_1", "ada", "Ada", "x" * 4_096), {})
    metrics = served.router.metrics.registry
    async with served.listen(), served.listen() as reader:
        for turn in range(100):
            for _ in range(100):
                served.router.registry.events.append(changed)
            numbers = [(await reader.next()).data["sequence"] for _ in range(100)]
            assert numbers == list(range(turn * 100 + 1, turn * 100 + 101))
        queues: Any = list(served.router.registry.events._sinks)
        assert sorted(map(len, queues)) == [0, event_stream.CAPACITY]
        assert (metrics.get_sample_value("sfu_events_lost_total", {"sink": "sse"}) or 0) > 1_000


async def test_listeners_have_a_cap_and_leave_a_place_when_they_go(served: Served) -> None:
    most = 32
    gauge = served.router.metrics.event_listeners
    streams = [served.listen() for _ in range(most)]
    for stream in streams:
        await stream.__aenter__()
    refused = await served.client.get("/v1/events")
    assert (refused.status_code, refused.json()["slug"]) == (503, "too-many-listeners")
    assert refused.headers["retry-after"] == "5"
    assert gauge._value.get() == most
    for stream in streams:
        await stream.__aexit__(None, None, None)
    async with asyncio.timeout(5):
        while gauge._value.get() > 0:  # noqa: ASYNC110 - the server notices in its own turns, and tells nobody
            await asyncio.sleep(0)
    assert served.router.registry.events._sinks == {}
    async with served.listen():
        pass


async def test_heartbeats(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream.EventStreamResponse.__init__, "__kwdefaults__", {"heartbeat_s": 0.02})
    async with served.listen() as stream:
        asyncio.get_running_loop().call_later(0.2, served.append)
        await stream.next()
        assert stream.comments >= 2


async def test_the_stream_ends_with_the_log(served: Served) -> None:
    async with served.listen() as stream:
        served.append()
        served.router.registry.events.end()
        assert (await stream.next()).event == "node_started"
        with pytest.raises(EOFError):
            await stream.next()


@pytest.mark.parametrize("path", ["/v1/events", "/v1/webhooks"])
async def test_the_token_is_asked_for(served: Served, path: str) -> None:
    for authorization in ("", "Bearer wrong", f"Basic {TOKEN}"):
        response = await served.client.get(path, headers={"Authorization": authorization})
        assert response.status_code == 401


async def test_without_webhooks_the_list_is_empty(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/webhooks")).json() == {"items": []}

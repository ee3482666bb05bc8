"""The part of Janus' WebSocket API that VideoRoom needs (https://janus.conf.meetecho.com/docs/rest.html and
videoroom.html): requests matched with their answers by transaction, asynchronous ones by the event that ends them.

One connection carries the sessions of all participants. Events that answer nothing are dropped, such as the news of
other publishers; only `webrtcup` is kept.
"""

import asyncio
import itertools
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PLUGIN = "janus.plugin.videoroom"
REPLY_TIMEOUT_S = 30.0

Message = dict[str, Any]
"""JSON objects; their values are whatever JSON holds."""


class JanusError(Exception):
    """Janus or VideoRoom refused."""


@dataclass(frozen=True, slots=True)
class Handle:
    """A session's one handle: a publisher, or a subscriber with all its streams."""

    session: int
    number: int


@dataclass(frozen=True, slots=True)
class Feed:
    """One published track."""

    publisher: int
    mid: str


def create_room(room: int, publishers: int) -> Message:
    """A room without a bitrate cap; the first codec of each list that a publisher offers is taken."""
    return {
        "request": "create",
        "room": room,
        "publishers": publishers,
        "bitrate": 0,
        "audiocodec": "opus",
        "videocodec": "vp8,h264",
        "record": False,
        "notify_joining": False,
    }


def join_as_publisher(room: int, publisher: int) -> Message:
    """Joins and publishes what the offer beside it holds."""
    return {"request": "joinandconfigure", "ptype": "publisher", "room": room, "id": publisher}


def join_as_subscriber(room: int, feeds: Sequence[Feed]) -> Message:
    """Asks for an offer with these tracks."""
    streams = [{"feed": feed.publisher, "mid": feed.mid} for feed in feeds]
    return {"request": "join", "ptype": "subscriber", "room": room, "streams": streams}


def data_of(reply: Message) -> Message:
    """What VideoRoom said; raises `JanusError` when it refused, as it does inside a reply that succeeded."""
    data: Message = reply.get("plugindata", {}).get("data", {})
    if "error" in data:
        raise JanusError(f"VideoRoom: {data['error']} ({data.get('error_code')})")
    return data


def description_of(reply: Message) -> str:
    """The session description beside a reply."""
    data_of(reply)
    jsep = reply.get("jsep")
    if not jsep:
        raise JanusError(f"no description in {reply}")
    text: str = jsep["sdp"]
    return text


@dataclass(slots=True)
class JanusApi:
    """One WebSocket to a Janus."""

    _socket: ClientConnection
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _waiting: dict[str, "asyncio.Future[Message]"] = field(default_factory=dict)
    _connected: dict[int, asyncio.Event] = field(default_factory=dict)
    """By handle: whether Janus has keys too."""
    _reader: "asyncio.Task[None] | None" = None

    @classmethod
    async def open(cls, url: str) -> "JanusApi":
        """Connects."""
        api = cls(await connect(url, subprotocols=[Subprotocol("janus-protocol")], max_size=None, ping_interval=None))
        api._reader = asyncio.create_task(api._read())
        return api

    async def close(self) -> None:
        """Janus ends the sessions of a connection with it."""
        if self._reader:
            self._reader.cancel()
        await self._socket.close()

    async def request(self, kind: str, **fields: object) -> Message:
        """Sends it and returns its final reply."""
        transaction = str(next(self._numbers))
        reply: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[transaction] = reply
        await self._socket.send(json.dumps({"janus": kind, "transaction": transaction, **fields}))
        try:
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                message = await reply
        finally:
            self._waiting.pop(transaction, None)
        if message["janus"] == "error":
            raise JanusError(f"{kind}: {message['error'].get('reason')}")
        return message

    async def version(self) -> str:
        """As the server tells it."""
        return str((await self.request("info"))["version_string"])

    async def attach(self) -> Handle:
        """A new session and its handle."""
        session: int = (await self.request("create"))["data"]["id"]
        attached = await self.request("attach", session_id=session, plugin=PLUGIN)
        handle = Handle(session, attached["data"]["id"])
        self._connected[handle.number] = asyncio.Event()
        return handle

    async def wait_connected(self, handle: Handle) -> None:
        """Until Janus tells so, which is after its client knows: only then there is a feed."""
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            await self._connected[handle.number].wait()

    async def tell(self, handle: Handle, body: Mapping[str, object], jsep: Mapping[str, str] | None = None) -> Message:
        """A message to VideoRoom, with a session description beside it if there is one."""
        fields: dict[str, object] = {"session_id": handle.session, "handle_id": handle.number, "body": body}
        if jsep:
            fields["jsep"] = jsep
        return await self.request("message", **fields)

    async def destroy(self, handle: Handle) -> None:
        """Ends the session."""
        self._connected.pop(handle.number, None)
        await self.request("destroy", session_id=handle.session)

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for text in self._socket:
                self._on_message(json.loads(text))
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(JanusError("Janus closed the connection"))

    def _on_message(self, message: Message) -> None:
        waiting = self._waiting.get(message.get("transaction", ""))
        if waiting and not waiting.done() and message["janus"] != "ack":
            waiting.set_result(message)
        connected = self._connected.get(message.get("sender", 0)) if message["janus"] == "webrtcup" else None
        if connected:
            connected.set()

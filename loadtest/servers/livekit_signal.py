"""LiveKit's signalling: the few protobuf messages that publishing and subscribing need, and their WebSocket.

Field numbers are those of livekit_rtc.proto and livekit_models.proto in LiveKit's protocol repository; the encoding is
protobuf's (https://protobuf.dev/programming-guides/encoding/), of which only varints and length-delimited fields occur.
Other messages, such as participant updates and speakers, are dropped unread.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from loadtest.client import Client

Value = int | str | bytes
"""A varint, or what is length-delimited."""
REPLY_TIMEOUT_S = 30.0

# SignalRequest and SignalResponse
OFFER_TO_SERVER, ANSWER_TO_SERVER, ADD_TRACK, SUBSCRIPTION, LEAVE = 1, 2, 4, 6, 8
ANSWER, OFFER, TRICKLE, TRACK_PUBLISHED, LEFT = 2, 3, 4, 6, 8
# SignalTarget, TrackType, TrackSource
SUBSCRIBER = 1
AUDIO, VIDEO = 0, 1
CAMERA, MICROPHONE = 1, 2
WIDTH, HEIGHT = 1280, 720


class SignalError(Exception):
    """The server ended the participant, or did not answer."""


def write_message(fields: Iterable[tuple[int, Value]]) -> bytes:
    """A protobuf message."""
    written = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            written += _write_varint(number << 3) + _write_varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            written += _write_varint(number << 3 | 2) + _write_varint(len(data)) + data
    return bytes(written)


def parse_message(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message, in their order; fixed-size ones are skipped."""
    at = 0
    while at < len(data):
        tag, at = _parse_varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, at = _parse_varint(data, at)
            yield number, value
        elif wire_type == 2:
            length, at = _parse_varint(data, at)
            yield number, data[at : at + length]
            at += length
        elif wire_type in (1, 5):
            at += 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type}")


def _write_varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _parse_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | data[at] << shift, at + 1


def _text(data: bytes, number: int) -> str:
    found = next((value for key, value in parse_message(data) if key == number), b"")
    return found.decode() if isinstance(found, bytes) else str(found)


@dataclass(frozen=True, slots=True)
class Description:
    """SessionDescription: an answer carries the number of its offer."""

    sdp: str
    number: int = 0

    @classmethod
    def parse(cls, data: bytes) -> "Description":
        """Reads one."""
        number = next((value for key, value in parse_message(data) if key == 3 and isinstance(value, int)), 0)
        return cls(_text(data, 2), number)

    def write(self, kind: str) -> bytes:
        """`kind` is offer or answer."""
        return write_message([(1, kind), (2, self.sdp), (3, self.number)])


def write_offer(sdp: str) -> bytes:
    """SignalRequest: the publisher's offer."""
    return write_message([(OFFER_TO_SERVER, Description(sdp).write("offer"))])


def write_answer(sdp: str, offer: Description) -> bytes:
    """SignalRequest: the subscriber's answer."""
    return write_message([(ANSWER_TO_SERVER, Description(sdp, offer.number).write("answer"))])


def write_add_track(kind: str, track_id: str) -> bytes:
    """SignalRequest: announces a track of one encoding, before the offer that holds it."""
    fields: list[tuple[int, Value]] = [(1, track_id), (2, kind)]
    if kind == "video":
        fields += [(3, VIDEO), (4, WIDTH), (5, HEIGHT), (8, CAMERA)]
    else:
        fields += [(3, AUDIO), (8, MICROPHONE)]
    return write_message([(ADD_TRACK, write_message(fields))])


def write_subscription(track_sids: Iterable[str]) -> bytes:
    """SignalRequest: asks for tracks by the server's ids."""
    return write_message([(SUBSCRIPTION, write_message([*((1, sid) for sid in track_sids), (2, 1)]))])


def write_leave() -> bytes:
    """SignalRequest: this participant goes."""
    return write_message([(LEAVE, b"")])


@dataclass(slots=True)
class Signal:
    """One participant's WebSocket, which feeds the two clients."""

    socket: ClientConnection
    publisher: Client | None = None
    """Takes candidates; its offer and the answer go through `offer`."""
    subscriber: Client | None = None
    """Takes candidates and answers the server's offers, also later ones."""
    left: str = ""
    """Why the server ended it."""
    _sids: dict[str, str] = field(default_factory=dict)
    _answers: list[str] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _reader: "asyncio.Task[None] | None" = None

    @classmethod
    async def open(cls, url: str) -> "Signal":
        """Joins. An offer that finds no subscriber is lost: call `listen` once there is one."""
        return cls(await connect(url, max_size=None, ping_interval=None, compression=None))

    def listen(self) -> None:
        """Starts reading."""
        self._reader = self._reader or asyncio.create_task(self._read())

    async def close(self) -> None:
        """Leaves."""
        with suppress(ConnectionClosed):
            await self.socket.send(write_leave())
        if self._reader:
            self._reader.cancel()
        await self.socket.close()

    async def add_track(self, kind: str, track_id: str) -> str:
        """Announces a track; the server's id for it."""
        await self.socket.send(write_add_track(kind, track_id))
        await self.wait(lambda: track_id in self._sids)
        return self._sids[track_id]

    async def offer(self, sdp: str) -> str:
        """Sends the publisher's offer and returns the server's answer."""
        await self.socket.send(write_offer(sdp))
        await self.wait(lambda: bool(self._answers))
        return self._answers.pop()

    async def wait(self, holds: Callable[[], bool]) -> None:
        """Until a message makes it hold; raises `SignalError` when the server ends the participant or is too slow."""
        try:
            async with asyncio.timeout(REPLY_TIMEOUT_S), self._changed:
                await self._changed.wait_for(lambda: bool(self.left) or holds())
        except TimeoutError:
            raise SignalError(f"no answer within {REPLY_TIMEOUT_S:g} s") from None
        if self.left:
            raise SignalError(self.left)

    async def _read(self) -> None:
        try:
            async for message in self.socket:
                if isinstance(message, bytes):
                    await self._on_message(message)
        except ConnectionClosed as closed:
            self.left = str(closed)
        self.left = self.left or "the server closed the connection"
        async with self._changed:
            self._changed.notify_all()

    async def _on_message(self, message: bytes) -> None:
        for number, value in parse_message(message):
            if isinstance(value, bytes):
                await self._on_field(number, value)
        async with self._changed:
            self._changed.notify_all()

    async def _on_field(self, number: int, value: bytes) -> None:
        if number == OFFER and self.subscriber:
            offer = Description.parse(value)
            await self.socket.send(write_answer(self.subscriber.accept_offer(offer.sdp), offer))
        elif number == ANSWER:
            self._answers.append(Description.parse(value).sdp)
        elif number == TRICKLE:
            target = next((number for key, number in parse_message(value) if key == 2), 0)
            client = self.subscriber if target == SUBSCRIBER else self.publisher
            if client:
                client.add_candidate(json.loads(_text(value, 1))["candidate"])
        elif number == TRACK_PUBLISHED:
            info = next((track for key, track in parse_message(value) if key == 2 and isinstance(track, bytes)), b"")
            self._sids[_text(value, 1)] = _text(info, 1)
        elif number == LEFT:
            self.left = "the server asked to leave"

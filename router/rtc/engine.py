"""The media engine on an asyncio loop: starts it, hands its events to whoever registered, ends it.

Events go to handlers by id (`handlers.py`); those of ids that nobody registered are dropped, because what they speak of
is gone already. A handler that raises is logged and hurts nobody. The SRTP sessions that the engine works on are kept
here until it reports the transport gone.
"""

import asyncio
import atexit
import logging
from collections.abc import Sequence
from itertools import zip_longest
from types import TracebackType
from typing import Self

from router import _engine
from router._engine import (
    Contributors,
    DtlsReceived,
    EncodingActive,
    EncodingsWanted,
    Engine,
    FirstFrame,
    PairSelected,
    ProducerSilent,
    SpeakersChanged,
    StunReceived,
    TransportLost,
    TransportRemoved,
)
from router.errors import EngineStateError
from router.rtc.constraints import SrtpProfile
from router.rtc.handlers import ProducerHandler, SocketHandler, SpeakersHandler, TransportHandler
from router.rtc.srtp import SrtpSessions, check_binding, function_addresses, open_sessions

logger = logging.getLogger(__name__)

EVENTS_PER_WAKEUP = 16
"""Then the loop serves others first; the rest is waiting still. Half a millisecond each, if all are handshakes."""

MAX_FLIGHT_DATAGRAMS = 8
"""Datagrams of one peer that are handed over together: a flight is several records, and often as many datagrams. All
must fit into the 16 KiB that OpenSSL reads at once."""


class MediaEngine:
    """Worker threads that forward media, and the events they send to this loop.

    >>> import asyncio
    >>> async def main() -> int:
    ...     async with MediaEngine(workers=2) as engine:
    ...         return engine.native.workers
    >>> asyncio.run(main())
    2
    """

    def __init__(self, workers: int = 1, *, timeout_s: float = 30.0, cpus: Sequence[int] = ()) -> None:
        """Checks the SRTP binding and starts the threads; raises `ConfigError` when they cannot work together.

        A peer of whom nothing authentic came for `timeout_s` is lost. Worker N is pinned to the Nth of `cpus`.
        """
        self.timeout_us = int(timeout_s * 1e6)
        check_binding()
        self.native = Engine(srtp_functions=function_addresses(), workers=workers, cpus=list(cpus))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._sockets: dict[int, SocketHandler] = {}
        self._transports: dict[int, TransportHandler] = {}
        self._producers: dict[int, ProducerHandler] = {}
        self._speakers: dict[int, SpeakersHandler] = {}
        self._sessions: dict[int, list[SrtpSessions]] = {}
        # The threads must not see the sessions freed at interpreter exit; this also keeps us alive until closed.
        atexit.register(self._end)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def start(self) -> None:
        """Begins to deliver events on the running loop, also when an earlier loop was closed."""
        if self._closed:
            raise EngineStateError("the media engine is closed")
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None and not self._loop.is_closed():
            raise EngineStateError("the media engine serves another loop")
        self._loop = loop
        loop.add_reader(self.native.event_fd, self._on_readable)

    async def close(self) -> None:
        """Ends the threads, closes the sockets, frees the sessions. Idempotent."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self.native.event_fd)
        self._loop = None
        # Others may wait for the same end; joining the threads takes as long as their current wake-up.
        await asyncio.to_thread(self._end)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def register_socket(self, socket: int, handler: SocketHandler) -> None:
        """Events of this socket go to `handler`."""
        self._sockets[socket] = handler

    def unregister_socket(self, socket: int) -> None:
        """Its events are dropped from now on."""
        self._sockets.pop(socket, None)

    def register_transport(self, transport: int, handler: TransportHandler) -> None:
        """Events of this transport go to `handler`, until it is removed."""
        self._transports[transport] = handler

    def register_producer(self, producer: int, handler: ProducerHandler) -> None:
        """Events of this producer go to `handler`."""
        self._producers[producer] = handler

    def unregister_producer(self, producer: int) -> None:
        """Its events are dropped from now on."""
        self._producers.pop(producer, None)

    def register_speakers(self, group: int, handler: SpeakersHandler) -> None:
        """Events of this speaker group go to `handler`."""
        self._speakers[group] = handler

    def unregister_speakers(self, group: int) -> None:
        """Its events are dropped from now on."""
        self._speakers.pop(group, None)

    def set_srtp(self, transport: int, profile: SrtpProfile, inbound: bytes, outbound: bytes) -> None:
        """Lets media pass: master key and salt of both directions, of a peer whose fingerprint was verified."""
        sessions = open_sessions(profile, inbound, outbound)
        kept = self._sessions.setdefault(transport, [])
        kept.append(sessions)
        try:
            self.native.set_srtp(transport, *sessions.addresses)
        except BaseException:
            kept.remove(sessions)
            if not kept:
                del self._sessions[transport]
            raise

    def _on_readable(self) -> None:
        events = self.native.poll_events(EVENTS_PER_WAKEUP)
        flight: list[bytes] = []
        for event, following in zip_longest(events, events[1:]):
            if isinstance(event, DtlsReceived):
                flight.append(event.data)
                if _is_one_flight(event, following) and len(flight) < MAX_FLIGHT_DATAGRAMS:
                    continue
            try:
                self._dispatch(event, flight)
            except Exception:
                logger.exception("a handler of an engine event raised", extra={"event_type": type(event).__name__})
            if flight:
                flight = []

    def _dispatch(self, event: "_engine.Event", flight: list[bytes]) -> None:
        match event:
            case DtlsReceived(transport, socket, source):
                handler = self._transports.get(transport)
                if handler is not None:
                    handler.on_dtls(socket, source, flight)
            case StunReceived(socket, source, data):
                if socket in self._sockets:
                    self._sockets[socket].on_stun(source, data)
            case EncodingActive() | EncodingsWanted() | ProducerSilent() | Contributors():
                self._dispatch_producer(event)
            case SpeakersChanged(group):
                if group in self._speakers:
                    self._speakers[group].on_speakers_changed(event)
            case _:
                self._dispatch_transport(event)

    def _dispatch_transport(self, event: PairSelected | FirstFrame | TransportLost | TransportRemoved) -> None:
        handler = self._transports.get(event.transport)
        match event:
            case TransportRemoved(transport):
                self._transports.pop(transport, None)
                self._sessions.pop(transport, None)
                return
            case TransportLost(transport, "engine-bug"):
                logger.critical("a bug in the engine ended a transport", extra={"transport": transport})
        if handler is None:
            return
        match event:
            case PairSelected(_, socket, address):
                handler.on_pair_selected(socket, address)
            case FirstFrame(_, waited_us):
                handler.on_first_frame(waited_us / 1e6)
            case TransportLost(_, reason):
                handler.on_transport_lost(reason)

    def _dispatch_producer(self, event: EncodingActive | EncodingsWanted | ProducerSilent | Contributors) -> None:
        handler = self._producers.get(event.producer)
        if handler is None:
            return
        match event:
            case EncodingActive(_, encoding, ssrc):
                handler.on_encoding_active(encoding, ssrc)
            case EncodingsWanted(_, encodings):
                handler.on_encodings_wanted(encodings)
            case ProducerSilent(_, reason):
                handler.on_producer_silent(reason)
            case Contributors(_, sources):
                handler.on_contributors(sources)

    def _end(self) -> None:
        self._closed = True
        self.native.close()
        atexit.unregister(self._end)
        for registered in (self._sockets, self._transports, self._producers, self._speakers, self._sessions):
            registered.clear()


def _is_one_flight(event: DtlsReceived, following: "_engine.Event | None") -> bool:
    return (
        isinstance(following, DtlsReceived)
        and following.transport == event.transport
        and following.socket == event.socket
        and following.source == event.source
    )


_default: MediaEngine | None = None


def default_engine() -> MediaEngine:
    """The process's own engine with one worker, started at the first call, on the running loop."""
    global _default
    if _default is None or _default.closed:
        _default = MediaEngine()
    _default.start()
    return _default

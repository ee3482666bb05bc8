"""A stand-in for the media engine: real UDP sockets and bookkeeping, no media.

Every STUN message is handed to Python; a tuple is selected once an authentic check nominates it or DTLS proves it.
"""

import asyncio
import contextlib
import itertools
import socket as system_socket
from typing import Any

from router.errors import EngineStateError

Address = tuple[str, int]


class FakeNative:
    """`Engine` of `router/_engine.pyi`."""

    def __init__(self, engine: "FakeEngine") -> None:
        self.engine = engine
        self.calls: list[tuple[str, Any]] = []
        self.ids = itertools.count(1)
        self.sockets: dict[int, system_socket.socket] = {}
        self.transports: dict[int, dict[str, Any]] = {}
        self.tuples: dict[tuple[int, Address], int] = {}
        self.producers: dict[int, dict[str, Any]] = {}
        self.slots: dict[int, dict[str, Any]] = {}
        self.speakers: dict[int, dict[str, Any]] = {}
        self.max_buffer_bytes = 1 << 30
        self.sent: list[tuple[int, Address, bytes]] = []

    def open_socket(self, worker: int, address: Address, **buffers: int) -> dict[str, Any]:
        family = system_socket.AF_INET6 if ":" in address[0] else system_socket.AF_INET
        opened = system_socket.socket(family, system_socket.SOCK_DGRAM)
        opened.setblocking(False)
        try:
            opened.bind(address)
        except OSError:
            opened.close()
            raise
        id_ = next(self.ids)
        self.sockets[id_] = opened
        asyncio.get_running_loop().add_reader(opened, self.read, id_)
        granted = {name: min(asked, self.max_buffer_bytes) for name, asked in buffers.items()}
        return {"id": id_, "worker": worker, "address": opened.getsockname()[:2], **granted}

    def close_socket(self, socket: int) -> None:
        opened = self.sockets.pop(socket)
        asyncio.get_running_loop().remove_reader(opened)
        opened.close()

    def read(self, socket: int) -> None:
        data, source = self.sockets[socket].recvfrom(2048)
        self.receive(socket, source[:2], data)

    def receive(self, socket: int, source: Address, data: bytes) -> None:
        if data and data[0] < 4:
            if socket in self.engine.socket_handlers:
                self.engine.socket_handlers[socket].on_stun(source, data)
        elif data and 20 <= data[0] <= 63 and (socket, source) in self.tuples:
            self.engine.transport_handlers[self.tuples[socket, source]].on_dtls(socket, source, [data])

    def send_datagram(self, socket: int, address: Address, data: bytes) -> None:
        self.sent.append((socket, address, data))
        with contextlib.suppress(OSError):
            self.sockets[socket].sendto(data, address)

    def create_transport(self, socket: int, **parameters: Any) -> int:
        id_ = next(self.ids)
        self.transports[id_] = {"socket": socket, "selected": None, **parameters}
        return id_

    def remove_transport(self, transport: int) -> None:
        self.calls.append(("remove_transport", transport))
        self.find(self.transports, transport)
        del self.transports[transport]
        self.tuples = {path: id_ for path, id_ in self.tuples.items() if id_ != transport}
        self.engine.transport_handlers.pop(transport, None)

    def set_remote_ice(self, transport: int, ufrag: str, password: str) -> None:
        self.find(self.transports, transport)["remote"] = (ufrag, password)

    def restart_ice(self, transport: int, ufrag: str, password: str) -> None:
        self.find(self.transports, transport)["local_ufrag"] = ufrag

    def add_tuple(self, transport: int, socket: int, address: Address, *, nominated: bool, priority: int) -> None:
        self.calls.append(("add_tuple", (transport, address, nominated, priority)))
        self.find(self.transports, transport)
        self.tuples[socket, address] = transport
        if nominated and self.transports[transport].get("remote"):
            self.select(transport, socket, address)

    def validate_tuple(self, transport: int, socket: int, address: Address) -> None:
        self.calls.append(("validate_tuple", transport))
        self.select(transport, socket, address)

    def set_plain_peer(self, transport: int, *, rtp: tuple[int, Address], rtcp: tuple[int, Address], ssrc: int) -> None:
        self.calls.append(("set_plain_peer", (transport, rtp, rtcp, ssrc)))
        self.select(transport, *rtp)

    def select(self, transport: int, socket: int, address: Address) -> None:
        state = self.find(self.transports, transport)
        if state["selected"] != (socket, address):
            state["selected"] = (socket, address)
            asyncio.get_running_loop().call_soon(self.tell_selected, transport, socket, address)

    def tell_selected(self, transport: int, socket: int, address: Address) -> None:
        if transport in self.engine.transport_handlers:
            self.engine.transport_handlers[transport].on_pair_selected(socket, address)

    def set_receive_limit(self, transport: int, max_bitrate_bps: int | None) -> None:
        self.find(self.transports, transport)["receive_limit"] = max_bitrate_bps

    def add_producer(self, transport: int, **parameters: Any) -> int:
        self.find(self.transports, transport)
        id_ = next(self.ids)
        self.producers[id_] = {"paused": False, **parameters}
        return id_

    def pause_producer(self, producer: int, paused: bool) -> None:
        self.find(self.producers, producer)["paused"] = paused

    def follow_demand(self, producer: int, follows: bool) -> None:
        self.find(self.producers, producer)["follows"] = follows

    def request_key_frame(self, producer: int) -> None:
        self.find(self.producers, producer)
        self.calls.append(("request_key_frame", producer))

    def remove_producer(self, producer: int) -> None:
        self.find(self.producers, producer)
        del self.producers[producer]

    def add_slot(self, transport: int, **parameters: Any) -> int:
        self.find(self.transports, transport)
        id_ = next(self.ids)
        self.slots[id_] = {"producer": None, "limits": {}, **parameters}
        return id_

    def assign_slot(self, slot: int, producer: int | None) -> None:
        if producer is not None:
            self.find(self.producers, producer)
        self.find(self.slots, slot)["producer"] = producer

    def set_slot_limits(self, slot: int, **limits: int | None) -> None:
        self.find(self.slots, slot)["limits"] = limits

    def set_slot_priority(self, slot: int, priority: str, preference: str) -> None:
        self.find(self.slots, slot)["priority"] = (priority, preference)

    def create_speakers(self, worker: int, *, max_heard: int = 3) -> int:
        id_ = next(self.ids)
        self.speakers[id_] = {"worker": worker, "max_heard": max_heard, "producers": {}, "slots": {}}
        return id_

    def remove_speakers(self, group: int) -> None:
        self.find(self.speakers, group)
        del self.speakers[group]

    def join_speakers(self, producer: int, group: int, participant: int) -> None:
        self.find(self.producers, producer)
        self.find(self.speakers, group)["producers"][producer] = participant

    def follow_speakers(self, slots: list[int], group: int, participant: int) -> None:
        for slot in slots:
            self.find(self.slots, slot)
        self.find(self.speakers, group)["slots"][tuple(slots)] = participant

    def transport_stats(self, transports: list[int]) -> list[dict[str, Any]]:
        return [
            {
                "id": id_,
                "producers": [{"id": producer} for producer in self.producers],
                "slots": [{"id": slot} for slot in self.slots],
            }
            for id_ in transports
            if id_ in self.transports
        ]

    @staticmethod
    def find(table: dict[int, dict[str, Any]], id_: int) -> dict[str, Any]:
        if id_ not in table:
            raise EngineStateError(f"unknown id {id_}")
        return table[id_]


class FakeEngine:
    """`MediaEngine` as `router/rtc/handlers.py` describes it."""

    timeout_us = 30_000_000

    def __init__(self) -> None:
        self.native = FakeNative(self)
        self.socket_handlers: dict[int, Any] = {}
        self.transport_handlers: dict[int, Any] = {}
        self.producer_handlers: dict[int, Any] = {}
        self.speakers_handlers: dict[int, Any] = {}
        self.srtp: dict[int, tuple[str, bytes, bytes]] = {}

    def register_socket(self, id_: int, handler: Any) -> None:
        self.socket_handlers[id_] = handler

    def unregister_socket(self, id_: int) -> None:
        self.socket_handlers.pop(id_, None)

    def register_transport(self, id_: int, handler: Any) -> None:
        self.transport_handlers[id_] = handler

    def register_producer(self, id_: int, handler: Any) -> None:
        self.producer_handlers[id_] = handler

    def unregister_producer(self, id_: int) -> None:
        self.producer_handlers.pop(id_, None)

    def register_speakers(self, id_: int, handler: Any) -> None:
        self.speakers_handlers[id_] = handler

    def unregister_speakers(self, id_: int) -> None:
        self.speakers_handlers.pop(id_, None)

    def set_srtp(self, transport: int, profile: str, inbound: bytes, outbound: bytes) -> None:
        self.native.calls.append(("set_srtp", transport))
        self.srtp[transport] = (profile, inbound, outbound)

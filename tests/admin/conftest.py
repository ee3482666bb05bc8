"""Real rooms over connections that only pretend: what the admin plane reads, without an engine."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from router.admin.app import create_admin_app
from router.admin.state import AdminState
from router.admin.tokens import AdminToken, AdminTokens
from router.errors import EngineStateError
from router.metrics import Metrics
from router.rooms.participant import Participant, PublishedTrack
from router.rooms.registry import RoomRegistry
from router.rooms.room import Room
from router.rooms.session import Session
from tests.rooms.fakes import FakeSpeakers, World

TOKEN = "an admin token, long enough"


@dataclass(eq=False)
class FakeTrack:
    contributor: int
    kind: str = "video"
    mid: str = "0"
    muted: bool = False
    wanted: tuple[int, ...] | None = None


@dataclass(eq=False)
class FakeSlot:
    mid: str
    kind: str = "video"
    track: FakeTrack | None = None


class FakeConnection:
    """Of a plain peer, as far as anybody asks."""

    stats: Any = None
    closed = False
    transport = SimpleNamespace(id=None, connected=False)
    engine = SimpleNamespace(timeout_us=30_000_000)

    def fork(self) -> "FakeConnection":
        return FakeConnection()

    def open_speakers(self, *, max_heard: int) -> FakeSpeakers:
        return FakeSpeakers()

    async def get_stats(self) -> Any:
        return self.read_stats()

    def read_stats(self) -> Any:
        if self.stats is None:
            raise EngineStateError("unknown transport")
        return self.stats

    async def close(self) -> None:
        pass


def layer(**changes: Any) -> dict[str, Any]:
    return {
        "spatial": 0,
        "temporal": None,
        "bitrate_bps": 500_000,
        "frame_width": 640,
        "frame_height": None,
        "frames_per_second": 29.5,
        **changes,
    }


def quality(**changes: Any) -> dict[str, Any]:
    return {"score": 4.5, "category": "good", "impairment": "none", "model": "shown-of-wanted", **changes}


def census(**changes: Any) -> dict[str, Any]:
    scores = {"buckets": [0] * 8, "sum": 0.0}
    return {
        **{f"{kind}_{way}": scores for kind in ("audio", "video") for way in ("received", "sent")},
        "freezes": 0,
        "frozen_us": 0,
        "limited": {"none": 0, "bandwidth": 0, "size": 0},
        "pictures": {"180": 0, "720": 0, "none": 0},
        **changes,
    }


def encoding(**changes: Any) -> dict[str, Any]:
    return {
        "ssrc": 11,
        "rtx_ssrc": None,
        "rid": "h",
        "packets_received": 100,
        "bytes_received": 90_000,
        "header_bytes_received": 2_000,
        "packets_lost": 3,
        "packets_duplicated": 0,
        "packets_repaired": 2,
        "retransmitted_packets_received": 2,
        "nack_count": 1,
        "pli_count": 4,
        "fir_count": 0,
        "key_frames_received": 2,
        "frames_received": 50,
        "jitter_s": 0.002,
        "frame_width": 640,
        "frame_height": None,
        "frames_per_second": 29.5,
        "bitrate_bps": 500_000,
        "layers": [layer(temporal=0, bitrate_bps=300_000), layer(temporal=1)],
        "freeze_count": 1,
        "total_freezes_duration_s": 0.4,
        "last_packet_us": 5,
        **changes,
    }


def slot_stats(**changes: Any) -> dict[str, Any]:
    return {
        "id": 71,
        "kind": "video",
        "mid": "1",
        "ssrc": 22,
        "rtx_ssrc": 23,
        "producer": 31,
        "shown_producer": 31,
        "waiting": False,
        "encoding": 0,
        "reason": "highest layer that flows",
        "limited_by": "none",
        "quality": quality(score=3.6, impairment="size"),
        "codec": "vp8",
        "payload_type": 96,
        "packets_sent": 10,
        "bytes_sent": 9_000,
        "header_bytes_sent": 200,
        "trimmed_packets_sent": 0,
        "retransmitted_packets_sent": 0,
        "retransmitted_bytes_sent": 0,
        "nack_count": 0,
        "pli_count": 1,
        "fir_count": 0,
        "bitrate_bps": 400_000,
        "frames_sent": 9,
        "key_frames_sent": 1,
        "frame_width": 320,
        "frame_height": 180,
        "frames_per_second": 29.0,
        "freeze_count": 2,
        "total_freezes_duration_s": 1.5,
        "packets_lost": 1,
        "fraction_lost": 0.25,
        "jitter_s": 0.001,
        "round_trip_time_s": 0.03,
        **changes,
    }


def bandwidth_stats() -> dict[str, Any]:
    return {
        "estimate_bps": 840_000,
        "limit": "delay",
        "budget_bps": 840_000,
        "granted_bps": 610_000,
        "ideal_bps": 2_500_000,
        "is_limited": True,
        "acked_bps": None,
        "loss": 0.01234567,
        "queue_s": 0.02,
        "pacer_delay_s": 0.0,
        "padding_bytes": 9_000,
        "refused_feedback": 0,
    }


def transport_stats(**changes: Any) -> dict[str, Any]:
    return {
        "id": 5,
        "worker": 0,
        "socket": 1,
        "remote_address": ("203.0.113.9", 4711),
        "selected_pair_changes": 1,
        "tuples": 1,
        "paths": [],
        "secured": True,
        "packets_received": 120,
        "bytes_received": 100_000,
        "packets_sent": 15,
        "bytes_sent": 9_500,
        "dropped": {"replay": 2},
        "current_round_trip_time_s": 0.02,
        "bandwidth": bandwidth_stats(),
        "last_authenticated_us": 99,
        "producers": [
            {
                "id": 31,
                "kind": "video",
                "mid": "0",
                "paused": False,
                "contributor": 7,
                "codec": "vp8",
                "payload_type": 96,
                "audio_level": None,
                "quality": None,
                "encodings": [encoding()],
            }
        ],
        "slots": [slot_stats()],
        **changes,
    }


def counters(worker: int = 0, **changes: Any) -> dict[str, Any]:
    names = [
        "datagrams_received",
        "datagram_bytes_received",
        "datagrams_sent",
        "datagram_bytes_sent",
        "rtp_packets_received",
        "rtp_bytes_received",
        "rtp_packets_sent",
        "rtp_bytes_sent",
        "receive_batches",
        "send_batches",
        "kernel_drops",
        "gro_datagrams",
        "gro_segments",
        "receive_buffer_bytes",
        "send_buffer_bytes",
        "send_errors",
        "gso_sends",
        "gso_segments",
        "gso_fallbacks",
        "padded_packets",
        "padding_bytes",
        "send_waits",
        "events_dropped",
        "transports",
        "producers",
        "slots",
        "speaker_groups",
        "tuples",
        "timers",
        "busy_us",
        "nack_received",
        "nack_sent",
        "pli_received",
        "pli_sent",
        "fir_received",
        "fir_sent",
        "retransmitted_packets",
        "mirrors",
        "mirror_packets_received",
        "mirror_packets_sent",
        "mirror_dropped",
    ]
    return {
        **dict.fromkeys(names, 0),
        "worker": worker,
        "cpu": None,
        "dropped": {"replay": 0, "auth-failed": 0},
        "send_dropped": {"control": 0, "audio": 0, "video_key": 0, "video": 0, "video_layer": 0},
        "forward_delay_us": [0] * 10,
        "census": census(),
        **changes,
    }


@dataclass
class Router:
    """The parts under test."""

    registry: RoomRegistry
    metrics: Metrics = field(default_factory=Metrics)
    workers: list[Any] = field(default_factory=lambda: [counters()])
    engine_alive: bool = True
    checks: dict[str, bool] = field(default_factory=lambda: {"engine": True, "sockets": True})

    def read_counters(self) -> Any:
        if not self.engine_alive:
            raise EngineStateError("the engine is closed")
        return self.workers

    def app(
        self,
        *,
        token: str | None = TOKEN,
        tokens: AdminTokens | None = None,
        metrics_without_token: bool = False,
        **state: Any,
    ) -> FastAPI:
        return create_admin_app(
            AdminState(
                registry=self.registry,
                metrics=self.metrics,
                read_counters=self.read_counters,
                check_readiness=lambda: self.checks,
                tokens=tokens or AdminTokens([] if token is None else [AdminToken("admin", token)]),
                metrics_without_token=metrics_without_token,
                **state,
            )
        )

    def add_session(self, room: Room, identity: str, *, tracks: int = 1, slots: int = 1) -> Session:
        participant = room.participants.get(identity)
        if participant is None:
            participant = room.participants[identity] = Participant(identity, identity.title())
            room.roster.tell_joined(participant)
        session = Session(room, participant, FakeConnection(), "whep")  # type: ignore[arg-type]
        participant.sessions[session.id] = session
        for index in range(tracks):
            track = FakeTrack(contributor=0x1000 + len(room.participants) * 16 + index, mid=str(index))
            session.tracks[track.mid] = PublishedTrack(track, session, track.mid)  # type: ignore[arg-type]
        for index in range(tracks, tracks + slots):
            session.slots[str(index)] = FakeSlot(str(index))  # type: ignore[assignment]
            session.shown[str(index)] = None
        return session


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    registry = RoomRegistry(FakeConnection)  # type: ignore[arg-type]
    router = Router(registry)
    yield router
    await registry.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Rooms that negotiate for real, on fake media."""
    world = World()
    yield world
    await world.registry.close()


@pytest.fixture
async def api(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """The admin application on that world."""
    async with open_client(Router(world.registry).app()) as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        yield client


@pytest.fixture
async def client(router: Router) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(router.app()) as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        yield client


def open_client(app: FastAPI, host: str = "127.0.0.1") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"http://{host}")

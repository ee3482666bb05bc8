"""What `trackreport` says of real calls: a receiver whose link loses packets, a publisher that pauses by itself."""

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest
from aiortc import RTCPeerConnection
from aiortc.mediastreams import VideoStreamTrack

from router.rtc import RTCConnection
from tests.rtc.peers import join, receive_media, wait_for
from tests.rtc.test_calls import publish

if TYPE_CHECKING:
    from router._engine import SlotStats

pytestmark = pytest.mark.e2e


class Watched:
    """A fork that plays, and the last report of each of its slots, by kind."""

    def __init__(self, fork: RTCConnection) -> None:
        self.fork = fork
        self.last: dict[str, SlotStats] = {}
        self.streams: list[Any] = []
        fork.ontrackreport = self._on_report
        fork.onstreamreport = lambda _stream, reports: self.streams.append(reports)

    def _on_report(self, _track: Any, report: "SlotStats") -> None:
        self.last[report["kind"]] = report

    def score(self, kind: str) -> float:
        """0 before there is one."""
        quality = self.last[kind]["quality"] if kind in self.last else None
        return quality["score"] if quality else 0.0


async def play(room: RTCConnection, sender: RTCPeerConnection, receiver: RTCPeerConnection) -> Watched:
    stream = await publish(room, sender)
    receive_media(receiver)
    fork = room.fork()
    fork.send_stream(stream)
    await join(receiver, fork)
    watched = Watched(fork)
    await wait_for(lambda: watched.score("audio") > 4 and watched.score("video") > 3, 30)
    return watched


def lose_packets(peer: RTCPeerConnection, part: float) -> None:
    """From now on this part of what comes to the peer is lost on the last hop."""
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    for transport in {receiver.transport for receiver in peer.getReceivers()}:
        handle = transport._handle_rtp_data

        async def handle_some(data: bytes, arrival_time_ms: int, handle: Any = handle) -> None:
            if chance.random() >= part:
                await handle(data, arrival_time_ms)

        transport._handle_rtp_data = handle_some  # type: ignore[method-assign] # the last hop is in here


async def test_a_lossy_link_lowers_the_score(room: RTCConnection, peers: list[RTCPeerConnection]) -> None:
    sender, receiver, _ = peers
    watched = await play(room, sender, receiver)
    voice = watched.last["audio"]
    assert voice["limited_by"] == "none"
    assert voice["quality"] is not None
    assert (voice["quality"]["model"], voice["quality"]["category"]) == ("e-model", "good")
    assert {report["kind"] for report in watched.streams[-1]} == {"audio", "video"}
    lose_packets(receiver, 0.2)
    await wait_for(lambda: 0 < watched.score("audio") < 2.5, 30)
    quality = watched.last["audio"]["quality"]
    assert quality is not None
    assert (quality["impairment"], quality["category"]) == ("loss", "poor")


async def test_a_publisher_that_pauses_freezes_the_picture(room: RTCConnection, peers: list[RTCPeerConnection]) -> None:
    sender, receiver, _ = peers
    watched = await play(room, sender, receiver)
    camera = next(own for own in sender.getSenders() if own.kind == "video")
    before = watched.last["video"]
    camera.replaceTrack(None)
    await wait_for(lambda: watched.last["video"]["limited_by"] == "publisher", 10)
    await wait_for(lambda: watched.score("video") < 3, 10)
    during = watched.last["video"]
    assert during["quality"] is not None
    assert during["quality"]["impairment"] == "freezes"
    assert during["freeze_count"] > before["freeze_count"]
    assert during["total_freezes_duration_s"] > before["total_freezes_duration_s"] + 0.9
    camera.replaceTrack(VideoStreamTrack())
    await wait_for(lambda: watched.last["video"]["limited_by"] == "none", 10)
    moved = [await moves(watched) for _ in range(3)]
    assert any(moved), "a machine that stands still once is no freeze of ours"


async def moves(watched: Watched) -> bool:
    """Whether less than two thirds of the next moment are frozen."""
    before = watched.last["video"]["total_freezes_duration_s"]
    await asyncio.sleep(1.5)
    return watched.last["video"]["total_freezes_duration_s"] < before + 1.0

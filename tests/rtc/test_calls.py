"""One aiortc peer publishes, others play: through our objects and the real engine."""

import asyncio
from typing import Any

import pytest
from aiortc import RTCPeerConnection

from router.rtc import RTCConnection, RTCMediaStream
from tests.rtc.peers import add_media, join, make_peer, receive_frames, receive_media, record, wait_for

pytestmark = pytest.mark.e2e


async def publish(room: RTCConnection, peer: RTCPeerConnection) -> RTCMediaStream:
    add_media(peer)
    fork = room.fork()
    await join(peer, fork)
    (stream,) = fork.get_remote_streams()
    await wait_for(lambda: all(track.live for track in stream.tracks))
    return stream


async def packets_sent(fork: RTCConnection) -> list[int]:
    return [slot["packets_sent"] for slot in (await fork.get_stats())["slots"]]


async def wait_for_quiet(fork: RTCConnection) -> None:
    """Returns once no slot sends any more."""

    async def poll() -> None:
        before = await packets_sent(fork)
        while True:
            await asyncio.sleep(0.3)
            after = await packets_sent(fork)
            if after == before:
                return
            before = after

    await asyncio.wait_for(poll(), 10)


@pytest.mark.parametrize("setup", ["actpass", "passive"])
async def test_a_peer_publishes_and_another_plays(
    room: RTCConnection, peers: list[RTCPeerConnection], setup: str
) -> None:
    sender, receiver, _ = peers
    stream = await publish(room, sender)
    tracks = receive_media(receiver)
    contributors = watch_contributors(receiver)
    playing = room.fork()
    seen = record(playing)
    playing.send_stream(stream)
    await join(receiver, playing, lambda text: text.replace("a=setup:actpass", f"a=setup:{setup}"))
    await wait_for(lambda: receiver.connectionState == "connected")
    assert [slot.track for slot in playing.slots] == list(stream.tracks)
    await receive_frames(tracks)
    assert contributors == {track.contributor for track in stream.tracks}
    stats = await playing.get_stats()
    assert stats["secured"]
    assert all(slot["packets_sent"] > 0 for slot in stats["slots"])

    publishing = stream.connection
    await sender.close()
    await wait_for(lambda: publishing.closed)
    assert not playing.closed
    assert [slot.track for slot in playing.slots] == [None, None]
    told = [[item.id for item in event[2]] for event in seen if event[0] == "trackcontributors"]
    assert told == [[track.contributor] for track in stream.tracks] + [[], []]


def watch_contributors(peer: RTCPeerConnection) -> set[int]:
    """Collects the CSRCs of what the peer receives; aiortc has no getContributingSources()."""
    seen: set[int] = set()
    for receiver in peer.getReceivers():
        handle = receiver._handle_rtp_packet

        async def watch(packet: Any, arrival_time_ms: int, handle: Any = handle) -> None:
            seen.update(packet.csrc)
            await handle(packet, arrival_time_ms)

        receiver._handle_rtp_packet = watch  # type: ignore[method-assign] # aiortc has no hook for CSRCs
    return seen


async def test_mute_and_stop_are_felt_and_undone(room: RTCConnection, peers: list[RTCPeerConnection]) -> None:
    sender, receiver, _ = peers
    stream = await publish(room, sender)
    playing = room.fork()
    tracks = receive_media(receiver)
    playing.send_stream(stream)
    await join(receiver, playing)
    await receive_frames(tracks)

    for track in stream.tracks:
        track.muted = True
    await wait_for_quiet(playing)
    for track in stream.tracks:
        track.muted = False
    await receive_frames(tracks)

    playing.send_stream(stream, False)
    await wait_for_quiet(playing)
    playing.send_stream(stream)
    await receive_frames(tracks)


async def test_a_slot_switches_between_publishers(room: RTCConnection, peers: list[RTCPeerConnection]) -> None:
    one, two, receiver = peers
    first, second = await publish(room, one), await publish(room, two)
    playing = room.fork()
    tracks = receive_media(receiver)
    playing.send_stream(first)
    await join(receiver, playing)
    await receive_frames(tracks)
    for slot, track in zip(playing.slots, second.tracks, strict=True):
        slot.assign(track)
    await receive_frames(tracks)
    await first.connection.close()
    assert [slot.track for slot in playing.slots] == list(second.tracks)
    await receive_frames(tracks)


async def test_one_publisher_reaches_many_and_one_leaving_disturbs_nobody(
    room: RTCConnection, peers: list[RTCPeerConnection]
) -> None:
    sender, *receivers = peers
    receivers.append(make_peer())
    stream = await publish(room, sender)
    tracks = [receive_media(receiver) for receiver in receivers]
    forks = [room.fork() for _ in receivers]
    for receiver, fork in zip(receivers, forks, strict=True):
        fork.send_stream(stream)
        await join(receiver, fork)
    await asyncio.gather(*(receive_frames(item) for item in tracks))
    await forks[0].close()
    await asyncio.gather(*(receive_frames(item) for item in tracks[1:]))
    await receivers[-1].close()

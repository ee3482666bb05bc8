import asyncio
import gc
import weakref
from typing import Any

import pytest

from router.errors import ConfigError, ConflictError, ConnectionClosedError, RemoteSdpError
from router.rtc import RTCConnection, RTCConstraints, RTCMediaStream, RTCSocket, RTCSocketOptions
from router.rtc.context import ALPHABET
from tests.rtc.fake_engine import FakeEngine
from tests.rtc.offers import H264, VP8, offer, player, publisher, section
from tests.rtc.peers import wait_for


def record(connection: RTCConnection) -> list[tuple[Any, ...]]:
    seen: list[tuple[Any, ...]] = []
    for event in connection.EVENTS:
        connection.on(event, lambda *arguments, event=event: seen.append((event, *arguments)))
    return seen


def publish(origin: RTCConnection) -> tuple[RTCConnection, RTCMediaStream]:
    fork = origin.fork()
    fork.set_description(publisher())
    (stream,) = fork.get_remote_streams()
    fork.receive_stream(stream)
    return fork, stream


# -- context and forks ---------------------------------------------------------------------------------------------


def test_the_context_is_strong_and_every_fork_has_credentials_of_its_own() -> None:
    origin = RTCConnection()
    ufrags = {origin.context.mint_ufrag() for _ in range(10_000)}
    assert len(ufrags) == 10_000
    assert len(ALPHABET) ** 11 > 2**64
    assert len(origin.context_id) == 11
    assert len(origin.secret) >= 16
    ufrag = next(iter(ufrags))
    assert len(ufrag) == 22
    assert set(ufrag) <= set(ALPHABET)
    assert len(origin.context.fork_password(ufrag)) >= 22
    assert len({origin.context.fork_password(ufrag) for ufrag in ufrags}) == 10_000
    assert RTCConnection().context.fork_password(ufrag) != origin.context.fork_password(ufrag)


async def test_a_password_can_be_derived_from_secret_and_fragment_alone(origin: RTCConnection) -> None:
    from router.rtc.context import ConnectionContext

    description = origin.fork().get_description("local")
    elsewhere = ConnectionContext(context_id=origin.context_id, secret=origin.secret)
    assert elsewhere.owns(description.ufrag)
    assert elsewhere.fork_password(description.ufrag) == description.password
    assert not elsewhere.owns(origin.context_id)


async def test_forks_share_context_and_sockets_and_nothing_else(origin: RTCConnection) -> None:
    one, two = origin.fork(), origin.fork()
    nephew = one.fork()
    assert nephew.origin is origin
    assert {connection.context_id for connection in (origin, one, two, nephew)} == {origin.context_id}
    assert all(a is b for a, b in zip(one.get_sockets(), origin.get_sockets(), strict=True))
    descriptions = [connection.get_description("local") for connection in (one, two, nephew)]
    assert len({description.ufrag for description in descriptions}) == 3
    assert len({description.password for description in descriptions}) == 3
    assert len({description.fingerprints for description in descriptions}) == 1
    await one.close()
    assert not two.closed
    assert not nephew.closed


async def test_constraints_are_copied_and_then_independent(origin: RTCConnection) -> None:
    origin.set_constraints(RTCConstraints(max_bitrate_bps=1_000), "send")
    fork = origin.fork()
    fork.set_constraints(RTCConstraints(max_bitrate_bps=10), "send")
    origin.set_constraints(RTCConstraints(max_bitrate_bps=5), "receive")
    assert origin.get_constraints("send").max_bitrate_bps == 1_000
    assert fork.get_constraints()["send"].max_bitrate_bps == 10
    assert fork.get_constraints("receive").max_bitrate_bps is None
    assert fork.fork(constraints=RTCConstraints(max_width=4)).get_constraints("receive").max_width == 4
    fork.get_constraints()["send"] = RTCConstraints()
    assert fork.get_constraints("send").max_bitrate_bps == 10
    with pytest.raises(ConfigError, match="direction"):
        fork.set_constraints(RTCConstraints(), "both")  # type: ignore[arg-type]


async def test_closing_the_origin_closes_forks_then_the_sockets_nobody_else_uses(fake: FakeEngine) -> None:
    shared, own = [RTCSocket(options=RTCSocketOptions(address="127.0.0.1"), engine=fake) for _ in range(2)]  # type: ignore[arg-type]
    one, other = RTCConnection(), RTCConnection()
    one.add_socket(shared)
    one.add_socket(own)
    other.add_socket(shared)
    forks = [one.fork() for _ in range(3)]
    seen = [record(fork) for fork in forks]
    await one.close()
    await one.close()
    assert all(fork.closed for fork in forks)
    assert own.closed
    assert not shared.closed
    assert [[event[0] for event in events] for events in seen] == [["disconnected"]] * 3
    with pytest.raises(ConnectionClosedError):
        one.fork()
    with pytest.raises(ConnectionClosedError):
        forks[0].set_description(publisher())
    await other.close()
    assert shared.closed
    assert not fake.native.sockets


async def test_a_socket_added_later_serves_living_forks(origin: RTCConnection, fake: FakeEngine) -> None:
    fork = origin.fork()
    before = fork.get_description("local").candidates
    late = RTCSocket(options=RTCSocketOptions(address="127.0.0.1"), engine=fake)  # type: ignore[arg-type]
    origin.add_socket(late)
    assert fork.get_sockets()[-1] is late
    assert fork.get_description("local").candidates == before + late.candidates
    assert late._endpoints[fork.get_description("local").ufrag] is fork.transport
    origin.add_socket(late)
    assert len(origin.get_sockets()) == 2


async def test_sockets_of_another_engine_are_refused(origin: RTCConnection) -> None:
    elsewhere = RTCSocket(options=RTCSocketOptions(address="127.0.0.1"), engine=FakeEngine())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="engine"):
        origin.add_socket(elsewhere)


async def test_a_connection_without_sockets_says_what_is_missing() -> None:
    with pytest.raises(ConfigError, match="add_socket"):
        RTCConnection().fork().set_description(publisher())


# -- descriptions --------------------------------------------------------------------------------------------------


async def test_the_answer_mirrors_the_offer_and_is_stable(origin: RTCConnection) -> None:
    fork = origin.fork()
    fork.set_description(offer(section("a0", "sendonly"), section("v1", "recvonly")))
    local = fork.get_description("local")
    assert [item.direction for item in local.media] == ["recvonly", "sendonly"]
    assert local.lite
    assert local.dtls_role == "passive"
    assert local == fork.get_description("local")
    assert fork.slots[0].ssrc == local.media[1].encodings[0].ssrc
    assert fork.get_description("remote").ufrag == "peer"
    with pytest.raises(ConflictError, match="fork"):
        fork.set_description(publisher())


async def test_constraints_shape_the_answer(origin: RTCConnection) -> None:
    fork = origin.fork(constraints=RTCConstraints(codecs=("h264", "opus")))
    fork.set_description(publisher())
    assert [codec.name for codec in fork.get_description("local").media[1].codecs] == ["H264"]


async def test_the_kind_of_a_socket_rejects_other_m_lines(fake: FakeEngine) -> None:
    origin = RTCConnection()
    options = RTCSocketOptions(address="127.0.0.1", kind=("audio",))
    origin.add_socket(RTCSocket(options=options, engine=fake))  # type: ignore[arg-type]
    fork = origin.fork()
    fork.set_description(publisher())
    assert [item.rejected for item in fork.get_description("local").media] == [False, True]
    assert [track.kind for track in fork.get_remote_streams()[0].tracks] == ["audio"]
    with pytest.raises(RemoteSdpError):
        origin.fork().set_description(offer(section("v0", "sendonly")))
    await origin.close()


async def test_an_application_may_bring_its_own_local_description(origin: RTCConnection, fake: FakeEngine) -> None:
    model = origin.fork()
    model.set_description(player())
    fork = origin.fork()
    fork.set_description(model.get_description("local"), "local")
    fork.set_description(player())
    local = fork.get_description("local")
    assert local.media == model.get_description("local").media
    assert local.ufrag != model.get_description("local").ufrag
    assert len(fork.slots) == 2


async def test_remote_candidates_are_bounded(origin: RTCConnection) -> None:
    fork = origin.fork()
    fork.set_description(publisher())
    for _ in range(200):
        fork.add_remote_candidate(origin.get_sockets()[0].candidates[0])
    fork.add_remote_candidate(None)
    assert len(fork.get_description("remote").candidates) == 64


# -- media ---------------------------------------------------------------------------------------------------------


async def test_receiving_a_stream_registers_its_tracks(origin: RTCConnection, fake: FakeEngine) -> None:
    fork, stream = publish(origin)
    assert stream.id == "camera"
    audio, video = stream.tracks
    assert audio.contributor != video.contributor
    producer = fake.native.producers[video.producer or 0]
    assert producer["mid"] == "v1"
    assert producer["extensions"] == {"urn:ietf:params:rtp-hdrext:sdes:mid": 1}
    assert [encoding["ssrc"] for encoding in producer["encodings"]] == [video.offered.encodings[0].ssrc]
    assert [codec["payload_type"] for codec in producer["codecs"]] == [96, 102]
    fork.receive_stream(stream)
    assert len(fake.native.producers) == 2
    fork.receive_stream(stream, False)
    assert not fake.native.producers
    with pytest.raises(ConfigError, match="get_remote_streams"):
        origin.fork().receive_stream(stream)


async def test_sending_a_stream_that_another_fork_receives_is_forwarding(
    origin: RTCConnection, fake: FakeEngine
) -> None:
    _, stream = publish(origin)
    receiver = origin.fork()
    seen = record(receiver)
    receiver.send_stream(stream)
    receiver.set_description(player(audio=1, video=2))
    assert [slot.track for slot in receiver.slots] == [*stream.tracks, None]
    assert [fake.native.slots[slot.id]["producer"] for slot in receiver.slots] == [
        stream.tracks[0].producer,
        stream.tracks[1].producer,
        None,
    ]
    assert receiver.get_local_streams() == (stream,)
    contributors = [event for event in seen if event[0] == "trackcontributors"]
    assert [(event[1].mid, [item.id for item in event[2]]) for event in contributors] == [
        ("a0", [stream.tracks[0].contributor]),
        ("v1", [stream.tracks[1].contributor]),
    ]
    assert contributors[0][2][0].track is stream.tracks[0]
    receiver.send_stream(stream, False)
    assert [slot.track for slot in receiver.slots] == [None] * 3
    assert receiver.get_local_streams() == ()
    assert all(slot["producer"] is None for slot in fake.native.slots.values())


async def test_slots_refuse_what_they_cannot_show(origin: RTCConnection) -> None:
    _, stream = publish(origin)
    _, video = stream.tracks
    receiver = origin.fork()
    receiver.set_description(offer(section("a0", "recvonly"), section("v1", "recvonly", codecs=(H264,))))
    vp8_only = origin.fork()
    vp8_only.set_description(offer(section("v0", "sendonly", codecs=(VP8,))))
    (vp8_stream,) = vp8_only.get_remote_streams()
    vp8_only.receive_stream(vp8_stream)
    audio_slot, video_slot = receiver.slots
    assert not audio_slot.can_show(video)
    assert video_slot.can_show(video)
    assert not video_slot.can_show(vp8_stream.tracks[0])
    with pytest.raises(ConflictError, match="accepts no"):
        video_slot.assign(vp8_stream.tracks[0])
    vp8_only.receive_stream(vp8_stream, False)
    video_slot.assign(video)
    video.connection.receive_stream(stream, False)
    assert video_slot.track is None
    with pytest.raises(ConflictError, match="not being received"):
        video_slot.assign(video)


async def test_a_leaving_publisher_empties_the_slots_of_others(origin: RTCConnection, fake: FakeEngine) -> None:
    sender, stream = publish(origin)
    receiver = origin.fork()
    receiver.set_description(player())
    receiver.send_stream(stream)
    assert set(origin.context.contributors) == {track.contributor for track in stream.tracks}
    await sender.close()
    assert [slot.track for slot in receiver.slots] == [None, None]
    assert not origin.context.contributors
    await receiver.close()
    with pytest.raises(ConnectionClosedError):
        receiver.send_stream(stream)
    with pytest.raises(ConflictError):
        receiver.slots[0].assign(stream.tracks[0])


async def test_muting_pauses_the_producer_even_before_it_starts(origin: RTCConnection, fake: FakeEngine) -> None:
    fork = origin.fork()
    fork.set_description(publisher())
    (stream,) = fork.get_remote_streams()
    stream.tracks[0].muted = True
    fork.receive_stream(stream)
    assert fake.native.producers[stream.tracks[0].producer or 0]["paused"]
    stream.tracks[0].muted = False
    assert not fake.native.producers[stream.tracks[0].producer or 0]["paused"]


# -- live constraints ----------------------------------------------------------------------------------------------


async def test_send_limits_reach_slots_at_once_and_the_strictest_wins(origin: RTCConnection, fake: FakeEngine) -> None:
    publishing, stream = publish(origin)
    receiver = origin.fork(constraints={"send": RTCConstraints(max_bitrate_bps=1_000_000)})
    receiver.set_description(player())
    receiver.send_stream(stream)
    slot = receiver.slots[1]

    def limits() -> dict[str, int]:
        return {name: value for name, value in fake.native.slots[slot.id]["limits"].items() if value is not None}

    assert limits() == {"max_bitrate_bps": 1_000_000}
    receiver.set_constraints(RTCConstraints(max_bitrate_bps=500_000, max_height=360), "send", stream)
    assert limits() == {"max_bitrate_bps": 500_000, "max_height": 360}
    receiver.set_constraints(RTCConstraints(max_bitrate_bps=700_000, max_height=180), "send", stream.tracks[1])
    assert limits() == {"max_bitrate_bps": 500_000, "max_height": 180}
    publishing.set_constraints(RTCConstraints(max_frame_rate=15, max_bitrate_bps=1_000), "receive")
    assert limits() == {"max_bitrate_bps": 500_000, "max_height": 180, "max_frame_rate": 15}
    receiver.set_constraints(RTCConstraints(), "send", stream)
    receiver.set_constraints(RTCConstraints(), "send", stream.tracks[1])
    assert limits() == {"max_bitrate_bps": 1_000_000, "max_frame_rate": 15}


async def test_what_is_wanted_is_one_more_limit_and_stays_with_the_slot(
    origin: RTCConnection, fake: FakeEngine
) -> None:
    _, stream = publish(origin)
    receiver = origin.fork(constraints={"send": RTCConstraints(max_height=360)})
    receiver.set_description(player())
    slot = receiver.slots[1]
    slot.want(RTCConstraints(max_width=320, max_height=720, max_frame_rate=15))
    receiver.send_stream(stream)

    def size() -> tuple[int | None, int | None]:
        limits = fake.native.slots[slot.id]["limits"]
        return limits["max_width"], limits["max_height"]

    assert size() == (320, 360)
    assert fake.native.slots[slot.id]["limits"]["max_frame_rate"] == 15
    slot.want(RTCConstraints(max_height=180))
    assert size() == (None, 180)
    slot.want(RTCConstraints(), (640, None))
    assert size() == (None, 360)
    limits = fake.native.slots[slot.id]["limits"]
    assert (limits["shown_width"], limits["shown_height"], limits["max_frame_rate"]) == (640, None, None)


async def test_receive_limits_reach_the_peer_as_one_figure(origin: RTCConnection, fake: FakeEngine) -> None:
    fork = origin.fork(constraints={"receive": RTCConstraints(max_bitrate_bps=3_000_000)})
    fork.set_description(publisher())
    transport = fake.native.transports[fork.transport.id or 0]
    assert transport["receive_limit"] == 3_000_000
    (stream,) = fork.get_remote_streams()
    fork.receive_stream(stream)
    fork.set_constraints(RTCConstraints(max_bitrate_bps=1_000_000), "receive", stream.tracks[1])
    assert transport["receive_limit"] == 3_000_000
    fork.set_constraints(RTCConstraints(max_bitrate_bps=64_000), "receive", stream.tracks[0])
    assert transport["receive_limit"] == 1_064_000
    fork.set_constraints(RTCConstraints(max_bitrate_bps=500_000), "receive")
    assert transport["receive_limit"] == 500_000
    fork.set_constraints(RTCConstraints(), "receive")
    fork.set_constraints(RTCConstraints(), "receive", stream.tracks[0])
    assert transport["receive_limit"] is None


# -- events --------------------------------------------------------------------------------------------------------


async def test_track_and_stream_events_follow_the_packets(origin: RTCConnection, fake: FakeEngine) -> None:
    fork, stream = publish(origin)
    audio, video = stream.tracks
    seen = record(fork)
    assert audio.producer is not None
    assert video.producer is not None
    handlers = fake.producer_handlers
    handlers[audio.producer].on_encoding_active(0, 1)
    handlers[video.producer].on_encoding_active(0, 2)
    handlers[video.producer].on_encoding_active(1, 3)
    assert audio.live
    handlers[video.producer].on_contributors([(7, None), (audio.contributor, 30)])
    handlers[audio.producer].on_producer_silent("timeout")
    handlers[audio.producer].on_producer_silent("timeout")
    handlers[audio.producer].on_encoding_active(0, 1)
    await fork.close()
    assert [event[:2] for event in seen] == [
        ("trackconnected", audio),
        ("streamconnected", stream),
        ("trackconnected", video),
        ("trackcontributors", video),
        ("trackdisconnected", audio),
        ("trackconnected", audio),
        ("trackdisconnected", audio),
        ("trackdisconnected", video),
        ("streamdisconnected", stream),
        ("disconnected", None),
    ]
    assert [(item.id, item.level, item.track) for item in seen[3][2]] == [
        (7, None, None),
        (audio.contributor, 30, audio),
    ]
    assert [event[2] for event in seen if event[0] == "trackdisconnected"] == ["timeout", "closed", "closed"]
    assert seen[-1] == ("disconnected", None, "closed")


async def test_a_transport_lost_by_the_engine_ends_the_fork_once(origin: RTCConnection, fake: FakeEngine) -> None:
    fork, _ = publish(origin)
    seen = record(fork)
    handler = fake.transport_handlers[fork.transport.id or 0]
    handler.on_transport_lost("consent-expired")
    handler.on_transport_lost("consent-expired")
    await fork.close()
    assert seen == [("disconnected", None, "consent-expired")]
    assert fork.closed
    assert not fake.native.transports
    with pytest.raises(ConnectionClosedError):
        await fork.get_stats()


async def test_handlers_may_close_the_connection(origin: RTCConnection, fake: FakeEngine) -> None:
    fork, _ = publish(origin)
    ended = asyncio.Event()

    async def on_disconnected(_socket: RTCSocket | None, _reason: str) -> None:
        await fork.close()
        ended.set()

    fork.ondisconnected = on_disconnected
    fake.transport_handlers[fork.transport.id or 0].on_transport_lost("consent-expired")
    await asyncio.wait_for(ended.wait(), 1)


async def test_reports_come_only_while_somebody_listens(origin: RTCConnection, fake: FakeEngine) -> None:
    fork, stream = publish(origin)
    fork._reports.interval_s = 0.01
    assert fork._reports._timer is None
    tracks: list[Any] = []
    streams: list[Any] = []
    fork.ontrackreport = lambda track, report: tracks.append((track, report["id"]))
    fork.onstreamreport = lambda stream, reports: streams.append((stream, [report["id"] for report in reports]))
    await wait_for(lambda: len(streams) >= 2)
    assert tracks[:2] == [(track, track.producer) for track in stream.tracks]
    assert streams[0] == (stream, [track.producer for track in stream.tracks])
    assert (await fork.get_stats())["id"] == fork.transport.id
    fork.ontrackreport = None
    assert fork._reports._timer is not None
    fork.onstreamreport = None
    assert fork._reports._timer is None
    fork.ontrackreport = print
    await fork.close()
    assert fork._reports._timer is None


async def test_nothing_of_a_closed_connection_stays_behind(origin: RTCConnection) -> None:
    receiver = origin.fork()
    receiver.set_description(player())
    sender, stream = publish(origin)
    receiver.send_stream(stream)
    receiver.set_constraints(RTCConstraints(max_bitrate_bps=5), "send", stream)
    sender.set_constraints(RTCConstraints(max_bitrate_bps=5), "receive", stream.tracks[0])
    await sender.close()
    assert receiver.get_local_streams() == ()
    gone = [weakref.ref(item) for item in (sender, stream, *stream.tracks)]
    del sender, stream
    gc.collect()
    assert [reference() for reference in gone] == [None] * 4

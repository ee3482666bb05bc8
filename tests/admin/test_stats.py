from typing import Any

import httpx

from router.admin.webrtc_stats import write_stats
from tests.admin.conftest import Router, encoding, slot_stats, transport_stats


def write(stats: dict[str, Any]) -> dict[str, dict[str, Any]]:
    written = write_stats(stats, 1000.5, published={"0": "T_1"}, shown={"1": "T_9"})  # type: ignore[arg-type]
    by_type = {stat["type"]: stat for stat in written}
    assert len({stat["id"] for stat in written}) == len(written)
    return by_type


def test_all_types_and_their_references() -> None:
    stats = write(transport_stats())
    assert set(stats) == {
        "transport",
        "candidate-pair",
        "remote-candidate",
        "codec",
        "inbound-rtp",
        "outbound-rtp",
        "remote-inbound-rtp",
    }
    assert stats["transport"]["selectedCandidatePairId"] == stats["candidate-pair"]["id"]
    assert stats["candidate-pair"]["remoteCandidateId"] == stats["remote-candidate"]["id"]
    assert stats["outbound-rtp"]["remoteId"] == stats["remote-inbound-rtp"]["id"]
    assert stats["remote-inbound-rtp"]["localId"] == stats["outbound-rtp"]["id"]
    assert {stat["timestamp"] for stat in stats.values()} == {1000.5}
    assert stats["inbound-rtp"]["trackIdentifier"] == "T_1"
    assert stats["outbound-rtp"]["trackIdentifier"] == "T_9"
    assert stats["outbound-rtp"]["reason"] == "highest layer that flows"
    assert stats["codec"]["mimeType"] == "video/VP8"
    assert stats["candidate-pair"]["availableOutgoingBitrate"] == 840_000
    assert stats["transport"]["bandwidth"]["limitedBy"] == "delay"
    assert stats["transport"]["bandwidth"]["loss"] == 0.0123
    assert "acknowledged" not in stats["transport"]["bandwidth"]


def test_layers_quality_and_what_limits_it() -> None:
    stats = write(transport_stats())
    lower, upper = stats["inbound-rtp"]["layers"]
    assert (lower["temporal"], lower["bitrate"], upper["bitrate"]) == (0, 300_000, 500_000)
    assert (upper["frameWidth"], upper["framesPerSecond"]) == (640, 29.5)
    assert "frameHeight" not in upper
    assert "quality" not in stats["inbound-rtp"]
    assert (stats["inbound-rtp"]["freezeCount"], stats["inbound-rtp"]["totalFreezesDuration"]) == (1, 0.4)
    sent = stats["outbound-rtp"]
    assert (sent["limitedBy"], sent["quality"]["score"], sent["quality"]["model"]) == ("none", 3.6, "shown-of-wanted")
    assert (sent["freezeCount"], sent["totalFreezesDuration"], sent["frameHeight"]) == (2, 1.5, 180)
    assert (sent["framesSent"], sent["keyFramesSent"], sent["framesPerSecond"]) == (9, 1, 29.0)


def test_absent_rather_than_a_placeholder() -> None:
    stats = write(
        transport_stats(
            remote_address=None,
            secured=False,
            current_round_trip_time_s=None,
            bandwidth=None,
            slots=[slot_stats(round_trip_time_s=None, codec=None, producer=None, encoding=None)],
        )
    )
    assert "candidate-pair" not in stats
    assert "remote-inbound-rtp" not in stats
    assert "selectedCandidatePairId" not in stats["transport"]
    assert stats["transport"]["dtlsState"] == "new"
    assert "remoteId" not in stats["outbound-rtp"]
    assert stats["outbound-rtp"]["active"] is False
    assert "frameHeight" not in stats["inbound-rtp"]
    assert stats["inbound-rtp"]["frameWidth"] == 640
    assert all(value is not None and value != -1 for stat in stats.values() for value in stat.values())


def test_audio_has_no_picture_and_a_linear_level() -> None:
    producer = transport_stats()["producers"][0] | {
        "kind": "audio",
        "codec": "opus",
        "audio_level": 20,
        "encodings": [encoding(frame_width=None)],
    }
    stats = write(transport_stats(producers=[producer], slots=[]))
    pictures = {"pliCount", "framesPerSecond", "keyFramesReceived", "frameWidth", "freezeCount", "layers"}
    assert not pictures & set(stats["inbound-rtp"])
    assert stats["inbound-rtp"]["audioLevel"] == 0.1
    assert (stats["codec"]["mimeType"], stats["codec"]["clockRate"]) == ("audio/opus", 48_000)


async def test_over_http(router: Router, client: httpx.AsyncClient) -> None:
    session = router.add_session(router.registry.create_room("a"), "ada")
    session.connection.stats = transport_stats()  # type: ignore[attr-defined]
    router.add_session(session.room, "ada")  # its transport is gone already
    body = (await client.get(f"/v1/rooms/a/participants/{session.participant.id}/stats")).json()
    assert body["identity"] == "ada"
    assert {stat["type"] for stat in body["stats"]} >= {"transport", "inbound-rtp", "outbound-rtp"}
    room = (await client.get("/v1/rooms/a/stats")).json()
    assert [entry["participant_id"] for entry in room["items"]] == [session.participant.id]

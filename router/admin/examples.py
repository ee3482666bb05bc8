"""Examples for the OpenAPI document: one small call, the same ids everywhere. A test checks them by the schemas."""

from typing import Any, Final

from pydantic.config import JsonDict

TRACK: Final[JsonDict] = {
    "id": "T_0000beef",
    "kind": "video",
    "mid": "cam",
    "source": "camera",
    "live": True,
    "muted": False,
    "moderated": False,
    "contributor": 0xBEEF,
}
ROOM_TRACK: Final[JsonDict] = {**TRACK, "participant_id": "P_99aabbccddeeff00", "identity": "ada"}
SLOT: Final[JsonDict] = {
    "mid": "v0",
    "kind": "video",
    "track_id": "T_0000cafe",
    "participant_id": "P_0011223344556677",
    "pinned": False,
    "paused": False,
    "reason": "spoke recently",
}
PARTICIPANT: Final[JsonDict] = {
    "id": "P_99aabbccddeeff00",
    "identity": "ada",
    "name": "Ada",
    "metadata": '{"team":"engines"}',
    "joined_at": "2026-11-28T12:00:05Z",
    "rights": {
        "can_publish": True,
        "can_publish_sources": ["camera", "microphone"],
        "can_subscribe": True,
        "can_publish_data": True,
        "can_update_own_metadata": False,
        "room_admin": False,
        "hidden": False,
        "recorder": False,
    },
    "sessions": [{"id": "S_0a1b2c3d4e5f6071", "endpoint": "fork", "state": "connected", "slots": [SLOT]}],
    "tracks": [TRACK],
}
ROOM: Final[JsonDict] = {
    "id": "R_0a1b2c3d4e5f6071",
    "name": "lobby",
    "created_at": "2026-11-28T12:00:00Z",
    "metadata": '{"topic":"tea"}',
    "max_participants": 20,
    "empty_timeout_s": 30.0,
    "departure_timeout_s": 60.0,
    "audio_slots": 3,
    "video_slots": 9,
    "codecs": ["red", "opus", "VP8", "VP9", "H264", "AV1"],
    "participants": 2,
    "sessions": 2,
    "tracks": 4,
    "watchers": 2,
    "locked": False,
    "version": 12,
}
STATS: Final[dict[str, Any]] = {
    "participant_id": "P_99aabbccddeeff00",
    "identity": "ada",
    "name": "Ada",
    "stats": [
        {"id": "T5", "type": "transport", "packetsReceived": 120, "dtlsState": "connected", "timestamp": 1795867205000},
        {
            "id": "O71",
            "type": "outbound-rtp",
            "transportId": "T5",
            "kind": "video",
            "mid": "v0",
            "trackIdentifier": "T_0000cafe",
            "active": True,
            "reason": "highest layer that flows",
            "limitedBy": "none",
            "packetsSent": 10,
            "timestamp": 1795867205000,
        },
    ],
}


def page(item: JsonDict) -> JsonDict:
    """Of a list."""
    return {"examples": [{"items": [item], "next_cursor": None}]}


def answer(example: object) -> dict[int | str, dict[str, Any]]:
    """For the `responses` of a route without a model."""
    return {200: {"content": {"application/json": {"example": example}}}}

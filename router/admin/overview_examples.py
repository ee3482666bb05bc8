"""What the OpenAPI document shows of the overviews."""

from typing import Any, Final

Json = dict[str, Any]

FIGURES: Final[Json] = {
    "measured": 3,
    "bitrate_in": 2_450_000,
    "bitrate_out": 4_870_000,
    "loss_in": 0.001,
    "loss_out": 0.004,
    "round_trip_time": 0.042,
    "estimate": 1_900_000,
    "limited": 1,
    "quality": "good",
}
ROOM: Final[Json] = {
    "name": "stand-up",
    "created_at": "2026-11-28T09:00:00Z",
    "participants": 3,
    "sessions": 3,
    "tracks": 6,
    "locked": False,
    "figures": FIGURES,
}
OVERVIEW: Final[Json] = {
    "time": 1_795_900_000.25,
    "node": {
        "id": "N_1a2b3c4d5e6f7081",
        "version": "0.1.0",
        "state": "serving",
        "store": {"kind": "memory", "up": True},
        "rooms": 1,
        "participants": 3,
        "counters": {
            "time_us": 8_000_000,
            "bytes_in": 2_450_000,
            "bytes_out": 4_870_000,
            "rtp_in": 2_600,
            "rtp_out": 5_100,
            "nack_in": 4,
            "nack_out": 1,
            "retransmitted": 9,
            "kernel_drops": 0,
            "send_dropped": 0,
            "freezes": 0,
            "busy_us": [160_000],
            "transports": [3],
            "forward_delay_bounds_us": [50, 100, 250],
            "forward_delay": [4_200, 800, 90, 10],
            "pictures": {"720": 4, "180": 2},
            "limited": {"none": 4, "size": 2},
        },
    },
    "rooms": [ROOM],
    "total": 1,
    "recent_events": "E_5f0c9a1b2d3e4f60-0",
}
ROOM_OVERVIEW: Final[Json] = {
    "time": 1_795_900_000.25,
    "room": ROOM,
    "participants": [
        {
            "id": "P_99aabbccddeeff00",
            "identity": "ada",
            "name": "Ada",
            "sessions": 1,
            "hidden": False,
            "recorder": False,
            "sources": [{"source": "camera", "kind": "video", "live": True, "muted": False}],
            "figures": FIGURES,
        }
    ],
    "total": 3,
}

"""The engine's statistics in the words of W3C webrtc-stats: camelCase names, seconds and bytes, cumulative counters.

A value that does not apply is absent, never -1. Ids are made from engine ids, which are never reused, so they are
stable and unique in one router. Beyond the specification: `reason` and `limitedBy` (why a slot shows what it does, for
people and for programs) on outbound-rtp, whose freezes are the receiver's as far as they are known here; `layers` on
inbound-rtp; `quality`, `bitrate` and `keyFramesReceived` or `keyFramesSent` (the router decodes nothing) on streams;
`dropped`, `worker` and `bandwidth` on transport.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from router._engine import SlotStats, TransportStats
    from router.engine_stats import BandwidthStats, EncodingStats, LayerStats, ProducerStats

Stat = dict[str, Any]

MIME_SUBTYPES: Final = {"opus": "opus", "red": "red", "vp8": "VP8", "vp9": "VP9", "h264": "H264", "av1": "AV1"}
CLOCK_RATES: Final = {"audio": 48_000, "video": 90_000}


def write_stats(
    stats: "TransportStats", timestamp_ms: float, *, published: Mapping[str, str], shown: Mapping[str, str | None]
) -> list[Stat]:
    """All objects of one peer. `published` and `shown` name the tracks by m-line, as the roster does."""
    found: list[Stat] = [*_write_transport(stats)]
    codecs: dict[str, Stat] = {}
    for producer in stats["producers"]:
        codec = _add_codec(codecs, stats["id"], producer)
        track = published.get(producer["mid"] or "")
        found += [_write_inbound(stats, producer, index, codec, track) for index in range(len(producer["encodings"]))]
    for slot in stats["slots"]:
        codec = _add_codec(codecs, stats["id"], slot)
        found += _write_outbound(stats, slot, codec, shown.get(slot["mid"] or ""))
    found += codecs.values()
    return [{**stat, "timestamp": timestamp_ms} for stat in map(_without_absent, found)]


def _without_absent(stat: Stat) -> Stat:
    return {name: value for name, value in stat.items() if value is not None}


def _write_transport(stats: "TransportStats") -> Iterator[Stat]:
    key, address, bandwidth = stats["id"], stats["remote_address"], stats["bandwidth"]
    pair = f"P{key}-{stats['selected_pair_changes']}" if address else None
    yield {
        "id": f"T{key}",
        "type": "transport",
        "packetsReceived": stats["packets_received"],
        "bytesReceived": stats["bytes_received"],
        "packetsSent": stats["packets_sent"],
        "bytesSent": stats["bytes_sent"],
        "iceRole": "controlled",
        "iceState": "connected" if address else "new",
        "dtlsState": "connected" if stats["secured"] else "connecting" if address else "new",
        "selectedCandidatePairId": pair,
        "selectedCandidatePairChanges": stats["selected_pair_changes"],
        "worker": stats["worker"],
        "dropped": stats["dropped"],
        "bandwidth": _write_bandwidth(bandwidth) if bandwidth else None,
    }
    if address is None:
        return
    remote = f"R{key}-{stats['selected_pair_changes']}"
    yield {
        "id": pair,
        "type": "candidate-pair",
        "transportId": f"T{key}",
        "remoteCandidateId": remote,
        "state": "succeeded",
        "nominated": True,
        "currentRoundTripTime": stats["current_round_trip_time_s"],
        "availableOutgoingBitrate": bandwidth["estimate_bps"] if bandwidth else None,
    }
    yield {
        "id": remote,
        "type": "remote-candidate",
        "transportId": f"T{key}",
        "address": address[0],
        "port": address[1],
        "protocol": "udp",
    }


def _write_bandwidth(stats: "BandwidthStats") -> Stat:
    """What the peer's link carries, in bits per second and seconds, and how its slots share it."""
    return _without_absent(
        {
            "estimate": stats["estimate_bps"],
            "limitedBy": stats["limit"],
            "budget": stats["budget_bps"],
            "granted": stats["granted_bps"],
            "ideal": stats["ideal_bps"],
            "limited": stats["is_limited"],
            "acknowledged": stats["acked_bps"],
            "loss": round(stats["loss"], 4),
            "queue": stats["queue_s"],
            "pacerDelay": stats["pacer_delay_s"],
            "paddingBytesSent": stats["padding_bytes"],
            "refusedFeedback": stats["refused_feedback"],
        }
    )


def _add_codec(codecs: dict[str, Stat], transport: int, stream: "ProducerStats | SlotStats") -> str | None:
    codec, payload_type = stream["codec"], stream["payload_type"]
    if codec is None or payload_type is None:
        return None
    kind = stream["kind"]
    key = f"C{transport}-{'in' if 'encodings' in stream else 'out'}-{stream['mid']}-{payload_type}"
    codecs[key] = {
        "id": key,
        "type": "codec",
        "transportId": f"T{transport}",
        "payloadType": payload_type,
        "mimeType": f"{kind}/{MIME_SUBTYPES.get(codec, codec)}",
        "clockRate": CLOCK_RATES[kind],
    }
    return key


def _write_inbound(
    stats: "TransportStats", producer: "ProducerStats", index: int, codec: str | None, track: str | None
) -> Stat:
    encoding: EncodingStats = producer["encodings"][index]
    video = producer["kind"] == "video"
    return {
        "id": f"I{producer['id']}-{index}",
        "type": "inbound-rtp",
        "transportId": f"T{stats['id']}",
        "codecId": codec,
        "kind": producer["kind"],
        "mid": producer["mid"],
        "rid": encoding["rid"],
        "ssrc": encoding["ssrc"],
        "rtxSsrc": encoding["rtx_ssrc"],
        "trackIdentifier": track,
        "packetsReceived": encoding["packets_received"],
        "bytesReceived": encoding["bytes_received"],
        "headerBytesReceived": encoding["header_bytes_received"],
        "packetsLost": encoding["packets_lost"],
        "packetsDuplicated": encoding["packets_duplicated"],
        "retransmittedPacketsReceived": encoding["retransmitted_packets_received"],
        "jitter": encoding["jitter_s"],
        "nackCount": encoding["nack_count"],
        "pliCount": encoding["pli_count"] if video else None,
        "firCount": encoding["fir_count"] if video else None,
        "keyFramesReceived": encoding["key_frames_received"] if video else None,
        "framesReceived": encoding["frames_received"] if video else None,
        "framesPerSecond": encoding["frames_per_second"] if video else None,
        "frameWidth": encoding["frame_width"],
        "frameHeight": encoding["frame_height"],
        "freezeCount": encoding["freeze_count"] if video else None,
        "totalFreezesDuration": encoding["total_freezes_duration_s"] if video else None,
        "bitrate": encoding["bitrate_bps"],
        "layers": [_write_layer(layer) for layer in encoding["layers"]] if video else None,
        "quality": producer["quality"],
        "audioLevel": _linear_level(producer["audio_level"]),
    }


def _write_layer(layer: "LayerStats") -> Stat:
    return _without_absent(
        {
            "spatial": layer["spatial"],
            "temporal": layer["temporal"],
            "bitrate": layer["bitrate_bps"],
            "frameWidth": layer["frame_width"],
            "frameHeight": layer["frame_height"],
            "framesPerSecond": layer["frames_per_second"],
        }
    )


def _linear_level(level: int | None) -> float | None:
    """From -dBov (RFC 6464) to the specification's 0 to 1."""
    return None if level is None else 0.0 if level >= 127 else round(10.0 ** (-level / 20), 6)


def _write_outbound(stats: "TransportStats", slot: "SlotStats", codec: str | None, track: str | None) -> Iterator[Stat]:
    key, video = f"O{slot['id']}", slot["kind"] == "video"
    reported = slot["round_trip_time_s"] is not None
    yield {
        "id": key,
        "type": "outbound-rtp",
        "transportId": f"T{stats['id']}",
        "codecId": codec,
        "remoteId": f"N{slot['id']}" if reported else None,
        "kind": slot["kind"],
        "mid": slot["mid"],
        "ssrc": slot["ssrc"],
        "rtxSsrc": slot["rtx_ssrc"],
        "trackIdentifier": track,
        "active": slot["producer"] is not None,
        "reason": slot["reason"],
        "limitedBy": slot["limited_by"],
        "quality": slot["quality"],
        "encodingIndex": slot["encoding"],
        "packetsSent": slot["packets_sent"],
        "bytesSent": slot["bytes_sent"],
        "headerBytesSent": slot["header_bytes_sent"],
        "retransmittedPacketsSent": slot["retransmitted_packets_sent"],
        "retransmittedBytesSent": slot["retransmitted_bytes_sent"],
        "nackCount": slot["nack_count"],
        "pliCount": slot["pli_count"] if video else None,
        "firCount": slot["fir_count"] if video else None,
        "framesSent": slot["frames_sent"] if video else None,
        "keyFramesSent": slot["key_frames_sent"] if video else None,
        "framesPerSecond": slot["frames_per_second"] if video else None,
        "frameWidth": slot["frame_width"],
        "frameHeight": slot["frame_height"],
        "freezeCount": slot["freeze_count"] if video else None,
        "totalFreezesDuration": slot["total_freezes_duration_s"] if video else None,
        "bitrate": slot["bitrate_bps"],
    }
    if reported:
        yield {
            "id": f"N{slot['id']}",
            "type": "remote-inbound-rtp",
            "localId": key,
            "transportId": f"T{stats['id']}",
            "kind": slot["kind"],
            "ssrc": slot["ssrc"],
            "packetsLost": slot["packets_lost"],
            "fractionLost": slot["fraction_lost"],
            "jitter": slot["jitter_s"],
            "roundTripTime": slot["round_trip_time_s"],
        }

"""Descriptions as a browser would make them, without SDP."""

from typing import Any

from router.rtc import RTCCodec, RTCDescription, RTCEncoding, RTCFingerprint, RTCHeaderExtension, RTCMediaSection

MID = RTCHeaderExtension(1, "urn:ietf:params:rtp-hdrext:sdes:mid")
OPUS = RTCCodec("opus", 111, 48000, 2)
VP8 = RTCCodec("VP8", 96, 90000, feedback=("nack", "nack pli", "ccm fir", "goog-remb"), rtx_payload_type=97)
H264_PARAMETERS = {"profile-level-id": "42e01f", "packetization-mode": "1"}
H264 = RTCCodec("H264", 102, 90000, parameters=H264_PARAMETERS, feedback=("nack", "nack pli"))


def section(mid: str, direction: str, *, stream: str = "camera", codecs: tuple[RTCCodec, ...] = ()) -> RTCMediaSection:
    audio = mid.startswith("a")
    sends = direction in ("sendonly", "sendrecv")
    return RTCMediaSection(
        mid=mid,
        kind="audio" if audio else "video",
        direction=direction,  # type: ignore[arg-type]
        codecs=codecs or ((OPUS,) if audio else (VP8, H264)),
        extensions=(MID,),
        encodings=(RTCEncoding(ssrc=sum(mid.encode()) + 1000),) if sends else (),
        stream_id=stream if sends else None,
        track_id=f"track-{mid}" if sends else None,
    )


def offer(*sections: RTCMediaSection, ufrag: str = "peer", **changes: Any) -> RTCDescription:
    values: dict[str, Any] = {
        "ufrag": ufrag,
        "password": "peer-password-of-22-characters",
        "fingerprints": (RTCFingerprint("sha-256", ":".join(["AB"] * 32)),),
        "media": sections,
    }
    return RTCDescription(**(values | changes))


def publisher(**changes: Any) -> RTCDescription:
    return offer(section("a0", "sendonly"), section("v1", "sendonly"), **changes)


def player(audio: int = 1, video: int = 1, **changes: Any) -> RTCDescription:
    sections = [section(f"a{index}", "recvonly") for index in range(audio)]
    sections += [section(f"v{index + audio}", "recvonly") for index in range(video)]
    return offer(*sections, **changes)

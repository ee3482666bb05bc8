"""Clients after their handshake: a thread of the native part sends and counts for all of them."""

from dataclasses import dataclass
from typing import Any

from loadtest import _native
from loadtest.client import Client, SentTrack
from loadtest.scenario import Audio, Video
from loadtest.srtp import function_addresses, open_session, session_address

REMB_BPS = 100_000_000
"""What receivers say they can take, so that no server holds back."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the tracks of a scenario send."""

    video: Video
    audio: Audio

    def describe(self, track: SentTrack) -> "_native.TrackArguments":
        """A track for the native part."""
        shape, size, per_frame, rate, dtx = self._shape(track)
        return {
            "codec": track.codec,
            "payload_type": track.payload_type,
            "ssrc": track.ssrc,
            "mid": track.mid,
            "mid_extension": track.mid_extension,
            "level_extension": track.level_extension,
            "shape": shape,
            "bytes": size,
            "per_frame": per_frame,
            "rate": rate,
            "dtx": dtx,
        }

    def _shape(self, track: SentTrack) -> tuple[str, int, int, float, bool]:
        video, audio = self.video, self.audio
        if track.kind == "audio":
            return "voice", audio.packet_bytes, 1, 1.0, audio.dtx
        if video.shape == "camera":
            return "camera", video.packet_bytes, video.frames_per_s, float(video.bits_per_s), False
        return "steady", video.packet_bytes, video.frame_packets, video.packets_per_s, False


class Load:
    """One generator thread and the SRTP sessions that it uses."""

    def __init__(
        self,
        core: int | None,
        *,
        report_interval_s: float = 1.0,
        check_interval_s: float = 5.0,
        coalesces: bool = True,
    ) -> None:
        if _native.build_profile() != "release":
            raise SystemExit("refusing to measure with a debug build of the native part: run `make loadtest-native`")
        self._generator = _native.Generator(
            function_addresses(),
            core=core,
            report_interval_s=report_interval_s,
            check_interval_s=check_interval_s,
            coalesces=coalesces,
        )
        self._sessions: list[Any] = []

    def add(self, client: Client, traffic: Traffic) -> int:
        """Takes a connected client over, its socket included; its number."""
        path = client.path
        sessions = (open_session(path.keys, "inbound"), open_session(path.keys, "outbound"))
        # Kept until the thread has ended: a client that was removed may be in use for a moment longer.
        self._sessions += sessions
        inbound, outbound = (session_address(session) for session in sessions)
        return self._generator.add(
            {
                "fd": client.release(),
                "remote": path.remote,
                "password": path.password.encode(),
                "remote_username": path.remote_username.encode(),
                "remote_password": path.remote_password.encode(),
                "controlling": path.controlling,
                "inbound": 0 if path.clear else inbound,
                "outbound": outbound,
                "video_types": sorted(client.video_types),
                "remb_bps": REMB_BPS,
                "tracks": [traffic.describe(track) for track in client.sent],
            }
        )

    def remove(self, number: int) -> None:
        """The client vanishes."""
        self._generator.remove(number)

    def set_running(self, running: bool) -> None:
        """Starts or stops all tracks."""
        self._generator.set_running(running)

    def set_scale(self, scale: float) -> None:
        """Makes all video so much faster than the scenario says."""
        self._generator.set_scale(scale)

    def begin(self) -> None:
        """Begins a window of measurement."""
        self._generator.begin()

    def snapshot(self) -> "_native.Snapshot":
        """What was counted in it."""
        return self._generator.snapshot()

    def close(self) -> None:
        """Ends the thread; all clients vanish."""
        self._generator.close()
        self._sessions.clear()

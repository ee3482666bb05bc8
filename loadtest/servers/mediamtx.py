"""MediaMTX, a router of streams: each path has one publisher, so only fan-out from one works.

Measured with v1.20.1, built from its sources (go1.26). Set: only WebRTC is on, one UDP port on loopback, error logs.
Left as it is: full ICE, its queue and threads per reader. It takes frames out of packets and puts them into packets
anew, so samples are not what was sent.
"""

from pathlib import Path

from loadtest.servers.child import Command, find_program, free_udp_port, print_version
from loadtest.servers.tracks import OneWayConnections
from loadtest.servers.whip_program import WhipProgram

OTHERS = ("rtsp", "rtmp", "hls", "srt", "moq", "api", "metrics", "pprof", "playback")


def write_settings(port: int, udp_port: int) -> str:
    """The configuration file."""
    lines = [
        "logLevel: error",
        *(f"{name}: false" for name in OTHERS),
        f"webrtcAddress: 127.0.0.1:{port}",
        f"webrtcLocalUDPAddress: 127.0.0.1:{udp_port}",
        "webrtcIPsFromInterfaces: false",
        "webrtcAdditionalHosts: [127.0.0.1]",
        "paths: {all_others: {}}",
    ]
    return "\n".join(lines) + "\n"


class MediaMtx(WhipProgram, OneWayConnections):
    """A MediaMTX of our own."""

    name = "mediamtx"

    async def command(self, folder: Path, port: int) -> Command:
        """With a configuration of its own."""
        program = find_program("mediamtx")
        self.version = await print_version(program, "--version")
        settings = folder / "mediamtx.yml"
        settings.write_text(write_settings(port, free_udp_port()))
        return Command([program, str(settings)], folder / "log")

    def endpoints(self, port: int) -> str:
        """The room is a path."""
        return f"http://127.0.0.1:{port}/{{room}}/whip,http://127.0.0.1:{port}/{{room}}/whep"

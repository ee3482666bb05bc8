"""aiortc's `MediaRelay` in a small server of ours (media_relay_server.py), the way Python programs relay WebRTC today.

aiortc decodes each published track once and encodes it again for each receiver, at bit rates of its own: what comes out
is not what went in, and its packets cannot be compared one by one. Audio keeps its number of packets.
Video needs pictures that a decoder can show; with others nothing comes out. Measured with aiortc 1.16.0.
"""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from loadtest.servers import Unavailable
from loadtest.servers.child import Command
from loadtest.servers.tracks import OneWayConnections
from loadtest.servers.whip_program import WhipProgram

DISTRIBUTION = "aiortc"


def aiortc_version() -> str:
    """Raises `Unavailable` when it is not installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        raise Unavailable(f"{DISTRIBUTION} is not installed: run make setup") from None


class AiortcRelay(WhipProgram, OneWayConnections):
    """A process with a MediaRelay."""

    name = "aiortc MediaRelay"

    async def command(self, folder: Path, port: int) -> Command:
        """With the interpreter that runs us."""
        self.version = aiortc_version()
        return Command([sys.executable, "-m", "loadtest.servers.media_relay_server", str(port)], folder / "log")

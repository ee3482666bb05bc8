"""aiortc's `MediaRelay` in a small server of ours (media_relay_server.py), the way Python programs relay WebRTC today.

aiortc decodes each published track once and encodes it again for each receiver, at bit rates of its own: what comes out
is not what went in, and its packets cannot be compared one by one (`transcodes`). Audio keeps its number of packets.
Video needs pictures that a decoder can show; with others nothing comes out. Measured with aiortc 1.16.0.
"""

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from loadtest.client import Client, Track
from loadtest.process import free_port
from loadtest.servers import Plan, Unavailable, Wanted
from loadtest.servers.child import ChildServer, Command
from loadtest.servers.tracks import OneWayConnections
from loadtest.servers.whip import Whip

HOST = "127.0.0.1"
DISTRIBUTION = "aiortc"


def aiortc_version() -> str:
    """Raises `Unavailable` when it is not installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        raise Unavailable(f"{DISTRIBUTION} is not installed: run make setup") from None


class AiortcRelay(OneWayConnections):
    """A process with a MediaRelay."""

    name = "aiortc MediaRelay"
    client_host = HOST
    transcodes = True

    def __init__(self) -> None:
        self.version = ""
        self._stack = AsyncExitStack()
        self._child: ChildServer | None = None
        self._whip: Whip | None = None

    @property
    def pids(self) -> Sequence[int]:
        """One process."""
        return [self._child.pid] if self._child else []

    @property
    def whip(self) -> Whip:
        """The calls to the running server."""
        if self._whip is None:
            raise RuntimeError("not started")
        return self._whip

    async def start(self, plan: Plan) -> None:
        """With the interpreter that runs us."""
        self.version, port = aiortc_version(), free_port()
        folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="loadtest-aiortc-")))
        program = [sys.executable, "-m", "loadtest.servers.media_relay_server", str(port)]
        self._child = await ChildServer.start(Command(program, folder / "log", plan.core), (HOST, port))
        self._stack.push_async_callback(self._child.stop)
        root = f"http://{HOST}:{port}"
        self._whip = Whip(f"{root}/whip/{{room}},{root}/whep/{{room}}")

    async def publish(self, client: Client, participant: str, tracks: Sequence[Track]) -> None:
        """By WHIP."""
        await self.whip.publish(client, participant, tracks)

    async def subscribe(self, client: Client, participant: str, wanted: Wanted) -> None:
        """By WHEP."""
        await self.whip.subscribe(client, participant, wanted)

    async def leave(self, participant: str) -> None:
        """By DELETE."""
        await self.whip.leave(participant)

    async def stop(self) -> None:
        """Ends the process by its id."""
        self._whip = None
        await self._stack.aclose()
        self._child = None

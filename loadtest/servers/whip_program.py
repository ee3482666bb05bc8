"""A program of ours to start that speaks WHIP and WHEP: what the adapters of such servers share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from loadtest.client import Client, Track
from loadtest.process import free_port
from loadtest.servers import Plan, Wanted
from loadtest.servers.child import ChildServer, Command
from loadtest.servers.whip import Whip


class WhipProgram(ABC):
    """One such program. An adapter gives its name, its `command` and its `endpoints`; `join` is also its own."""

    name = ""
    client_host = "127.0.0.1"

    def __init__(self) -> None:
        self.version = ""
        self._stack = AsyncExitStack()
        self._child: ChildServer | None = None
        self._whip: Whip | None = None

    @abstractmethod
    async def command(self, folder: Path, port: int) -> Command:
        """How it is started to listen on the TCP port, with what it needs written to the folder; finds its version."""

    def choose_port(self) -> int:
        """Where it is told to listen."""
        return free_port()

    def endpoints(self, port: int) -> str:
        """Its URLs, as whip.py takes them."""
        return f"http://127.0.0.1:{port}/whip/{{room}},http://127.0.0.1:{port}/whep/{{room}}"

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
        """In a folder of its own, which also has its log."""
        port = self.choose_port()
        folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="loadtest-server-")))
        command = await self.command(folder, port)
        self._child = await ChildServer.start(command, plan.core, ("127.0.0.1", port))
        self._stack.push_async_callback(self._child.stop)
        self._whip = Whip(self.endpoints(port))

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

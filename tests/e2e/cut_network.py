"""The paths of a router to its Redis and to another router, each of which can be cut in either direction.

`ProxiedPath` needs no rights: a TCP proxy that holds what it would pass on, as a network that drops makes TCP hold it
until it is heard again. `DroppedPath` is the kernel dropping packets (nftables) in the router's namespace.
"""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from tests.e2e.netns import Namespace

THERE: Final = "there"
"""From who connects to who listens."""
BACK: Final = "back"
BOTH: Final = (THERE, BACK)


class Path(Protocol):
    """To a port."""

    async def cut(self, *ways: str) -> None:
        """Nothing goes this way any more."""

    async def heal(self) -> None:
        """All goes again."""


class ProxiedPath:
    """To a port of this machine, by way of `port`."""

    def __init__(self, target_port: int, port: int = 0) -> None:
        self.port = port
        self._target_port = target_port
        self._open = {way: asyncio.Event() for way in BOTH}
        self._tasks: set[asyncio.Task[None]] = set()

    async def cut(self, *ways: str) -> None:
        """See `Path`."""
        for way in ways:
            self._open[way].clear()

    async def heal(self) -> None:
        """See `Path`."""
        for way in BOTH:
            self._open[way].set()

    @asynccontextmanager
    async def run(self) -> AsyncIterator["ProxiedPath"]:
        """Serves it."""
        await self.heal()
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(self._join(reader, writer))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(self._pump(reader, back, THERE), self._pump(there, writer, BACK))
        finally:
            for sink in (writer, back):
                sink.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: str) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                await self._open[way].wait()
                sink.write(data)
                await sink.drain()
        await self._open[way].wait()  # nor does a network that drops tell that somebody closed
        sink.close()


class DroppedPath:
    """Between a namespace and ports outside (`dials`), or between the outside and ports of the namespace."""

    def __init__(
        self, space: Namespace, name: str, ports: Collection[int], *, dials: bool, protocol: str = "tcp"
    ) -> None:
        self._space = space
        self._table = f"cut-{name}"
        self._ports = ", ".join(map(str, ports))
        self._protocol = protocol
        self._dials = dials

    async def cut(self, *ways: str) -> None:
        """See `Path`."""
        self._nft(f"add table inet {self._table}")
        for hook in ("input", "output"):
            self._nft(f"add chain inet {self._table} {hook} {{ type filter hook {hook} priority 0; }}")
        for way in ways:
            hook = "output" if self._dials == (way == THERE) else "input"
            port = "dport" if way == THERE else "sport"
            self._nft(f"add rule inet {self._table} {hook} {self._protocol} {port} {{ {self._ports} }} drop")

    async def heal(self) -> None:
        """See `Path`."""
        self._nft(f"add table inet {self._table}")
        self._nft(f"delete table inet {self._table}")

    def _nft(self, command: str) -> None:
        subprocess.run(self._space.command("nft", command), check=True, capture_output=True, text=True)

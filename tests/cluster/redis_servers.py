"""Real redis-server processes for tests, each short-lived, on free ports of loopback or a Unix socket."""

import asyncio
import contextlib
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server")


def free_port() -> int:
    """Cluster nodes take another port 10,000 above, so it stays below 50,000."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 50_000:
            return port
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port - 20_000))
            return port - 20_000


class RedisServer:
    """One process, which may be stopped and started again on its port."""

    def __init__(self, directory: Path, *options: str, tls: bool = False, sentinel: Path | None = None) -> None:
        self.port = free_port()
        self.directory = directory
        self._options = options
        self._tls = tls
        self._sentinel = sentinel
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def start(self) -> None:
        port = ("--port", "0", "--tls-port", str(self.port)) if self._tls else ("--port", str(self.port))
        first = [str(self._sentinel), "--sentinel"] if self._sentinel else []
        common = () if self._sentinel else ("--save", "", "--dir", str(self.directory))
        self._process = await asyncio.create_subprocess_exec(
            "redis-server", *first, *port, "--bind", "127.0.0.1", *common, *self._options,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        ready = (b"Sentinel ID is",) if self._sentinel else (b"Ready to accept", b"ready to accept")
        line = b""
        while not any(word in line for word in ready):
            line = await self._process.stdout.readline()
            assert line, "redis-server did not start"

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "started before"
        self._process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL, also of a stopped process."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()
        self._process = None

    async def command(self, *words: str) -> object:
        """What only a test may ask, such as FLUSHALL."""
        redis = Redis.from_url(self.url, decode_responses=True)
        try:
            reply: object = await redis.execute_command(*words)  # type: ignore[no-untyped-call] # redis-py's
            return reply
        finally:
            await redis.aclose()


@contextlib.asynccontextmanager
async def run_servers(servers: Sequence[RedisServer]) -> AsyncIterator[Sequence[RedisServer]]:
    try:
        for server in servers:
            await server.start()
        yield servers
    finally:
        for server in servers:
            await server.kill()


class SlowProxy:
    """Passes bytes on to a server, each way late by half of `delay_s`, in order."""

    def __init__(self, target_port: int, delay_s: float) -> None:
        self.port = 0
        self.delay_s = delay_s
        self.connections = 0
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._sinks: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "SlowProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None, "entered before"
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        sinks = tuple(self._sinks)
        for sink in sinks:
            self._close(sink)
        await asyncio.gather(*(sink.wait_closed() for sink in sinks), return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sinks.add(writer)
        self.connections += 1
        self._start(self._connect(reader, writer))

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            self._close(writer)
            return
        self._sinks.add(back)
        self._start(self._pump(reader, back))
        self._start(self._pump(there, writer))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _close(self, sink: asyncio.StreamWriter) -> None:
        self._sinks.discard(sink)
        sink.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        try:
            with contextlib.suppress(OSError):
                while data := await source.read(65_536):
                    loop.call_later(self.delay_s / 2, _write, sink, data)
        finally:
            loop.call_later(self.delay_s / 2, self._close, sink)


def _write(sink: asyncio.StreamWriter, data: bytes) -> None:
    if not sink.is_closing():
        sink.write(data)

"""The router as a measured process: started as users start it, pinned to a core, read through /proc."""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import jwt

from loadtest.http import request
from router import _engine

SECRET = "a secret of the load test, long enough for HS256"
ADMIN_TOKEN = "an admin token of the load test"
START_TIMEOUT_S = 30.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class RouterUnderTest:
    """A running router."""

    host: str
    port: int
    admin_port: int
    pid: int

    def cpu_s(self) -> float:
        """User and system time of all its threads, in seconds (clock ticks of 10 ms)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def cpu_us(self) -> float:
        """The same from the scheduler's own clock, in microseconds; threads that ended are left out."""
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e3

    async def metrics(self) -> dict[str, float]:
        """One scrape: value by name and labels."""
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        reply = await request((self.host, self.admin_port), "GET", "/metrics", headers=headers)
        lines = (line.rpartition(" ") for line in reply.body.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def resident_bytes(self) -> int:
        """Resident memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE

    def open_files(self) -> int:
        """Descriptors in its table."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def token(self, room: str, identity: str, *, publish: bool = True) -> str:
        """A join token."""
        claims = {"room": room, "sub": identity, "name": identity, "publish": publish, "subscribe": True}
        return jwt.encode({**claims, "exp": int(time.time()) + 3600}, SECRET, algorithm="HS256")  # noqa: TID251


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings_of(host: str, port: int, admin_port: int, extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a measured router."""
    ours = {
        "ROUTER_PUBLIC__HOST": host,
        "ROUTER_PUBLIC__PORT": str(port),
        "ROUTER_ADMIN__PORT": str(admin_port),
        "ROUTER_ADMIN__TOKEN": ADMIN_TOKEN,
        "ROUTER_AUTH__SECRETS": json.dumps([SECRET]),
        "ROUTER_MEDIA__ADDRESSES": json.dumps([host]),
        "ROUTER_MEDIA__UDP_PORT": "0",
        "ROUTER_LOG__LEVEL": "warning",
        "ROUTER_DRAIN__DEADLINE_S": "0",
    }
    return {**os.environ, **ours, **extra}


def pin(pid: int, core: int) -> None:
    """Keeps all threads of a process on one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


async def _wait_listening(host: str, port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection(host, port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
    raise RuntimeError(f"the router ended with {process.returncode}")


@asynccontextmanager
async def run_router(
    *, core: int | None, settings: Mapping[str, str], host: str = "127.0.0.1", prefix: Sequence[str] = ()
) -> AsyncIterator[RouterUnderTest]:
    """Starts a release-built router on one core and ends it by its id. `prefix` may start it inside a namespace."""
    if _engine.build_info()["profile"] != "release":
        raise SystemExit("refusing to measure a debug build of the engine: run `make engine`")
    port, admin_port = free_port(), free_port()
    process = await asyncio.create_subprocess_exec(
        *prefix, sys.executable, "-m", "router", "serve", env=settings_of(host, port, admin_port, settings)
    )
    try:
        await _wait_listening(host, port, process)
        if core is not None and (os.cpu_count() or 1) > 1:
            pin(process.pid, core)
        yield RouterUnderTest(host, port, admin_port, process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()

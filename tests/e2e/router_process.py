"""A router as users run it: `router serve` in a process of its own, on free ports, perhaps inside a namespace."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt

from tests.e2e.netns import Namespace

SECRET = "a secret of the end-to-end tests, long enough"
ADMIN_TOKEN = "an admin token of the end-to-end tests, long enough"
START_TIMEOUT_S = 50.0


@dataclass(slots=True)
class RouterProcess:
    """Where it listens, and what it logged."""

    address: str
    port: int
    admin_port: int
    process: asyncio.subprocess.Process
    log: list[str] = field(default_factory=list)
    logged: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Base URL of the public port."""
        return f"http://{self.address}:{self.port}"

    def token(self, room: str, identity: str, **claims: Any) -> str:
        """A join token signed with the test's secret."""
        return sign_token(room, identity, **claims)

    def page(self, room: str, name: str) -> str:
        """The demo room's address that joins by itself."""
        return f"{self.url}/?join=1&room={room}&name={name}&token={self.token(room, name)}"

    async def wait_log(self, text: str, timeout_s: float) -> None:
        """Waits until a line of the log holds `text`."""
        async with asyncio.timeout(timeout_s):
            while not any(text in line for line in self.log):
                self.logged.clear()
                await self.logged.wait()

    async def admin(self, path: str) -> Any:
        """A GET on the admin plane."""
        return json.loads(await self.admin_text(path))

    async def admin_text(self, path: str) -> str:
        """The same, as it came."""
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as client:
            response = await client.get(f"http://{self.address}:{self.admin_port}{path}")
            response.raise_for_status()
            return response.text


def sign_token(room: str, identity: str, **claims: Any) -> str:
    """A join token with all rights but moderation."""
    payload = {"room": room, "sub": identity, "name": identity, "publish": True, "subscribe": True}
    return jwt.encode({**payload, "exp": 4102444800, **claims}, SECRET, algorithm="HS256")


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _wait_ready(router: RouterProcess) -> None:
    async with asyncio.timeout(START_TIMEOUT_S), httpx.AsyncClient() as client:
        while True:
            if router.process.returncode is not None:
                raise RuntimeError("the router ended:\n" + "\n".join(router.log))
            try:
                if (await client.get(f"{router.url}/")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def _collect(stream: asyncio.StreamReader, router: RouterProcess) -> None:
    while line := await stream.readline():
        router.log.append(line.decode(errors="replace").rstrip())
        router.logged.set()


def environment(address: str, port: int, admin_port: int) -> dict[str, str]:
    """The settings of a test router."""
    settings = {
        "ROUTER_PUBLIC__HOST": address,
        "ROUTER_PUBLIC__PORT": str(port),
        "ROUTER_ADMIN__HOST": address,
        "ROUTER_ADMIN__PORT": str(admin_port),
        "ROUTER_ADMIN__TOKEN": ADMIN_TOKEN,
        "ROUTER_AUTH__SECRETS": json.dumps([SECRET]),
        "ROUTER_MEDIA__ADDRESSES": json.dumps([address]),
        "ROUTER_MEDIA__UDP_PORT": "0",
        "ROUTER_LOG__FORMAT": "json",
    }
    return {**os.environ, **settings}


@asynccontextmanager
async def run_router(
    namespace: Namespace | None = None,
    *,
    module: str = "router",
    port: int = 0,
    admin_port: int = 0,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[RouterProcess]:
    """Starts it, waits until it serves, ends it with SIGTERM and shows its log when the test failed."""
    address = namespace.inside if namespace else "127.0.0.1"
    port, admin_port = port or free_port(), admin_port or free_port()
    command = [sys.executable, "-m", module, "serve"]
    process = await asyncio.create_subprocess_exec(
        *(namespace.command(*command) if namespace else command),
        cwd=Path(__file__).parents[2],
        env={**environment(address, port, admin_port), **(settings or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    router = RouterProcess(address, port, admin_port, process)
    assert process.stdout is not None
    collector = asyncio.create_task(_collect(process.stdout, router))
    try:
        await _wait_ready(router)
        yield router
    except BaseException:
        print("\n".join(router.log[-200:]))
        raise
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await collector

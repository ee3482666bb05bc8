"""A measured server that is a program of its own: found by name, started on one core, ended by its id.

Programs that no package manager puts onto the path are looked for in `.servers/bin`, where `loadtest/install-servers`
leaves them; `LOADTEST_SERVERS` names another folder. The core is set before the program starts, because run-times such
as Go's size themselves by the cores that they find then. What a server prints goes to a file, whose end is told when
the server ends early.
"""

import asyncio
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loadtest.servers import Unavailable

SERVERS = Path(__file__).parents[2] / ".servers"
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
POLL_S = 0.05
TAIL_CHARS = 600


def servers_folder() -> Path:
    """Where installed servers are."""
    return Path(os.environ.get("LOADTEST_SERVERS") or SERVERS)


def find_program(name: str) -> str:
    """Its path; raises `Unavailable` with what would install it."""
    installed = servers_folder() / "bin" / name
    found = str(installed) if installed.is_file() else shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed: run loadtest/install-servers {name}")
    return found


def host_address() -> str:
    """The host's own address on its network, for servers that do without loopback; packets to it cross `lo`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting sends nothing; it only chooses a source address (198.51.100.0/24 is RFC 5737's TEST-NET-2).
            probe.connect(("198.51.100.1", 9))
        except OSError as error:
            raise Unavailable("this host has no address but loopback") from error
        address: str = probe.getsockname()[0]
        return address


def free_udp_port() -> int:
    """A UDP port of loopback that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Command:
    """How a server is started."""

    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to our own."""

    def bound(self, core: int | None) -> list[str]:
        """The arguments that keep it on a core from its first instruction on, and end it when we are killed."""
        pinned = ["taskset", "--cpu-list", str(core)] if core is not None else []
        return ["setpriv", "--pdeathsig", "TERM", *pinned, *self.arguments]


class ChildServer:
    """One running program."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @classmethod
    async def start(cls, command: Command, core: int | None, address: tuple[str, int]) -> "ChildServer":
        """Returns once it listens on `address` (TCP); raises `Unavailable` with the end of its log."""
        with command.log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command.bound(core),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **command.environment},
            )
        child = cls(process, command.log)
        try:
            await child._wait_listening(*address)
        except BaseException:
            await child.stop()
            raise
        return child

    @property
    def pid(self) -> int:
        """Also valid after it ended."""
        return self._process.pid

    async def stop(self) -> None:
        """Asks it to end, then makes it end."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        await self._process.wait()

    async def _wait_listening(self, host: str, port: int) -> None:
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while self._process.returncode is None:
                    if await is_listening(host, port):
                        return
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise Unavailable(f"nothing listens on {host}:{port}: {self._tail()}") from None
        raise Unavailable(f"it ended with {self._process.returncode}: {self._tail()}")

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-TAIL_CHARS:].strip()


async def is_listening(host: str, port: int) -> bool:
    """Whether somebody takes TCP connections there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    # Linux connects a socket with itself when its own port happens to be the one that is tried.
    itself = writer.get_extra_info("sockname") == writer.get_extra_info("peername")
    writer.close()
    return not itself


async def print_version(*arguments: str) -> str:
    """What a program prints when it is asked for its version."""
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed, _ = await process.communicate()
    return printed.decode(errors="replace").strip()

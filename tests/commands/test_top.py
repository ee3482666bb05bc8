"""`router top` on a pseudo-terminal: draws, sorts, follows the window's size, tells of a router that went, leaves."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.commands.client import AdminClient, Place
from router.commands.errors import AdminError
from router.commands.top_reading import Reader
from router.config import load_settings
from router.server import RouterServer
from tests.commands.test_remote import FREE, TOKEN

ALTERNATE, NORMAL = "\x1b[?1049h", "\x1b[?1049l"


@dataclass(slots=True)
class Terminal:
    master: int
    slave: int
    before: list[Any]
    process: asyncio.subprocess.Process
    text: str = ""
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    def on_readable(self) -> None:
        try:
            data = os.read(self.master, 65_536)
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self.master)
        self.text += data.decode(errors="replace")
        self.grown.set()

    async def wait(self, pattern: str) -> None:
        """Until what was drawn since the last wait matches; what matched is forgotten."""
        try:
            async with asyncio.timeout(30):
                while not (found := re.search(pattern, self.text, re.S)):
                    self.grown.clear()
                    await self.grown.wait()
        except TimeoutError:
            raise AssertionError(f"no {pattern!r} in {self.text[-3000:]!r}") from None
        self.text = self.text[found.end() :]

    def check_restored(self) -> None:
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is as it was"

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)


@asynccontextmanager
async def open_top(url: str, *arguments: str) -> AsyncIterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 120, 0, 0))
    # The terminal tells its size; pytest's workers have one in their environment.
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment = {**inherited, "ROUTER_ADMIN_URL": url, "ROUTER_ADMIN__TOKEN": TOKEN, "TERM": "xterm"}
    command = (sys.executable, "-m", "router", "top", "--interval", "0.5", *arguments)
    before = termios.tcgetattr(slave)
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        cwd=Path(__file__).parents[2],
        process_group=0,  # as a shell does; in an orphaned group, as of a background job, nothing stops by SIGTSTP
    )
    terminal = Terminal(master, slave, before, process)
    asyncio.get_running_loop().add_reader(master, terminal.on_readable)
    try:
        yield terminal
        terminal.check_restored()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)
        os.close(slave)


async def test_top_is_live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    server = RouterServer(load_settings(flags={"dev": True, **FREE}))
    async with server:
        server.registry.create_room("tea")
        async with open_top(f"http://127.0.0.1:{server.admin_port}") as terminal:
            await terminal.wait(re.escape(ALTERNATE))
            await terminal.wait(r"serving.*tea +0 .*by people")
            server.registry.create_room("coffee")
            await terminal.wait(r"coffee +0 ")
            terminal.press("n")
            await terminal.wait(r"coffee.*tea.*by name")
            terminal.press("r")
            await terminal.wait(r"tea.*coffee.*by name, reversed")
            terminal.resize(7, 40)
            await terminal.wait(r"1 more  by name")
            terminal.resize(20, 120)
            await server.stop()
            await terminal.wait(r"router not reachable at")
            terminal.press("\x1a")
            await terminal.wait(re.escape(NORMAL))
            await asyncio.to_thread(os.waitid, os.P_PID, terminal.process.pid, os.WSTOPPED | os.WNOWAIT)
            terminal.check_restored()
            terminal.process.send_signal(signal.SIGCONT)
            await terminal.wait(re.escape(ALTERNATE) + ".*router not reachable at")
            terminal.press("q")
            await terminal.wait(re.escape(NORMAL))
            assert await terminal.process.wait() == 0


async def test_ended_from_outside_it_leaves_the_terminal_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    async with (
        RouterServer(load_settings(flags={"dev": True, **FREE})) as server,
        open_top(f"http://127.0.0.1:{server.admin_port}") as terminal,
    ):
        await terminal.wait("by people")
        terminal.process.terminate()
        await terminal.wait(re.escape(NORMAL))
        assert await terminal.process.wait() == 128 + signal.SIGTERM


@pytest.mark.parametrize("overview", [{"node": {"counters": {"time_us": 1}}}, {"node": [1]}, {"rooms": 1}])
def test_an_overview_of_another_version(overview: dict[str, Any]) -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, json=overview))
    with (
        AdminClient(Place("http://router.test"), transport) as client,
        pytest.raises(AdminError, match="of another version"),
    ):
        Reader(client).read()


async def test_a_router_that_is_not_there_is_one_line() -> None:
    async with open_top("http://127.0.0.1:9") as terminal:
        await terminal.wait("router not reachable at http://127.0.0.1:9")
        assert await terminal.process.wait() == 3
    assert ALTERNATE not in terminal.text

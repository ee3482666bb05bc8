"""The floor: copies, protects and sends the same traffic, and nothing else. No server can cost less.

Its process is this module (`python -m loadtest.servers.floor`), its work a native thread; keys and addresses are agreed
beforehand, over a pipe. `floor-clear` leaves SRTP out on the way to receivers, which shows what SRTP costs.
"""

import asyncio
import json
import os
import sys
import zlib
from collections.abc import Sequence
from typing import Any

from loadtest import _native
from loadtest.client import Client, SentTrack, SrtpKeys, Track
from loadtest.client.dtls import Profile
from loadtest.client.sdp import CODECS
from loadtest.servers import Plan, Unavailable, Unsupported, Wanted
from loadtest.srtp import function_addresses, open_session, session_address

HOST = "127.0.0.1"
KEY_BYTES = 28
PROFILE: Profile = "SRTP_AEAD_AES_128_GCM"


class Floor:
    """The floor as a server."""

    client_host = HOST
    clear = False
    name = "floor"

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._pipe = asyncio.Lock()
        self._port = 0

    @property
    def version(self) -> str:
        """Of the native part."""
        return _native.build_profile()

    @property
    def pids(self) -> Sequence[int]:
        """One process."""
        return [self._process.pid] if self._process else []

    async def start(self, plan: Plan) -> None:
        """Starts the process, pinned from its first instruction on."""
        if _native.build_profile() != "release":
            raise Unavailable("the native part is a debug build: run `make loadtest-native`")
        core = "" if plan.core is None else str(plan.core)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "loadtest.servers.floor",
            core,
            "clear" if self.clear else "srtp",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._port = int(await self._read())

    async def publish(self, client: Client, participant: str, tracks: Sequence[Track]) -> None:
        """Tells the process address and key."""
        sent = []
        for mid, track in enumerate(tracks):
            codec = track.codecs[0]
            sent.append(SentTrack(track.kind, codec, track.ssrc, CODECS[codec][0], str(mid), None, None))
        await self._agree(client, participant, sent)

    async def subscribe(self, client: Client, participant: str, wanted: Wanted) -> None:
        """All that others publish is sent, whatever is wanted."""
        await self._agree(client, participant, [])

    async def join(self, client: Client, participant: str, tracks: Sequence[Track], wanted: Wanted) -> None:
        """Not for the floor: it has no slots."""
        raise Unsupported("no slots")

    async def leave(self, participant: str) -> None:
        """Nobody leaves the floor."""

    async def stop(self) -> None:
        """Ends the process by closing its input."""
        if self._process and self._process.stdin:
            self._process.stdin.close()
            await self._process.wait()
            self._process = None

    async def _agree(self, client: Client, participant: str, sent: Sequence[SentTrack]) -> None:
        assert self._process
        assert self._process.stdin
        key = os.urandom(KEY_BYTES)
        message = {
            "address": client.socket.getsockname(),
            "key": key.hex(),
            "member": zlib.crc32(participant.encode()),
            "publishes": bool(sent),
        }
        async with self._pipe:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()
            await self._read()
        client.adopt((HOST, self._port), SrtpKeys(PROFILE, key, key), sent, clear=self.clear)

    async def _read(self) -> str:
        assert self._process
        assert self._process.stdout
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the floor's process ended")
        return line.decode()


class ClearFloor(Floor):
    """Without SRTP towards receivers."""

    clear = True
    name = "floor-clear"


def serve(core: int | None, *, clear: bool) -> None:
    """The process: one line in for each member, one line out for each line in."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    floor = _native.Floor(function_addresses(), core)
    sessions: list[Any] = []
    print(floor.port, flush=True)
    for line in sys.stdin:
        member = json.loads(line)
        key = bytes.fromhex(member["key"])
        publishes = member["publishes"]
        sessions.append(open_session(SrtpKeys(PROFILE, key, key), "inbound" if publishes else "outbound"))
        address = 0 if clear and not publishes else session_address(sessions[-1])
        host, port = member["address"]
        floor.add(member["member"], (host, port), address, publishes)
        print("added", flush=True)
    floor.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]) if sys.argv[1] else None, clear=sys.argv[2] == "clear")

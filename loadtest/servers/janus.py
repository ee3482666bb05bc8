"""Janus with its VideoRoom plugin, once as it comes and once with one event loop for all peers.

Measured with Debian 12's package 1.1.2. Left as they are: full ICE, REMB and transport-wide feedback, NACK, RTX offered
(the client takes none), AES-GCM before AES-CM. Switched off: recording, the bitrate cap of a room, session time-outs,
all other plugins and transports, logs below errors. By default Janus has a thread for each peer; `event_loops = 1`
has them share one, which costs a packet less than half and is what its documentation advises for many peers.

Janus leaves out loopback interfaces when it gathers candidates, so both sides have an address of the host's own
network; packets between them still cross `lo`. Publisher and subscriber are separate connections in VideoRoom.
"""

import itertools
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from loadtest.client import Client, Line, Track
from loadtest.process import free_port
from loadtest.servers import Plan, Unavailable, Wanted
from loadtest.servers.child import ChildServer, Command, find_program, host_address
from loadtest.servers.janus_api import (
    Feed,
    Handle,
    JanusApi,
    create_room,
    data_of,
    description_of,
    join_as_publisher,
    join_as_subscriber,
)
from loadtest.servers.tracks import OneWayConnections, PublishedTracks

HOST = "127.0.0.1"
ROOM = 1
MODULES = "lib*/**/janus/plugins/libjanus_videoroom.so*"
PREFIXES = (Path("/usr"), Path("/usr/local"), Path("/opt/janus"))


def find_modules() -> Path:
    """Janus' own folder of plugins and transports."""
    for prefix in PREFIXES:
        for plugin in prefix.glob(MODULES):
            return plugin.parents[1]
    raise Unavailable("Janus' VideoRoom plugin is not installed: run loadtest/install-servers janus")


def write_settings(folder: Path, port: int, event_loops: int) -> dict[str, str]:
    """The configuration files, by name."""
    general = [
        f'configs_folder = "{folder}"',
        f'plugins_folder = "{folder}/plugins"',
        f'transports_folder = "{folder}/transports"',
        f'loggers_folder = "{folder}/loggers"',
        "debug_level = 2",
        "session_timeout = 0",
    ]
    if event_loops:
        general.append(f"event_loops = {event_loops}")
    web_sockets = ["ws = true", f'ws_ip = "{HOST}"', f"ws_port = {port}", "wss = false"]
    return {
        "janus.jcfg": _section("general", general) + _section("media", ['rtp_port_range = "20000-60000"']),
        "janus.transport.websockets.jcfg": _section("general", web_sockets),
        "janus.plugin.videoroom.jcfg": _section("general", []),
    }


def _section(name: str, settings: Sequence[str]) -> str:
    return "\n".join([f"{name}: {{", *(f"  {setting}" for setting in settings), "}", ""])


def lay_out(folder: Path, modules: Path, port: int, event_loops: int) -> None:
    """Settings, and links to the two modules that are to be loaded."""
    for name, text in write_settings(folder, port, event_loops).items():
        (folder / name).write_text(text)
    (folder / "loggers").mkdir()
    for kind, module in (("plugins", "libjanus_videoroom.so"), ("transports", "libjanus_websockets.so")):
        (folder / kind).mkdir()
        (folder / kind / module).symlink_to(modules / kind / module)


class Janus(OneWayConnections):
    """A Janus of our own."""

    def __init__(self, event_loops: int = 0) -> None:
        self.client_host = ""
        self.name = f"janus ({event_loops} loop)" if event_loops else "janus"
        self.version = ""
        self._event_loops = event_loops
        self._stack = AsyncExitStack()
        self._child: ChildServer | None = None
        self._api: JanusApi | None = None
        self._handles: dict[str, list[Handle]] = {}
        self._published = PublishedTracks[Feed]()
        self._publishers = itertools.count(1)

    @property
    def pids(self) -> Sequence[int]:
        """One process."""
        return [self._child.pid] if self._child else []

    @property
    def api(self) -> JanusApi:
        """The connection to the running Janus."""
        if self._api is None:
            raise RuntimeError("not started")
        return self._api

    async def start(self, plan: Plan) -> None:
        """In a folder of its own, with the room that everybody joins."""
        program, modules, port = find_program("janus"), find_modules(), free_port()
        self.client_host = host_address()
        folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="loadtest-janus-")))
        lay_out(folder, modules, port, self._event_loops)
        command = Command([program, "--configs-folder", str(folder)], folder / "log")
        self._child = await ChildServer.start(command, plan.core, (HOST, port))
        self._stack.push_async_callback(self._child.stop)
        self._api = await JanusApi.open(f"ws://{HOST}:{port}")
        self._stack.push_async_callback(self._api.close)
        self.version = await self._api.version()
        owner = await self._api.attach()
        data_of(await self._api.tell(owner, create_room(ROOM, plan.participants)))

    async def publish(self, client: Client, participant: str, tracks: Sequence[Track]) -> None:
        """As a publisher with one offer."""
        handle = await self._attach(participant)
        publisher = next(self._publishers)
        offer = {"type": "offer", "sdp": client.create_offer([Line(track.kind, track) for track in tracks])}
        client.accept_answer(description_of(await self.api.tell(handle, join_as_publisher(ROOM, publisher), offer)))
        await client.connect()
        await self.api.wait_connected(handle)
        for sent in client.sent:
            self._published.add(participant, sent.kind, Feed(publisher, sent.mid))

    async def subscribe(self, client: Client, participant: str, wanted: Wanted) -> None:
        """As one subscriber of several publishers' tracks, which Janus offers."""
        handle = await self._attach(participant)
        feeds = self._published.choose(participant, wanted)
        offer = description_of(await self.api.tell(handle, join_as_subscriber(ROOM, feeds)))
        answer = {"type": "answer", "sdp": client.accept_offer(offer)}
        data_of(await self.api.tell(handle, {"request": "start", "room": ROOM}, answer))
        await client.connect()

    async def leave(self, participant: str) -> None:
        """Destroys the participant's sessions."""
        self._published.remove(participant)
        for handle in self._handles.pop(participant, ()):
            await self.api.destroy(handle)

    async def stop(self) -> None:
        """Ends the process by its id."""
        self._api = None
        await self._stack.aclose()
        self._child = None

    async def _attach(self, participant: str) -> Handle:
        handle = await self.api.attach()
        self._handles.setdefault(participant, []).append(handle)
        return handle

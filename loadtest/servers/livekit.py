"""LiveKit's server, as it comes and with its batched writes.

Measured with Go module github.com/livekit/livekit-server v1.13.5 (go1.26), the last whose modules can all be had from
the Go proxy: later ones replace Pion by forks. Left as they are: full ICE, congestion control (on; it has no say here,
because the clients report no bandwidth), dynacast, NACK buffers. Set: one UDP port, as its sample advises for one CPU;
loopback candidates; no TURN, no TCP, no STUN; logs below warnings. `batch` adds `batch_io` with the sample's values,
which hold packets back for up to 2 ms and send them with one `sendmmsg`.

A participant has one WebSocket and a connection for each direction; the server offers the subscriber's. Tracks are
asked for one by one (`auto_subscribe=0`), so that a client gets as many as it wants. Left out: its newer mode of one
connection, for which the client would have to offer lines for others' tracks.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

import jwt

from loadtest.client import Client, Line, Track
from loadtest.process import free_port
from loadtest.servers import Plan, Wanted
from loadtest.servers.child import ChildServer, Command, find_program, free_udp_port, print_version
from loadtest.servers.livekit_signal import Signal, write_subscription
from loadtest.servers.tracks import OneWayConnections, PublishedTracks

HOST = "127.0.0.1"
ROOM = "load"
KEY, SECRET = "loadtest", "a secret of the load test, long enough for LiveKit"
TOKEN_EXPIRES = 4102444800
"""The year 2100."""
PUBLISHER_FIRST, SUBSCRIBER_FIRST = 2, 16
"""Protocol versions: which of a participant's two connections must be up for it to be in the room."""


def write_settings(port: int, udp_port: int, *, batch: bool) -> str:
    """The configuration file."""
    lines = [
        f"port: {port}",
        f"bind_addresses: [{HOST}]",
        "rtc:",
        f"  udp_port: {udp_port}",
        "  tcp_port: 0",
        "  use_external_ip: false",
        f"  node_ip: {HOST}",
        "  enable_loopback_candidate: true",
        "  interfaces: {includes: [lo]}",
        *(["  batch_io: {batch_size: 128, max_flush_interval: 2ms}"] if batch else []),
        f'keys: {{{KEY}: "{SECRET}"}}',
        "logging: {level: warn}",
    ]
    return "\n".join(lines) + "\n"


def write_token(identity: str) -> str:
    """An access token for the room."""
    grants = {"room": ROOM, "roomJoin": True}
    return jwt.encode({"iss": KEY, "sub": identity, "exp": TOKEN_EXPIRES, "video": grants}, SECRET, algorithm="HS256")


class LiveKit(OneWayConnections):
    """A LiveKit of our own."""

    client_host = HOST

    def __init__(self, *, batch: bool = False) -> None:
        self.name = "livekit (batch_io)" if batch else "livekit"
        self.version = ""
        self._batch = batch
        self._stack = AsyncExitStack()
        self._child: ChildServer | None = None
        self._url = ""
        self._signals: dict[str, Signal] = {}
        self._published = PublishedTracks[str]()

    @property
    def pids(self) -> Sequence[int]:
        """One process."""
        return [self._child.pid] if self._child else []

    async def start(self, plan: Plan) -> None:
        """With a configuration of its own; the room comes with its first participant."""
        program, port = find_program("livekit-server"), free_port()
        folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="loadtest-livekit-")))
        settings = folder / "livekit.yaml"
        settings.write_text(write_settings(port, free_udp_port(), batch=self._batch))
        self.version = (await print_version(program, "--version")).rpartition(" ")[2]
        command = Command([program, "--config", str(settings)], folder / "log")
        self._child = await ChildServer.start(command, plan.core, (HOST, port))
        self._stack.push_async_callback(self._child.stop)
        self._url = f"ws://{HOST}:{port}/rtc"

    async def publish(self, client: Client, participant: str, tracks: Sequence[Track]) -> None:
        """Announces the tracks, then offers them."""
        signal = await self._open(participant, PUBLISHER_FIRST)
        signal.publisher = client
        signal.listen()
        sids = [await signal.add_track(track.kind, track.track_id) for track in tracks]
        client.accept_answer(await signal.offer(client.create_offer([Line(track.kind, track) for track in tracks])))
        await client.connect()
        for track, sid in zip(tracks, sids, strict=True):
            self._published.add(participant, track.kind, sid)

    async def subscribe(self, client: Client, participant: str, wanted: Wanted) -> None:
        """Asks for others' tracks and answers offers until all are in one."""
        signal = self._signals.get(participant) or await self._open(participant, SUBSCRIBER_FIRST)
        signal.subscriber = client
        sids = self._published.choose(participant, wanted)
        await signal.socket.send(write_subscription(sids))
        signal.listen()
        await signal.wait(lambda: len(client.mids) >= len(sids))
        await client.connect()

    async def leave(self, participant: str) -> None:
        """Leaves and closes the WebSocket."""
        self._published.remove(participant)
        signal = self._signals.pop(participant, None)
        if signal:
            await signal.close()

    async def stop(self) -> None:
        """Ends the process by its id."""
        for participant in list(self._signals):
            await self.leave(participant)
        await self._stack.aclose()
        self._child = None

    async def _open(self, participant: str, protocol: int) -> Signal:
        query = {"access_token": write_token(participant), "protocol": protocol, "auto_subscribe": 0}
        signal = self._signals[participant] = await Signal.open(f"{self._url}?{urlencode(query)}")
        return signal

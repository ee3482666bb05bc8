"""PulseBeam, an SFU in Rust that sends a subscriber's packets of one batch as a segmented datagram too. AGPL-3.0: it is
built, run and measured, and nothing of it is used.

Measured with pulsebeam-v0.4.6, the last release that builds with str0m from crates.io (later ones need a branch of a
fork), in its release profile (whole-program optimisation). One number is changed when it is built: it pauses video
above its estimate of a receiver's bandwidth, which starts at 0.5 Mbit/s and grows by transport-wide feedback alone; our
clients give none, so it starts at 5 Mbit/s. As root it makes its media threads real-time ones (SCHED_FIFO).

It has no settings but its log: its ports are fixed (with `--dev` 3478 for media, 7070 for HTTP), its address is one of
the host's own. Left as they are: full ICE, pacing, subscriptions that the server makes by itself. Video is H.264 only;
a connection publishes 2 tracks of each kind at most and receives 7 of video and 3 of audio, those of the loudest. One
POST serves both directions.
"""

from collections.abc import Sequence
from pathlib import Path

from loadtest.client import Client, Track
from loadtest.servers import Plan, Unavailable, Unsupported, Wanted
from loadtest.servers.child import Command, find_program, host_address, is_listening, print_version
from loadtest.servers.whip_program import WhipProgram

HTTP_PORT = 7070
MAX_PUBLISHED, MAX_AUDIO, MAX_VIDEO = 2, 3, 7
LOG = "pulsebeam=error"


class PulseBeam(WhipProgram):
    """A PulseBeam of our own, the only one of this host."""

    name = "pulsebeam"

    async def start(self, plan: Plan) -> None:
        """Its addresses are those that it finds."""
        self.client_host = host_address()
        await super().start(plan)

    async def command(self, folder: Path, port: int) -> Command:
        """Raises `Unavailable` also when its ports are taken."""
        program = find_program("pulsebeam")
        if await is_listening("127.0.0.1", port):
            raise Unavailable(f"something listens on port {port}, which PulseBeam cannot change")
        self.version = (await print_version(program, "--version")).rpartition(" ")[2]
        return Command([program, "--dev"], folder / "log", {"RUST_LOG": LOG})

    def choose_port(self) -> int:
        """Not ours to choose."""
        return HTTP_PORT

    def endpoints(self, port: int) -> str:
        """The same for both directions."""
        url = f"http://127.0.0.1:{port}/api/v1/rooms/{{room}}/participants"
        return f"{url},{url}"

    async def publish(self, client: Client, participant: str, tracks: Sequence[Track]) -> None:
        """A participant that receives nothing."""
        require_slots(tracks, Wanted())
        await super().publish(client, participant, tracks)

    async def subscribe(self, client: Client, participant: str, wanted: Wanted) -> None:
        """A participant that sends nothing."""
        require_slots((), wanted)
        await super().subscribe(client, participant, wanted)

    async def join(self, client: Client, participant: str, tracks: Sequence[Track], wanted: Wanted) -> None:
        """One connection with lines of either direction."""
        require_slots(tracks, wanted)
        await self.whip.join(client, participant, tracks, wanted)


def require_slots(tracks: Sequence[Track], wanted: Wanted) -> None:
    """Raises `Unsupported` for more than it takes, or another codec."""
    if any(track.kind == "video" and "H264" not in track.codecs for track in tracks):
        raise Unsupported("its video is H.264 only")
    published = max((sum(track.kind == kind for track in tracks) for kind in ("audio", "video")), default=0)
    if published > MAX_PUBLISHED or wanted.audio > MAX_AUDIO or wanted.video > MAX_VIDEO:
        raise Unsupported(
            f"a connection takes {MAX_PUBLISHED} tracks of a kind and gives {MAX_AUDIO} audio, {MAX_VIDEO} video"
        )

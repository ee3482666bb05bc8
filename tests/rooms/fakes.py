"""A media layer without media: negotiates for real, connects when a test says so."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from router.errors import RouterError
from router.metrics import Metrics
from router.rooms import JoinGrant, Room, RoomLimits, RoomRegistry, Session
from router.rooms.revocations import Revocations
from router.rtc.constraints import RTCConstraints
from router.rtc.description import (
    Kind,
    MediaDirection,
    RTCCandidate,
    RTCCodec,
    RTCDescription,
    RTCFingerprint,
    RTCMediaSection,
)
from router.rtc.negotiation import LocalParameters, answer, compatible
from router.rtc.progress import TransportProgress
from router.rtc.slot import UNKNOWN_SIZE, Size

CODECS = {
    "opus": RTCCodec("opus", 111, 48_000, 2),
    "VP8": RTCCodec("VP8", 96, 90_000),
    "AV1": RTCCodec("AV1", 45, 90_000),
    "unknown": RTCCodec("unknown", 97, 90_000),
}
FINGERPRINT = RTCFingerprint("sha-256", ":".join(["AB"] * 32))
CANDIDATE = RTCCandidate("1", 1, "udp", 2130706431, "192.0.2.1", 10_000, "host")


def section(mid: str, kind: Kind, direction: MediaDirection, codec: str | None = None) -> RTCMediaSection:
    """One offered m-line."""
    name = codec or ("opus" if kind == "audio" else "VP8")
    return RTCMediaSection(mid=mid, kind=kind, direction=direction, codecs=(CODECS[name],))


def offer(*sections: RTCMediaSection) -> RTCDescription:
    """A browser's offer."""
    return RTCDescription("remoteufrag", "remotePasswordOf22Chars", (FINGERPRINT,), media=sections)


def publish_offer(*kinds: Kind) -> RTCDescription:
    """What a publisher sends."""
    return offer(*(section(str(i), kind, "sendonly") for i, kind in enumerate(kinds or ("audio", "video"))))


def play_offer(*kinds: Kind) -> RTCDescription:
    """What a player sends."""
    return offer(*(section(str(i), kind, "recvonly") for i, kind in enumerate(kinds or ("audio", "video"))))


class FakeTrack:
    def __init__(self, connection: "FakeConnection", offered: RTCMediaSection, answered: RTCMediaSection) -> None:
        self.connection = connection
        self.kind = offered.kind
        self.mid = offered.mid
        self.section = answered
        self.contributor = connection.origin.next_number()
        self.key_frames = 0
        self.muted = False
        self.follows = False
        self.rids: tuple[str | None, ...] = ("q", "h", "f") if offered.kind == "video" else (None,)
        self.wanted: tuple[int, ...] | None = None

    @property
    def received(self) -> bool:
        return not self.connection.closed

    def follow_demand(self, follows: bool) -> None:
        if follows != self.follows:
            self.follows, self.wanted = follows, None

    def request_key_frame(self) -> None:
        self.key_frames += 1


class FakeStream:
    def __init__(self, tracks: Sequence[FakeTrack]) -> None:
        self.tracks = tuple(tracks)


class FakeSlot:
    def __init__(self, section: RTCMediaSection) -> None:
        self.section = section
        self.kind = section.kind
        self.mid = section.mid
        self.track: FakeTrack | None = None
        self.assignments = 0
        self.wanted = RTCConstraints()
        self.shown_at = UNKNOWN_SIZE
        self.priority = ("ordinary", "motion")

    def can_show(self, track: FakeTrack) -> bool:
        return compatible(track.section, self.section)

    def assign(self, track: FakeTrack | None) -> None:
        assert track is None or (self.can_show(track) and not track.connection.closed)
        self.track = track
        self.assignments += 1

    def want(self, limits: RTCConstraints, shown_at: Size = UNKNOWN_SIZE) -> None:
        self.wanted, self.shown_at = limits, shown_at

    def set_priority(self, priority: str, preference: str) -> None:
        self.priority = (priority, preference)


class FakeSpeakers:
    """Who competes and who listens; a test tells who speaks through `Room.on_speakers`."""

    def __init__(self) -> None:
        self.tracks: dict[Any, int] = {}
        self.listeners: list[tuple[tuple[str, ...], int]] = []
        self.silenced: list[tuple[tuple[str, ...], int]] = []
        self.closed = False

    def on(self, event: str, handler: Callable[..., Any]) -> None:
        assert event == "speakerschanged"

    def add_track(self, track: Any, participant: int) -> None:
        self.tracks[track] = participant

    def follow(self, slots: Sequence[Any], participant: int) -> None:
        self.listeners.append((tuple(slot.mid for slot in slots), participant))

    def silence(self, slots: Sequence[Any], participant: int) -> None:
        self.silenced.append((tuple(slot.mid for slot in slots), participant))

    def close(self) -> None:
        self.closed = True


class FakeConnection:
    def __init__(self, origin: "FakeConnection | None" = None) -> None:
        self.origin = origin or self
        self.forks: list[FakeConnection] = []
        self.closed = 0
        self.connected = False
        self.handlers: dict[str, list[Callable[..., Any]]] = {}
        self.remote_candidates: list[RTCCandidate | None] = []
        self.streams: list[FakeStream] = []
        self.slots: tuple[FakeSlot, ...] = ()
        self.restarts: list[tuple[str, str]] = []
        self.progress = TransportProgress()
        self.local: RTCDescription | None = None
        self.remote: RTCDescription | None = None
        self._number = 0

    def next_number(self) -> int:
        self._number += 1
        return self._number

    def open_speakers(self, *, max_heard: int) -> FakeSpeakers:
        return FakeSpeakers()

    def fork(self) -> "FakeConnection":
        self.origin.forks.append(FakeConnection(self.origin))
        return self.origin.forks[-1]

    def on(self, event: str, handler: Callable[..., Any]) -> None:
        self.handlers.setdefault(event, []).append(handler)

    def emit(self, event: str, *arguments: object) -> None:
        for handler in self.handlers.get(event, []):
            handler(*arguments)

    def set_description(self, description: RTCDescription, direction: str = "remote") -> None:
        assert direction == "remote"
        self.remote = description
        password, allocate = "localPasswordOf22Chars0", self.origin.next_number
        local = LocalParameters("ufrag0", password, (FINGERPRINT,), "cname", "-", allocate)
        self.local = replace(answer(description, local=local), candidates=(CANDIDATE,))
        for offered, answered in zip(description.media, self.local.media, strict=True):
            if answered.rejected:
                continue
            if answered.direction in ("recvonly", "sendrecv"):
                self.streams.append(FakeStream([FakeTrack(self, offered, answered)]))
            if answered.direction in ("sendonly", "sendrecv"):
                self.slots += (FakeSlot(answered),)

    def get_description(self, _direction: str) -> RTCDescription:
        assert self.local is not None
        return self.local

    def get_remote_streams(self) -> tuple[FakeStream, ...]:
        return tuple(self.streams)

    def receive_stream(self, stream: FakeStream, receive: bool = True) -> None:
        assert stream in self.streams
        assert receive

    def add_remote_candidate(self, candidate: RTCCandidate | None) -> None:
        self.remote_candidates.append(candidate)

    def restart_ice(self, ufrag: str, password: str) -> tuple[str, str]:
        self.restarts.append((ufrag, password))
        assert self.local is not None
        credentials = (f"ufrag{len(self.restarts)}", f"localPasswordOf22Chars{len(self.restarts)}")
        self.local = replace(self.local, ufrag=credentials[0], password=credentials[1])
        return credentials

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.closed += 1
        self.emit("disconnected", None, "closed")

    # -- what tests do -------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """ICE and DTLS succeed, all published tracks send."""
        self.emit("connected", None)
        self.set_live(True)

    def set_live(self, live: bool) -> None:
        """Packets of all tracks flow, or stop."""
        for stream in self.streams:
            for track in stream.tracks:
                self.emit("trackconnected" if live else "trackdisconnected", track)


class Timers:
    """Stands in for the loop's timers; `advance` runs those that are due."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waiting: list[Timer] = []

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        timer = Timer(self, self.now_s + delay_s, callback)
        self.waiting.append(timer)
        return cast(asyncio.TimerHandle, timer)

    def advance(self, seconds: float) -> None:
        self.now_s += seconds
        for timer in sorted(self.waiting, key=lambda timer: timer.at_s):
            if timer in self.waiting and timer.at_s <= self.now_s:
                self.waiting.remove(timer)
                timer.callback()


class Timer:
    def __init__(self, timers: Timers, at_s: float, callback: Callable[[], object]) -> None:
        self.timers = timers
        self.at_s = at_s
        self.callback = callback

    def cancel(self) -> None:
        if self in self.timers.waiting:
            self.timers.waiting.remove(self)


class FakeWatcher:
    """Remembers what it was told."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.texts: list[str] = []
        self.ended: tuple[str, str] | None = None

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts]

    def catch_up(self, texts: Sequence[str]) -> None:
        self.texts += texts

    def fail(self, error: RouterError) -> None:
        self.ended = (error.slug, str(error))

    def send(self, text: str) -> None:
        self.texts.append(text)

    def end(self, slug: str, detail: str) -> None:
        self.ended = (slug, detail)


class World:
    """A registry on fakes, and everything it made."""

    def __init__(
        self,
        limits: RoomLimits | None = None,
        *,
        create_on_first_use: bool = True,
        revocations: Revocations | None = None,
    ) -> None:
        self.timers = Timers()
        self.origins: list[FakeConnection] = []
        self.registry = RoomRegistry(
            cast(Any, self._open_origin),
            limits=limits,
            create_on_first_use=create_on_first_use,
            metrics=Metrics(),
            call_later=self.timers.call_later,
            revocations=revocations,
        )

    def _open_origin(self) -> FakeConnection:
        self.origins.append(FakeConnection())
        return self.origins[-1]

    @property
    def room(self) -> Room:
        return self.registry.rooms["lobby"]

    async def publish(self, identity: str, *kinds: Kind, room: str = "lobby") -> Session:
        """Joins by WHEP with sending m-lines only, connected and live."""
        grant = JoinGrant(room, identity, identity.title())
        session = await self.registry.join(room, grant, publish_offer(*kinds), "whep")
        fake(session).connect()
        return session

    async def play(self, identity: str, *kinds: Kind, room: str = "lobby") -> Session:
        """Joins by WHEP with receiving m-lines only, connected."""
        grant = JoinGrant(room, identity, identity.title())
        session = await self.registry.join(room, grant, play_offer(*kinds), "whep")
        fake(session).connect()
        return session

    async def settle(self) -> None:
        """Lets scheduled work and closings run."""
        for _ in range(5):
            await asyncio.sleep(0)


def fake(session: Session) -> FakeConnection:
    """The fake under a session."""
    return cast(FakeConnection, session.connection)


def shown(session: Session) -> list[str | None]:
    """Identity of whom each video slot shows; fails if the roster and the media layer disagree."""
    identities = {participant.id: participant.identity for participant in session.room.participants.values()}
    described = session.describe_slots(session.video_mids)
    slots = [slot for slot in fake(session).slots if slot.kind == "video"]
    for slot, public in zip(slots, described, strict=True):
        found = session.room.find_track(public["track_id"])
        assert cast(object, found.track if found else None) is slot.track
    return [identities.get(slot["participant_id"]) for slot in described]

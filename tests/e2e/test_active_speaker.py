"""A scripted talk of five voices with RFC 6464 levels: who is dominant, who is heard, and that handlers saw the same.

A cough must not make anybody dominant, nor an interjection take the floor back; whoever speaks is heard at once; a
muted microphone takes nobody's place; and nobody ever hears themselves.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from loadtest.events import Events
from loadtest.peer import Identity, Join, RoomPeer
from router.config import load_settings
from router.rooms.room import Room
from router.rooms.session import Session
from router.rtc import RTCMediaStreamTrack, RTCSlot
from router.rtc.stream import RTCContributor
from router.server import RouterServer
from tests.e2e.crowd import WhoIsWho
from tests.e2e.router_process import SECRET, sign_token

ROOM = "talk"
MUTED, SPEAKS, COUGHS = 127, 25, 15
LISTENER = 6
HEARD_WITHIN_S = 0.4
"""A slot counts as heard when its last packet is no older."""
MAX_LATENCY_S = 2.0
"""From the first word to being told as dominant."""


@dataclass(frozen=True, slots=True)
class Line:
    """One turn: from `start_s` on `voice` has this level."""

    start_s: float
    voice: int
    level: int


def _moment_s(moment: Line | float) -> float:
    return moment.start_s if isinstance(moment, Line) else moment


ANN, BEN, CAT, DON, EVE = 1, 2, 3, 4, 5
AMBIENT = {ANN: 75, BEN: 90, DON: 70, EVE: 70}
"""The noise of an open microphone that is silent; Cat mutes hers."""
SCRIPT = (
    Line(0, ANN, SPEAKS),
    Line(3, ANN, AMBIENT[ANN]),
    Line(3, BEN, SPEAKS),
    Line(4.5, CAT, COUGHS),
    Line(4.7, CAT, MUTED),
    Line(6, BEN, AMBIENT[BEN]),
    Line(6, ANN, SPEAKS),
    Line(7.5, BEN, SPEAKS),
    Line(7.8, BEN, AMBIENT[BEN]),
    Line(9, ANN, AMBIENT[ANN]),
    Line(9, DON, SPEAKS),
    Line(12, DON, AMBIENT[DON]),
    Line(12, EVE, SPEAKS),
    Line(15, EVE, AMBIENT[EVE]),
    Line(15, DON, SPEAKS),
    Line(18, DON, AMBIENT[DON]),
)
DOMINANT = [ANN, BEN, ANN, DON, EVE, DON]
HEARD = {
    # Ann, then Ben in a place that is free; so is Don's once Cat's cough is over.
    2.8: {ANN},
    4.4: {ANN, BEN},
    8.8: {ANN, BEN},
    11.8: {ANN, BEN, DON},
    # All three places are taken: Eve gets that of Ben, the quietest of those who are silent.
    14.8: {ANN, DON, EVE},
    17.8: {ANN, DON, EVE},
}
"""Whom the listener hears, at some times of the script."""


class Talk:
    """Five voices and a listener."""

    def __init__(self, peers: dict[int, RoomPeer]) -> None:
        self.peers = peers
        self.heard: dict[float, set[int]] = {}
        self.start_s = 0.0

    async def perform(self) -> None:
        """Plays the script and notes whom the listener hears."""
        loop = asyncio.get_running_loop()
        self.start_s = loop.time()
        speaking = [asyncio.create_task(peer.keep_speaking()) for peer in self.peers.values()]
        moments: list[Line | float] = sorted([*SCRIPT, *HEARD], key=_moment_s)
        for moment in moments:
            await asyncio.sleep(max(self.start_s + _moment_s(moment) - loop.time(), 0))
            if isinstance(moment, Line):
                voice = self.peers[moment.voice].voice
                assert voice
                voice.level = moment.level
            else:
                reception = self.peers[LISTENER].reception
                self.heard[moment] = reception.senders("audio", loop.time() - HEARD_WITHIN_S)
        for task in speaking:
            task.cancel()


@asynccontextmanager
async def company(address: tuple[str, int]) -> AsyncIterator[Talk]:
    """Everybody in the room, muted."""
    identity, peers = Identity.create(), {}
    try:
        for number in (ANN, BEN, CAT, DON, EVE, LISTENER):
            join = Join(address, ROOM, sign_token(ROOM, f"voice-{number}"))
            peers[number] = await RoomPeer.enter(join, number, identity)
        yield Talk(peers)
    finally:
        for peer in peers.values():
            peer.close()


def voice_of(who: WhoIsWho, track_id: str | None) -> int | None:
    """The number of the voice behind a track id."""
    for contributor, track in who.tracks.items():
        if track["id"] == track_id:
            return int(who.owners[contributor].removeprefix("voice-"))
    return None


def check_dominant(events: Events, who: WhoIsWho, talk: Talk) -> None:
    """The speakers' messages tell the script's sequence, each within two seconds of its first word."""
    told = [
        (time_s - talk.start_s, voice_of(who, message["dominant"]))
        for time_s, message in events.messages
        if message["type"] == "speakers" and message["dominant"] is not None
    ]
    changes = [each for place, each in enumerate(told) if place == 0 or told[place - 1][1] != each[1]]
    assert [voice for _, voice in changes] == DOMINANT, f"dominant: {changes}"
    starts = [line.start_s for line in SCRIPT if line.level == SPEAKS and line.start_s % 3 == 0]
    for start_s, (time_s, voice) in zip(starts, changes, strict=True):
        assert start_s < time_s < start_s + MAX_LATENCY_S, f"voice {voice} spoke at {start_s}, was told at {time_s:.2f}"


def check_recent(events: Events, who: WhoIsWho) -> None:
    """The latest first."""
    _, message = [each for each in events.messages if each[1]["type"] == "speakers"][-1]
    assert [voice_of(who, track_id) for track_id in message["recent"]] == [DON, EVE, ANN, BEN]


def check_slots(talk: Talk, who: WhoIsWho) -> None:
    """The listener heard whom the script says; everywhere the packets name those who sent them, and not oneself."""
    assert talk.heard == HEARD
    for number, peer in talk.peers.items():
        assert peer.reception.changes, f"voice {number} heard nothing"
        for shown in peer.reception.changes:
            assert shown.contributor is not None
            assert who.owners[shown.contributor] == f"voice-{shown.sender}"
            assert shown.sender != number, f"voice {number} hears itself"


def check_stickiness(talk: Talk) -> None:
    """A source stays in its slot: the listener's slots change only as often as somebody new is heard."""
    changes = [(shown.mid, shown.sender) for shown in talk.peers[LISTENER].reception.changes]
    # Cat's cough is heard, in the place that Don gets later.
    assert [sender for _, sender in changes] == [ANN, BEN, CAT, DON, EVE], f"slots: {changes}"
    assert changes[4][0] == changes[1][0], f"Eve takes Ben's slot: {changes}"


@dataclass(slots=True)
class Handlers:
    """What an application's handlers on the server are called with."""

    room: Room
    dominant: list[int] = field(default_factory=list)
    heard: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By slot of the listener: the voices it was given, in order."""

    def attach(self) -> None:
        """To the room's speakers and the listener's fork."""
        self.room.speakers.on("speakerschanged", self.on_speakers)
        (listener,) = (each for each in self.room.sessions if self.number(each) == LISTENER)
        listener.connection.on("trackcontributors", self.on_contributors)

    def on_speakers(self, dominant: RTCMediaStreamTrack | None, _recent: tuple[RTCMediaStreamTrack, ...]) -> None:
        """Who is dominant now."""
        voice = self.voice(dominant)
        if voice is not None and self.dominant[-1:] != [voice]:
            self.dominant.append(voice)

    def on_contributors(self, slot: RTCSlot, contributors: tuple[RTCContributor, ...]) -> None:
        """Who is in a slot now."""
        voice = self.voice(contributors[-1].track) if contributors else None
        if voice is not None and self.heard[slot.mid][-1:] != [voice]:
            self.heard[slot.mid].append(voice)

    def voice(self, track: RTCMediaStreamTrack | None) -> int | None:
        """The number of the voice that publishes a track."""
        for session in self.room.sessions:
            if any(published.track is track for published in session.tracks.values()):
                return self.number(session)
        return None

    @staticmethod
    def number(session: Session) -> int:
        """Of a voice."""
        return int(session.participant.identity.removeprefix("voice-"))


def check_handlers(handlers: Handlers, talk: Talk) -> None:
    """The application was told what the packets say."""
    assert handlers.dominant == DOMINANT
    sent: dict[str, list[int | None]] = defaultdict(list)
    for shown in talk.peers[LISTENER].reception.changes:
        sent[shown.mid].append(shown.sender)
    assert handlers.heard == sent


@pytest.mark.timeout(90)
async def test_a_scripted_talk() -> None:
    ports = {"public": {"port": 0}, "admin": {"port": 0}, "media": {"udp_port": 0, "addresses": ["127.0.0.1"]}}
    settings = load_settings(flags={"dev": True, "auth": {"secrets": [SECRET]}, **ports})
    async with RouterServer(settings) as server:
        address = ("127.0.0.1", server.public_port)
        watcher = Join(address, ROOM, sign_token(ROOM, "watcher"))
        async with Events.open(watcher) as events, company(address) as talk:
            handlers = Handlers(server.registry.rooms[ROOM])
            handlers.attach()
            await talk.perform()
            who = WhoIsWho()
            for _, message in events.messages:
                who.on_message(message)
            check_dominant(events, who, talk)
            check_recent(events, who)
            check_slots(talk, who)
            check_stickiness(talk)
            check_handlers(handlers, talk)

"""Streams and tracks that a peer publishes to us (the seed's `MediaStream`).

A track lives as long as its connection. It is *received* while the engine has a producer for it, *live* while packets
come in, and *muted* when the router itself does not forward it.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from router.errors import ConflictError, EngineError
from router.rtc.description import RTCMediaSection
from router.rtc.formats import extension_ids, to_engine_codecs, to_engine_encodings

if TYPE_CHECKING:
    from router.rtc.connection import RTCConnection
    from router.rtc.slot import RTCSlot
    from router.rtc.speakers import RTCSpeakers


class RTCMediaStreamTrack:
    """One published track; sending it to another fork is forwarding."""

    __slots__ = (
        "__weakref__",
        "_follows",
        "_muted",
        "_speakers",
        "contributor",
        "contributors",
        "id",
        "kind",
        "live",
        "offered",
        "producer",
        "section",
        "slots",
        "stream",
        "wanted",
    )

    def __init__(
        self, stream: "RTCMediaStream", track_id: str, *, offered: RTCMediaSection, answered: RTCMediaSection
    ) -> None:
        assert offered.kind != "data", "data channels are never tracks"
        self.stream = stream
        self.id = track_id
        self.kind: Literal["audio", "video"] = offered.kind
        self.offered = offered
        """The m-line as the peer described it."""
        self.section = answered
        """The m-line as we answered it."""
        self.contributor = stream.connection.context.add_contributor(self)
        """The CSRC that names this track in every slot that shows it; unique in the originating context."""
        self.contributors: tuple[RTCContributor, ...] = ()
        """The CSRCs its own packets carry, as told last: a mixer's sources, another router's."""
        self.live = False
        """Packets are coming in."""
        self.producer: int | None = None
        """The engine's id of it, while it is received."""
        self.slots: set[RTCSlot] = set()
        """Those that show it now."""
        self.wanted: tuple[int, ...] | None = None
        """The encodings in use, as told last; None: all are wanted, the publisher does not follow."""
        self._follows = False
        self._muted = False
        self._speakers: tuple[RTCSpeakers, int] | None = None

    @property
    def connection(self) -> "RTCConnection":
        """The one that receives it."""
        return self.stream.connection

    @property
    def mid(self) -> str:
        """The m-line it arrives on."""
        return self.offered.mid

    @property
    def received(self) -> bool:
        """Whether the engine takes its packets."""
        return self.producer is not None

    @property
    def muted(self) -> bool:
        """Server-side mute: set it, and nobody receives this track."""
        return self._muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self._muted = muted
        if self.producer is not None:
            self.connection.engine.native.pause_producer(self.producer, muted)

    @property
    def rids(self) -> tuple[str | None, ...]:
        """Of its encodings, in their order."""
        return tuple(encoding.rid for encoding in self.offered.encodings) or (None,)

    def follow_demand(self, follows: bool) -> None:
        """The publisher pauses the encodings that `trackwanted` does not name; with False all are wanted again."""
        if self.kind != "video" or follows == self._follows:
            return
        self._follows, self.wanted = follows, None
        if self.producer is not None:
            # When the engine was closed first, nobody wants anything.
            with suppress(EngineError):
                self.connection.engine.native.follow_demand(self.producer, follows)

    def request_key_frame(self) -> None:
        """Asks the publisher for one; requests are merged and throttled."""
        if self.producer is None:
            raise ConflictError(f"track {self.id} is not being received")
        self.connection.engine.native.request_key_frame(self.producer)

    def start(self) -> None:
        """Lets the engine take its packets; `receive_stream` calls it."""
        if self.producer is not None:
            return
        engine = self.connection.engine
        self.producer = engine.native.add_producer(
            self.connection.transport.open(),
            kind=self.kind,
            mid=self.mid,
            codecs=to_engine_codecs(self.section),
            extensions=extension_ids(self.section, "receive"),
            encodings=to_engine_encodings(self.offered) or [{"rid": None, "ssrc": None, "rtx_ssrc": None}],
            contributor=self.contributor,
        )
        engine.register_producer(self.producer, self)
        if self._muted:
            engine.native.pause_producer(self.producer, True)
        if self._follows:
            engine.native.follow_demand(self.producer, True)
        if self._speakers is not None:
            self._speakers[0].on_track_started(self, self._speakers[1])

    def compete(self, speakers: "RTCSpeakers", participant: int) -> None:
        """From `RTCSpeakers.add_track`: it competes to be heard whenever it is received."""
        self._speakers = (speakers, participant)
        speakers.on_track_started(self, participant)

    def stop(self, reason: str) -> None:
        """Stops taking its packets; slots that show it go quiet."""
        producer, self.producer = self.producer, None
        self.wanted = None
        if producer is None:
            return
        for slot in tuple(self.slots):
            slot.clear()
        if self._speakers is not None:
            self._speakers[0].on_track_stopped(producer)
        engine = self.connection.engine
        engine.unregister_producer(producer)
        # When the engine was closed first, nothing is left to remove.
        with suppress(EngineError):
            engine.native.remove_producer(producer)
        self.on_producer_silent(reason)

    def on_encoding_active(self, encoding: int, ssrc: int) -> None:
        """From the engine."""
        del encoding, ssrc
        self.connection.media.on_track_active(self)

    def on_encodings_wanted(self, encodings: list[int]) -> None:
        """From the engine."""
        if self._follows:
            self.wanted = tuple(encodings)
            self.connection.media.on_track_wanted(self)

    def on_producer_silent(self, reason: str) -> None:
        """From the engine."""
        self.connection.media.on_track_silent(self, reason)

    def on_contributors(self, sources: list[tuple[int, int | None]]) -> None:
        """From the engine."""
        self.connection.media.on_track_contributors(self, sources)

    def __repr__(self) -> str:
        return f"<RTCMediaStreamTrack {self.kind} mid={self.mid} contributor={self.contributor}>"


class RTCMediaStream:
    """Tracks that belong together."""

    __slots__ = ("__weakref__", "connection", "id", "tracks")

    def __init__(self, connection: "RTCConnection", stream_id: str) -> None:
        self.connection = connection
        self.id = stream_id
        self.tracks: tuple[RTCMediaStreamTrack, ...] = ()

    @property
    def live(self) -> bool:
        """Whether any of its tracks is."""
        return any(track.live for track in self.tracks)

    def __repr__(self) -> str:
        return f"<RTCMediaStream {self.id} with {len(self.tracks)} tracks>"


@dataclass(frozen=True, slots=True)
class RTCContributor:
    """A contributing source of a track or slot."""

    id: int
    """The CSRC."""
    level: int | None = None
    """Audio level in -dBov, 0 (loudest) to 127, where packets carry it."""
    track: RTCMediaStreamTrack | None = None
    """The track it names, if it is one of this originating context."""

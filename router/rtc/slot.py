"""A sending m-line: one SSRC, sequence and timestamp space for life, showing one track at a time or nothing."""

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypedDict

from router.errors import ConfigError, ConflictError, EngineError
from router.rtc.constraints import UNCONSTRAINED, RTCConstraints
from router.rtc.description import RTCMediaSection
from router.rtc.formats import extension_ids, to_engine_codecs
from router.rtc.negotiation import compatible
from router.rtc.stream import RTCMediaStreamTrack

if TYPE_CHECKING:
    from router.rtc.connection import RTCConnection
    from router.rtc.speakers import Listening


Priority = Literal["ordinary", "preferred", "pinned"]
Preference = Literal["motion", "detail"]


class SlotLimits(TypedDict):
    """The arguments of `Engine.set_slot_limits`."""

    max_bitrate_bps: int | None
    max_width: int | None
    max_height: int | None
    max_frame_rate: int | None
    max_temporal_layers: int | None
    shown_width: int | None
    shown_height: int | None


Size = tuple[int | None, int | None]
"""Width and height in pixels; None: not known."""
UNKNOWN_SIZE: Size = (None, None)


class RTCSlot:
    """What the peer receives on one m-line."""

    __slots__ = (
        "__weakref__",
        "_limits",
        "_priority",
        "_shown_at",
        "_track",
        "_wanted",
        "connection",
        "id",
        "kind",
        "listening",
        "section",
        "ssrc",
    )

    def __init__(
        self,
        connection: "RTCConnection",
        section: RTCMediaSection,
        transport: int,
        *,
        allow_mixed_extensions: bool = False,
    ) -> None:
        assert section.kind != "data", "data channels are never slots"
        encoding = section.encodings[0] if section.encodings else None
        if encoding is None or encoding.ssrc is None:
            raise ConfigError(f"m-line {section.mid}: the local description sends without an SSRC")
        self.connection = connection
        self.kind: Literal["audio", "video"] = section.kind
        self.section = section
        self.ssrc = encoding.ssrc
        self.listening: Listening | None = None
        """How it follows speakers, if it does; `RTCSpeakers.follow` sets it."""
        self._track: RTCMediaStreamTrack | None = None
        self._limits: SlotLimits | None = None
        self._wanted = UNCONSTRAINED
        self._shown_at = UNKNOWN_SIZE
        self._priority: tuple[Priority, Preference] = ("ordinary", "motion")
        self.id = connection.engine.native.add_slot(
            transport,
            kind=self.kind,
            mid=section.mid,
            ssrc=encoding.ssrc,
            rtx_ssrc=encoding.rtx_ssrc,
            codecs=to_engine_codecs(section),
            extensions=extension_ids(section, "send"),
            allow_mixed_extensions=allow_mixed_extensions,
        )

    @property
    def mid(self) -> str:
        """Its m-line."""
        return self.section.mid

    @property
    def track(self) -> RTCMediaStreamTrack | None:
        """What it shows: what it was assigned, or whom it hears."""
        return self._track if self.listening is None else self.listening.speakers.heard_in(self.listening)

    def can_show(self, track: RTCMediaStreamTrack) -> bool:
        """Whether it can be assigned: the peer accepts a format that the track is published in."""
        return self.listening is None and compatible(track.section, self.section)

    def assign(self, track: RTCMediaStreamTrack | None) -> None:
        """Shows a track, or nothing. Video changes at its next key frame; what was shown goes on until then."""
        if track is self._track and self.listening is None:
            return
        if self.connection.closed:
            raise ConflictError("the slot's connection is closed")
        if self.listening is not None:
            raise ConflictError(f"slot {self.mid} follows the speakers")
        if track is not None:
            self._check_track(track)
        if self._track is not None:
            self._track.slots.discard(self)
        self._track = track
        if track is not None:
            track.slots.add(self)
            self.update_limits()
        self.connection.engine.native.assign_slot(self.id, track.producer if track else None)
        self.connection.media.on_slot_changed(self)

    def clear(self) -> None:
        """Shows nothing any more; also when its track or its connection is on the way out."""
        if self._track is None:
            return
        self._track.slots.discard(self)
        self._track = None
        if not self.connection.closed:
            # When the engine was closed first, nothing is left to clear.
            with suppress(EngineError):
                self.connection.engine.native.assign_slot(self.id, None)
            self.connection.media.on_slot_changed(self)

    def want(self, limits: RTCConstraints, shown_at: Size = UNKNOWN_SIZE) -> None:
        """The peer has no use for more than this, whatever it shows; acts at once, as constraints do.

        `shown_at`: how large it shows it. Unlike a limit, that lets pass the smallest picture that covers it.
        """
        self._wanted, self._shown_at = limits, shown_at
        self.update_limits()

    def set_priority(self, priority: "Priority", preference: "Preference") -> None:
        """How much it matters when the peer's bandwidth is short, and what to keep of its picture."""
        if self.connection.closed or (priority, preference) == self._priority:
            return
        self._priority = (priority, preference)
        self.connection.engine.native.set_slot_priority(self.id, priority, preference)

    def update_limits(self) -> None:
        """Tells the engine the strictest of all constraints that apply to what it shows."""
        track = self._track
        if track is None:
            return
        allowed = self.connection.limits("send", track)
        published = track.connection.limits("receive", track)
        # The publisher's own bitrate limit is for its uplink; its pictures are not passed on above their limits.
        both = allowed.stricter(replace(published, max_bitrate_bps=None)).stricter(self._wanted)
        shown_width, shown_height = self._shown_at
        limits: SlotLimits = {
            "max_bitrate_bps": both.max_bitrate_bps,
            "max_width": both.max_width,
            "max_height": both.max_height,
            "max_frame_rate": both.max_frame_rate,
            "max_temporal_layers": both.max_temporal_layers,
            "shown_width": shown_width,
            "shown_height": shown_height,
        }
        if limits != self._limits:
            self._limits = limits
            self.connection.engine.native.set_slot_limits(self.id, **limits)

    def _check_track(self, track: RTCMediaStreamTrack) -> None:
        if not self.can_show(track):
            raise ConflictError(f"slot {self.mid} accepts no {track.kind} format that the track is published in")
        if not track.received or track.connection.closed:
            raise ConflictError(f"track {track.id} is not being received")
        if track.connection.engine is not self.connection.engine:
            raise ConfigError("the track lives in another engine")

    def __repr__(self) -> str:
        return f"<RTCSlot {self.kind} mid={self.mid} shows {self.track!r}>"

"""What flows through one connection: the peer's streams, the slots it receives, and what is being sent in them.

Streams and slots follow from the two descriptions, once. Sending a stream shows its tracks in free slots that can carry
them; the engine does the rest. Events of tracks and slots are the connection's.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from router.errors import ConfigError
from router.rtc.contributor_reports import ContributorReports
from router.rtc.description import RTCDescription
from router.rtc.limits import Limits
from router.rtc.slot import RTCSlot
from router.rtc.stream import RTCContributor, RTCMediaStream, RTCMediaStreamTrack

if TYPE_CHECKING:
    from router.rtc.connection import RTCConnection


class ConnectionMedia:
    """Streams and slots of one connection."""

    __slots__ = ("_connection", "_contributor_reports", "_limits", "_receive_limit", "local", "remote", "slots")

    def __init__(self, connection: "RTCConnection", limits: Limits) -> None:
        self.remote: tuple[RTCMediaStream, ...] = ()
        """What the peer publishes."""
        self.local: list[RTCMediaStream] = []
        """What is being sent, in order of attachment."""
        self.slots: tuple[RTCSlot, ...] = ()
        """One for each m-line that the peer receives, in its order."""
        self._connection = connection
        self._limits = limits
        self._receive_limit: int | None = None
        self._contributor_reports = ContributorReports(connection)

    def negotiate(self, remote: RTCDescription, local: RTCDescription) -> None:
        """Makes the streams and slots that follow from both descriptions."""
        self.remote = tuple(self._make_streams(remote, local))
        transport = self._connection.transport.open()
        self.slots = tuple(
            RTCSlot(self._connection, section, transport, allow_mixed_extensions=remote.allow_mixed_extensions)
            for section in local.media
            if not section.rejected and section.kind != "data" and section.direction in ("sendonly", "sendrecv")
        )
        self.update_receive_limits()
        for stream in self.local:
            self._fill_slots(stream)

    def _make_streams(self, remote: RTCDescription, local: RTCDescription) -> Iterator[RTCMediaStream]:
        answered = {
            section.mid: section
            for section in local.media
            if not section.rejected and section.direction in ("recvonly", "sendrecv")
        }
        for described in remote.streams:
            stream = RTCMediaStream(self._connection, described.id)
            stream.tracks = tuple(
                RTCMediaStreamTrack(stream, item.id, offered=item.section, answered=answered[item.section.mid])
                for item in described.tracks
                if item.section.mid in answered
            )
            if stream.tracks:
                yield stream

    def receive(self, stream: RTCMediaStream, wanted: bool) -> None:
        """Takes what the peer publishes in this stream, or stops."""
        if stream not in self.remote:
            raise ConfigError("stream: expected one of get_remote_streams() of this connection")
        for track in stream.tracks:
            if wanted:
                track.start()
            else:
                track.stop("removed")
        self.update_receive_limits()

    def send(self, stream: RTCMediaStream, wanted: bool) -> None:
        """Shows its tracks in free slots that can carry them, or takes them out of all slots."""
        if wanted:
            if stream not in self.local:
                self.local.append(stream)
            self._fill_slots(stream)
            return
        if stream in self.local:
            self.local.remove(stream)
        for slot in self.slots:
            if slot.track is not None and slot.track.stream is stream:
                slot.assign(None)

    def forget(self, sender: "RTCConnection") -> None:
        """The sender of these streams is gone."""
        self.local = [stream for stream in self.local if stream.connection is not sender]

    def _fill_slots(self, stream: RTCMediaStream) -> None:
        shown = {slot.track for slot in self.slots}
        for track in stream.tracks:
            free = (slot for slot in self.slots if slot.track is None and slot.can_show(track))
            slot = None if track in shown or not track.received else next(free, None)
            if slot is not None:
                slot.assign(track)

    def update_send_limits(self) -> None:
        """Constraints of what is sent have changed."""
        for slot in self.slots:
            slot.update_limits()

    def update_receive_limits(self) -> None:
        """Constraints of what is received, or the tracks that are, have changed."""
        tracks = [track for stream in self.remote for track in stream.tracks]
        for track in tracks:
            for slot in tuple(track.slots):
                slot.update_limits()
        limit = self._limits.receive_bitrate_bps(track for track in tracks if track.received)
        transport = self._connection.transport.id
        if transport is not None and limit != self._receive_limit:
            self._receive_limit = limit
            self._connection.engine.native.set_receive_limit(transport, limit)

    def end(self, reason: str) -> None:
        """Nothing flows any more."""
        context = self._connection.context
        for stream in self.remote:
            for track in stream.tracks:
                track.stop(reason)
                context.remove_contributor(track.contributor)
        for slot in self.slots:
            slot.clear()
        self._contributor_reports.stop()

    # -- from tracks and slots -----------------------------------------------------------------------------------

    def on_track_active(self, track: RTCMediaStreamTrack) -> None:
        """The first authenticated packet, also after silence."""
        if track.live or self._connection.closed:
            return
        stream_was_live = track.stream.live
        track.live = True
        self._connection.emit("trackconnected", track)
        if not stream_was_live:
            self._connection.emit("streamconnected", track.stream)

    def on_track_silent(self, track: RTCMediaStreamTrack, reason: str) -> None:
        """All its encodings fell silent, or it was stopped."""
        if not track.live:
            return
        track.live = False
        self._connection.emit("trackdisconnected", track, reason)
        if not track.stream.live:
            self._connection.emit("streamdisconnected", track.stream, reason)

    def on_track_wanted(self, track: RTCMediaStreamTrack) -> None:
        """Other encodings of it are in use than before."""
        self._connection.emit("trackwanted", track, track.wanted)

    def on_track_contributors(self, track: RTCMediaStreamTrack, sources: list[tuple[int, int | None]]) -> None:
        """The CSRCs received."""
        known = self._connection.context.contributors
        track.contributors = tuple(RTCContributor(id_, level, known.get(id_)) for id_, level in sources)
        self._connection.emit("trackcontributors", track, track.contributors)
        for slot in tuple(track.slots):
            slot.connection.media.on_slot_changed(slot)

    def on_slot_changed(self, slot: RTCSlot) -> None:
        """It shows another track, or nothing, or its track has other contributors."""
        self._contributor_reports.on_changed(slot)

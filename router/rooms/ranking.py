"""A room's order of video tracks: screen shares, then recent speakers (the latest first), then order of coming.

One order serves all sessions; each skips what is its own. Within screen shares, and within the rest, whoever began to
send first comes first: a camera that is switched on again goes to the end, so that nobody takes another's place in
everybody's slots by that alone. A recent speaker is seen by one track, the camera.

A track that comes or goes, and a change of speakers, cost a few dictionary steps, whatever the size of the room. Only
tracks that can be shown now are in here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from router.rooms.sources import Source


@dataclass(frozen=True, slots=True)
class TrackView:
    """A video track that can be shown, as the policy sees it."""

    id: str
    participant_id: str
    source: Source = "camera"


class Ranking:
    """Tracks in the order in which slots are given to them."""

    def __init__(self) -> None:
        self._screens: dict[str, TrackView] = {}
        self._others: dict[str, TrackView] = {}
        self._by_participant: dict[str, dict[str, TrackView]] = {}
        """Of the others."""
        self._speakers: dict[str, None] = {}
        """Participants, the one who spoke last first."""
        self._promoted: dict[str, TrackView] = {}
        """Tracks of recent speakers, in their order."""

    def __len__(self) -> int:
        return len(self._screens) + len(self._others)

    def __iter__(self) -> Iterator[TrackView]:
        yield from self._screens.values()
        yield from self._promoted.values()
        for track_id, track in self._others.items():
            if track_id not in self._promoted:
                yield track

    def get(self, track_id: str) -> TrackView | None:
        """The track, if it can be shown."""
        return self._others.get(track_id) or self._screens.get(track_id)

    def prefix(self, length: int) -> list[str]:
        """Ids of the first tracks."""
        return [track.id for track in islice(self, length)]

    def explain(self, track_id: str) -> str:
        """Why the track has its rank, for people."""
        if track_id in self._screens:
            return "screen share"
        return "recent speaker" if track_id in self._promoted else "order of joining"

    def put(self, track: TrackView) -> bool:
        """Adds the track, or moves it if its source has changed; whether that changed anything."""
        if self.get(track.id) == track:
            return False
        self.discard(track.id)
        if track.source == "screen":
            self._screens[track.id] = track
            return True
        self._others[track.id] = track
        self._by_participant.setdefault(track.participant_id, {})[track.id] = track
        self._promote_if_speaker(track.participant_id)
        return True

    def discard(self, track_id: str) -> bool:
        """Takes the track out; whether it was in."""
        if self._screens.pop(track_id, None) is not None:
            return True
        track = self._others.pop(track_id, None)
        if track is None:
            return False
        own = self._by_participant[track.participant_id]
        del own[track_id]
        if not own:
            del self._by_participant[track.participant_id]
        self._promote_if_speaker(track.participant_id)
        return True

    def set_speakers(self, participant_ids: Sequence[str]) -> bool:
        """Who spoke recently, the latest first; whether that changed the order."""
        self._speakers = dict.fromkeys(participant_ids)
        before = list(self._promoted)
        self._promote()
        return list(self._promoted) != before

    def _promote_if_speaker(self, participant_id: str) -> None:
        if participant_id in self._speakers:
            self._promote()

    def _promote(self) -> None:
        cameras = (self._find_camera(participant_id) for participant_id in self._speakers)
        self._promoted = {camera.id: camera for camera in cameras if camera is not None}

    def _find_camera(self, participant_id: str) -> TrackView | None:
        own = self._by_participant.get(participant_id)
        if own is None:
            return None
        return next((track for track in own.values() if track.source == "camera"), next(iter(own.values())))

"""What is kept of a room so that another node can open it as it was, should its node die: its options and its lock.

Only a room of a dead node, or of an earlier life of the same one, opens so: what closed in order is forgotten by the
store, what another living node has is left to it (`router.cluster.peers`).

A lock is kept with the identities that may come back, in order of joining and as many as fit: those left out come in
when a moderator unlocks. Participants and what they publish are not kept; they come back by themselves. What is read
comes from a store, which is not trusted: what fits no schema counts as absent.

The context (ICE fragment and secret) is not taken over. Clients that come back need another offer, for it names another
address and another certificate; under the old fragment one from a cache would be taken for it and lead its peer to the
dead node, where now it is refused as stale at once.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from router.errors import RequestError
from router.rooms.names import check_identity
from router.rooms.options import RoomOptions

if TYPE_CHECKING:
    from router.rooms.room import Room

MAX_INSIDE_BYTES: Final = 16_384
"""Of identities as JSON: some four hundred UUIDs. A store bounds the whole, see `router.cluster.entries`."""
INSIDE: Final = "inside"


@dataclass(frozen=True, slots=True)
class RememberedRoom:
    """One room.

    >>> RememberedRoom.read(RememberedRoom(RoomOptions(video_slots=2), ("ada",)).describe()).inside
    ('ada',)
    """

    options: RoomOptions
    inside: tuple[str, ...] | None = None
    """Whom its lock lets come back; None: it is not locked."""

    @classmethod
    def of(cls, room: "Room") -> "RememberedRoom":
        """As it is now. Its offer is named in full: another node's settings may differ."""
        layout = room.layout
        options = replace(
            room.options, audio_slots=layout.audio_slots, video_slots=layout.video_slots, codecs=layout.codecs
        )
        return cls(options, room.moderation.remembered)

    def describe(self) -> dict[str, Any]:
        """As a store keeps it."""
        lock = {} if self.inside is None else {INSIDE: list(self.inside)}
        return {**self.options.describe(), **lock}

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> "RememberedRoom":
        """From a store: `RequestError` for what `describe` does not make."""
        options = RoomOptions.read({name: value for name, value in config.items() if name != INSIDE})
        return cls(options, _read_inside(config[INSIDE]) if INSIDE in config else None)


def cut_inside(identities: Iterable[str]) -> tuple[str, ...]:
    """Those that are kept: the first ones, as many as fit.

    >>> len(cut_inside(f"{number:036}" for number in range(1_000)))
    420
    """
    kept, left = [], MAX_INSIDE_BYTES
    for identity in identities:
        left -= _measure(identity)
        if left < 0:
            break
        kept.append(identity)
    return tuple(kept)


def _measure(identity: str) -> int:
    return len(json.dumps(identity)) + 1  # and a comma


def _read_inside(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise RequestError(f"{INSIDE}: expected a list of identities", slug="bad-room-options")
    inside = tuple(check_identity(identity, INSIDE) for identity in value)
    if sum(map(_measure, inside)) > MAX_INSIDE_BYTES:
        raise RequestError(f"{INSIDE}: expected at most {MAX_INSIDE_BYTES} bytes", slug="bad-room-options")
    return inside

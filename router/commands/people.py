"""Finding the participant and the track that a command names: by id, or by what people call them."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from router.commands.errors import EXIT_UNKNOWN, AdminError

if TYPE_CHECKING:
    from router.commands.client import AdminClient, Item

_PARTICIPANT_ID: Final = re.compile(r"P_[0-9a-f]{16}")


def find_participant(client: "AdminClient", room: str, name: str) -> str:
    """The id of a participant; `name` may be its identity."""
    if _PARTICIPANT_ID.fullmatch(name):
        return name
    for person in _participants(client, room):
        if person.get("identity") == name:
            return str(person["id"])
    raise AdminError(f"no participant {name!a} in room {room!a}", EXIT_UNKNOWN)


def list_tracks(client: "AdminClient", room: str) -> "Iterator[tuple[Item, Item]]":
    """Each published track with its publisher."""
    for person in _participants(client, room):
        for track in person.get("tracks", ()):
            yield person, track


def find_track(client: "AdminClient", room: str, track_id: str) -> "tuple[Item, Item]":
    """A published track and its publisher."""
    for person, track in list_tracks(client, room):
        if track.get("id") == track_id:
            return person, track
    raise AdminError(f"no track {track_id!a} in room {room!a}", EXIT_UNKNOWN)


def _participants(client: "AdminClient", room: str) -> "Iterator[Item]":
    from router.commands.client import join_path

    return client.read_all(join_path("rooms", room, "participants"))

"""`router tracks`: what is published in a room, and muting of single tracks."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from router.commands.groups import ListGroup
from router.commands.people import find_track, list_tracks
from router.commands.remote import Remote, RoomName, on_remote

if TYPE_CHECKING:
    from router.commands.client import Item

app = typer.Typer(cls=ListGroup, help="Published tracks of a room: list (the default), mute, unmute.")
TrackId = Annotated[str, typer.Argument(help="Id of a track, such as T_0000beef.")]


def _describe_state(track: "Item") -> str:
    if track.get("moderated"):
        return "muted by a moderator"
    return "muted" if track.get("muted") else "live" if track.get("live") else "silent"


COLUMNS: Final[Mapping[str, Callable[["Item"], Any]]] = {
    "id": lambda track: track.get("id", ""),
    "participant": lambda track: track.get("identity", ""),
    "name": lambda track: track.get("name", ""),
    "kind": lambda track: track.get("kind", ""),
    "source": lambda track: track.get("source", ""),
    "mid": lambda track: track.get("mid", ""),
    "state": _describe_state,
}


@app.command("list")
@on_remote
def list_published(remote: Remote, room: RoomName) -> None:
    """List the tracks of everybody in a room."""
    remote.show_list((_describe(person, track) for person, track in list_tracks(remote.client, room)), COLUMNS)


@app.command("mute")
@on_remote
def mute_track(remote: Remote, room: RoomName, track: TrackId) -> None:
    """Stop forwarding a track, whatever its publisher does."""
    _mute(remote, room, track, muted=True)


@app.command("unmute")
@on_remote
def unmute_track(remote: Remote, room: RoomName, track: TrackId) -> None:
    """Forward it again."""
    _mute(remote, room, track, muted=False)


def _mute(remote: Remote, room: str, track_id: str, *, muted: bool) -> None:
    from router.commands.client import join_path

    person, _ = find_track(remote.client, room, track_id)
    path = join_path("rooms", room, "participants", str(person["id"]), "tracks", track_id)
    remote.show_one(_describe(person, remote.client.change("PATCH", path, {"moderated": muted})), COLUMNS)


def _describe(person: "Item", track: "Item") -> "Item":
    owner = {"participant_id": person.get("id"), "identity": person.get("identity"), "name": person.get("name")}
    return {**track, **owner}

"""`router tracks`: what is published in a room, and muting of single tracks."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from router.commands.groups import ListGroup
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
    "identity": lambda track: track.get("identity", ""),
    "participant": lambda track: track.get("participant_id", ""),
    "kind": lambda track: track.get("kind", ""),
    "source": lambda track: track.get("source", ""),
    "mid": lambda track: track.get("mid", ""),
    "state": _describe_state,
}


@app.command("list")
@on_remote
def list_tracks(remote: Remote, room: RoomName) -> None:
    """List the tracks of everybody in a room."""
    remote.show_list(remote.client.read_all(_path(room)), COLUMNS)


@app.command("mute")
@on_remote
def mute_track(remote: Remote, room: RoomName, track: TrackId) -> None:
    """Stop forwarding a track, whatever its publisher does."""
    remote.show_one(remote.client.change("PATCH", _path(room, track), {"moderated": True}), COLUMNS)


@app.command("unmute")
@on_remote
def unmute_track(remote: Remote, room: RoomName, track: TrackId) -> None:
    """Forward it again."""
    remote.show_one(remote.client.change("PATCH", _path(room, track), {"moderated": False}), COLUMNS)


def _path(room: str, *track: str) -> str:
    from router.commands.client import join_path

    return join_path("rooms", room, "tracks", *track)

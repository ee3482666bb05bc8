"""`router participants`: list, show, change, mute, unmute, remove. A participant is named by its id or its identity."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from router.commands.errors import EXIT_UNKNOWN, AdminError
from router.commands.groups import ListGroup
from router.commands.people import find_participant
from router.commands.remote import ParticipantName, Remote, RoomName, on_remote
from router.commands.tracks import COLUMNS as TRACK_COLUMNS

if TYPE_CHECKING:
    from router.commands.client import Item

app = typer.Typer(cls=ListGroup, help="Participants of a room: list (the default), change, mute, remove.")


def _describe_tracks(person: "Item") -> str:
    return ", ".join(_describe_track(track) for track in person.get("tracks", ()))


def _describe_track(track: "Item") -> str:
    notes = [note for note, holds in _notes(track).items() if holds]
    return f"{track.get('kind', '')}{f' ({chr(44).join(notes)})' if notes else ''}"


def _notes(track: "Item") -> dict[str, bool]:
    return {"silent": not track.get("live"), "muted": bool(track.get("muted") or track.get("moderated"))}


def _count_received(person: "Item") -> int:
    sessions = person.get("sessions", ())
    return sum(slot.get("track_id") is not None for session in sessions for slot in session.get("slots", ()))


COLUMNS: Final[Mapping[str, Callable[["Item"], Any]]] = {
    "id": lambda person: person.get("id", ""),
    "identity": lambda person: person.get("identity", ""),
    "name": lambda person: person.get("name", ""),
    "sessions": lambda person: ", ".join(session.get("state", "") for session in person.get("sessions", ())),
    "tracks": _describe_tracks,
    "receives": _count_received,
}
SLOT_COLUMNS: Final[Mapping[str, Callable[["Item"], Any]]] = {
    "mid": lambda slot: slot.get("mid", ""),
    "kind": lambda slot: slot.get("kind", ""),
    "track": lambda slot: slot.get("track_id") or "",
    "participant": lambda slot: slot.get("participant_id") or "",
    "wished": lambda slot: "pinned" if slot.get("pinned") else "paused" if slot.get("paused") else "",
    "why": lambda slot: slot.get("reason", ""),
}
SourceName = Annotated[
    str | None, typer.Option("--source", help="Only this: camera, microphone, screen, screen-audio.")
]
Publish = Annotated[bool | None, typer.Option("--publish/--no-publish", help="May publish.")]
Subscribe = Annotated[bool | None, typer.Option("--subscribe/--no-subscribe", help="May subscribe.")]
Moderate = Annotated[bool | None, typer.Option("--moderate/--no-moderate", help="May mute, remove and lock.")]


@app.command("list")
@on_remote
def list_participants(remote: Remote, room: RoomName) -> None:
    """List who is in a room."""
    remote.show_list(remote.client.read_all(_path(room)), COLUMNS)


@app.command("show")
@on_remote
def show_participant(remote: Remote, room: RoomName, participant: ParticipantName) -> None:
    """Show one participant."""
    remote.show_one(remote.client.read(_find(remote, room, participant)), COLUMNS)


@app.command("change")
@on_remote
def change_participant(
    remote: Remote,
    room: RoomName,
    participant: ParticipantName,
    name: Annotated[str | None, typer.Option(help="Name to show.")] = None,
    metadata: Annotated[str | None, typer.Option(help="The application's own text.")] = None,
    publish: Publish = None,
    subscribe: Subscribe = None,
    moderate: Moderate = None,
) -> None:
    """Change name, metadata or rights, in force at once."""
    rights = {"can_publish": publish, "can_subscribe": subscribe, "room_admin": moderate}
    given = {right: value for right, value in rights.items() if value is not None}
    texts = {"name": name, "metadata": metadata}
    body: dict[str, Any] = {field: text for field, text in texts.items() if text is not None}
    if given:
        body["rights"] = given
    if not body:
        raise typer.BadParameter("expected at least one option to change")
    remote.show_one(remote.client.change("PATCH", _find(remote, room, participant), body), COLUMNS)


@app.command("mute")
@on_remote
def mute_participant(remote: Remote, room: RoomName, participant: ParticipantName, source: SourceName = None) -> None:
    """Stop forwarding the tracks of a participant, whatever it does, until they are unmuted."""
    _mute(remote, room, participant, source, muted=True)


@app.command("unmute")
@on_remote
def unmute_participant(remote: Remote, room: RoomName, participant: ParticipantName, source: SourceName = None) -> None:
    """Forward its tracks again."""
    _mute(remote, room, participant, source, muted=False)


@app.command("slots")
@on_remote
def list_slots(remote: Remote, room: RoomName, participant: ParticipantName) -> None:
    """List what a participant is shown, and why."""
    slots = remote.client.read(f"{_find(remote, room, participant)}/slots").get("items", ())
    remote.show_list(slots, SLOT_COLUMNS)


@app.command("remove")
@on_remote
def remove_participant(remote: Remote, room: RoomName, participant: ParticipantName) -> None:
    """Put a participant out; it needs a new token to come back."""
    remote.client.change("DELETE", _find(remote, room, participant))
    remote.show_done(f"{participant} is out of {room}", room=room, participant=participant, removed=True)


def _mute(remote: Remote, room: str, participant: str, source: str | None, *, muted: bool) -> None:
    path = _find(remote, room, participant)
    body = {"muted": muted, **({"source": source} if source else {})}
    tracks = remote.client.change("POST", f"{path}/mute", body).get("items", ())
    if source and not tracks:
        raise AdminError(f"{participant} publishes no {source}", EXIT_UNKNOWN)
    remote.show_list(tracks, TRACK_COLUMNS)


def _find(remote: Remote, room: str, participant: str) -> str:
    return _path(room, find_participant(remote.client, room, participant))


def _path(room: str, *participant: str) -> str:
    from router.commands.client import join_path

    return join_path("rooms", room, "participants", *participant)

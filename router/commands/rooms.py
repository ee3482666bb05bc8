"""`router rooms`: list, show, create, change, lock, unlock, close."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from router.commands.groups import ListGroup
from router.commands.remote import Remote, RoomName, check_finite, on_remote

if TYPE_CHECKING:
    from router.commands.client import Item

app = typer.Typer(cls=ListGroup, help="Rooms: list (the default), create, change, lock, close.")

_FRACTION: Final = re.compile(r"\.\d+")

COLUMNS: Final[Mapping[str, Callable[["Item"], Any]]] = {
    "name": lambda room: room.get("name", ""),
    "participants": lambda room: room.get("participants", ""),
    "sessions": lambda room: room.get("sessions", ""),
    "tracks": lambda room: room.get("tracks", ""),
    "watchers": lambda room: room.get("watchers", ""),
    "locked": lambda room: "locked" if room.get("locked") else "",
    "created at": lambda room: _FRACTION.sub("", room.get("created_at", "")),
    "on node": lambda room: room.get("node") or "",
}
MaxParticipants = Annotated[int | None, typer.Option(min=1, help="How many may be inside.")]
EmptyTimeout = Annotated[
    float | None, typer.Option(callback=check_finite, help="Seconds until it closes if nobody comes.")
]
DepartureTimeout = Annotated[
    float | None, typer.Option(callback=check_finite, help="Seconds until it closes when all have left.")
]
Metadata = Annotated[str | None, typer.Option(help="The application's own text, told to everybody inside.")]


@app.command("list")
@on_remote
def list_rooms(remote: Remote) -> None:
    """List the open rooms."""
    remote.show_list(remote.client.read_all("/v1/rooms"), COLUMNS)


@app.command("show")
@on_remote
def show_room(remote: Remote, room: RoomName) -> None:
    """Show one room."""
    remote.show_one(remote.client.read(_path(room)), COLUMNS)


@app.command("create")
@on_remote
def create_room(
    remote: Remote,
    room: RoomName,
    max_participants: MaxParticipants = None,
    empty_timeout: EmptyTimeout = None,
    departure_timeout: DepartureTimeout = None,
    metadata: Metadata = None,
    audio_slots: Annotated[int | None, typer.Option(help="Voices that a participant can have at once.")] = None,
    video_slots: Annotated[int | None, typer.Option(help="Pictures that a participant can have at once.")] = None,
    codecs: Annotated[str | None, typer.Option(help="Of its offer, the most wanted first: opus,VP8,H264.")] = None,
) -> None:
    """Open a room before anybody comes; one that is open is shown as it is."""
    body = {
        "name": room,
        **_options(max_participants, empty_timeout, departure_timeout, metadata),
        "audio_slots": audio_slots,
        "video_slots": video_slots,
        "codecs": None if codecs is None else [part.strip() for part in codecs.split(",")],
    }
    remote.show_one(remote.client.change("POST", "/v1/rooms", _given(body)), COLUMNS)


@app.command("change")
@on_remote
def change_room(
    remote: Remote,
    room: RoomName,
    max_participants: MaxParticipants = None,
    empty_timeout: EmptyTimeout = None,
    departure_timeout: DepartureTimeout = None,
    metadata: Metadata = None,
) -> None:
    """Change the options of an open room; nobody is put out."""
    options = _given(_options(max_participants, empty_timeout, departure_timeout, metadata))
    if not options:
        raise typer.BadParameter("expected at least one option to change")
    remote.show_one(remote.client.change("PATCH", _path(room), options), COLUMNS)


@app.command("lock")
@on_remote
def lock_room(remote: Remote, room: RoomName) -> None:
    """Refuse newcomers."""
    remote.show_one(remote.client.change("POST", f"{_path(room)}/lock"), COLUMNS)


@app.command("unlock")
@on_remote
def unlock_room(remote: Remote, room: RoomName) -> None:
    """Let newcomers in again."""
    remote.show_one(remote.client.change("POST", f"{_path(room)}/unlock"), COLUMNS)


@app.command("close")
@on_remote
def close_room(remote: Remote, room: RoomName) -> None:
    """End a room and everybody's session in it."""
    remote.client.change("DELETE", _path(room))
    remote.show_done(f"room {room} is closed", room=room, closed=True)


def _options(
    max_participants: int | None, empty_timeout: float | None, departure_timeout: float | None, metadata: str | None
) -> dict[str, Any]:
    return {
        "max_participants": max_participants,
        "empty_timeout_s": empty_timeout,
        "departure_timeout_s": departure_timeout,
        "metadata": metadata,
    }


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _path(room: str) -> str:
    from router.commands.client import join_path

    return join_path("rooms", room)

"""`router events`: follows the event log of a router (server-sent events, WHATWG HTML section 9.2).

A stream that breaks off is taken up again after the last event that was shown, for as long as the router answers.
"""

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from router.commands.remote import Remote, on_remote
from router.tables import print_json, print_line

if TYPE_CHECKING:
    from router.commands.client import AdminClient, Item

RETRY_S: Final = 2.0
NOT_SHOWN: Final = ("id", "event", "time", "created_at", "sequence", "node", "room", "participant", "track")


@dataclass(slots=True)
class Follower:
    """A stream with the id that it has come to."""

    client: "AdminClient"
    parameters: "Item"
    last_id: str | None = None

    def read(self) -> Iterator["Item"]:
        """Events, until the stream ends."""
        for id_, text in read_messages(self.client.follow("/v1/events", self.parameters, self.last_id)):
            self.last_id = id_ or self.last_id
            try:
                event = json.loads(text)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event


@on_remote
def follow_events(
    remote: Remote,
    room: Annotated[str | None, typer.Option(help="Only of this room.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only of this kind; repeatable.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Leave after so many.")] = None,
) -> None:
    """Print what happens, as it happens, until Ctrl-C; with --json one object a line."""
    follower = Follower(remote.client, {**({"room": room} if room else {}), **({"kind": kind} if kind else {})})
    shown = 0
    while True:
        for event in follower.read():
            if remote.as_json:
                print_json(event, indent=None)
            else:
                print_line(describe_event(event))
            shown += 1
            if shown == count:
                return
        threading.Event().wait(RETRY_S)


def read_messages(lines: Iterable[str]) -> Iterator[tuple[str | None, str]]:
    """Id and data of each message.

    >>> list(read_messages(["retry: 5", "", "id: 1", "data: {}", "", ":"]))
    [('1', '{}')]
    """
    id_: str | None = None
    data: list[str] = []
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                yield id_, "\n".join(data)
            id_, data = None, []
        elif field == "id":
            id_ = value
        elif field == "data":
            data.append(value)


def describe_event(event: "Item") -> str:
    """One line for people."""
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(_number(event.get("time")), UTC).strftime("%H:%M:%S.%f")[:-3]
    room, person, track = (_section(event, name) for name in ("room", "participant", "track"))
    words = [
        at,
        f"{event.get('event', '?'):<20}",
        room.get("name", ""),
        person.get("identity", ""),
        track.get("id", ""),
    ]
    rest = [f"{name}={_write(value)}" for name, value in event.items() if name not in NOT_SHOWN]
    return " ".join(str(word) for word in (*words, *rest) if word)


def _section(event: "Item", name: str) -> "Item":
    section = event.get(name)
    return section if isinstance(section, dict) else {}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _write(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))

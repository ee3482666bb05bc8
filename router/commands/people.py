"""Finding the participant that a command names: by id, or by the identity that people know."""

import re
from typing import TYPE_CHECKING, Final

from router.commands.errors import EXIT_UNKNOWN, AdminError

if TYPE_CHECKING:
    from router.commands.client import AdminClient

_ID: Final = re.compile(r"P_[0-9a-f]{16}")


def find_participant(client: "AdminClient", room: str, name: str) -> str:
    """The id of a participant; `name` may be its identity."""
    from router.commands.client import join_path

    if _ID.fullmatch(name):
        return name
    for person in client.read_all(join_path("rooms", room, "participants")):
        if person.get("identity") == name:
            return str(person.get("id", ""))
    raise AdminError(f"no participant {name!a} in room {room!a}", EXIT_UNKNOWN)

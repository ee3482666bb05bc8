"""Entity tags of rooms and participants, and `If-Match` (RFC 9110 section 13.1.1): nobody overwrites what nobody read.

A tag is of what operators change, and of which life of the room or stay of the participant it is; counts and states
that come and go by themselves are in the answers too, and do not change it.
"""

import hashlib
import json
from typing import Annotated, Final

from fastapi import Depends, Header

from router.errors import PreconditionFailedError
from router.rooms.participant import Participant
from router.rooms.rights import describe_rights
from router.rooms.room import Room

MAX_HEADER_CHARACTERS: Final = 1_024
HEX_DIGITS: Final = 16


class IfMatch:
    """What the request expects to find."""

    def __init__(
        self,
        if_match: Annotated[
            str | None,
            Header(max_length=MAX_HEADER_CHARACTERS, description="An `ETag` that was read; 412 if it changed since."),
        ] = None,
    ) -> None:
        self._expected = None if if_match is None else [tag.strip() for tag in if_match.split(",")]

    def check(self, tag: str) -> None:
        """Refuses the request if another tag was expected."""
        if self._expected is not None and "*" not in self._expected and tag not in self._expected:
            raise PreconditionFailedError("it was changed meanwhile: read it again")


Expected = Annotated[IfMatch, Depends()]


def tag_room(room: Room) -> str:
    """Of its options and its lock."""
    return f'"{room.id}-{room.revision}"'


def tag_participant(participant: Participant) -> str:
    """Of its name, metadata and rights."""
    state = [participant.id, participant.name, participant.metadata, describe_rights(participant.rights)]
    digest = hashlib.sha256(json.dumps(state).encode()).hexdigest()
    return f'"{digest[:HEX_DIGITS]}"'

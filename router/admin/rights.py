"""Rights as the admin API writes and reads them: the names of join tokens (LiveKit's `video` grants) in snake case."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from router.rooms.rights import Rights
from router.rooms.sources import CLAIM_OF_SOURCE, SOURCE_OF_CLAIM

SourceName = Literal["camera", "microphone", "screen_share", "screen_share_audio"]
FIELDS: Final = {
    "can_publish": "may_publish",
    "can_subscribe": "may_subscribe",
    "can_publish_data": "may_publish_data",
    "can_update_own_metadata": "may_update_own_metadata",
    "room_admin": "may_moderate",
    "hidden": "hidden",
    "recorder": "recorder",
}
"""Of `router.rooms.rights.Rights`, by their names here."""


class RightsBody(BaseModel):
    """What a participant may do now, whatever its token said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    can_publish: bool
    can_publish_sources: list[SourceName] = Field(description="Only these; empty: all.")
    can_subscribe: bool
    can_publish_data: bool
    can_update_own_metadata: bool
    room_admin: bool = Field(description="May mute, remove and lock.")
    hidden: bool = Field(description="Others do not hear of it, and it publishes nothing.")
    recorder: bool = Field(description="Shown to others as recording.")

    @classmethod
    def of(cls, rights: Rights) -> "RightsBody":
        """The body of rights."""
        sources = sorted(CLAIM_OF_SOURCE[source] for source in rights.publish_sources or ())
        flags = {name: getattr(rights, field) for name, field in FIELDS.items()}
        return cls.model_validate({**flags, "can_publish_sources": sources})


class RightsChange(BaseModel):
    """Rights to give and to take; those left out stay as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    can_publish: bool = True
    can_publish_sources: list[SourceName] = Field(default=[], max_length=16, description="Only these; empty: all.")
    can_subscribe: bool = True
    can_publish_data: bool = True
    can_update_own_metadata: bool = False
    room_admin: bool = False
    hidden: bool = False
    recorder: bool = False

    def fields(self) -> dict[str, Any]:
        """What was given, as fields of `Rights`."""
        changed: dict[str, Any] = {
            field: getattr(self, name) for name, field in FIELDS.items() if name in self.model_fields_set
        }
        if "can_publish_sources" in self.model_fields_set:
            sources = frozenset(SOURCE_OF_CLAIM[name] for name in self.can_publish_sources)
            changed["publish_sources"] = sources or None
        return changed

"""What somebody may do in a room, however it was proven (today by a join token, see `router.tokens`).

A grant comes with a token and never changes. What is in force may be less or more: an operator can change the rights of
a participant during the call, and a newer token replaces an older one (`router.rooms.enforcement`).
"""

import math
from dataclasses import dataclass
from typing import Any, Final

from router.errors import ForbiddenError
from router.rooms.sources import CLAIM_OF_SOURCE, KIND_OF_SOURCE, Source
from router.rtc.description import Kind

GRANTED_BY_DEFAULT: Final = {
    "canPublish": "may_publish",
    "canSubscribe": "may_subscribe",
    "canPublishData": "may_publish_data",
}
"""Rights by the names that join tokens have for them (LiveKit's)."""
DENIED_BY_DEFAULT: Final = {
    "canUpdateOwnMetadata": "may_update_own_metadata",
    "roomAdmin": "may_moderate",
    "hidden": "hidden",
    "recorder": "recorder",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Each right by itself. Refusals are `ForbiddenError` with a slug that names the right.

    >>> Rights(publish_sources=frozenset({"microphone"})).allows("camera", "video")
    False
    """

    may_publish: bool = True
    may_subscribe: bool = True
    may_moderate: bool = False
    """Mute tracks of others, remove them, lock the room; a lock does not keep its bearer out."""
    may_publish_data: bool = True
    """Reported, and nothing to enforce: the router carries no data channels."""
    may_update_own_metadata: bool = False
    publish_sources: frozenset[Source] | None = None
    """Of `may_publish`, only these; None: all."""
    hidden: bool = False
    """Others do not hear of this participant, who therefore publishes nothing."""
    recorder: bool = False
    """Shown in the roster: this participant records."""

    @property
    def publishes(self) -> bool:
        """Whether anything may be published at all."""
        return self.may_publish and not self.hidden

    def allows(self, source: Source, kind: Kind) -> bool:
        """Whether a track of this source may be published; an unknown one counts as what its kind may be."""
        if not self.publishes or self.publish_sources is None:
            return self.publishes
        if source == "unknown":
            return any(KIND_OF_SOURCE.get(allowed) == kind for allowed in self.publish_sources)
        return source in self.publish_sources

    def require_publish(self) -> None:
        """Refuses who may not publish."""
        if not self.publishes:
            why = "a hidden participant does not publish" if self.hidden and self.may_publish else None
            raise ForbiddenError(why or "the token does not give the right to publish", slug="may-not-publish")

    def require_source(self, source: Source, kind: Kind) -> None:
        """Refuses who may not publish this."""
        self.require_publish()
        if not self.allows(source, kind):
            what = kind if source == "unknown" else source
            raise ForbiddenError(f"the token does not give the right to publish {what}", slug="may-not-publish-source")

    def require_subscribe(self) -> None:
        """Refuses who may not subscribe."""
        if not self.may_subscribe:
            raise ForbiddenError("the token does not give the right to subscribe", slug="may-not-subscribe")

    def require_moderate(self) -> None:
        """Refuses who may not moderate."""
        if not self.may_moderate:
            raise ForbiddenError("the token does not give the right to moderate", slug="may-not-moderate")

    def require_update_own_metadata(self) -> None:
        """Refuses who may not change what others read of them."""
        if not self.may_update_own_metadata:
            raise ForbiddenError(
                "the token does not give the right to change one's own metadata", slug="may-not-update-metadata"
            )


@dataclass(frozen=True, slots=True)
class JoinGrant(Rights):
    """What a good token gives: rights of one identity in one room for some time."""

    room: str
    identity: str
    name: str = ""
    metadata: str = ""
    """What the application wants others to know about this identity; the router only passes it on."""
    expires_at_s: float = math.inf
    """Wall clock; the stay in the room ends then, unless a later grant was shown meanwhile."""
    issued_at_s: float = -math.inf
    """Wall clock; who was removed from a room needs a grant that was made after that."""
    token_id: str = ""
    """The token's `jti`, by which it can be revoked."""
    key_id: str = ""
    """Of the key that signed it; empty for a secret without a name."""

    def check_room(self, room: str) -> None:
        """Refuses another room than the token's."""
        if room != self.room:
            raise ForbiddenError("the token is for another room", slug="wrong-room")


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever acts from outside of rooms, such as by the admin port: no participant, and may everything."""

    name: str


def describe_rights(rights: Rights) -> dict[str, Any]:
    """As join tokens spell them; those that are denied by default only where granted.

    >>> describe_rights(Rights(may_publish=False, hidden=True))
    {'canPublish': False, 'canSubscribe': True, 'canPublishData': True, 'hidden': True}
    """
    described: dict[str, Any] = {claim: getattr(rights, name) for claim, name in GRANTED_BY_DEFAULT.items()}
    described.update({claim: True for claim, name in DENIED_BY_DEFAULT.items() if getattr(rights, name)})
    if rights.publish_sources is not None:
        described["canPublishSources"] = sorted(CLAIM_OF_SOURCE[source] for source in rights.publish_sources)
        # An empty list would mean all.
        described["canPublish"] = rights.may_publish and bool(rights.publish_sources)
    return described

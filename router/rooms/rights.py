"""What somebody may do in a room, however it was proven (today by a join token, see `router.tokens`)."""

import math
from dataclasses import dataclass

from router.errors import ForbiddenError


@dataclass(frozen=True, slots=True)
class JoinGrant:
    """What a good token gives."""

    room: str
    identity: str
    name: str = ""
    may_publish: bool = True
    may_subscribe: bool = True
    expires_at_s: float = math.inf
    """Wall clock; the stay in the room ends then, unless a later grant was shown meanwhile."""
    may_moderate: bool = False
    """Mute tracks of others, remove them, lock the room; a lock does not keep its bearer out."""
    metadata: str = ""
    """What the application wants others to know about this identity; the router only passes it on."""
    issued_at_s: float = -math.inf
    """Wall clock; who was removed from a room needs a grant that was made after that."""

    def check_room(self, room: str) -> None:
        """Refuses another room than the token's."""
        if room != self.room:
            raise ForbiddenError("the token is for another room", slug="wrong-room")

    def require_publish(self) -> None:
        """Refuses who may not publish."""
        if not self.may_publish:
            raise ForbiddenError("the token does not give the right to publish", slug="may-not-publish")

    def require_subscribe(self) -> None:
        """Refuses who may not subscribe."""
        if not self.may_subscribe:
            raise ForbiddenError("the token does not give the right to subscribe", slug="may-not-subscribe")

    def require_moderate(self) -> None:
        """Refuses who may not moderate."""
        if not self.may_moderate:
            raise ForbiddenError("the token does not give the right to moderate", slug="may-not-moderate")

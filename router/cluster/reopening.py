"""A room whose node died with it opens again as it was: its stored options, at whatever node its people come back to.

Only for a room of a dead node, or of an earlier life of this one. What closed in order is forgotten by the store, what
another living node has is left to it. Whoever opens the room waits for this, once and for a bounded time; a store that
is known to be down is not asked. A value that fits no schema counts as absent.

The context (ICE fragment and secret) is not taken over. Clients that come back need another offer, for it names another
address and another certificate; under the old fragment one from a cache would be taken for it and lead its peer to the
dead node, where now it is refused as stale at once. A lock is not taken over either: who was inside is not stored, and
nobody could come back.
"""

import asyncio
import logging
from typing import Final

from router.cluster.directory import RoomDirectory
from router.cluster.store import Store, StoreError
from router.errors import RequestError
from router.rooms.options import RoomOptions

logger = logging.getLogger(__name__)

PATIENCE_S: Final = 1.0


class Reopening:
    """For `RoomRegistry.find_options`."""

    def __init__(self, store: Store, directory: RoomDirectory, node: str) -> None:
        self._store = store
        self._directory = directory
        self._node = node

    async def find_options(self, name: str) -> RoomOptions | None:
        """What a room of this name was, if its node died; None also where nobody can tell in time."""
        if self._directory.has_written(name) or not self._store.describe()["up"]:
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                setup = await self._store.find_setup(name)
                room = await self._store.find_room(name) if setup is not None else None
        except (StoreError, TimeoutError):
            return None
        if setup is None or (room is not None and room.node != self._node):
            return None
        try:
            options = RoomOptions.read({key: value for key, value in setup.config.items() if key != "locked"})
        except RequestError as error:
            logger.warning("stored options of a room were refused", extra={"room": name, "reason": str(error)})
            return None
        logger.info("room is opened as it was", extra={"room": name})
        return options

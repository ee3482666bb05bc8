"""The rooms of other nodes for the list of rooms. Where the store does not answer, the list is of this node alone."""

from datetime import UTC, datetime

from router.admin.pages import read_cursor
from router.admin.schemas import RoomElsewhereBody
from router.admin.state import AdminState
from router.cluster.redis_errors import StoreError


async def read_others(state: AdminState, cursor: str | None, limit: int) -> dict[str, RoomElsewhereBody]:
    """By name: those that may be on the page after `cursor`, and one more."""
    after = read_cursor(cursor)
    if state.peers is None:
        return {}
    try:
        entries = await state.peers.read_rooms_after(after, limit + 1)
    except StoreError:
        return {}
    return {
        entry.name: RoomElsewhereBody(
            name=entry.name,
            created_at=datetime.fromtimestamp(entry.created_s, UTC),
            participants=entry.participants,
            node=entry.node,
        )
        for entry in entries
    }

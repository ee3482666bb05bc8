"""Who may write an entry: an epoch is a claim, and a greater one wins.

Nodes have an epoch per life and id, rooms one per claim of a name. The last epoch is remembered longer than the entry
itself, so a node that was stopped, cut off or thought dead, and comes back to find somebody else in its place or to
find the place empty after somebody else, does not overwrite what happened without it.

Epochs are at least milliseconds of the wall clock, so that they go on growing where a store was emptied.
"""

from dataclasses import replace

from router.cluster.entries import NodeEntry, RoomEntry


def next_epoch(last: int, now_s: float) -> int:
    """For a new claim.

    >>> next_epoch(0, 5.0), next_epoch(9000, 5.0)
    (5000, 9001)
    """
    return max(int(now_s * 1000), last + 1)


def settle_node(mine: NodeEntry, found: NodeEntry | None, last: int, now_s: float) -> NodeEntry:
    """The entry that shall stand: mine, with an epoch if it had none, or what is newer."""
    last = max(last, found.epoch if found else 0)
    if mine.epoch == 0:
        return replace(mine, epoch=next_epoch(last, now_s))
    if last <= mine.epoch:
        return mine
    return found if found and found.epoch == last else replace(mine, epoch=last)


def settle_room(mine: RoomEntry, found: RoomEntry | None, last: int, now_s: float, *, owner_lives: bool) -> RoomEntry:
    """The entry that shall stand: mine, with an epoch if it is a new claim that may be made, or another's."""
    last = max(last, found.epoch if found else 0)
    if mine.epoch == 0:
        if found is not None and found.node != mine.node and owner_lives:
            return found
        return replace(mine, epoch=next_epoch(last, now_s))
    if last <= mine.epoch and (found is None or found.node == mine.node or found.epoch < mine.epoch):
        return mine
    return found or replace(mine, node="", epoch=last)

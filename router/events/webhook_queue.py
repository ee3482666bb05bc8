"""What waits to be delivered to one receiver, in order for each room, with the time of the next attempt. Sans-IO.

Each room is a lane: its oldest entry is under way or waits for its next attempt, the others stand behind it, and other
rooms pass by. The queue has a cap; when it is full the oldest entry that is not under way is lost. Attempts are spaced
exponentially with jitter, and limited in number.
"""

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from router.events.entry import Entry

Lane = str | None
"""Name of the room, whatever its life; None for the node."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often and when a delivery is tried again.

    >>> [Backoff().delay_s(tries, 1.0) for tries in (1, 2, 3, 9)]
    [1.0, 2.0, 4.0, 60.0]
    """

    attempts: int = 8
    first_s: float = 1.0
    most_s: float = 60.0

    def delay_s(self, failures: int, chance: float) -> float:
        """After so many failures; `chance` from 0 to 1 takes up to half of it off, so that receivers see no herd."""
        whole = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 32))
        return whole * (0.5 + chance / 2)


@dataclass(slots=True)
class _Waiting:
    entries: deque[Entry] = field(default_factory=deque)
    failures: int = 0
    """Of the first entry."""
    due_s: float | None = None
    """When the first entry is tried again; None while it need not wait."""
    under_way: bool = False


class WebhookQueue:
    """Entries of one receiver. Time is the caller's, in seconds on any clock that never goes back."""

    def __init__(self, capacity: int, backoff: Backoff, *, chance: Callable[[], float]) -> None:
        self._capacity = capacity
        self._backoff = backoff
        self._chance = chance
        self._lanes: dict[Lane, _Waiting] = {}
        self._numbers: OrderedDict[int, Lane] = OrderedDict()
        """Lane of every entry, the oldest first."""
        self._ready: OrderedDict[Lane, None] = OrderedDict()
        """Lanes whose first entry may go, the one that has waited longest first."""
        self._later: list[tuple[float, int, Lane]] = []
        """A heap of lanes that wait. What does not agree with the lane's own time is out of date."""
        self._turns = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def put(self, entry: Entry) -> Entry | None:
        """Queues it; gives back the entry that was lost for it."""
        lane = self._lanes.get(entry.room)
        if lane is None:
            lane = self._lanes[entry.room] = _Waiting()
            self._ready[entry.room] = None
        lane.entries.append(entry)
        self._numbers[entry.number] = entry.room
        return self._lose_oldest() if len(self._numbers) > self._capacity else None

    def start_next(self, now_s: float) -> Entry | None:
        """An entry whose time has come; the caller tells later how it went."""
        while (due_s := self._first_later()) is not None and due_s <= now_s:
            name = heapq.heappop(self._later)[2]
            self._lanes[name].due_s = None
            self._ready[name] = None
        if not self._ready:
            return None
        lane = self._lanes[self._ready.popitem(last=False)[0]]
        lane.under_way = True
        return lane.entries[0]

    def next_due_s(self) -> float | None:
        """When a lane that waits may go on; None while none does."""
        return self._first_later()

    def on_delivered(self, entry: Entry) -> None:
        """It was taken, or will not be tried again."""
        self._lanes[entry.room].under_way = False
        self._remove(entry.room, 0)

    def on_failed(self, entry: Entry, now_s: float, after_s: float | None = None) -> bool:
        """It was not taken; the receiver may have said when to come again. False: that was the last attempt."""
        lane = self._lanes[entry.room]
        lane.failures += 1
        if lane.failures >= self._backoff.attempts:
            self.on_delivered(entry)
            return False
        delay_s = self._backoff.delay_s(lane.failures, self._chance())
        lane.due_s = now_s + max(delay_s, min(after_s or 0.0, self._backoff.most_s))
        lane.under_way = False
        self._turns += 1
        heapq.heappush(self._later, (lane.due_s, self._turns, entry.room))
        return True

    def _first_later(self) -> float | None:
        while self._later:
            due_s, _, name = self._later[0]
            lane = self._lanes.get(name)
            if lane is not None and lane.due_s == due_s:
                return due_s
            heapq.heappop(self._later)
        return None

    def _lose_oldest(self) -> Entry:
        for number, name in self._numbers.items():
            lane = self._lanes[name]
            if not (lane.under_way and lane.entries[0].number == number):
                return self._remove(name, 1 if lane.under_way else 0)
        raise AssertionError("what was just put is not under way")

    def _remove(self, name: Lane, index: int) -> Entry:
        """The first entry of a lane, or the one behind the first if that is under way."""
        lane = self._lanes[name]
        entry = lane.entries[index]
        del lane.entries[index]
        del self._numbers[entry.number]
        if index == 0:
            lane.failures, lane.due_s = 0, None
            self._ready.pop(name, None)
            if lane.entries:
                self._ready[name] = None
            else:
                del self._lanes[name]
        return entry

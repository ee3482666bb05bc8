"""One direction of an emulated link, sans-IO: packets and times in, packets and the next deadline out.

A packet first waits for the bottleneck (a rate with a bounded queue; what does not fit is dropped at the tail, as
routers do), then travels for the delay and a random jitter. Jitter never reorders; reordering is asked for by its own
share of packets that come late. All chance comes from one seed, so a run can be repeated.
"""

import heapq
import random
from dataclasses import dataclass, field

REORDER_US = 5_000
"""How much later a reordered packet comes: a few packets of a video frame, far below a retransmission timeout."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What one direction does to its packets. The default is a wire of no length."""

    delay_us: int = 0
    jitter_us: int = 0
    loss: float = 0.0
    reorder: float = 0.0
    rate_bps: int | None = None
    queue_bytes: int = 65_536


@dataclass(frozen=True, slots=True)
class Use:
    """What one direction carried and dropped in a while."""

    bytes: int = 0
    """IP packets that arrived."""
    lost: int = 0
    """Packets, by chance."""
    overflowed: int = 0
    """Packets that found the queue full."""
    queue_us: int = 0
    """The longest wait for the bottleneck."""


@dataclass(slots=True)
class Direction:
    """The packets under way in one direction."""

    shape: Shape
    seed: int
    dropped_by_loss: int = 0
    dropped_by_queue: int = 0
    carried_bytes: int = 0
    """IP packets that arrived."""
    longest_queue_us: int = 0
    """How long a packet waited for the bottleneck at worst."""
    _chance: random.Random = field(init=False)
    _under_way: list[tuple[int, int, bytes]] = field(default_factory=list)
    _count: int = 0
    _line_free_us: float = 0.0
    _last_due_us: int = 0
    _taken: Use = field(default_factory=Use)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def handle_packet(self, packet: bytes, now_us: int) -> None:
        """A packet enters."""
        if self._chance.random() < self.shape.loss:
            self.dropped_by_loss += 1
            return
        leaves_us = self._pass_bottleneck(len(packet), now_us)
        if leaves_us is None:
            self.dropped_by_queue += 1
            return
        due = leaves_us + self.shape.delay_us + round(self._chance.uniform(0, self.shape.jitter_us))
        if self._chance.random() < self.shape.reorder:
            due = max(due, self._last_due_us) + REORDER_US
        else:
            due = self._last_due_us = max(due, self._last_due_us)
        # The count keeps the order of packets due at the same time.
        self._count += 1
        heapq.heappush(self._under_way, (due, self._count, packet))

    def _pass_bottleneck(self, length: int, now_us: int) -> int | None:
        """When the packet has left the queue; None if the queue is full."""
        rate = self.shape.rate_bps
        if rate is None:
            return now_us
        start = max(self._line_free_us, now_us)
        waiting_bytes = (start - now_us) * rate / 8e6
        if waiting_bytes + length > self.shape.queue_bytes:
            return None
        self._line_free_us = start + length * 8e6 / rate
        self.longest_queue_us = max(self.longest_queue_us, round(start - now_us))
        return round(self._line_free_us)

    def poll_packet(self, now_us: int) -> bytes | None:
        """The next packet that has arrived by now."""
        if not self._under_way or self._under_way[0][0] > now_us:
            return None
        packet = heapq.heappop(self._under_way)[2]
        self.carried_bytes += len(packet)
        return packet

    def take_use(self) -> "Use":
        """What happened since the last time."""
        use = Use(self.carried_bytes, self.dropped_by_loss, self.dropped_by_queue, self.longest_queue_us)
        taken, self._taken = self._taken, use
        self.longest_queue_us = 0
        return Use(
            bytes=use.bytes - taken.bytes,
            lost=use.lost - taken.lost,
            overflowed=use.overflowed - taken.overflowed,
            queue_us=use.queue_us,
        )

    def poll_timeout(self) -> int | None:
        """When the next packet arrives."""
        return self._under_way[0][0] if self._under_way else None

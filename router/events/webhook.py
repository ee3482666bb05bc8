"""Delivers the log to one receiver: a `Sink` that starts attempts, a few at once and one for each room at a time.

Timers, clock and chance are given, so tests need no time. An entry that is given up is a dead letter: counted, and
logged with its id and the receiver's host, at most once a minute. The URL may hold secrets: it is told nobody.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from router import clock
from router.events.entry import Entry
from router.events.queue import EVERYTHING, Wants
from router.events.webhook_post import DeliveryError, Post
from router.events.webhook_queue import Backoff, WebhookQueue
from router.metrics import Metrics

logger = logging.getLogger(__name__)

MAX_UNDER_WAY: Final = 8
WARNING_INTERVAL_US: Final = 60_000_000
CAPACITY: Final = 10_000
USUAL_BACKOFF: Final = Backoff()

CallLater = Callable[[float, Callable[[], object]], asyncio.TimerHandle]


@dataclass(slots=True)
class WebhookCounts:
    """How it went so far."""

    delivered: int = 0
    failed_attempts: int = 0
    dead: int = 0
    """Given up."""
    lost: int = 0
    """The queue was full."""
    last_failure: str | None = None
    """Reason of the latest failed attempt, None after a success."""


def receiver_name(url: str) -> str:
    """What may be told of a URL: path, query and user may be secrets.

    >>> receiver_name("https://hooks.example.org:8443/services/secret?token=x")
    'https://hooks.example.org:8443'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class Webhook:
    """One receiver."""

    def __init__(
        self,
        name: str,
        post: Post,
        metrics: Metrics,
        *,
        wants: Wants = EVERYTHING,
        capacity: int = CAPACITY,
        backoff: Backoff = USUAL_BACKOFF,
        call_later: CallLater | None = None,
        now_us: Callable[[], int] = clock.monotonic_us,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`name` is what logs and operators may read, see `receiver_name`."""
        self.name = name
        self.counts = WebhookCounts()
        self._post = post
        self._metrics = metrics
        self._wants = wants
        self._queue = WebhookQueue(capacity, backoff, chance=chance)
        self._call_later = call_later
        self._now_us = now_us
        self._depth = 0
        """As the gauge knows it."""
        self._under_way: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._warned_us: int | None = None

    def __len__(self) -> int:
        """What waits or is under way."""
        return len(self._queue)

    def offer(self, entry: Entry) -> None:
        """See `Sink`."""
        if self._closed or not self._wants(entry):
            return
        self._idle.clear()
        if self._queue.put(entry) is not None:
            self.counts.lost += 1
            self._metrics.events_lost.labels(sink="webhook").inc()
        self._start()

    def end(self) -> None:
        """See `Sink`. `close` waits for what is queued."""

    async def close(self, grace_s: float) -> None:
        """Gives what is queued so long, then gives it up. Idempotent."""
        if not self._closed:
            try:
                async with asyncio.timeout(grace_s):
                    await self._idle.wait()
            except TimeoutError:
                self._give_up_all()
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in tuple(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._measure(0)
        await self._post.close()

    # -- attempts ------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Starts what may start, and sets the timer for what may not yet."""
        now_s = self._now_us() / 1e6
        while len(self._under_way) < MAX_UNDER_WAY and (entry := self._queue.start_next(now_s)) is not None:
            task = asyncio.get_running_loop().create_task(self._attempt(entry), name="Webhook.attempt")
            self._under_way.add(task)
            task.add_done_callback(self._on_attempted)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_s = self._queue.next_due_s()
        if due_s is not None and len(self._under_way) < MAX_UNDER_WAY:
            call_later = self._call_later or asyncio.get_running_loop().call_later
            self._timer = call_later(max(0.0, due_s - now_s), self._on_timer)
        if not len(self._queue):
            self._idle.set()
        self._measure(len(self._queue))

    def _measure(self, depth: int) -> None:
        self._metrics.webhook_queue_depth.inc(depth - self._depth)
        self._depth = depth

    def _on_timer(self) -> None:
        self._timer = None
        self._start()

    async def _attempt(self, entry: Entry) -> None:
        try:
            await self._post.post(entry.text.encode())
        except DeliveryError as error:
            self._on_failed(entry, error)
        except Exception:
            # Of our own making: the room's later events shall not wait for ever for this one.
            logger.exception("a webhook could not be sent", extra={"receiver": self.name, "event_id": entry.id})
            self._on_failed(entry, DeliveryError("network", retry=False))
        else:
            self._queue.on_delivered(entry)
            self.counts.delivered += 1
            self.counts.last_failure = None
            self._metrics.record_webhook("delivered")

    def _on_attempted(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not self._closed:
            self._start()

    def _on_failed(self, entry: Entry, error: DeliveryError) -> None:
        self.counts.failed_attempts += 1
        self.counts.last_failure = str(error)
        self._metrics.record_webhook("failed")
        if error.retry and self._queue.on_failed(entry, self._now_us() / 1e6, error.retry_after_s):
            logger.debug("webhook failed", extra={"receiver": self.name, "event_id": entry.id, "reason": str(error)})
            return
        if not error.retry:
            self._queue.on_delivered(entry)
        self.counts.dead += 1
        self._metrics.record_webhook("dead")
        self._warn("webhook given up", {"event_id": entry.id, "event_kind": entry.kind, "reason": str(error)})

    def _give_up_all(self) -> None:
        count = len(self._queue)
        self.counts.dead += count
        self._metrics.record_webhook("dead", count)
        self._warned_us = None
        self._warn("webhooks given up: the router stops", {"events": count})

    def _warn(self, message: str, fields: dict[str, object]) -> None:
        now_us = self._now_us()
        if self._warned_us is None or now_us - self._warned_us >= WARNING_INTERVAL_US:
            self._warned_us = now_us
            logger.warning(message, extra={"receiver": self.name, "dead": self.counts.dead, **fields})

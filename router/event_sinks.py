"""Those who read the event log of a running router, as the settings say: webhooks, and a stream in the store.

They start before the first event and end after the last one, with a few seconds for what they still have.
"""

import asyncio
from ipaddress import ip_network
from typing import Final

from router.config import Settings
from router.events.addresses import AddressPolicy
from router.events.log import EventLog
from router.events.queue import Filter
from router.events.stream_sink import EventStore, StreamSink
from router.events.webhook import Webhook, receiver_name
from router.events.webhook_post import HttpPost, Signer
from router.events.webhook_queue import Backoff
from router.metrics import Metrics

GRACE_S: Final = 3.0


class EventSinks:
    """Of one log."""

    def __init__(self, log: EventLog, settings: Settings, metrics: Metrics) -> None:
        self.webhooks = [_make_webhook(url.get_secret_value(), settings, metrics) for url in settings.webhooks.urls]
        self._log = log
        self._metrics = metrics
        self._stream: StreamSink | None = None

    def start(self, store: EventStore | None = None) -> None:
        """Sends and writes what happens from now on; to the store too, if there is one."""
        for webhook in self.webhooks:
            self._log.subscribe(webhook)
        if store is not None:
            self._stream = StreamSink(store, self._metrics)
            self._log.subscribe(self._stream)
            self._stream.start()

    async def close(self) -> None:
        """Ends the log and all who read it. Idempotent."""
        self._log.end()
        await asyncio.gather(
            *(webhook.close(GRACE_S) for webhook in self.webhooks),
            *((self._stream.close(GRACE_S),) if self._stream else ()),
        )


def _make_webhook(url: str, settings: Settings, metrics: Metrics) -> Webhook:
    given = settings.webhooks
    assert given.secret is not None, "checked before start"
    post = HttpPost(
        url,
        Signer(given.key, given.secret.get_secret_value()),
        AddressPolicy(tuple(map(ip_network, given.allowed_networks))),
        timeout_s=given.timeout_s,
    )
    return Webhook(
        receiver_name(url),
        post,
        metrics,
        wants=Filter(kinds=frozenset(given.kinds)),
        capacity=given.queue_size,
        backoff=Backoff(attempts=given.attempts),
    )

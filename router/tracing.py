"""Joins as OpenTelemetry traces: one `join` each, with a child for every step that was completed.

The only file that imports opentelemetry, and only when `tracing.endpoint` is set: it comes with the extra `otel`. Spans
are made when the join is over, from the times that were noted, so that nothing of this is in the way of a join; a
thread of the library sends them. The library's own variables (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_RESOURCE_ATTRIBUTES`
and so on) apply. Left out: taking over a trace that the request's `traceparent` names.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from router import __version__, clock
from router.errors import ConfigError
from router.rooms.joins import JoinTrace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from router.config_model import TracingSettings

logger = logging.getLogger(__name__)

SERVICE: Final = "fork-router"
CLOSE_TIMEOUT_S: Final = 3.0
EXPORTER_LOGGER: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
COMPLAINT_INTERVAL_US: Final = 60_000_000


class SeldomFilter(logging.Filter):
    """A collector that is away costs a line a minute; the library writes several a batch."""

    def __init__(self, *, now_us: Callable[[], int] = clock.monotonic_us) -> None:
        super().__init__()
        self._now_us = now_us
        self._next_us = 0

    def filter(self, _record: logging.LogRecord) -> bool:
        """Whether this line is written."""
        now_us = self._now_us()
        if now_us < self._next_us:
            return False
        self._next_us = now_us + COMPLAINT_INTERVAL_US
        return True


_SELDOM: Final = SeldomFilter()


class JoinTracer:
    """Gives joins to a provider, the router's own or an application's."""

    def __init__(
        self,
        provider: "TracerProvider",
        *,
        now_us: Callable[[], int] = clock.monotonic_us,
        now_s: Callable[[], float] = clock.wall_s,
    ) -> None:
        from opentelemetry.trace import StatusCode, set_span_in_context

        self._provider = provider
        self._tracer = provider.get_tracer(SERVICE, __version__)
        self._set_parent = set_span_in_context
        self._failed = StatusCode.ERROR
        self._now_us = now_us
        self._now_s = now_s

    def record(self, trace: JoinTrace) -> None:
        """One join that is over."""
        epoch_ns = int(self._now_s() * 1e9) - self._now_us() * 1000
        attributes = {"sfu.endpoint": trace.endpoint, "sfu.room": trace.room, "sfu.participant": trace.participant}
        root = self._tracer.start_span("join", attributes=attributes, start_time=epoch_ns + trace.begun_us * 1000)
        parent = self._set_parent(root)
        for name, begun_us, ended_us in trace.steps:
            span = self._tracer.start_span(name, parent, start_time=epoch_ns + begun_us * 1000)
            span.end(epoch_ns + ended_us * 1000)
        if trace.failure is not None:
            stage, reason = trace.failure
            root.set_attribute("sfu.failure.stage", stage)
            root.set_attribute("sfu.failure.reason", reason)
            root.set_status(self._failed, f"{stage}: {reason}")
        root.end(epoch_ns + trace.ended_us * 1000)

    async def close(self) -> None:
        """Sends what waits, if that can be done soon.

        The library waits up to half a minute for a collector that does not answer. A thread of the loop's executor
        would hold up the end of the process as long; this one ends with it.
        """
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(sent.set)

        threading.Thread(target=shut_down, name="traces-close", daemon=True).start()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await sent.wait()
        except TimeoutError:
            logger.warning("traces were not sent in time")


def open_tracer(settings: "TracingSettings") -> JoinTracer | None:
    """What `tracing.endpoint` asks for, if anything; `ConfigError` without the extra."""
    if settings.endpoint is None:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
    except ImportError as error:
        raise ConfigError(f"tracing.endpoint needs the extra otel: pip install 'fork-router[otel]' ({error})") from None
    resource = Resource.create({"service.name": SERVICE, "service.version": __version__})
    sampler = TraceIdRatioBased(settings.sample_ratio)
    provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
    logging.getLogger(EXPORTER_LOGGER).addFilter(_SELDOM)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.endpoint)))
    return JoinTracer(provider)

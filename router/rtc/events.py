"""The seed's event handlers: `connection.on("connected", f)` or `connection.onconnected = f`, plain or async.

Handlers run in order of registration, on the loop that emits. A handler that raises is logged and harms nobody. Tasks
of async handlers belong to their emitter, which cancels them when it closes.
"""

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar

from router import metrics
from router.errors import ConfigError

logger = logging.getLogger(__name__)

Handler = Callable[..., object]
SomeHandler = TypeVar("SomeHandler", bound=Handler)

MAX_HANDLER_TASKS = 256
"""Unfinished async handlers of one emitter. Peers cause events, so a handler that hangs must not grow without end."""


class HandlerAttribute:
    """The `on…` attribute of one event: holds at most one handler, beside those added with `on`."""

    __slots__ = ("event",)

    def __init__(self, event: str) -> None:
        self.event = event

    def __get__(self, emitter: "EventEmitter", owner: type) -> Handler | None:
        return emitter._attributes.get(self.event)

    def __set__(self, emitter: "EventEmitter", handler: Handler | None) -> None:
        previous = emitter._attributes.pop(self.event, None)
        if previous is not None:
            emitter.off(self.event, previous)
        if handler is not None:
            emitter.on(self.event, handler)
            emitter._attributes[self.event] = handler


class EventEmitter:
    """Base of the objects with events. Subclasses name them in `EVENTS`.

    >>> class Door(EventEmitter):
    ...     EVENTS = ("opened",)
    ...     onopened = HandlerAttribute("opened")
    >>> door = Door()
    >>> door.onopened = lambda who: print("hello", who)
    >>> door.emit("opened", "Ada")
    hello Ada
    """

    EVENTS: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._handlers: dict[str, list[Handler]] = {}
        self._attributes: dict[str, Handler] = {}
        self._tasks: set[asyncio.Task[object]] = set()

    def on(self, event: str, handler: SomeHandler) -> SomeHandler:
        """Calls `handler` at every such event from now on; returns it."""
        self._check_event(event)
        if not callable(handler):
            raise ConfigError(f"handler of {event}: expected something callable, got {handler!r}")
        self._handlers.setdefault(event, []).append(handler)
        self._on_handlers_changed(event)
        return handler

    def off(self, event: str, handler: Handler) -> None:
        """Stops calling it. An unknown handler is ignored."""
        self._check_event(event)
        handlers = self._handlers.get(event, [])
        if handler in handlers:
            handlers.remove(handler)
            if not handlers:
                del self._handlers[event]
            self._on_handlers_changed(event)

    def has_handlers(self, event: str) -> bool:
        """Whether anybody listens."""
        return event in self._handlers

    def emit(self, event: str, *arguments: object) -> None:
        """Calls the handlers. Never raises, whatever they do."""
        for handler in tuple(self._handlers.get(event, ())):
            try:
                result = handler(*arguments)
            except Exception:
                metrics.record_handler_error()
                logger.exception("an event handler raised", extra={"event": event})
                continue
            if inspect.iscoroutine(result):
                self._run_handler(event, result)

    def cancel_handlers(self) -> None:
        """Cancels the tasks of async handlers, except the one that is calling."""
        try:
            current = asyncio.current_task()
        except RuntimeError:
            return
        for task in tuple(self._tasks):
            if task is not current:
                task.cancel()

    def _run_handler(self, event: str, coroutine: Coroutine[Any, Any, object]) -> None:
        if len(self._tasks) >= MAX_HANDLER_TASKS:
            coroutine.close()
            logger.warning("too many unfinished event handlers", extra={"event": event})
            return
        try:
            task = asyncio.get_running_loop().create_task(coroutine, name=f"{type(self).__name__}.on{event}")
        except RuntimeError:
            coroutine.close()
            logger.exception("an async event handler needs a running loop", extra={"event": event})
            return
        self._tasks.add(task)
        task.add_done_callback(self._on_handler_done)

    def _on_handler_done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            metrics.record_handler_error()
            logger.error("an event handler raised", exc_info=error, extra={"event": task.get_name()})

    def _on_handlers_changed(self, event: str) -> None:
        """For subclasses that work only while somebody listens."""

    def _check_event(self, event: str) -> None:
        if event not in self.EVENTS:
            raise ConfigError(f"unknown event {event!r}: expected one of {', '.join(self.EVENTS)}")

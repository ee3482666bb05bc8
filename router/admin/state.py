"""What the admin application is made from: read access to the rooms, the engine's counters and the router's health."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from starlette.requests import HTTPConnection

from router.admin.tokens import AdminTokens
from router.metrics import Metrics
from router.rooms.registry import RoomRegistry

if TYPE_CHECKING:
    from router._engine import WorkerCounters


@dataclass(frozen=True, slots=True)
class AdminState:
    """Everything that requests on the admin port may touch."""

    registry: RoomRegistry
    metrics: Metrics
    read_counters: "Callable[[], Sequence[WorkerCounters]]"
    """One snapshot of the engine; raises `EngineError` when it is gone."""
    check_readiness: Callable[[], dict[str, bool]]
    """Named checks; all must hold for the router to take traffic."""
    tokens: AdminTokens
    """Bearer tokens; none at all serves anybody, for development on loopback."""
    metrics_without_token: bool = False


def read_state(connection: HTTPConnection) -> AdminState:
    """The state of the application that serves this request; a FastAPI dependency."""
    return cast(AdminState, connection.app.state.admin)

"""What the admin application is made from: read access to the rooms, the engine's counters and the router's health."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from router.admin.capture_limits import CaptureLimits
from router.admin.tokens import AdminTokens
from router.diagnosis.ended import EndedSessions
from router.metrics import Metrics
from router.rooms.registry import RoomRegistry

if TYPE_CHECKING:
    from router._engine import WorkerCounters
    from router.admin.node_client import NodeClient
    from router.cluster.peers import Peers
    from router.drain import Drain
    from router.events.webhook import Webhook
    from router.rooms.rights import JoinGrant


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
    describe_store: Callable[[], Mapping[str, Any]] = lambda: {"kind": "memory", "up": True}  # Any: JSON
    """What keeps the directory, and how it does."""
    webhooks: "Sequence[Webhook]" = ()
    max_event_listeners: int = 32
    drain: "Drain | None" = None
    """None only in tests: nothing can be drained then."""
    peers: "Peers | None" = None
    """Other nodes; None: there are none."""
    nodes: "NodeClient | None" = None
    """The way to them."""
    requests_per_s: float = 0.0
    """What each admin token may keep up under `/v1`, in bursts of three seconds' worth; 0: no limit."""
    issue_token: "Callable[[JoinGrant, float], str] | None" = None
    """A join token for a grant, good for so many seconds; None: this router signs none."""
    max_token_lifetime_s: int = 86_400
    ended: EndedSessions = field(default_factory=EndedSessions)
    """Sessions that are gone, for `…/diagnosis`."""
    captures: CaptureLimits = field(default_factory=CaptureLimits)


def read_state(connection: HTTPConnection) -> AdminState:
    """The state of the application that serves this request; a FastAPI dependency."""
    return cast(AdminState, connection.app.state.admin)


State = Annotated[AdminState, Depends(read_state)]

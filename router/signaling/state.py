"""What the public application is made from: the rooms, the keys of join tokens and its own settings."""

from dataclasses import dataclass, field
from pathlib import Path

from router.cluster.peers import Peers
from router.drain import Drain
from router.errors import ConfigError
from router.rooms.registry import RoomRegistry
from router.signaling.turnstile import Turnstile
from router.tokens import JoinTokens
from router.turn import TurnServers

MAX_SDP_BYTES = 65_536
WEB_ROOT = Path(__file__).parent.parent / "web"


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server that clients are told of, with credentials that are the same for all."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class SignalingSettings:
    """How the public port behaves."""

    public_url: str | None = None
    """Prefix of `Location` headers, without a trailing slash; of an embedded router perhaps a path. None: paths as they
    are here. Never taken from `Host`."""
    allowed_origins: tuple[str, ...] = ("*",)
    """Web origins that may read answers (CORS) and open events WebSockets."""
    ice_servers: tuple[IceServer, ...] = ()
    max_sdp_bytes: int = MAX_SDP_BYTES
    body_timeout_s: float = 10.0
    requests_per_s: float = 100.0
    """POST, PATCH and DELETE requests that one source address may keep up; 0: no limit."""
    request_burst: int = 300
    offer_max_age_s: int = 60
    """How long caches may keep a room's static offer without asking."""
    auth_timeout_s: float = 5.0
    """An events WebSocket must have authenticated by then."""
    max_pending_sockets: int = 1_024
    """Events WebSockets that have not authenticated yet."""
    max_pending_per_address: int = 64
    other_nodes: bool = False
    """Rooms may be at other nodes, of other origins."""
    dev: bool = False
    """Hand out join tokens to anybody; the caller makes sure that only this machine reaches the port."""
    web_root: Path = WEB_ROOT

    def __post_init__(self) -> None:
        if self.public_url is not None and self.public_url.endswith("/"):
            raise ConfigError("public_url: expected no trailing slash")
        if self.requests_per_s and self.request_burst < 1:
            raise ConfigError("request_burst: expected at least 1")


@dataclass(frozen=True, slots=True)
class PublicState:
    """Everything that requests on the public port may touch."""

    registry: RoomRegistry
    tokens: JoinTokens
    settings: SignalingSettings = field(default_factory=SignalingSettings)
    turn: TurnServers | None = None
    """Where participants get TURN credentials from."""
    turnstile: Turnstile = field(default_factory=Turnstile)
    """Requests with a body pass here, for they are what costs."""
    peers: Peers | None = None
    """Other nodes, to which clients may be sent."""
    drain: Drain | None = None
    """Of which clients are told."""

    def ice_servers_of(self, identity: str) -> tuple[IceServer, ...]:
        """Those that this participant is told of, with credentials made now."""
        if self.turn is None:
            return self.settings.ice_servers
        made = self.turn.issue(identity)
        return (*self.settings.ice_servers, IceServer(made.urls, made.username, made.password))

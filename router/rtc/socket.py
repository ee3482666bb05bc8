"""One bound UDP port of the engine, shared by any number of connections and all their forks.

Checks find their fork here, by the local user name fragment; a fragment that no fork has goes to the origin whose
context id it begins with. Candidates: host, and server-reflexive ones asked for from the shared port itself. Left out
so far: relayed candidates and TCP. `mux=False` is for plain RTP peers (`plain.py`): it binds the RTCP port too, which
is component 2, and takes no checks.
"""

import asyncio
import ipaddress
import logging
import socket as system_socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from router import metrics
from router.errors import ConfigError, ConflictError, EngineError
from router.rtc.context import NAME_LENGTH
from router.rtc.description import Kind, RTCCandidate
from router.rtc.dtls import RTCCertificate
from router.rtc.events import EventEmitter, HandlerAttribute
from router.rtc.ice import (
    Address,
    AnnouncedAddress,
    Check,
    StunGatherer,
    host_addresses,
    is_response,
    make_candidate,
    parse_check,
    parse_server_url,
)
from router.rtc.plain import RTP, PlainKeys

if TYPE_CHECKING:
    from router._engine import SocketInfo
    from router.rtc.engine import MediaEngine

logger = logging.getLogger(__name__)

KINDS: tuple[Kind, ...] = ("audio", "video", "data")
MAX_GATHERING_SERVERS = 8
PORT_PAIR_TRIES = 32


@dataclass(frozen=True, slots=True)
class RTCSocketServer:
    """A STUN or TURN server, as in W3C `RTCIceServer`."""

    urls: str | Sequence[str]
    username: str = ""
    credential: str = ""

    def __post_init__(self) -> None:
        """Refuses malformed URLs."""
        for url in self.all_urls():
            parse_server_url(url)

    def all_urls(self) -> tuple[str, ...]:
        """Its URLs, always as a tuple."""
        return (self.urls,) if isinstance(self.urls, str) else tuple(self.urls)


class RTCSocketServers:
    """The servers a socket gathers from.

    >>> len(RTCSocketServers([RTCSocketServer("stun:stun.example.org")]))
    1
    """

    def __init__(self, servers: Sequence[RTCSocketServer] = ()) -> None:
        self._servers = tuple(servers)

    def __iter__(self) -> Iterator[RTCSocketServer]:
        return iter(self._servers)

    def __len__(self) -> int:
        return len(self._servers)


@dataclass(frozen=True, slots=True)
class RTCSocketOptions:
    """How a socket is bound and what may travel on it."""

    mux: bool = True
    """RTP and RTCP on one port. False: RTCP on port + 1, for plain RTP peers, without ICE and DTLS."""
    kind: tuple[Kind, ...] = KINDS
    """What may travel here; other m-lines are rejected."""
    keys: tuple[RTCCertificate | tuple[str, str] | bytes, ...] = ()
    """DTLS certificates, as objects or PEM pairs (certificate, private key): the first one is shown to peers; none:
    one is made.

    With `mux=False` exactly two SRTP master keys: first the one the peer encrypts with, then ours. Each is the 16 bytes
    of the key followed by its salt, and the length says the profile: 28 bytes (12 of salt) are AEAD_AES_128_GCM, 30
    (14 of salt) AES128_CM_SHA1_80; base64 of the latter is what `a=crypto … inline:` (RFC 4568) and ffmpeg's
    `-srtp_out_params` carry. Make them of random bytes, never use them for two sockets, nor again after a restart.
    Forks on one socket share its keys, so their peers can read and imitate each other."""
    address: str = "0.0.0.0"  # noqa: S104 - a media port is public by purpose
    port: int = 0
    """0: any free port."""
    announced_addresses: tuple[str | AnnouncedAddress, ...] = ()
    """Where peers reach this socket, when that is not where it is bound."""
    worker: int = 0
    """The engine worker that serves it; a fork uses the sockets of one."""
    receive_buffer_bytes: int = 4 * 1024 * 1024
    send_buffer_bytes: int = 4 * 1024 * 1024

    def __post_init__(self) -> None:
        """Refuses what cannot be bound or announced."""
        unknown = [kind for kind in self.kind if kind not in KINDS]
        if unknown or isinstance(self.kind, str) or not self.kind:
            raise ConfigError(f"kind: expected some of {', '.join(KINDS)}, got {self.kind!r}")
        if not 0 <= self.port < 65536:
            raise ConfigError(f"port: expected 0-65535, got {self.port}")
        for name, value in [("address", self.address), *(("announced_addresses", a.address) for a in self.announced)]:
            try:
                ipaddress.ip_address(value.partition("%")[0])
            except ValueError as error:
                raise ConfigError(f"{name}: expected an IP address, got {value!r}") from error
        if not self.mux:
            PlainKeys.parse(self.keys)
        elif any(isinstance(key, bytes) for key in self.keys):
            raise ConfigError("keys: expected certificates with mux, SRTP master keys as bytes without")

    @property
    def announced(self) -> tuple[AnnouncedAddress, ...]:
        """The announced addresses, all as objects."""
        return tuple(
            item if isinstance(item, AnnouncedAddress) else AnnouncedAddress(item) for item in self.announced_addresses
        )

    def certificate(self) -> RTCCertificate | None:
        """The certificate to show, if one was given."""
        for key in self.keys:
            if isinstance(key, RTCCertificate):
                return key
            if isinstance(key, tuple):
                return RTCCertificate.from_pem(*key)
        return None


class Endpoint(Protocol):
    """A fork's side of a socket."""

    def handle_check(self, socket: "RTCSocket", source: Address, check: Check) -> None:
        """A check that names it; not authenticated yet."""


class Origin(Protocol):
    """Who is asked about fragments that no fork has."""

    def endpoint_for(self, check: Check, source: Address, worker: int) -> Endpoint | None:
        """A fork made for this check, which came to that worker, or nothing. Only an authentic check makes one."""


class RTCSocket(EventEmitter):
    """A bound UDP port. Handlers of `candidate` get an `RTCCandidate`, those of `candidatesdone` nothing."""

    EVENTS = ("candidate", "candidatesdone")
    oncandidate = HandlerAttribute("candidate")
    oncandidatesdone = HandlerAttribute("candidatesdone")

    def __init__(
        self,
        servers: RTCSocketServers | None = None,
        options: RTCSocketOptions | None = None,
        *,
        engine: "MediaEngine | None" = None,
    ) -> None:
        super().__init__()
        self.servers = servers or RTCSocketServers()
        self.options = options or RTCSocketOptions()
        self.certificate = self.options.certificate()
        self.plain_keys = None if self.options.mux else PlainKeys.parse(self.options.keys)
        self.closed = False
        self._engine = engine
        self._ids: list[int] = []
        self._addresses: list[Address] = []
        self._candidates: list[RTCCandidate] = []
        self._endpoints: dict[str, Endpoint] = {}
        self._origins: dict[str, Origin] = {}
        self._gathering: asyncio.Task[None] | None = None
        self._gatherer = StunGatherer(self.send)

    @property
    def engine(self) -> "MediaEngine":
        """The engine it is bound in."""
        if self._engine is None:
            from router.rtc.engine import default_engine

            self._engine = default_engine()
        return self._engine

    @property
    def id(self) -> int:
        """The engine's id of the RTP port."""
        return self._ids[0]

    @property
    def rtcp_id(self) -> int:
        """The engine's id of the RTCP port: the same one with mux."""
        return self._ids[-1]

    @property
    def address(self) -> str:
        """The bound address."""
        return self._addresses[0][0]

    @property
    def port(self) -> int:
        """The bound port."""
        return self._addresses[0][1]

    @property
    def ports(self) -> tuple[tuple[int, Address], ...]:
        """The engine's id and the bound address of each port: one with mux."""
        return tuple(zip(self._ids, self._addresses, strict=True))

    @property
    def candidates(self) -> tuple[RTCCandidate, ...]:
        """Those known so far: the host ones as soon as the port is open."""
        return tuple(self._candidates)

    @property
    def gathered(self) -> bool:
        """Whether `candidatesdone` has fired."""
        return self._gathering is not None and self._gathering.done()

    def open(self) -> None:
        """Binds the port at once and gathers in the background; `add_socket` calls it. Idempotent."""
        if self.closed:
            raise ConflictError("the socket is closed")
        if self._ids:
            return
        loop = asyncio.get_running_loop()
        self._open_ports()
        for component, address in enumerate(self._addresses, start=RTP):
            addresses = host_addresses(address, self.options.announced)
            for place, host in enumerate(addresses):
                self._candidates.append(make_candidate("host", host, base=host, component=component, place=place))
        self._gathering = loop.create_task(self._gather(), name="RTCSocket.gather")

    async def bind(self) -> None:
        """Binds the port and returns when all candidates are known."""
        self.open()
        assert self._gathering is not None, "open() has started it"
        await asyncio.shield(self._gathering)

    def close(self) -> None:
        """Frees the port. Connections close the sockets that nobody uses any more."""
        if self.closed:
            return
        self.closed = True
        if self._gathering is not None:
            self._gathering.cancel()
        for id_ in self._ids:
            self.engine.unregister_socket(id_)
            # When the engine was closed first, the port is free already.
            with suppress(EngineError):
                self.engine.native.close_socket(id_)
        self._endpoints.clear()
        self._origins.clear()
        self.cancel_handlers()

    def send(self, address: Address, data: bytes) -> None:
        """Sends one datagram from the shared port."""
        if not self.closed:
            self.engine.native.send_datagram(self.id, address, data)

    def add_endpoint(self, ufrag: str, endpoint: Endpoint) -> None:
        """Checks for `ufrag` go to `endpoint`."""
        if self._endpoints.setdefault(ufrag, endpoint) is not endpoint:
            raise ConflictError("another fork has this user name fragment")

    def has_endpoint(self, ufrag: str) -> bool:
        """Whether somebody takes the checks for `ufrag`."""
        return ufrag in self._endpoints

    def remove_endpoint(self, ufrag: str) -> None:
        """Checks for `ufrag` are dropped from now on."""
        self._endpoints.pop(ufrag, None)

    def add_origin(self, context_id: str, origin: Origin) -> None:
        """Checks for unknown forks of this context are shown to `origin`."""
        self._origins[context_id] = origin

    def remove_origin(self, context_id: str) -> bool:
        """Forgets the context; says whether nobody uses the socket any more."""
        self._origins.pop(context_id, None)
        return not self._origins

    def on_stun(self, source: Address, data: bytes) -> None:
        """A STUN message that the engine left to us."""
        if is_response(data):
            self._gatherer.handle_response(data, source)
            return
        check = parse_check(data)
        if check is None or not self.options.mux:
            return
        endpoint = self._endpoints.get(check.local_ufrag)
        if endpoint is None:
            origin = self._origins.get(check.local_ufrag[:NAME_LENGTH])
            if origin is None:
                metrics.record_check_dropped("unknown-context")
                return
            endpoint = origin.endpoint_for(check, source, self.options.worker)
        if endpoint is not None:
            endpoint.handle_check(self, source, check)

    def _open_ports(self) -> None:
        options = self.options
        for remaining in reversed(range(PORT_PAIR_TRIES)):
            self._open_port(options.port)
            if options.mux:
                return
            try:
                self._open_port(self.port + 1)
            except (OSError, OverflowError, ConfigError):
                self.engine.native.close_socket(self._ids.pop())
                self._addresses.pop()
                if options.port or not remaining:
                    raise
            else:
                return

    def _open_port(self, port: int) -> None:
        options = self.options
        info = self.engine.native.open_socket(
            options.worker,
            (options.address, port),
            receive_buffer_bytes=options.receive_buffer_bytes,
            send_buffer_bytes=options.send_buffer_bytes,
        )
        _warn_of_small_buffers(info, options)
        if not self._ids:
            self.engine.register_socket(info["id"], self)
        self._ids.append(info["id"])
        self._addresses.append(info["address"])

    async def _gather(self) -> None:
        for candidate in tuple(self._candidates):
            self.emit("candidate", candidate)
        urls = [url for server in self.servers for url in server.all_urls()]
        stun = [server for scheme, server in map(parse_server_url, urls) if scheme == "stun"]
        await asyncio.gather(*(self._ask(server) for server in stun[:MAX_GATHERING_SERVERS]))
        self.emit("candidatesdone")

    async def _ask(self, server: Address) -> None:
        family = system_socket.AF_INET6 if ":" in self.address else system_socket.AF_INET
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(*server, family=family, type=system_socket.SOCK_DGRAM)
        except OSError as error:
            logger.warning("a STUN server has no address", extra={"server": server[0], "error": str(error)})
            return
        host, port, *_ = found[0][4]
        mapped = await self._gatherer.gather((str(host), int(port)))
        if mapped is None:
            logger.warning("a STUN server does not answer", extra={"server": server[0]})
            return
        if mapped in [(candidate.address, candidate.port) for candidate in self._candidates]:
            return
        base = next(((item.address, item.port) for item in self._candidates), (self.address, self.port))
        candidate = make_candidate("srflx", mapped, base=base)
        self._candidates.append(candidate)
        self.emit("candidate", candidate)


def _warn_of_small_buffers(info: "SocketInfo", options: RTCSocketOptions) -> None:
    """Small buffers lose packets in bursts, which looks like a bad network."""
    buffers = {
        "rmem": (info["receive_buffer_bytes"], options.receive_buffer_bytes),
        "wmem": (info["send_buffer_bytes"], options.send_buffer_bytes),
    }
    for name, (granted, asked) in buffers.items():
        if granted < asked:
            fix = f"sysctl -w net.core.{name}_max={asked}"
            extra = {"granted_bytes": granted, "asked_bytes": asked, "fix": fix}
            logger.warning("the kernel granted a smaller socket buffer than asked for", extra=extra)

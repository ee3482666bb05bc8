"""The sections of the settings: types, bounds, defaults. `router.config` reads, `config/router.yaml` explains them."""

import json
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import NoDecode

from router.cluster.redis_target import parse_target
from router.cpus import allowed_cpus, choose_cpus, count_workers
from router.events.model import FREQUENT_KINDS, KINDS
from router.hosts import ALL

MIN_ADMIN_TOKEN_CHARS: Final = 16
CODECS: Final = {name.lower(): name for name in ("red", "opus", "VP8", "VP9", "H264", "AV1")}
ICE_URL_SCHEMES: Final = ("stun", "stuns", "turn", "turns")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server listening on `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _split(value: Any) -> Any:
    """A list from the environment: JSON, or values separated by commas."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("["):
        try:
            return json.loads(text)
        except ValueError as error:
            raise ValueError(f"is not valid JSON ({error})") from None
    return [part.strip() for part in text.split(",") if part.strip()]


def _address(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("expected an IPv4 or IPv6 address") from None


def _ice_url(value: str) -> str:
    scheme, _, rest = value.partition(":")
    if scheme not in ICE_URL_SCHEMES or not rest or "/" in rest:
        raise ValueError(f"expected {', '.join(f'{name}:HOST:PORT' for name in ICE_URL_SCHEMES)} without slashes")
    return value


def _web_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("expected http://HOST or https://HOST, optionally with a port and a path")
    return value.rstrip("/")


def _bracket_address(value: Any) -> Any:
    """An IPv6 address with a port, as Kubernetes puts it in the place of $(POD_IP), between the brackets of a URL.

    >>> _bracket_address("http://fd00::5:8081"), _bracket_address("http://10.0.0.5:8081")
    ('http://[fd00::5]:8081', 'http://10.0.0.5:8081')
    """
    scheme, _, rest = str(value).partition("://")
    host, _, port = rest.rpartition(":")
    try:
        return f"{scheme}://[{IPv6Address(host)}]:{port}"
    except ValueError:
        return value


def _origin(value: str) -> str:
    if value == "*":
        return value
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query or parts.fragment:
        raise ValueError('expected "*" or an origin such as https://example.org')
    return value


def _redis_url(value: SecretStr) -> SecretStr:
    parse_target(value.get_secret_value())
    return value


def _webhook_url(value: SecretStr) -> SecretStr:
    expected = "expected https://HOST or http://HOST with a path, in ASCII, without user and fragment"
    text = value.get_secret_value()
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError(expected) from None
    if not valid or "@" in parts.netloc or parts.fragment or not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError(expected)
    return value


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError("expected a network such as 10.0.0.0/8, or an address") from None


def _event_kind(value: str) -> str:
    if value not in KINDS:
        raise ValueError(f"expected one of {', '.join(KINDS)}")
    return value


def _codec(value: str) -> str:
    if value.lower() not in CODECS:
        raise ValueError(f"expected one of {', '.join(CODECS.values())}")
    return CODECS[value.lower()]


def _mapping(value: Any) -> Any:
    """A mapping from the environment: JSON, or `ID:SECRET` pairs separated by commas."""
    if not isinstance(value, str):
        return value
    if value.strip().startswith("{"):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("is not valid JSON") from None  # the library's message would quote a part
    pairs = [part.partition(":") for part in value.split(",") if part.strip()]
    if not all(id_.strip() and secret.strip() for id_, _, secret in pairs):
        raise ValueError("expected ID:SECRET, several separated by commas, or a JSON object")
    return {id_.strip(): secret.strip() for id_, _, secret in pairs}


def _admin_token(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < MIN_ADMIN_TOKEN_CHARS:
        raise ValueError(f"expected {MIN_ADMIN_TOKEN_CHARS} characters or more")
    return value


Port = Annotated[int, Field(ge=0, le=65535)]
BufferBytes = Annotated[int, Field(ge=65_536, le=1 << 30)]
Address = Annotated[str, AfterValidator(_address)]
AdminTokenValue = Annotated[SecretStr, AfterValidator(_admin_token)]
TokenName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
KeyId = Annotated[str, Field(pattern=r"^[!-~]{1,128}$")]
Addresses = Annotated[tuple[Address, ...], NoDecode, BeforeValidator(_split)]
BoundAddress = Annotated[str, AfterValidator(lambda value: value if value == ALL else _address(value))]
BoundAddresses = Annotated[tuple[BoundAddress, ...], NoDecode, BeforeValidator(_split), Field(min_length=1)]
IceUrl = Annotated[str, AfterValidator(_ice_url)]


class Section(BaseModel):
    """Unknown keys are refused, values cannot be changed after start."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PublicSettings(Section):
    """The port that participants use."""

    host: str | None = None
    port: Port = 8080
    url: Annotated[str, AfterValidator(_web_url)] | None = None
    allowed_origins: Annotated[
        tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_split)
    ] = ("*",)
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = ()
    request_timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 8192
    requests_per_s: Annotated[float, Field(ge=0, le=1_000_000)] = 100.0
    offer_max_age_s: Annotated[int, Field(ge=0, le=86_400)] = 60


class AdminTokenSettings(Section):
    """One of several tokens of the admin port."""

    token: AdminTokenValue
    scope: Literal["read", "write"] = "read"


class AdminSettings(Section):
    """The port that operators use."""

    host: str = "127.0.0.1"
    port: Port = 8081
    token: AdminTokenValue | None = None
    tokens: dict[TokenName, AdminTokenSettings] = {}
    token_file: Path | None = None
    metrics_without_token: bool = False
    requests_per_s: Annotated[float, Field(ge=0, le=1_000_000)] = 100.0
    max_token_lifetime_s: Annotated[int, Field(ge=1, le=31_536_000)] = 86_400


class IceServer(Section):
    """A STUN or TURN server that is told to clients."""

    urls: Annotated[
        tuple[IceUrl, ...], BeforeValidator(lambda v: [v] if isinstance(v, str) else v), Field(min_length=1)
    ]
    username: str | None = None
    credential: SecretStr | None = None


class MediaSettings(Section):
    """UDP sockets and the engine behind them."""

    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = 1
    pin_workers: bool | Literal["auto"] = "auto"
    addresses: BoundAddresses = ("0.0.0.0",)  # noqa: S104 - a server's purpose
    udp_port: Port = 10000
    announced_addresses: Addresses = ()
    stun_servers: Annotated[tuple[IceUrl, ...], NoDecode, BeforeValidator(_split)] = ()
    ice_servers: Annotated[tuple[IceServer, ...], NoDecode, BeforeValidator(_split)] = ()
    receive_buffer_bytes: BufferBytes = 4_194_304
    send_buffer_bytes: BufferBytes = 4_194_304
    timeout_s: Annotated[float, Field(ge=2, le=300)] = 30.0

    @property
    def worker_count(self) -> int:
        """As many as there will be on this machine."""
        return count_workers(self.workers, allowed_cpus())

    @property
    def worker_cpus(self) -> tuple[int, ...]:
        """The CPU of each worker; empty when they are not pinned."""
        return choose_cpus(self.pin_workers, self.worker_count, allowed_cpus())


class RoomSettings(Section):
    """Life and caps of rooms."""

    create_on_first_use: bool = True
    empty_timeout_s: Annotated[float, Field(ge=0, le=86_400)] = 30.0
    spread_above: Annotated[int, Field(ge=0, le=100_000)] | None = 100
    max_rooms: Annotated[int, Field(ge=1, le=100_000)] = 1000
    max_participants: Annotated[int, Field(ge=1, le=10_000)] = 500
    max_tracks_per_participant: Annotated[int, Field(ge=1, le=64)] = 16
    max_sessions_per_participant: Annotated[int, Field(ge=1, le=64)] = 8
    audio_slots: Annotated[int, Field(ge=1, le=16)] = 3
    video_slots: Annotated[int, Field(ge=0, le=44)] = 9
    codecs: Annotated[
        tuple[Annotated[str, AfterValidator(_codec)], ...], NoDecode, BeforeValidator(_split), Field(min_length=1)
    ] = ("red", "opus", "VP8", "VP9", "H264", "AV1")
    max_speakers: Annotated[int, Field(ge=1, le=16)] = 3
    forks_per_s: Annotated[float, Field(ge=0, le=100_000)] = 100.0
    forks_per_s_per_address: Annotated[float, Field(ge=0, le=100_000)] = 10.0


class AuthSettings(Section):
    """Keys that sign join tokens."""

    secrets: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)] = ()
    keys: Annotated[dict[KeyId, SecretStr], NoDecode, BeforeValidator(_mapping)] = {}
    key_file: Path | None = None


class TurnSettings(Section):
    """TURN servers for which participants are given credentials."""

    urls: Annotated[tuple[IceUrl, ...], NoDecode, BeforeValidator(_split)] = ()
    secret: SecretStr | None = None
    lifetime_s: Annotated[int, Field(ge=60, le=86_400)] = 14_400


class RedisSettings(Section):
    """Where nodes find each other."""

    url: Annotated[SecretStr, AfterValidator(_redis_url)] | None = None
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "fork-router"
    ttl_s: Annotated[float, Field(ge=2, le=3600)] = 30.0
    timeout_s: Annotated[float, Field(ge=0.05, le=10)] = 1.0
    max_events: Annotated[int, Field(ge=100, le=10_000_000)] = 100_000
    node: Annotated[str, Field(pattern=r"^[\w.:-]{1,128}$")] | None = None
    admin_url: Annotated[str, BeforeValidator(_bracket_address), AfterValidator(_web_url)] | None = None
    region: Annotated[str, Field(pattern=r"^[\w.-]{0,64}$")] = ""


class DrainSettings(Section):
    """Going away without throwing anybody out."""

    deadline_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0


class EventSettings(Section):
    """The event log."""

    max_entries: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    max_listeners: Annotated[int, Field(ge=0, le=1000)] = 32
    quality_interval_s: Annotated[float, Field(ge=0, le=3600)] = 5.0


class WebhookSettings(Section):
    """Receivers of events."""

    urls: Annotated[
        tuple[Annotated[SecretStr, AfterValidator(_webhook_url)], ...],
        NoDecode,
        BeforeValidator(_split),
        Field(max_length=16),
    ] = ()
    key: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")] = "fork-router"
    secret: SecretStr | None = None
    kinds: Annotated[
        tuple[Annotated[str, AfterValidator(_event_kind)], ...], NoDecode, BeforeValidator(_split), Field(min_length=1)
    ] = tuple(kind for kind in KINDS if kind not in FREQUENT_KINDS)
    allow_http: bool = False
    allowed_networks: Annotated[
        tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(_split)
    ] = ()
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    attempts: Annotated[int, Field(ge=1, le=32)] = 8
    queue_size: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000


class CaptureSettings(Section):
    """Captures of a peer's packets by operators."""

    enabled: bool = False
    max_bytes: Annotated[int, Field(ge=1_000, le=1 << 40)] = 100_000_000
    max_s: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    max_concurrent: Annotated[int, Field(ge=1, le=64)] = 2


class LogSettings(Section):
    """What is logged, and how."""

    format: Literal["auto", "json", "console"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class TracingSettings(Section):
    """Traces of joins, to an OpenTelemetry collector."""

    endpoint: Annotated[str, AfterValidator(_web_url)] | None = None
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0

"""Settings of the router: where each value comes from, what is allowed, and how a wrong one is reported.

Order, later wins: defaults < `config/router.yaml` (or `--config`, or `ROUTER_CONFIG`) < `ROUTER_*` environment, nested
with `__` < flags. An unknown key is refused wherever it stands. Every mistake becomes a `ConfigError` of one line that
names the key, the value and what was expected; the values of secrets are never repeated.
`config/router.yaml` explains each key; `tests/test_config.py` keeps both in step.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from router.config_file import read_file
from router.config_model import (
    AdminSettings,
    AuthSettings,
    CaptureSettings,
    DrainSettings,
    EventSettings,
    LogSettings,
    MediaSettings,
    PublicSettings,
    RedisSettings,
    RoomSettings,
    TracingSettings,
    TurnSettings,
    WebhookSettings,
    is_loopback,
)
from router.config_report import describe
from router.config_secrets import check_secrets, check_webhooks
from router.errors import ConfigError
from router.hosts import ALL

__all__ = ["CONFIG_VARIABLE", "DEFAULT_FILE", "ENV_PREFIX", "Settings", "load_settings"]

ENV_PREFIX: Final = "ROUTER_"
CONFIG_VARIABLE: Final = "ROUTER_CONFIG"
ADMIN_URL_VARIABLE: Final = "ROUTER_ADMIN_URL"
"""Which router the commands talk to; no setting of a router itself."""
DEFAULT_FILE: Final = Path("config/router.yaml")
MASK: Final = "**********"


class Settings(BaseSettings):
    """Everything that can be set. Build it with `load_settings`, which turns mistakes into `ConfigError`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    dev: bool = False
    public: PublicSettings = PublicSettings()
    admin: AdminSettings = AdminSettings()
    media: MediaSettings = MediaSettings()
    rooms: RoomSettings = RoomSettings()
    auth: AuthSettings = AuthSettings()
    turn: TurnSettings = TurnSettings()
    redis: RedisSettings = RedisSettings()
    drain: DrainSettings = DrainSettings()
    events: EventSettings = EventSettings()
    webhooks: WebhookSettings = WebhookSettings()
    capture: CaptureSettings = CaptureSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()

    @property
    def public_host(self) -> str:
        """Where the public port listens: loopback in development unless said otherwise."""
        return self.public.host or ("127.0.0.1" if self.dev else ALL)

    def check_startable(self) -> None:
        """Raises `ConfigError` for what may be shown but not served: missing secrets, development in public."""
        workers = self.media.worker_count
        if self.media.udp_port and self.media.udp_port + workers > 65536:
            raise ConfigError(
                f"media.udp_port is {self.media.udp_port}: with media.workers {workers}, one port each, "
                f"expected {65536 - workers} or less"
            )
        self.media.worker_cpus  # noqa: B018 - refuses pinning that is impossible here
        check_secrets(self.auth, self.admin, self.turn, dev=self.dev)
        check_webhooks(self.webhooks, self.auth, dev=self.dev)
        if self.dev:
            self._check_development()

    def _check_development(self) -> None:
        for key, host in (("public.host", self.public_host), ("admin.host", self.admin.host)):
            if not is_loopback(host):
                raise ConfigError(
                    f"{key} is {host!r}: dev mode hands out tokens, expected a loopback address such as 127.0.0.1"
                )

    def redacted(self) -> dict[str, Any]:
        """The effective values with secrets masked, ready for JSON or YAML."""
        dumped: dict[str, Any] = self.model_dump(mode="json")
        dumped["media"]["workers"] = self.media.worker_count
        dumped["media"]["pin_workers"] = bool(self.media.worker_cpus)
        if self.redis.url is not None:
            dumped["redis"]["url"] = _mask_userinfo(self.redis.url.get_secret_value())
        dumped["webhooks"]["urls"] = [_mask_path(url.get_secret_value()) for url in self.webhooks.urls]
        return dumped


def load_settings(*, file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Reads all sources. `file` must exist when given; the default file may be missing. `flags` nest like the file."""
    environment = dict(os.environ)
    _check_environment_names(environment)
    if file is None and environment.get(CONFIG_VARIABLE):
        file = Path(environment[CONFIG_VARIABLE])
    values = read_file(file or DEFAULT_FILE, required=file is not None)
    given = dict(flags or {})
    try:
        return _sources(values)(**given)
    except ValidationError as error:
        origins = {"a flag": given, "environment": _named_variables(environment), str(file or DEFAULT_FILE): values}
        raise ConfigError(describe(error, Settings, origins)) from None
    except SettingsError as error:
        raise ConfigError(f"environment: {' '.join(str(error).split())}") from None


def _sources(values: dict[str, Any]) -> type[Settings]:
    class Sources(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, values)

    return Sources


def _named_variables(environment: Mapping[str, str]) -> dict[str, Any]:
    """Our variables as a tree whose leaves are variable names, to tell where a wrong value came from."""
    tree: dict[str, Any] = {}
    for name in environment:
        upper = name.upper()
        if not upper.startswith(ENV_PREFIX):
            continue
        *parents, leaf = upper.removeprefix(ENV_PREFIX).lower().split("__")
        node = tree
        for parent in parents:
            child = node.setdefault(parent, {})
            node = child if isinstance(child, dict) else {}
        node[leaf] = name
    return tree


def _check_environment_names(environment: Mapping[str, str]) -> None:
    """Refuses a variable that names no setting; pydantic-settings ignores those of the first level."""
    for name in environment:
        upper = name.upper()
        if (
            not upper.startswith(ENV_PREFIX)
            or upper in (CONFIG_VARIABLE, ADMIN_URL_VARIABLE)
            or _is_service_link(upper)
        ):
            continue
        first = upper.removeprefix(ENV_PREFIX).lower().split("__")[0]
        field = Settings.model_fields.get(first)
        if field is None:
            known = ", ".join(f"{ENV_PREFIX}{key.upper()}" for key in Settings.model_fields)
            raise ConfigError(f"{name}: unknown variable, expected one starting with {known}")
        annotation = field.annotation
        is_section = isinstance(annotation, type) and issubclass(annotation, BaseModel)
        if is_section and "__" not in upper and not environment[name].lstrip().startswith("{"):
            raise ConfigError(f"{name}: expected {name}__KEY, or a JSON object with the keys of {first}")


def _is_service_link(name: str) -> bool:
    """Kubernetes puts such variables into every pod when a Service is called "router"."""
    rest = name.removeprefix(ENV_PREFIX)
    return rest == "PORT" or rest.startswith(("SERVICE_", "PORT_"))


def _mask_path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/{MASK}"


def _mask_userinfo(url: str) -> str:
    """Not by `urlsplit`: there may be several hosts."""
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    user, at, host = place.rpartition("@")
    if ":" not in user and "password" not in query:
        return url
    return f"{scheme}://{MASK}@{host}" if at else f"{scheme}://{host}"

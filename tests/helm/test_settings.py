"""Each setting of the router can be set through the chart, and arrives in the pod's router as it was set."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from helm.generate import DECIDED, is_secret
from router.config import Settings, load_settings
from tests.helm.chart import Json, environment_of, merge, needs_helm, nest, render

FIELDS = {
    "metadata.name": "r-fork-router-0",
    "status.podIP": "10.1.2.3",
    "status.podIPs": "10.1.2.3",
    "status.hostIPs": "192.0.2.7",
}
SECRET_VALUES: dict[str, tuple[str, str, str]] = {
    "auth.secrets": ("auth.existingSecret", "join", "secrets"),
    "admin.token": ("auth.adminExistingSecret", "admin", "admin-token"),
    "webhooks.secret": ("webhooks.existingSecret", "webhooks", "secret"),
}
"""Settings that a Secret holds: the value that names it, its name here, its key."""
TYPES = {"string": str, "array": list, "object": dict, "boolean": bool}
URL = "redis://:hunter2@redis:6379/1"


def secret_text(name: str) -> str:
    """No two settings have the same, and none is weak."""
    return hashlib.sha256(name.encode()).hexdigest()


GIVEN: dict[str, tuple[Any, Json, dict[str, str]]] = {
    "redis.url": (URL, {"externalRedis": {"existingSecret": "redis", "urlKey": "url"}}, {"redis/url": URL}),
    "redis.node": ("r-fork-router-0", {}, {}),
    "redis.admin_url": ("http://10.1.2.3:7000", {}, {}),
    "auth.key_file": ("/etc/fork-router/keys/keys.yaml", {"auth": {"keyFile": {"existingSecret": "keys"}}}, {}),
    "admin.token_file": ("/etc/fork-router/tokens/t", {"auth": {"tokenFile": {"existingSecret": "t", "key": "t"}}}, {}),
    "turn.urls": (["turn:t.example:3478"], {"turn": {"uris": ["turn:t.example:3478"]}}, {}),
    "turn.secret": (
        "shared with coturn",
        {"turn": {"existingSecret": "turn", "secretKey": "shared"}},
        {"turn/shared": "shared with coturn"},
    ),
    "webhooks.urls": (["https://a.example/hook"], {}, {"webhooks/urls": "https://a.example/hook"}),
}
"""Settings that are not given as they are: what the router sees, values, and Secrets by name and key."""
CANDIDATES: tuple[Any, ...] = (
    True,
    False,
    "127.0.0.9",
    ["203.0.113.9"],
    ["stun:stun.example:3478"],
    [{"urls": ["turn:turn.example:3478"]}],
    ["https://page.example"],
    ["10.0.0.0/8"],
    ["VP8", "opus"],
    ["sample"],
    ["room_started"],
    [5],
    "https://sample.example",
    "sample",
    secret_text("sample"),
    [secret_text("sample")],
    {"sample": secret_text("sample")},
    {"sample": {"token": secret_text("sample")}},
)
"""Tried in turn for settings that are neither numbers, switches nor choices: the first that the setting takes."""


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel], str, Json]]:
    """Path, section, name and schema of each setting."""
    whole = model.model_json_schema()
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from leaves(section, f"{prefix}{name}.")
        else:
            yield prefix + name, model, name, {**whole["properties"][name], "$defs": whole.get("$defs", {})}


LEAVES = {path: (model, name, schema) for path, model, name, schema in leaves(Settings)}


def sample(model: type[BaseModel], name: str, schema: Json) -> Any:
    """A value that is allowed and is not the default."""
    default = schema.get("default")
    if schema.get("type") == "boolean":
        return not default
    choices = [part for option in (schema, *schema.get("anyOf", ())) for part in option.get("enum", ())]
    kinds = {option.get("type") for option in (schema, *schema.get("anyOf", ()))}
    numbers = [7000, 70_000, 700, 7, 1, 2, 3, 5, 70, 0.5] if kinds & {"integer", "number"} else []
    fitting: list[Any] = [
        candidate for candidate in CANDIDATES if any(type(candidate) is TYPES.get(kind) for kind in kinds)
    ]
    if is_secret(schema, schema["$defs"]):
        fitting.reverse()  # those that are long and not weak come first
    for candidate in (*choices, *numbers, *fitting):
        try:
            taken = model.model_validate({name: candidate})
        except ValidationError:
            continue
        if getattr(taken, name) != getattr(model(), name):
            return candidate
    raise AssertionError(f"{name}: no candidate fits, add one")


def plain(value: Any) -> Any:
    """With secrets laid open, to compare."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, tuple | list) else value


def set_all() -> tuple[Json, dict[str, dict[str, str]], dict[str, Any]]:
    """Values of the chart, Secrets beside it, and what the router should see, for all settings at once."""
    values: Json = {"media": {"exposure": "hostNetwork"}}
    secrets: dict[str, dict[str, str]] = {}
    expected: dict[str, Any] = {}
    for path, (model, name, schema) in LEAVES.items():
        value: Any
        given: Json
        if path == "dev":
            continue
        if path in GIVEN:
            value, given, held = GIVEN[path]
            for place, text in held.items():
                secret, _, key = place.partition("/")
                secrets.setdefault(secret, {})[key] = text
        elif path in SECRET_VALUES:
            at, secret, key = SECRET_VALUES[path]
            text = secret_text(path)
            value, given = ([text] if path == "auth.secrets" else text), nest(at, secret)
            secrets.setdefault(secret, {})[key] = text
        elif is_secret(schema, schema["$defs"]):
            value, given = sample(model, name, schema), {"secretSettings": {path: {"name": "further", "key": path}}}
            secrets.setdefault("further", {})[path] = value if isinstance(value, str) else json.dumps(value)
        else:
            value = sample(model, name, schema)
            given = nest(DECIDED.get(path, f"config.{path}"), value)
        values, expected[path] = merge(values, given), value
    return values, secrets, expected


def load_in_pod(
    values: Json, secrets: dict[str, dict[str, str]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """What `router serve` reads in the pod that the chart makes."""
    rendered = render(values)
    file = folder / "router.yaml"
    file.write_text(rendered.one("ConfigMap", "r-fork-router")["data"]["router.yaml"])
    for name, value in environment_of(rendered.container, secrets, FIELDS).items():
        monkeypatch.setenv(name, value)
    assert rendered.env["ROUTER_CONFIG"]["value"] == "/etc/fork-router/config/router.yaml"
    monkeypatch.delenv("ROUTER_CONFIG")
    return load_settings(file=file)


def value_at(settings: Settings, path: str) -> Any:
    found: Any = settings
    for name in path.split("."):
        found = getattr(found, name)
    return found


@needs_helm
def test_every_setting_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values, secrets, expected = set_all()
    settings = load_in_pod(values, secrets, tmp_path, monkeypatch)
    wrong = {}
    for path, value in expected.items():
        model, name, _ = LEAVES[path]
        wanted = plain(getattr(model.model_validate({name: value}), name))
        if (found := plain(value_at(settings, path))) != wanted:
            wrong[path] = (found, wanted)
    assert wrong == {}
    assert set(expected) == set(LEAVES) - {"dev"}


@needs_helm
@pytest.mark.parametrize("mode", ["hostPort", "hostNetwork", "turnOnly"])
def test_defaults_start_a_router(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"r-fork-router-auth": {"secrets": secret_text("join"), "admin-token": secret_text("admin")}}
    settings = load_in_pod({"media": {"exposure": mode}}, secrets, tmp_path, monkeypatch)
    announced = {"turnOnly": "10.1.2.3"}.get(mode, "192.0.2.7")
    assert settings.media.announced_addresses == (announced,)
    assert settings.admin.host == ("10.1.2.3" if mode == "hostNetwork" else "*")
    assert settings.redis.url is None
    settings.check_startable()


@needs_helm
def test_turn_servers_are_told_with_their_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "r-fork-router-auth": {"secrets": secret_text("join"), "admin-token": secret_text("admin")},
        "turn": {"username": "ada", "credential": "lovelace"},
    }
    values = {"turn": {"uris": ["turn:turn.example:3478"], "existingSecret": "turn"}}
    (server,) = load_in_pod(values, secrets, tmp_path, monkeypatch).media.ice_servers
    assert plain(server) == {"urls": ["turn:turn.example:3478"], "username": "ada", "credential": "lovelace"}


@needs_helm
def test_redis_password_is_put_into_its_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "r-fork-router-auth": {"secrets": secret_text("join"), "admin-token": secret_text("admin")},
        "redis": {"password": "hunter2"},
    }
    values = {"externalRedis": {"url": "redis://:$(REDIS_PASSWORD)@redis:6379/1", "existingSecret": "redis"}}
    settings = load_in_pod(values, secrets, tmp_path, monkeypatch)
    assert plain(settings.redis.url) == URL


@needs_helm
def test_a_pods_name_is_put_into_its_url() -> None:
    values = {
        "media": {"exposure": "nodePortPerPod"},
        "ingress": {"enabled": True, "host": "meet.example", "perPod": True},
    }
    rendered = render(values)
    known = environment_of(rendered.container, {"r-fork-router-auth": {"secrets": "", "admin-token": ""}}, FIELDS)
    assert known["ROUTER_PUBLIC__URL"] == "https://r-fork-router-0.meet.example"
    assert rendered.one("Ingress")["spec"]["rules"][1]["host"] == "r-fork-router-0.meet.example"

import itertools
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from router.config import Settings, load_settings
from router.errors import ConfigError

SAMPLE = Path(__file__).parent.parent / "config" / "router.yaml"
SECRET = "0123456789abcdef0123456789abcdef"[::-1]
TOKEN = "tkn-0123456789ab"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("ROUTER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def keys_of_model(model: type[BaseModel], prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            keys |= keys_of_model(section, f"{prefix}{name}.")
        else:
            keys.add(prefix + name)
    return keys


def keys_of_file(values: dict[str, Any], prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for name, value in values.items():
        keys |= keys_of_file(value, f"{prefix}{name}.") if isinstance(value, dict) and value else {prefix + name}
    return keys


def refused(**sources: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(**sources).check_startable()
    text = str(caught.value)
    assert "\n" not in text
    return text


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_sample_explains_every_key_and_holds_the_defaults() -> None:
    values = yaml.safe_load(SAMPLE.read_text())
    assert keys_of_file(values) == keys_of_model(Settings)
    assert load_settings(file=SAMPLE).model_dump() == Settings().model_dump()


def test_every_key_or_group_of_the_sample_has_a_comment() -> None:
    lines = SAMPLE.read_text().splitlines()
    commented_sections = {line.split(":")[0] for before, line in itertools.pairwise(lines) if before.startswith("#")}
    assert commented_sections >= set(Settings.model_fields) - {"log"}  # its keys have comments


def test_every_key_of_the_sample_is_explained_above_it_or_with_its_neighbour() -> None:
    bare, explained = [], False
    for before, line in itertools.pairwise(SAMPLE.read_text().splitlines()):
        if re.match(r"  [a-z_]+:", line):
            follows_explained, explained = explained, before.startswith("  #")
            if not explained and not (follows_explained and re.match(r"  [a-z_]+:", before)):
                bare.append(line.strip())
    assert bare == []


def test_order_of_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(
        tmp_path / "r.yaml", "public: {port: 1000}\nmedia: {udp_port: 2000, workers: 2}\nrooms: {max_rooms: 5}"
    )
    monkeypatch.setenv("ROUTER_MEDIA__UDP_PORT", "3000")
    monkeypatch.setenv("ROUTER_PUBLIC__PORT", "3001")
    settings = load_settings(file=file, flags={"public": {"port": 4000}})
    assert (settings.public.port, settings.media.udp_port, settings.media.workers) == (4000, 3000, 2)
    assert settings.rooms.max_rooms == 5
    assert settings.admin.port == 8081


def test_default_file_is_read_where_the_router_starts(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    write(tmp_path / "config/router.yaml", "public: {port: 1234}")
    assert load_settings().public.port == 1234


def test_file_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_CONFIG", str(write(tmp_path / "x.yaml", "public: {port: 99}")))
    assert load_settings().public.port == 99


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("media: {udp_prot: 1}", ["media.udp_prot", "did you mean udp_port?", "x.yaml"]),
        ("colour: red", ["colour", "unknown key", "public"]),
        ("media: {udp_port: 70000}", ["media.udp_port", "70000", "65535"]),
        ("media: {udp_port: abc}", ["media.udp_port", "'abc'", "integer"]),
        ("media: 5", ["media", "expected a group of keys"]),
        ("media:", ["media", "expected a group of keys"]),
        ("media: {announced_addresses: [example.org]}", ["media.announced_addresses.0", "example.org", "IPv4"]),
        ("media: {addresses: []}", ["media.addresses", "at least 1"]),
        ("media: {ice_servers: [{urls: ['http://x']}]}", ["media.ice_servers.0.urls.0", "stun:HOST:PORT"]),
        ("public: {url: example.org}", ["public.url", "example.org", "https://HOST"]),
        ("public: {allowed_origins: [example.org]}", ["public.allowed_origins.0", "https://example.org"]),
        ("webhooks: {urls: [ftp://x]}", ["webhooks.urls.0", "https://HOST"]),
        ("webhooks: {kinds: [room_exploded]}", ["webhooks.kinds.0", "room_started"]),
        ("webhooks: {allowed_networks: [10.0.0.1/8]}", ["webhooks.allowed_networks.0", "10.0.0.0/8"]),
        ("events: {max_listeners: -1}", ["events.max_listeners", "-1"]),
        ("log: {level: loud}", ["log.level", "'loud'", "'debug'"]),
        ("public: {port: 1}\npublic: {port: 2}", ["line 2", "repeated key public"]),
        ("public: {port: 1", ["line 1"]),
        ("- 1", ["expected keys with values"]),
    ],
)
def test_mistakes_in_the_file_name_key_value_and_expectation(tmp_path: Path, text: str, words: list[str]) -> None:
    message = refused(file=write(tmp_path / "x.yaml", text))
    assert [word for word in words if word not in message] == []


def test_missing_file(tmp_path: Path) -> None:
    assert "no.yaml: no such settings file" in refused(file=tmp_path / "no.yaml")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ROUTER_MEDIA__UDP_PORT", "x", ["media.udp_port", "(ROUTER_MEDIA__UDP_PORT)"]),
        ("ROUTER_MEDIA__UDP_PROT", "1", ["media.udp_prot", "did you mean udp_port?"]),
        ("ROUTER_COLOUR", "red", ["ROUTER_COLOUR", "unknown variable"]),
        ("ROUTER_MEDIA", "red", ["ROUTER_MEDIA", "ROUTER_MEDIA__KEY"]),
        ("ROUTER_MEDIA__ADDRESSES", "[1", ["media.addresses", "JSON"]),
    ],
)
def test_mistakes_in_the_environment(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: list[str]) -> None:
    monkeypatch.setenv(name, value)
    message = refused()
    assert [word for word in words if word not in message] == []


def test_variables_of_a_kubernetes_service_called_router_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_PORT", "tcp://10.0.0.1:8080")
    monkeypatch.setenv("ROUTER_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("ROUTER_PORT_8080_TCP_ADDR", "10.0.0.1")
    assert load_settings().public.port == 8080


@pytest.mark.parametrize("value", ["10.0.0.1,10.0.0.2", '["10.0.0.1", "10.0.0.2"]', " 10.0.0.1 , 10.0.0.2 "])
def test_lists_from_the_environment(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ROUTER_MEDIA__ANNOUNCED_ADDRESSES", value)
    assert load_settings().media.announced_addresses == ("10.0.0.1", "10.0.0.2")


def test_start_needs_secrets() -> None:
    assert "auth.secrets" in refused()
    assert "auth.secrets.0 has 5 bytes" in refused(flags={"auth": {"secrets": ["short"]}})
    assert "admin.token" in refused(flags={"auth": {"secrets": [SECRET]}})
    load_settings(flags={"auth": {"secrets": [SECRET]}, "admin": {"token": TOKEN}}).check_startable()


def test_a_wrong_secret_is_not_repeated() -> None:
    assert "hunter2" not in refused(flags={"admin": {"token": "hunter2"}})
    assert "hunter2" not in refused(flags={"auth": {"secrets": {"hunter2": 1}}})
    assert "hunter2" not in refused(flags={"redis": {"url": "http://:hunter2@x"}})
    assert "hunter2" not in refused(flags={"webhooks": {"urls": ["ftp://x/hunter2"]}})


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://x", "https://", "https:///x", "x", "https://user:p@x/", "https://x/#a", "https://x/ä", "https://x:0/"),
        *("https://x/a b", "https://x/\r\nHost: y", "https://x:99999/", "file:///etc/passwd", "unix:/run/x"),
        "https://[::1/",
    ],
)
def test_urls_of_webhooks(url: str) -> None:
    assert "webhooks.urls.0: expected https://HOST" in refused(flags={"webhooks": {"urls": [url]}})


def test_webhooks_need_a_secret_of_their_own_and_https() -> None:
    secret = "f3a9c07be15d62488ce0b7719a64d5f2"

    def startable(**webhooks: Any) -> dict[str, Any]:
        given = {"urls": ["https://x.example/hook"], **webhooks}
        return {"auth": {"secrets": [SECRET]}, "admin": {"token": TOKEN}, "webhooks": given}

    load_settings(flags=startable(secret=secret)).check_startable()
    load_settings(flags=startable(urls=["http://x"], secret=secret, allow_http=True)).check_startable()
    assert "webhooks.secret: expected 32 bytes" in refused(flags=startable())
    assert "webhooks.secret: expected 32 bytes" in refused(flags=startable(secret="short"))
    assert "webhooks.secret is one of auth.secrets" in refused(flags=startable(secret=SECRET))
    assert "webhooks.urls.0: expected https" in refused(flags=startable(urls=["http://x"], secret=secret))


def test_dev_is_for_loopback_only() -> None:
    settings = load_settings(flags={"dev": True})
    settings.check_startable()
    assert settings.public_host == "127.0.0.1"
    assert load_settings().public_host == "*"
    assert "public.host is '*'" in refused(flags={"dev": True, "public": {"host": "*"}})
    assert "public.host is '0.0.0.0'" in refused(flags={"dev": True, "public": {"host": "0.0.0.0"}})
    assert "admin.host" in refused(flags={"dev": True, "admin": {"host": "10.0.0.1"}})
    for host in ("::1", "localhost", "127.0.0.2"):
        load_settings(flags={"dev": True, "public": {"host": host}}).check_startable()


def test_ports_of_all_workers_must_exist() -> None:
    assert "media.udp_port" in refused(flags={"dev": True, "media": {"udp_port": 65535, "workers": 2}})


def test_workers_and_their_cpus_follow_from_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.config_model.allowed_cpus", lambda: (2, 3, 5, 7))
    auto = load_settings(flags={"dev": True, "media": {"workers": "auto"}})
    assert (auto.media.worker_count, auto.media.worker_cpus) == (3, (3, 5, 7))
    assert auto.redacted()["media"]["workers"] == 3
    assert auto.redacted()["media"]["pin_workers"] is True
    monkeypatch.setenv("ROUTER_MEDIA__WORKERS", "2")
    monkeypatch.setenv("ROUTER_MEDIA__PIN_WORKERS", "false")
    free = load_settings(flags={"dev": True})
    assert (free.media.worker_count, free.media.worker_cpus) == (2, ())
    message = refused(flags={"dev": True, "media": {"workers": 5, "pin_workers": True}})
    assert message == "media.pin_workers is true: expected 5 CPUs, 4 are allowed"
    assert load_settings(flags={"media": {"workers": 5, "pin_workers": "auto"}}).media.worker_cpus == ()


def test_redacted_dump_keeps_no_secret() -> None:
    settings = load_settings(
        flags={
            "auth": {"secrets": ["canary-1" * 4]},
            "admin": {"token": "canary-2" * 4},
            "redis": {"url": "redis://user:canary-3@db.example:6379/1"},
            "media": {"ice_servers": [{"urls": "turn:t.example:3478", "username": "u", "credential": "canary-4"}]},
            "webhooks": {"urls": ["https://hook.example:8443/canary-5?x=canary-6"], "secret": "canary-7" * 4},
        }
    )
    text = repr(settings.redacted()) + repr(settings)
    assert "canary" not in text
    assert "db.example:6379/1" in str(settings.redacted())
    assert "https://hook.example:8443/**********" in str(settings.redacted())


def test_numbers_have_bounds() -> None:
    bare = [
        f"{section}.{name}"
        for section, group in Settings.model_fields.items()
        if isinstance(group.annotation, type) and issubclass(group.annotation, BaseModel)
        for name, field in group.annotation.model_fields.items()
        if field.annotation in (int, float) and not field.metadata and not get_args(field.annotation)
    ]
    assert bare == []


def test_environment_names_in_the_documentation_exist() -> None:
    for name in set(re.findall(r"ROUTER_[A-Z_]+", SAMPLE.read_text())) - {"ROUTER_CONFIG"}:
        assert name.removeprefix("ROUTER_").lower().replace("__", ".") in keys_of_model(Settings)

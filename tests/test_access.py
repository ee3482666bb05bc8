"""Secrets in settings and files: weak ones refuse start by name, changed files take effect, nothing is quoted."""

from pathlib import Path
from typing import Any

import pytest

from router.access import Access
from router.config import load_settings
from router.errors import ConfigError, RouterError
from router.keys import find_weakness
from router.rooms.rights import JoinGrant
from router.watched_file import WatchedFile

GOOD = "0123456789abcdef0123456789abcdef"[::-1]
NEXT = "5f0c6c7d1c6f4b0e9a43f1b2d8e7a690"
ADMIN = "an-admin-token-0123456789"
WEAK = [
    "changeme-changeme-changeme-12345",
    "s" * 40,
    "0123456701234567012345670123456701234567",
    "your-secret-goes-here-0123456789abc",
    "abbabaabbaababbabaababbaabbabaababba",  # of two letters, though no piece comes again and again
]


def settings(**flags: Any) -> Any:
    return load_settings(flags={"auth": {"secrets": [GOOD]}, "admin": {"token": ADMIN}, **flags})


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("ROUTER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("weak", WEAK)
@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (lambda weak: {"auth": {"secrets": [GOOD, weak]}}, "auth.secrets.1"),
        (lambda weak: {"auth": {"keys": {"k1": weak}}}, "auth.keys.k1"),
        (lambda weak: {"admin": {"token": weak}}, "admin.token"),
        (lambda weak: {"admin": {"tokens": {"grafana": {"token": weak}}}}, "admin.tokens.grafana.token"),
        (lambda weak: {"turn": {"urls": ["turn:t.example:3478"], "secret": weak}}, "turn.secret"),
        (lambda weak: {"webhooks": {"urls": ["https://x.example/hook"], "secret": weak}}, "webhooks.secret"),
    ],
)
def test_a_weak_secret_refuses_start_by_name_outside_dev(weak: str, flags: Any, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(**flags(weak)).check_startable()
    assert name in str(caught.value)
    assert weak not in str(caught.value)
    settings(dev=True, **flags(weak)).check_startable()


def test_a_short_secret_is_refused_everywhere() -> None:
    with pytest.raises(ConfigError, match=r"auth\.keys\.k1 has 5 bytes"):
        settings(dev=True, auth={"keys": {"k1": "short"}}).check_startable()
    with pytest.raises(ConfigError, match=r"turn\.secret is not set"):
        settings(turn={"urls": ["turn:t.example:3478"]}).check_startable()


@pytest.mark.parametrize(
    "secret", [GOOD, NEXT, "correct horse battery staple, and some more", "dGhpcyBpcyBhIHJhbmRvbSBzZWNyZXQ="]
)
def test_good_secrets(secret: str) -> None:
    assert find_weakness(secret) is None


def test_keys_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in (f"k1:{GOOD}, k2: {NEXT}", f'{{"k1": "{GOOD}", "k2": "{NEXT}"}}'):
        monkeypatch.setenv("ROUTER_AUTH__KEYS", text)
        keys = load_settings().auth.keys
        assert {id_: secret.get_secret_value() for id_, secret in keys.items()} == {"k1": GOOD, "k2": NEXT}
    for text in ("hunter2", '{"hunter2', '["hunter2"]'):
        monkeypatch.setenv("ROUTER_AUTH__KEYS", text)
        with pytest.raises(ConfigError) as caught:
            load_settings()
        assert "auth.keys" in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_the_first_named_key_signs_and_bare_secrets_still_verify() -> None:
    access = Access(settings(auth={"secrets": [GOOD], "keys": {"k1": NEXT}}))
    old = Access(settings()).join_tokens.issue(JoinGrant("lobby", "ada"))
    assert access.join_tokens.verify(access.join_tokens.issue(JoinGrant("lobby", "ada"))).key_id == "k1"
    assert access.join_tokens.verify(old).key_id == ""


def test_a_key_file_that_changes_takes_effect(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(f"old: {GOOD}\n")
    access = Access(settings(auth={"key_file": str(file)}))
    (watched,) = access._files
    before = access.join_tokens.issue(JoinGrant("lobby", "ada"))
    assert not watched.read_if_changed()
    file.write_text(f"new: {NEXT}\nold: {GOOD}\n")
    assert watched.read_if_changed()
    after = access.join_tokens.issue(JoinGrant("lobby", "ada"))
    assert [access.join_tokens.verify(token).key_id for token in (before, after)] == ["old", "new"]
    file.write_text(f"new: {NEXT}\n")
    assert watched.read_if_changed()
    access.join_tokens.verify(after)
    with pytest.raises(RouterError):
        access.join_tokens.verify(before)


@pytest.mark.parametrize(
    "text", ["", "{}", "{", "k1: short-hunter2", "k1: [hunter2]", "hunter2", "a" * 70_000, f"k1: {'x' * 40}"]
)
def test_a_broken_key_file_refuses_start_and_changes_nothing_later(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Access(settings(auth={"key_file": str(file)}))
    assert "auth.key_file" in str(caught.value)
    assert "hunter2" not in str(caught.value)

    file.write_text(f"k1: {GOOD}")
    access = Access(settings(auth={"key_file": str(file)}))
    file.write_text(text + "\n")
    assert not access._files[0].read_if_changed()
    assert "hunter2" not in str([record.__dict__ for record in caplog.records])
    access.join_tokens.verify(access.join_tokens.issue(JoinGrant("lobby", "ada")))


def test_admin_tokens_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tokens.yaml"
    file.write_text("grafana: {token: a-token-for-grafana-01}\n")
    access = Access(settings(admin={"token_file": str(file)}))
    grafana = access.admin_tokens.find("a-token-for-grafana-01")
    assert grafana is not None
    assert (grafana.name, grafana.scope) == ("grafana", "read")
    file.write_text("")
    assert not access._files[0].read_if_changed()
    assert access.admin_tokens.find("a-token-for-grafana-01") is grafana, "an emptied file opens nothing"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    watched = WatchedFile("auth.key_file", tmp_path / "none", lambda _: None)
    with pytest.raises(ConfigError, match=r"auth\.key_file"):
        watched.read()
    assert not watched.read_if_changed()

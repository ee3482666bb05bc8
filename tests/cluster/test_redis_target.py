"""URLs of Redis: the five forms, what is refused, and that no message repeats a URL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cluster.redis_target import Credentials, parse_target
from router.config import load_settings
from router.errors import ConfigError


def test_one_server() -> None:
    target = parse_target("redis://user:p%40%2F%3A@example.org:7000/3")
    assert (target.mode, target.addresses, target.db) == ("single", (("example.org", 7000),), 3)
    assert target.credentials == Credentials("user", "p@/:")
    assert not target.tls


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("redis://h", (("h", 6379),)),
        ("redis://", (("localhost", 6379),)),
        ("valkeys://[::1]:7000", (("::1", 7000),)),
        ("unix:///run/redis.sock?db=2", (("/run/redis.sock", 0),)),
        ("redis+cluster://a,b:7001", (("a", 6379), ("b", 7001))),
        ("valkey+sentinel://a,[::2]:5/main", (("a", 26379), ("::2", 5))),
    ],
)
def test_addresses(url: str, addresses: tuple[tuple[str, int], ...]) -> None:
    assert parse_target(url).addresses == addresses


def test_sentinel_has_a_service_and_its_own_user() -> None:
    target = parse_target("rediss+sentinel://:pw@a/main/4?sentinel_password=s&ssl_ca_certs=/ca.crt")
    assert (target.service, target.db, target.tls, target.tls_files) == (
        "main",
        4,
        True,
        (("ssl_ca_certs", "/ca.crt"),),
    )
    assert target.credentials == Credentials(None, "pw")
    assert target.sentinel_credentials == Credentials(None, "s")


@pytest.mark.parametrize(
    "url",
    [
        "http://canary@h", "redis://canary:x@h:99999", "redis://canary@h/db", "redis://a,b?canary=1",
        "redis+sentinel://canary@a", "redis+cluster://canary@a/1", "redis://canary@h?ssl_ca_certs=/x",
        "rediss://canary@h?ssl_cert_reqs=none", "redis://canary@h/1/2", "unix+cluster:///canary", "redis://[canary",
    ],
)  # fmt: skip
def test_what_is_refused_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        parse_target(url)
    assert "canary" not in str(caught.value)
    with pytest.raises(ConfigError) as refused:
        load_settings(flags={"redis": {"url": url}})
    assert "canary" not in str(refused.value)


@given(st.text(max_size=60))
def test_no_text_crashes(text: str) -> None:
    for start in ("", "redis://", "redis+sentinel://", "unix://"):
        try:
            parse_target(start + text)
        except ValueError:
            continue


def test_passwords_are_in_no_repr_and_no_shown_setting() -> None:
    url = "redis+sentinel://u:canary@a,b/main?sentinel_password=canary2"
    assert "canary" not in repr(parse_target(url))
    assert "canary" not in str(load_settings(flags={"redis": {"url": url}}).redacted())

"""Where Redis is, read from a URL; Valkey is spelled the same way with `valkey` for `redis`.

    redis://[user:password@]host[:6379][/db]              one server; rediss:// is TLS
    unix://[user:password@]/path/to/socket[?db=0]
    redis+sentinel://[user:password@]host[:26379],…/service[/db]    the sentinels, and the name of what they watch
    redis+cluster://[user:password@]host[:6379],…          some nodes of the cluster

Query: `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` (paths) and `ssl_check_hostname=false` with TLS,
`sentinel_username` and `sentinel_password` with Sentinel. TLS without verification cannot be asked for. User and
password are an ACL user's and may be percent-encoded. Nothing here is ever part of a message: URLs carry passwords.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

Mode = Literal["single", "sentinel", "cluster"]
Address = tuple[str, int]
"""Host and port; a Unix socket's path and 0."""

URL: Final = re.compile(r"([a-z]+(?:\+[a-z]+)?)://([^/?#]*)([^?#]*)(?:\?([^#]*))?")
"""Not `urlsplit`, which newer Pythons let refuse several hosts with brackets."""
DEFAULT_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
SENTINEL_KEYS: Final = ("sentinel_username", "sentinel_password")
EXPECTED: Final = (
    "expected redis://HOST:PORT/DB, rediss://, unix://PATH, redis+sentinel://HOST,…/SERVICE or redis+cluster://HOST,…"
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of an ACL user; without a name it is the default user's password."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RedisTarget:
    """One Redis, however it is built."""

    mode: Mode
    addresses: tuple[Address, ...]
    credentials: Credentials = Credentials()
    sentinel_credentials: Credentials = Credentials()
    db: int = 0
    service: str = ""
    """What the sentinels call the master."""
    tls: bool = False
    tls_files: tuple[tuple[str, str], ...] = ()
    check_hostname: bool = True


def parse_target(url: str) -> RedisTarget:
    """The target, or `ValueError` that says what was expected and repeats nothing of the URL.

    >>> parse_target("rediss+sentinel://h1,h2:5000/mymaster/2").addresses
    (('h1', 26379), ('h2', 5000))
    """
    found = URL.fullmatch(url)
    if found is None:
        raise ValueError(EXPECTED)
    scheme, place, path, options = found.groups(default="")
    base, _, kind = scheme.partition("+")
    base = base.replace("valkey", "redis", 1)
    if base not in ("redis", "rediss", "unix") or kind not in ("", "sentinel", "cluster") or (base == "unix" and kind):
        raise ValueError(EXPECTED)
    mode: Mode = "sentinel" if kind == "sentinel" else "cluster" if kind == "cluster" else "single"
    user, at, hosts = place.rpartition("@")
    name, _, password = user.partition(":")
    query = _read_query(options, tls=base == "rediss", mode=mode, is_unix=base == "unix")
    service, db = _read_path(path, mode) if base != "unix" else ("", query.pop("db", "0"))
    return RedisTarget(
        mode=mode,
        addresses=((unquote(path), 0),) if base == "unix" else _read_hosts(hosts, mode),
        credentials=Credentials(unquote(name) or None, unquote(password) or None) if at else Credentials(),
        sentinel_credentials=Credentials(query.get("sentinel_username"), query.get("sentinel_password")),
        db=_read_db(db, mode),
        service=service,
        tls=base == "rediss",
        tls_files=tuple((key, query[key]) for key in TLS_FILES if key in query),
        check_hostname=query.get("ssl_check_hostname", "true").lower() != "false",
    )


def _read_query(text: str, *, tls: bool, mode: Mode, is_unix: bool) -> dict[str, str]:
    allowed = [*((*TLS_FILES, "ssl_check_hostname") if tls else ()), *(SENTINEL_KEYS if mode == "sentinel" else ())]
    if is_unix:
        allowed.append("db")
    query = dict(parse_qsl(text, keep_blank_values=True))
    if not query.keys() <= set(allowed):
        raise ValueError(f"expected options of the URL: {', '.join(allowed) or 'none'}")
    return query


def _read_hosts(text: str, mode: Mode) -> tuple[Address, ...]:
    default = SENTINEL_PORT if mode == "sentinel" else DEFAULT_PORT
    hosts = text.split(",")
    if mode == "single" and len(hosts) > 1:
        raise ValueError("expected one host; several are for redis+sentinel:// and redis+cluster://")
    return tuple(_read_host(host, default) for host in hosts)


def _read_host(text: str, default: int) -> Address:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("expected HOST or HOST:PORT, with a port from 1 to 65535") from None
    return host or "localhost", port or default


def _read_path(path: str, mode: Mode) -> tuple[str, str]:
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if mode == "sentinel":
        if not parts[0] or len(parts) > 2:
            raise ValueError("expected redis+sentinel://HOST,…/SERVICE with the name of what the sentinels watch")
        return parts[0], parts[1] if len(parts) == 2 else "0"
    if len(parts) > 1:
        raise ValueError(EXPECTED)
    return "", parts[0] or "0"


def _read_db(text: str, mode: Mode) -> int:
    if not text.isdecimal() or len(text) > 5 or (mode == "cluster" and int(text)):
        raise ValueError("expected the number of a database, and none with a cluster")
    return int(text)

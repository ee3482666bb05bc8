"""`router doctor`: what would go wrong on this machine, said before it does, each with its fix.

Ports are tried by binding them, so a running router shows up as "taken". Nothing is changed and nothing leaves the
machine, except for the Redis that the settings name.
"""

import asyncio
import resource
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal

from router import clock
from router.cluster.store import Store, StoreError, open_store
from router.config import Settings
from router.errors import RouterError
from router.hosts import in_url
from router.listener import bind_port, close_all, describe_bind_error
from router.metrics import Metrics
from router.tables import print_json, print_table

Status = Literal["ok", "warn", "fail"]

EARLIEST_WALL_S: Final = 1_767_225_600  # 2026-01-01: before this software was written
LATEST_WALL_S: Final = 4_102_444_800  # 2100-01-01
MIN_FILES: Final = 4096
BUFFER_OPTIONS: Final = {
    # With asm-generic/socket.h's SO_RCVBUFFORCE and SO_SNDBUFFORCE, which Python does not name.
    "rmem": (socket.SO_RCVBUF, 33),
    "wmem": (socket.SO_SNDBUF, 32),
}
KERNEL_LIMITS: Final = Path("/proc/sys/net/core")


@dataclass(frozen=True, slots=True)
class Finding:
    """One check."""

    name: str
    status: Status
    detail: str
    fix: str = ""


def examine(settings: Settings) -> list[Finding]:
    """All checks, the configuration first. A check that itself breaks is a failure, never a traceback."""
    checks: list[Callable[[Settings], Iterator[Finding]]] = [
        check_configuration,
        check_engine,
        check_srtp,
        check_tcp_ports,
        check_udp_ports,
        check_buffers,
        check_announced,
        check_clock,
        check_files,
        check_redis,
    ]
    findings: list[Finding] = []
    for check in checks:
        try:
            findings += check(settings)
        except (RouterError, OSError, ImportError) as error:
            findings.append(Finding(check.__name__.removeprefix("check_"), "fail", f"{type(error).__name__}: {error}"))
    return findings


def check_configuration(settings: Settings) -> Iterator[Finding]:
    """Would `router serve` accept the settings?"""
    try:
        settings.check_startable()
    except RouterError as error:
        detail, _, fix = str(error).partition(": ")
        yield Finding("configuration", "fail", detail, fix)
    else:
        yield Finding("configuration", "ok", "development" if settings.dev else "complete")


def check_engine(_settings: Settings) -> Iterator[Finding]:
    """Is the engine there, and built for speed?"""
    from router._engine import build_info

    build = build_info()
    text = f"{build['version']} for {build['target']}, {build['profile']}"
    if build["profile"] == "release":
        yield Finding("engine", "ok", text)
    else:
        yield Finding("engine", "warn", text, "a debug engine is slow: make engine, or pip install .")


def check_srtp(_settings: Settings) -> Iterator[Finding]:
    """Does libsrtp give the published answers through the engine?"""
    from router.rtc.srtp import check_binding

    check_binding()
    yield Finding("libsrtp", "ok", "known answers reproduced")


def check_tcp_ports(settings: Settings) -> Iterator[Finding]:
    """Can both HTTP ports be bound?"""
    places = {
        "public": (settings.public_host, settings.public.port),
        "admin": (settings.admin.host, settings.admin.port),
    }
    for key, (host, port) in places.items():
        try:
            close_all(bind_port(host, port, key))
        except RouterError as error:
            yield _fail_to_bind(f"{key} port", str(error))
        else:
            yield Finding(f"{key} port", "ok", f"{in_url(host)}:{port}")


def _fail_to_bind(name: str, error: str) -> Finding:
    """Whoever asks in a container asks beside the router that runs there."""
    detail, _, fix = error.partition("; ")
    running = ", or examine the router that has it: router doctor --remote" if "taken" in detail else ""
    return Finding(name, "fail", detail, fix + running)


def check_udp_ports(settings: Settings) -> Iterator[Finding]:
    """Can the media ports be bound?"""
    from router.rtc.ice import bound_addresses

    media = settings.media
    for address in bound_addresses(media.addresses):
        taken = [text for worker in range(media.worker_count) if (text := _try_udp(address, worker, settings))]
        first, last = media.udp_port, media.udp_port + media.worker_count - 1
        where = f"{address} UDP {first}" + (f"-{last}" if last > first and first else "")
        if taken:
            yield _fail_to_bind("media ports", taken[0])
        else:
            yield Finding("media ports", "ok", where)


def _try_udp(address: str, worker: int, settings: Settings) -> str | None:
    port = settings.media.udp_port + worker if settings.media.udp_port else 0
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, port))
        except OSError as error:
            return describe_bind_error(error, address, port, "media", "udp_port")
    return None


def check_buffers(settings: Settings) -> Iterator[Finding]:
    """Does the kernel grant the buffers that are asked for?"""
    wanted = {"rmem": settings.media.receive_buffer_bytes, "wmem": settings.media.send_buffer_bytes}
    for name, asked in wanted.items():
        granted = _probe_buffer(name, asked)
        title = "receive buffer" if name == "rmem" else "send buffer"
        if granted >= asked:
            yield Finding(title, "ok", f"{granted} bytes granted")
            continue
        limit = _read_limit(f"{name}_max")
        detail = f"{granted} of {asked} bytes granted" + (f", net.core.{name}_max is {limit}" if limit else "")
        yield Finding(title, "warn", detail, f"sysctl -w net.core.{name}_max={asked}")


def _probe_buffer(name: str, asked: int) -> int:
    """What the kernel grants, asked as the engine asks: CAP_NET_ADMIN passes the system's limit."""
    option, force = BUFFER_OPTIONS[name]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, force, asked)
        except PermissionError:
            probe.setsockopt(socket.SOL_SOCKET, option, asked)
        return probe.getsockopt(socket.SOL_SOCKET, option) // 2  # socket(7): the kernel tells the double


def _read_limit(name: str) -> int | None:
    try:
        return int((KERNEL_LIMITS / name).read_text())
    except (OSError, ValueError):
        return None


def check_announced(settings: Settings) -> Iterator[Finding]:
    """Will clients elsewhere be told an address they can reach?"""
    from router.rtc.ice import bound_addresses, host_addresses

    media = settings.media
    announced = list(media.announced_addresses)
    if not announced:
        announced = [
            host for bound in bound_addresses(media.addresses) for host, _ in host_addresses((bound, media.udp_port))
        ]
    kinds = {address: _kind_of(address) for address in announced}
    text = ", ".join(f"{address} ({kind})" for address, kind in kinds.items()) or "none"
    fix = "set ROUTER_MEDIA__ANNOUNCED_ADDRESSES to the address that clients reach"
    if settings.dev or "public" in kinds.values() or media.stun_servers:
        yield Finding("announced address", "ok", text)
    elif "private" in kinds.values():
        yield Finding("announced address", "warn", f"{text}: clients outside of this network cannot reach it", fix)
    else:
        yield Finding("announced address", "fail", f"{text}: no other machine can reach it", fix)


def _kind_of(address: str) -> str:
    parsed = ip_address(address.partition("%")[0])
    if parsed.is_loopback or parsed.is_unspecified:
        return "loopback"
    return "public" if parsed.is_global else "private"


def check_clock(_settings: Settings) -> Iterator[Finding]:
    """Tokens expire by the wall clock, everything else runs on the monotonic one."""
    wall_s, first_us = clock.wall_s(), clock.monotonic_us()
    fix = "set the clock: tokens are refused or never expire with a wrong one (timedatectl set-ntp true)"
    if not EARLIEST_WALL_S <= wall_s <= LATEST_WALL_S:
        yield Finding("clock", "fail", f"the wall clock says {int(wall_s)} s after 1970", fix)
    elif clock.monotonic_us() < first_us:
        yield Finding("clock", "fail", "the monotonic clock went back", "use another kernel clock source")
    else:
        yield Finding("clock", "ok", "plausible")


def check_files(_settings: Settings) -> Iterator[Finding]:
    """Every participant may hold a TCP connection."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= MIN_FILES:
        yield Finding("open files", "ok", "unlimited" if hard == resource.RLIM_INFINITY else f"up to {hard}")
    else:
        yield Finding("open files", "warn", f"up to {hard}", f"raise the limit (ulimit -Hn) to {MIN_FILES} or more")


def check_redis(settings: Settings) -> Iterator[Finding]:
    """Does the configured Redis answer?"""
    if settings.redis.url is None:
        yield Finding("redis", "ok", "not configured, the directory is kept in memory")
        return
    try:
        asyncio.run(_check_store(open_store(settings.redis, Metrics()).store))
    except StoreError as error:
        yield Finding("redis", "fail", str(error), "start it or correct ROUTER_REDIS__URL; calls work without it")
    else:
        yield Finding("redis", "ok", "answers")


async def _check_store(store: Store) -> None:
    try:
        await store.check()
    finally:
        await store.close()


def show_findings(findings: list[Finding], *, as_json: bool) -> None:
    """On stdout."""
    if as_json:
        print_json([asdict(finding) for finding in findings])
        return
    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    rows = ((finding.name, finding.status, finding.detail, finding.fix) for finding in findings)
    print_table(["check", "status", "found", "fix"], rows, styles=[styles[finding.status] for finding in findings])

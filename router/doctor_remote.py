"""`router doctor --remote`: is a running router well, seen from here? Each finding with its fix.

Asked are the admin port (reachable, in time, ready, its store, its counters) and, with a public address, the way that
media takes: a room is opened, its offer fetched, and each candidate in it is sent a connectivity check as a browser
would; the room is closed again. So an announced address or a firewall that is wrong shows without a browser.
"""

import secrets
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import httpx

from router import clock
from router.commands.client import TIMEOUT_S, AdminClient, join_path
from router.commands.errors import EXIT_UNREACHABLE, AdminError
from router.doctor import Finding
from router.errors import RouterError

if TYPE_CHECKING:
    from router.rtc.description import RTCCandidate

MAX_SKEW_S: Final = 5.0
"""Of both clocks; tokens get a leeway of 10 s."""
SLOW_S: Final = 0.5
FULL: Final = 0.9
FEW_FILES: Final = 0.8
"""Share of the file limit in use."""


def examine_remote(client: AdminClient, public_url: str | None) -> list[Finding]:
    """All checks; those after one that finds nobody are left out."""
    findings: list[Finding] = []
    checks: list[Callable[[AdminClient], Iterator[Finding]]] = [check_admin_port, check_ready, check_counters]
    for check in checks:
        try:
            findings += check(client)
        except AdminError as error:
            findings.append(_describe_failure(check.__name__.removeprefix("check_"), error))
            if error.exit_code == EXIT_UNREACHABLE:
                return findings
    if public_url is not None:
        findings += check_media(client, public_url.rstrip("/"))
    return findings


def check_admin_port(client: AdminClient) -> Iterator[Finding]:
    """Does the admin port answer, soon, with our token, and by the same clock?"""
    sent_s = clock.wall_s()
    reply = client.send("GET", "/v1/rooms", parameters={"limit": 1})
    took_s = clock.wall_s() - sent_s
    text = f"{client.url} answers within {took_s * 1000:.0f} ms"
    if took_s > SLOW_S:
        yield Finding(
            "admin port", "warn", text, "the event loop or the network is slow: see sfu_event_loop_lag_seconds"
        )
    else:
        yield Finding("admin port", "ok", text)
    yield from _check_skew(reply, sent_s + took_s / 2)


def _check_skew(reply: httpx.Response, now_s: float) -> Iterator[Finding]:
    try:
        theirs_s = parsedate_to_datetime(reply.headers["date"]).timestamp() + 0.5  # whole seconds: the middle of one
    except (KeyError, ValueError):
        yield Finding("clock skew", "warn", "the router does not tell its time", "compare its clock with yours")
        return
    skew_s = theirs_s - now_s
    text = f"its clock is {abs(skew_s):.1f} s {'ahead' if skew_s > 0 else 'behind'}"
    if abs(skew_s) > MAX_SKEW_S:
        yield Finding("clock skew", "fail", text, "set both clocks (NTP): tokens are refused early or live too long")
    else:
        yield Finding("clock skew", "ok", text)


def check_ready(client: AdminClient) -> Iterator[Finding]:
    """Could somebody join, and does the store answer?"""
    reply = client.send("GET", "/readyz", accept=(503,))
    state = client.parse(reply)
    checks = state.get("checks") or {}
    failed = [name for name, holds in checks.items() if not holds]
    if failed:
        fix = "it is being taken out of service" if failed == ["not-draining"] else "see the log of the router"
        yield Finding("ready", "warn" if failed == ["not-draining"] else "fail", f"failed: {', '.join(failed)}", fix)
    else:
        yield Finding("ready", "ok", ", ".join(checks))
    store = state.get("store") or {}
    if store.get("up", True):
        yield Finding("store", "ok", f"{store.get('kind', '?')} answers")
    else:
        fix = "calls go on without it; start it, or correct ROUTER_REDIS__URL there"
        yield Finding("store", "fail", f"{store.get('kind', '?')} does not answer", fix)


def check_counters(client: AdminClient) -> Iterator[Finding]:
    """What the router has counted since it started."""
    samples = read_samples(client.read_text("/metrics"))
    fix = "raise net.core.rmem_max there and media.receive_buffer_bytes"
    yield _check_zero("socket drops", samples.get("sfu_kernel_drops_total", 0.0), "datagrams lost on full buffers", fix)
    fix = "the event loop was held up: see sfu_event_loop_delay_seconds"
    dropped = samples.get("sfu_engine_events_dropped_total", 0.0)
    yield _check_zero("engine events", dropped, "events lost on their way to Python", fix)
    used, most = samples.get("process_open_fds", 0.0), samples.get("process_max_fds", 0.0)
    text = f"{used:.0f} of {most:.0f} in use"
    if most and used > FEW_FILES * most:
        yield Finding("open files", "warn", text, "raise the limit of open files (LimitNOFILE, ulimit -Hn)")
    elif most:
        yield Finding("open files", "ok", text)


def _check_zero(name: str, count: float, what: str, fix: str) -> Finding:
    text = f"{count:.0f} {what} since its start"
    return Finding(name, "warn", text, fix) if count else Finding(name, "ok", text)


def read_samples(text: str) -> dict[str, float]:
    """Metrics by name, added up over their labels.

    >>> read_samples('# TYPE a counter\\na{worker="0"} 1\\na{worker="1"} 2')
    {'a': 3.0}
    """
    samples: dict[str, float] = {}
    for line in text.splitlines():
        head, _, value = line.rpartition(" ")
        name = head.partition("{")[0]
        if name and not line.startswith("#"):
            samples[name] = samples.get(name, 0.0) + float(value)
    return samples


def check_media(client: AdminClient, public_url: str) -> Iterator[Finding]:
    """Is the public port there, and do packets reach the media ports that it offers?"""
    room = f"doctor-{secrets.token_hex(6)}"
    try:
        client.change("POST", "/v1/rooms", {"name": room, "empty_timeout_s": 10})
    except AdminError as error:
        yield _describe_failure("media path", error)
        return
    try:
        yield from _check_offer(client, public_url, room)
    finally:
        client.change("DELETE", join_path("rooms", room))


def _check_offer(client: AdminClient, public_url: str, room: str) -> Iterator[Finding]:
    from router.rtc import sdp

    fix = "give its public address as --public-url; behind a proxy, /rooms must reach this router"
    try:
        reply = httpx.get(f"{public_url}/rooms/{room}/offer", timeout=TIMEOUT_S, trust_env=False, verify=client.trust)
        reply.raise_for_status()
        offer = sdp.parse(reply.text)
    except (httpx.HTTPError, httpx.InvalidURL, RouterError) as error:
        yield Finding("public port", "fail", f"{public_url}: {error}", fix)
        return
    yield Finding("public port", "ok", f"{public_url} has the room's offer")
    for candidate in offer.candidates:
        yield _check_candidate(candidate, offer.ufrag, offer.password)


def _check_candidate(candidate: "RTCCandidate", ufrag: str, password: str) -> Finding:
    from router.rtc.path_check import check_path

    where = f"{candidate.address} UDP {candidate.port}"
    round_trip_s = check_path((candidate.address, candidate.port), ufrag, password)
    if round_trip_s is None:
        fix = "open the port in firewalls, or correct ROUTER_MEDIA__ANNOUNCED_ADDRESSES there"
        return Finding("media path", "fail", f"{where}: no answer to a connectivity check from here", fix)
    return Finding("media path", "ok", f"{where}: answers within {round_trip_s * 1000:.1f} ms")


def _describe_failure(name: str, error: AdminError) -> Finding:
    return Finding(name.replace("_", " "), "fail", str(error))

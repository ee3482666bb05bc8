"""How many requests one source address may make: a token bucket each, in a table of bounded size.

RFC 9725 section 5 asks for a limit on POST, PATCH and DELETE. An IPv6 client owns at least a /64, so that is its
address.
"""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from router import clock
from router.errors import RateLimitedError

MAX_ADDRESSES = 10_000
"""Addresses remembered; the one unseen for longest is forgotten first."""


def normalise_address(host: str) -> str:
    """The part of an address that one client owns.

    >>> normalise_address("2001:db8:1:2:3::4"), normalise_address("::ffff:192.0.2.1")
    ('2001:db8:1:2::', '192.0.2.1')
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host[:64]
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64))


class RateLimiter:
    """Token buckets by address."""

    def __init__(self, rate_per_s: float, burst: int, *, now_us: Callable[[], int] = clock.monotonic_us) -> None:
        self._rate_per_s = rate_per_s
        self._burst = float(burst)
        self._now_us = now_us
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, host: str) -> None:
        """Counts one request, or raises `RateLimitedError`."""
        if not self._rate_per_s:
            return
        address, now = normalise_address(host), self._now_us()
        tokens, then = self._buckets.get(address, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate_per_s / 1e6)
        allowed = tokens >= 1.0
        self._buckets[address] = (tokens - 1.0 if allowed else tokens, now)
        self._buckets.move_to_end(address)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        if not allowed:
            wait_s = max(1, round((1.0 - tokens) / self._rate_per_s))
            raise RateLimitedError("too many requests from this address", retry_after_s=wait_s)

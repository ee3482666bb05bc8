"""Connections of webhooks: names are resolved here, every address is checked, and the checked address is connected to.

Checking the name first and letting the library resolve it again would be open to DNS rebinding: the second answer may
be another. So the pool of `httpcore` is given this network backend, which sees every connection, at connect time. TLS
still verifies the name of the URL. There are no Unix sockets; nothing follows redirects or reads proxy variables.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import httpcore

from router.events.addresses import AddressPolicy

if TYPE_CHECKING:
    from httpcore import SOCKET_OPTION

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Addresses of a name, in the order to try."""


class ForbiddenAddressError(Exception):
    """The name leads to where no webhook may go."""


async def resolve(host: str, port: int) -> list[str]:
    """The system's resolver; also takes the odd spellings of IPv4 addresses, which are checked like all others."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to allowed addresses only."""

    def __init__(
        self, policy: AddressPolicy, *, resolve: Resolve = resolve, inner: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        self._policy = policy
        self._resolve = resolve
        self._inner = inner or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: "Iterable[SOCKET_OPTION] | None" = None,
    ) -> httpcore.AsyncNetworkStream:
        """To the first address that answers, if all that the name has are allowed."""
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name does not resolve") from error
        if not self._policy.allows_all(addresses):
            raise ForbiddenAddressError("the name leads to an address that is not allowed")
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError("no address")

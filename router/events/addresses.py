"""Which addresses a webhook may be sent to (threats-and-faults.md H14).

Only what is globally reachable by the IANA registries (RFC 6890), unless a setting names its network: a receiver within
the cluster is common. IPv4 addresses that hide in IPv6 ones are judged by themselves. Services that hand credentials to
whoever asks from inside a cloud are refused in any case.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

METADATA_SERVICES: Final = frozenset(
    ip_address(text)
    for text in (
        *("169.254.169.254", "169.254.170.2", "fd00:ec2::254"),  # AWS, GCP, Azure and others
        *("168.63.129.16", "100.100.100.200", "192.0.0.192"),  # Azure, Alibaba, Oracle: the first is a global address
    )
)
NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
"""RFC 6052 and RFC 8215: the last 32 bits are an IPv4 address."""
IPV4_COMPATIBLE: Final = IPv6Network("::/96")


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What a connection may be made to.

    >>> AddressPolicy().allows("127.0.0.1"), AddressPolicy().allows("8.8.8.8")
    (False, True)
    """

    allowed: tuple[Network, ...] = ()
    """Networks that are allowed though they are not globally reachable."""

    def allows(self, text: str) -> bool:
        """Whether to connect to this address, as the resolver gave it."""
        try:
            address = ip_address(text)
        except ValueError:
            return False
        return all(self._allows(form) for form in _forms(address))

    def allows_all(self, texts: Sequence[str]) -> bool:
        """Whether a name that resolves to these is harmless: one bad address is enough to refuse it."""
        return bool(texts) and all(map(self.allows, texts))

    def _allows(self, address: Address) -> bool:
        if address in METADATA_SERVICES:
            return False
        if any(address in network for network in self.allowed):
            return True
        return address.is_global and not (address.is_multicast or address.is_reserved or _is_special(address))


def _forms(address: Address) -> Iterable[Address]:
    """The addresses that packets may end at: the IPv4 one where it is wrapped, both where a relay may unwrap it."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    if address.teredo is not None:
        return (address, *address.teredo)
    if any(address in network for network in NAT64):
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    return (address,)


def _is_special(address: Address) -> bool:
    """What some versions of the library call global and should not."""
    if isinstance(address, IPv6Address):
        return address.is_site_local or address in IPV4_COMPATIBLE or address.scope_id is not None
    return address.is_unspecified or address.is_link_local

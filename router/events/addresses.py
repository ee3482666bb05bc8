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
        *("169.254.169.254", "fe80::a9fe:a9fe", "fd20:ce::254"),  # AWS, GCP, Azure and others, OpenStack, GCP
        *("169.254.170.2", "169.254.170.23", "fd00:ec2::23", "fd00:ec2::254"),  # AWS: tasks, pods, machines
        *("168.63.129.16", "100.100.100.200", "192.0.0.192"),  # Azure, Alibaba, Oracle: the first is a global address
        *("169.254.0.23", "169.254.42.42", "fd00:42::42"),  # Tencent, Scaleway
    )
)
NAT64: Final = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address."""
LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")
"""RFC 8215: a network's own translation. Where in it the IPv4 address stands is the network's choice."""
NOT_GLOBAL: Final[tuple[Network, ...]] = (
    IPv6Network("fec0::/10"),  # site-local, RFC 3879
    IPv6Network("3fff::/20"),  # documentation, RFC 9637
    IPv4Network("192.0.0.0/24"),  # protocol assignments, RFC 6890
)
"""What some versions of the library call global, and should not."""


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
        special = address.is_multicast or address.is_reserved or any(address in network for network in NOT_GLOBAL)
        return address.is_global and not special


def _forms(address: Address) -> Iterable[Address]:
    """The addresses that packets may end at: the IPv4 one where it is wrapped, both where a relay may unwrap it."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    if address.scope_id is not None:
        return (address, IPv6Address(int(address)))
    last = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in NAT64:
        return (last,)
    return (address, last) if address in LOCAL_NAT64 else (address,)

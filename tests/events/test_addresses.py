"""Where webhooks may go, and every spelling of where they may not."""

from ipaddress import ip_network

import pytest

from router.events.addresses import AddressPolicy

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
FORBIDDEN = [
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::10.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b:1:a9fe:a9:fe00:808:808",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::",
    "2001:0:a00:1::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fd00:ec2::254",
    "fc00::1",
    "224.0.0.1",
    "ff02::1",
    "ff0e::1",
    "255.255.255.255",
    "240.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "203.0.113.1",
    "2001:db8::1",
    "3fff::1",
    "4000::1",
    "192.0.0.8",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "not an address",
    "",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert AddressPolicy().allows(address)


@pytest.mark.parametrize("address", FORBIDDEN)
def test_all_others_are_refused(address: str) -> None:
    assert not AddressPolicy().allows(address)


def test_a_setting_allows_networks_but_no_metadata_service() -> None:
    policy = AddressPolicy((ip_network("10.0.0.0/8"), ip_network("169.254.0.0/16"), ip_network("fd00::/8")))
    assert policy.allows("10.1.2.3")
    assert policy.allows("::ffff:10.1.2.3")
    assert policy.allows("fd12::1")
    assert not policy.allows("192.168.1.1")
    assert AddressPolicy((ip_network("64:ff9b:1::/48"), ip_network("10.0.0.0/8"))).allows("64:ff9b:1::10.0.0.1")
    services = ["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b:1::169.254.169.254", "fd00:ec2::254"]
    for service in (
        *services,
        "fd20:ce::254",
        "fe80::a9fe:a9fe",
        "fe80::a9fe:a9fe%eth0",
        "169.254.170.23",
        "fd00:ec2::23",
        "168.63.129.16",
    ):
        assert not policy.allows(service)
        assert not AddressPolicy((ip_network("0.0.0.0/0"), ip_network("::/0"))).allows(service)


def test_one_bad_address_is_enough() -> None:
    assert AddressPolicy().allows_all(["8.8.8.8", "1.1.1.1"])
    assert not AddressPolicy().allows_all(["8.8.8.8", "10.0.0.1"])
    assert not AddressPolicy().allows_all([])

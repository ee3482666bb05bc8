"""Addresses to listen on, as settings write them: `*` is every address of this machine, of IPv4 and of IPv6."""

from typing import Final

ALL: Final = "*"
SAME_MACHINE: Final = {ALL: "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared only


def in_url(host: str) -> str:
    """As URLs and logs write it (RFC 3986 section 3.2.2).

    >>> in_url("::1"), in_url("meet.example.org")
    ('[::1]', 'meet.example.org')
    """
    return f"[{host}]" if ":" in host else host


def from_same_machine(host: str) -> str:
    """Where who is on this machine reaches a server that listens there."""
    return SAME_MACHINE.get(host, host)

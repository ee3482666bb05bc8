"""What a transport has seen of its peer's ICE and DTLS, for whoever has to find out why a call does not come about.

Plain counters and times, kept while the peer lives: what the engine sees of a peer is in its statistics.
"""

from dataclasses import dataclass, field
from typing import Literal

from router.rtc.constraints import SrtpProfile
from router.rtc.ice import Address

FingerprintState = Literal["unknown", "match", "mismatch"]
RefusedCheck = Literal["bad-integrity", "foreign-peer", "role-conflict"]


@dataclass(slots=True)
class Observations:
    """Of one peer. Times are of the monotonic clock."""

    opened_us: int
    """When the fork was made."""
    checks: int = 0
    """Authentic checks that Python answered: the first one of each address."""
    refused: dict[RefusedCheck, int] = field(default_factory=dict)
    """Checks for this fork that were not acted upon; at most one entry for each reason."""
    last_check_us: int | None = None
    """Of any check for this fork that Python saw."""
    last_check_from: Address | None = None
    selected_us: int | None = None
    """When a pair was selected first."""
    dtls_received: int = 0
    """Datagrams."""
    dtls_sent: int = 0
    dtls_began_us: int | None = None
    dtls_done_us: int | None = None
    fingerprint: FingerprintState = "unknown"
    profile: SrtpProfile | None = None
    """Of SRTP, once it is keyed."""

    def note_check(self, source: Address, now_us: int, refused: RefusedCheck | None = None) -> None:
        """A check that names this fork came."""
        self.last_check_us, self.last_check_from = now_us, source
        if refused is None:
            self.checks += 1
        else:
            self.refused[refused] = self.refused.get(refused, 0) + 1

    def note_selected(self, now_us: int) -> None:
        """A pair was selected."""
        self.selected_us = self.selected_us or now_us

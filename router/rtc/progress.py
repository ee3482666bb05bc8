"""How far a peer has come on its way to media, and where it stopped: ICE (RFC 8445), DTLS (RFC 6347), its keys.

Plain counters and times, kept while the peer lives, for whoever has to find out why a call does not come about. What
the engine sees of a peer is in its statistics.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from router.metrics import HandshakeResult
from router.rtc.constraints import SrtpProfile
from router.rtc.ice import Address

Stage = Literal["ice", "dtls"]
FingerprintState = Literal["unknown", "match", "mismatch"]
RefusedCheck = Literal["bad-integrity", "foreign-peer", "role-conflict"]


@dataclass(slots=True)
class TransportProgress:
    """When each step was reached first, in microseconds of `router.clock`, and what came meanwhile."""

    opened_us: int = 0
    """The fork was made."""
    checked_us: int | None = None
    """An authentic check came."""
    selected_us: int | None = None
    """A pair was nominated, and proven to work both ways."""
    hello_us: int | None = None
    """The first DTLS record came, or was sent."""
    keyed_us: int | None = None
    """The fingerprint was verified: media can flow."""
    handshake: HandshakeResult | None = None
    checks: int = 0
    """Authentic checks that Python answered: the first one of each address."""
    refused: Mapping[RefusedCheck, int] | None = None
    """Checks for this fork that were not acted upon, by reason."""
    last_check_us: int | None = None
    """Of any check for this fork that Python saw."""
    last_check_from: Address | None = None
    dtls_received: int = 0
    """Datagrams."""
    dtls_sent: int = 0
    dtls_done_us: int | None = None
    """The handshake ended."""
    fingerprint: FingerprintState = "unknown"
    profile: SrtpProfile | None = None
    """Of SRTP, once it is keyed."""

    def note_check(self, source: Address, now_us: int, refused: RefusedCheck | None = None) -> None:
        """A check that names this fork came."""
        self.last_check_us, self.last_check_from = now_us, source
        if refused is None:
            self.checks += 1
        else:
            counts = self.refused or {}
            self.refused = {**counts, refused: counts.get(refused, 0) + 1}

    def fault(self) -> tuple[Stage, str]:
        """Where a peer stopped that never came to media, as slugs.

        >>> TransportProgress().fault(), TransportProgress(checked_us=1, selected_us=2).fault()
        (('ice', 'no-check'), ('dtls', 'no-hello'))
        """
        if self.checked_us is None:
            return "ice", "no-check"
        if self.hello_us is None:
            return ("ice", "no-pair") if self.selected_us is None else ("dtls", "no-hello")
        if self.handshake == "ok":
            # The handshake was, but the description that names its fingerprint never came.
            return "dtls", "no-keys"
        return "dtls", self.handshake or "unfinished"

"""How far a peer has come on its way to media, and where it stopped: ICE (RFC 8445), DTLS (RFC 6347), its keys."""

from dataclasses import dataclass
from typing import Literal

from router.metrics import HandshakeResult

Stage = Literal["ice", "dtls"]


@dataclass(slots=True)
class TransportProgress:
    """When each step was reached first, in microseconds of `router.clock`."""

    checked_us: int | None = None
    """An authentic check came."""
    selected_us: int | None = None
    """A pair was nominated, and proven to work both ways."""
    hello_us: int | None = None
    """The first DTLS record came, or was sent."""
    keyed_us: int | None = None
    """The fingerprint was verified: media can flow."""
    handshake: HandshakeResult | None = None

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

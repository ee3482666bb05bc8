"""Who receives the engine's events: `MediaEngine` calls these by the id that they registered for.

`engine.register_socket(id, handler)`, `register_transport`, `register_producer`, `register_speakers`, and for all but
transports `unregister_…(id)`. Events of ids nobody registered for are dropped. A transport is unregistered by the
engine object itself, at `TransportRemoved`, when it also lets go of the SRTP sessions that `set_srtp` gave it.
"""

from typing import Protocol

from router._engine import SpeakersChanged
from router.rtc.ice import Address


class SocketHandler(Protocol):
    """A socket."""

    def on_stun(self, source: Address, data: bytes) -> None:
        """A STUN message that the engine cannot settle; not authenticated."""


class TransportHandler(Protocol):
    """A fork."""

    def on_dtls(self, socket: int, source: Address, datagrams: list[bytes]) -> None:
        """Datagrams of the DTLS range that came one after another from one of its tuples."""

    def on_pair_selected(self, socket: int, address: Address) -> None:
        """Media goes there from now on."""

    def on_first_frame(self, waited_s: float) -> None:
        """The first key frame left for it, so long after it was to."""

    def on_transport_lost(self, reason: str) -> None:
        """The engine gave it up."""


class ProducerHandler(Protocol):
    """A published track."""

    def on_encoding_active(self, encoding: int, ssrc: int) -> None:
        """The first authenticated packet of one encoding."""

    def on_encodings_wanted(self, encodings: list[int]) -> None:
        """Its publisher, who follows that, need not send the others."""

    def on_producer_silent(self, reason: str) -> None:
        """All encodings fell silent."""

    def on_contributors(self, sources: list[tuple[int, int | None]]) -> None:
        """The received CSRCs changed; with levels in -dBov."""


class SpeakersHandler(Protocol):
    """A speaker group."""

    def on_speakers_changed(self, event: SpeakersChanged) -> None:
        """Who speaks, as producers."""

"""When each step of one join was reached: what logs, metrics and traces tell of it.

The request's part is kept in a context variable while the request runs, so that an application which calls
`Room.join` itself need not know of it: such a join begins when it is called.
"""

from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field

from router import clock
from router.rtc.progress import TransportProgress

JoinStep = tuple[str, int, int]
"""Name, begin and end in microseconds of `router.clock`."""


@dataclass(slots=True)
class JoinTimes:
    """Of one join, in microseconds of `router.clock`; None: never reached."""

    requested_us: int = field(default_factory=clock.monotonic_us)
    admitted_us: int | None = None
    """The token was verified, the body is here."""
    parsed_us: int | None = None
    """The description is understood."""
    entered_us: int | None = None
    """The fork exists, is negotiated, and its session is in the room."""
    connected_us: int | None = None
    """Media can flow, both ways."""
    packet_us: int | None = None
    """The first packet of a published track came, or the first key frame left."""
    failure: tuple[str, str] | None = None
    """Stage and reason."""

    def steps(self, progress: TransportProgress | None = None) -> Iterator[JoinStep]:
        """Those that were completed. ICE and DTLS may begin before the request does, and overlap with it."""
        peer = progress or TransportProgress()
        joined = self.entered_us
        for name, begun, ended in (
            ("admission", self.requested_us, self.admitted_us),
            ("sdp", self.admitted_us, self.parsed_us),
            ("fork", self.parsed_us, joined),
            ("ice", _earlier(joined, peer.checked_us), peer.selected_us),
            ("dtls", peer.hello_us, peer.keyed_us),
            ("first packet", self.connected_us, self.packet_us),
        ):
            if begun is not None and ended is not None and ended >= begun:
                yield name, begun, ended


def _earlier(one: int | None, other: int | None) -> int | None:
    known = [time for time in (one, other) if time is not None]
    return min(known) if known else None


current_join: ContextVar[JoinTimes | None] = ContextVar("current_join", default=None)
"""Of the request that is being served."""


def begin_join() -> JoinTimes:
    """What is known of the join that a session belongs to."""
    return current_join.get() or JoinTimes()

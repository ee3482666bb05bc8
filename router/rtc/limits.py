"""Which constraints apply: those of a connection, and those set on single streams and tracks in it.

The strictest of connection, stream and track counts. Constraints of streams and tracks are kept as long as these are
alive, which belong to other connections when they are being sent.
"""

from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary

from router.errors import ConfigError
from router.rtc.constraints import SRTP_PROFILES, UNCONSTRAINED, ConstraintDirection, RTCConstraints, SrtpProfile
from router.rtc.stream import RTCMediaStream, RTCMediaStreamTrack

Constraints = RTCConstraints | Mapping[ConstraintDirection, RTCConstraints]
Target = RTCMediaStream | RTCMediaStreamTrack


class Limits:
    """The constraints of one connection."""

    __slots__ = ("_targets", "whole")

    def __init__(self, constraints: Constraints | None = None) -> None:
        if constraints is None or isinstance(constraints, RTCConstraints):
            constraints = dict.fromkeys(("send", "receive"), constraints or UNCONSTRAINED)
        self.whole: dict[ConstraintDirection, RTCConstraints] = {
            "send": constraints.get("send", UNCONSTRAINED),
            "receive": constraints.get("receive", UNCONSTRAINED),
        }
        """Those of the connection."""
        self._targets: WeakKeyDictionary[Target, dict[ConstraintDirection, RTCConstraints]] | None = None

    def get(self, direction: ConstraintDirection, target: Target | None) -> RTCConstraints:
        """Those set on the connection or the target."""
        if target is None:
            return self.whole[direction]
        found = self._targets.get(target, {}) if self._targets is not None else {}
        return found.get(direction, UNCONSTRAINED)

    def set(self, constraints: RTCConstraints, direction: ConstraintDirection, target: Target | None) -> None:
        """Replaces them."""
        if direction not in ("send", "receive"):
            raise ConfigError(f"direction: expected send or receive, got {direction!r}")
        if target is None:
            self.whole[direction] = constraints
            return
        if self._targets is None:
            self._targets = WeakKeyDictionary()
        self._targets.setdefault(target, {})[direction] = constraints

    def of_track(self, direction: ConstraintDirection, track: RTCMediaStreamTrack) -> RTCConstraints:
        """All that applies to one track."""
        own = self.get(direction, track.stream).stricter(self.get(direction, track))
        return self.whole[direction].stricter(own)

    def srtp_profiles(self) -> tuple[SrtpProfile, ...]:
        """What both directions allow."""
        limited = [limit for limit in self.whole.values() if limit.srtp_profiles is not None]
        if not limited:
            return SRTP_PROFILES
        both = self.whole["receive"].stricter(self.whole["send"])
        assert both.srtp_profiles is not None, "the stricter of a limit and none is the limit"
        return both.srtp_profiles

    def receive_bitrate_bps(self, tracks: Iterable[RTCMediaStreamTrack]) -> int | None:
        """One figure for the peer: our feedback (REMB) is per transport, so the limits of all tracks are summed."""
        whole = self.whole["receive"].max_bitrate_bps
        parts = [self._share_bps(track) for track in tracks]
        known = [part for part in parts if part is not None]
        if not parts or len(known) < len(parts):
            return whole
        return sum(known) if whole is None else min(sum(known), whole)

    def _share_bps(self, track: RTCMediaStreamTrack) -> int | None:
        own = self.get("receive", track).max_bitrate_bps
        stream = self.get("receive", track.stream).max_bitrate_bps
        share = None if stream is None else max(1, stream // len(track.stream.tracks))
        return min((limit for limit in (own, share) if limit is not None), default=None)

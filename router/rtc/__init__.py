"""The seed's objects: connections that fork, sockets they share, streams, tracks, slots, constraints and events."""

from router.rtc.constraints import RTCConstraints

__all__ = ["RTCConstraints"]

"""The public port: signalling over HTTP and WebSocket. Knows `router.rooms` below; carries no media."""

from router.signaling.app import create_public_app
from router.signaling.state import IceServer, PublicState, SignalingSettings

__all__ = ["IceServer", "PublicState", "SignalingSettings", "create_public_app"]

"""WHIP endpoint, RFC 9725: `POST /whip/{room}` publishes at most one track per kind."""

from router.signaling.resources import EndpointResource


class WhipEndpoint(EndpointResource):
    """One publisher per identity and room; the answer is `recvonly`."""

    endpoint = "whip"

"""A small server as a user of aiortc would write it: an offer POSTed to /whip/{room} or /whep/{room}, a MediaRelay.

    python -m loadtest.servers.media_relay_server PORT

aiortc decodes what it receives, and MediaRelay hands the decoded frames to a sender for each receiver, which encodes
them again. One process, asyncio, aiortc's defaults but for its STUN server.
Left out: rights, trickled candidates, publishers that come later.
"""

import sys
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

import uvicorn
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HOST = "127.0.0.1"


@dataclass
class Relay:
    """All rooms of the process."""

    relay: MediaRelay = field(default_factory=MediaRelay)
    tracks: dict[str, list[MediaStreamTrack]] = field(default_factory=dict)
    """Published ones by room."""
    connections: dict[str, RTCPeerConnection] = field(default_factory=dict)

    async def publish(self, request: Request) -> Response:
        """WHIP: keeps the tracks that arrive."""
        connection = _make_connection()
        tracks = self.tracks.setdefault(request.path_params["room"], [])
        connection.on("track", tracks.append)
        return await self._answer(connection, await _offer_of(request), ())

    async def watch(self, request: Request) -> Response:
        """WHEP: sends a copy of the room's tracks, as many of each kind as the offer has lines."""
        offer = await _offer_of(request)
        wanted = {kind: offer.sdp.count(f"m={kind} ") for kind in ("audio", "video")}
        tracks = self.tracks.get(request.path_params["room"], ())
        chosen = [track for kind, count in wanted.items() for track in _first(tracks, kind, count)]
        return await self._answer(_make_connection(), offer, chosen)

    async def end(self, request: Request) -> Response:
        """DELETE of a session."""
        connection = self.connections.pop(request.path_params["session"], None)
        if connection is None:
            return Response(status_code=404)
        await connection.close()
        return Response()

    async def _answer(
        self, connection: RTCPeerConnection, offer: RTCSessionDescription, tracks: Iterable[MediaStreamTrack]
    ) -> Response:
        await connection.setRemoteDescription(offer)
        for track in tracks:
            connection.addTrack(self.relay.subscribe(track))
        await connection.setLocalDescription(await connection.createAnswer())
        session = uuid.uuid4().hex
        self.connections[session] = connection
        headers = {"Location": f"/session/{session}"}
        return Response(connection.localDescription.sdp, 201, headers, "application/sdp")


def _make_connection() -> RTCPeerConnection:
    # aiortc's default asks a STUN server on the internet, whose name takes seconds not to resolve where there is none.
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def _offer_of(request: Request) -> RTCSessionDescription:
    return RTCSessionDescription((await request.body()).decode(), "offer")


def _first(tracks: Iterable[MediaStreamTrack], kind: str, count: int) -> list[MediaStreamTrack]:
    return [track for track in tracks if track.kind == kind][:count]


def main() -> None:
    """Serves until it is ended."""
    relay = Relay()
    routes = [
        Route("/whip/{room}", relay.publish, methods=["POST"]),
        Route("/whep/{room}", relay.watch, methods=["POST"]),
        Route("/session/{session}", relay.end, methods=["DELETE"]),
    ]
    uvicorn.run(Starlette(routes=routes), host=HOST, port=int(sys.argv[1]), log_level="error")


if __name__ == "__main__":
    main()

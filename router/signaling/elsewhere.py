"""Sends clients to the node that has their room or can claim it, or away from one that drains (RFC 9725 section 4.5:
307 on POST).

A client that reads problem documents and says so (`Accept: application/problem+json`, as client.js does) is told 503
with the member `node_url` instead: a browser that follows a redirect to another origin leaves the token behind. Where
the node's public URL is not known, or is our own because a load balancer stands in front of all, it is 503 with
Retry-After. Sessions stay where they are, so PATCH and DELETE are never redirected.
"""

from typing import Final, cast
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from router.cluster.peers import NOWHERE, Peers
from router.errors import ElsewhereError
from router.problems import MEDIA_TYPE, write_problem
from router.rooms.names import check_room_name
from router.rooms.registry import RoomRegistry, choose_retry_s
from router.rooms.remembered import RememberedRoom

RETRY_OWNER_S: Final = 1
QUERY_CHARACTERS: Final = "!$%&'()*+,-./:;=?@_~"
"""What may stand in a query as it is (RFC 3986 section 3.4)."""


async def check_place(registry: RoomRegistry, peers: Peers | None, room: str) -> RememberedRoom | None:
    """Raises `ElsewhereError` unless the room is open here, or may be opened here as far as is known. Then this is what
    it was, if its node died with it."""
    if check_room_name(room) in registry.rooms:
        return None
    place = await peers.find_place(room) if peers is not None else NOWHERE
    there = place.owner or place.opener
    if there is not None and peers is not None:
        url = there.public_url if peers.may_send_to(there) else None
        why = "another node has the room" if place.owner else "another node opens rooms: this one is cut off from them"
        raise ElsewhereError(why, node_url=url, retry_after_s=RETRY_OWNER_S)
    if registry.draining:
        other = await peers.choose_serving() if peers is not None else None
        url = other.public_url if other is not None else None
        raise ElsewhereError("the router is draining", slug="draining", node_url=url, retry_after_s=choose_retry_s())
    return place.remembered


async def on_elsewhere(request: Request, error: Exception) -> Response:
    """Exception handler for `ElsewhereError`."""
    known = cast(ElsewhereError, error)
    if known.node_url is None:
        return write_problem(known)
    if MEDIA_TYPE in request.headers.get("accept", ""):
        return write_problem(known, members={"node_url": known.node_url})
    path, query = quote(request.scope["path"]), quote(request.scope["query_string"], safe=QUERY_CHARACTERS)
    location = known.node_url.rstrip("/") + path + ("?" + query if query else "")
    return write_problem(known, {"Location": location}, status=307)

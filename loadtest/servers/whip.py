"""Any server that takes WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep), by its URLs; it is not started by us.

    whip:http://127.0.0.1:8889/{room}/whip,http://127.0.0.1:8889/{room}/whep
    whip:http://127.0.0.1:8080/whip/{room},http://127.0.0.1:8080/whep/{room},token=…,pid=1234

`{room}` is the room's name and `{participant}` that of who publishes or subscribes; most servers have one publisher a
path, and with them only fan-out from one works. The client offers, with a receiving m-line for each wanted track.
`token` is sent as bearer token; of two the first publishes and the second subscribes. `pid`, which may be repeated,
names the processes whose time and memory count; without it only packets and delays are measured. A server that answers
with an offer of its own (406) is not supported.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from loadtest.client import Client, Line, Track
from loadtest.http import Reply, request
from loadtest.servers import Plan, Unavailable, Wanted

ROOM = "load"
HTTP_PORT = 80
REACH_TIMEOUT_S = 5.0
STREAM_POLLS, STREAM_POLL_S = 25, 0.2
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What the specification after `whip:` says."""

    whip: str
    whep: str
    tokens: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Endpoints":
        """Raises ValueError when it is not two URLs and options."""
        urls = [part for part in text.split(",") if part.startswith("http://")]
        options = [part.partition("=") for part in text.split(",") if not part.startswith("http://")]
        unknown = [name for name, _, _ in options if name not in ("token", "pid")]
        if len(urls) != 2 or unknown:
            raise ValueError(f"expected http://WHIP,http://WHEP[,token=…][,pid=…], not {text!r}")
        tokens = tuple(value for name, _, value in options if name == "token")
        return cls(urls[0], urls[1], tokens, tuple(int(value) for name, _, value in options if name == "pid"))


class Whip:
    """A running server, found by its endpoints."""

    version = "unknown"

    def __init__(self, specification: str) -> None:
        self._endpoints = Endpoints.parse(specification)
        self.name = f"whip {urlsplit(self._endpoints.whip).netloc}"
        self.client_host = ""
        self._sessions: dict[str, list[tuple[str, str]]] = {}

    @property
    def pids(self) -> Sequence[int]:
        """Those that were named."""
        return self._endpoints.pids

    async def start(self, plan: Plan) -> None:
        """Only looks whether it is there."""
        try:
            async with asyncio.timeout(REACH_TIMEOUT_S):
                _, writer = await asyncio.open_connection(*_address(self._endpoints.whip))
        except OSError as error:
            raise Unavailable(f"nobody listens at {self._endpoints.whip}: {error}") from error
        self.client_host = writer.get_extra_info("sockname")[0]
        writer.close()

    async def publish(self, client: Client, participant: str, tracks: Sequence[Track]) -> None:
        """By WHIP."""
        await self.join(client, participant, tracks, Wanted())

    async def subscribe(self, client: Client, participant: str, wanted: Wanted) -> None:
        """By WHEP."""
        await self.join(client, participant, (), wanted)

    async def join(self, client: Client, participant: str, tracks: Sequence[Track], wanted: Wanted) -> None:
        """By one offer of all lines: to WHIP if there are tracks, where few servers also take lines that receive."""
        lines = [Line(track.kind, track) for track in tracks]
        lines += [Line("audio", receives=True)] * wanted.audio + [Line("video", receives=True)] * wanted.video
        template, tokens = self._endpoints.whip if tracks else self._endpoints.whep, self._endpoints.tokens
        token = tokens[0 if tracks else -1] if tokens else ""
        client.accept_answer(await self._offer(template, participant, token, client.create_offer(lines)))
        await client.connect()

    async def leave(self, participant: str) -> None:
        """Deletes the sessions."""
        for url, token in self._sessions.pop(participant, ()):
            _require(await _send("DELETE", url, token), (200, 204))

    async def stop(self) -> None:
        """It was not started here."""

    async def _offer(self, template: str, participant: str, token: str, offer: str) -> str:
        url = template.replace("{room}", ROOM).replace("{participant}", participant)
        reply = _require(await _post(url, token, offer), (201,))
        if "location" in reply.headers:
            session = urljoin(url, reply.headers["location"])
            self._sessions.setdefault(participant, []).append((session, token))
        return reply.body


async def _post(url: str, token: str, offer: str) -> Reply:
    """Again while there is no stream: some servers announce one only when its first packets have come."""
    for _ in range(STREAM_POLLS):
        reply = await _send("POST", url, token, offer)
        if reply.status != 404:
            break
        await asyncio.sleep(STREAM_POLL_S)
    return reply


async def _send(method: str, url: str, token: str, body: str = "") -> Reply:
    # With the port: some servers make absolute locations of it.
    headers = {"Host": urlsplit(url).netloc} | ({"Content-Type": "application/sdp"} if body else {})
    if token:
        headers["Authorization"] = f"Bearer {token}"
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return await request(_address(url), method, path, headers=headers, body=body)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or LOOPBACK, parts.port or HTTP_PORT


def _require(reply: Reply, statuses: Sequence[int]) -> Reply:
    if reply.status not in statuses:
        raise RuntimeError(f"{reply.status} {reply.body[:600]}")
    return reply

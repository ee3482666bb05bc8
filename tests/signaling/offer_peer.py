"""A hand-made peer that answers a room's static offer, step by step, so that each step can be wrong or missing."""

import re
import secrets
from collections.abc import Callable
from dataclasses import replace

import httpx

from router.rtc import RTCDescription, RTCEncoding, RTCMediaSection
from router.rtc.sdp import parse, write
from tests.rtc.dtls_peer import DtlsPeer
from tests.signaling.public import SDP, bearer

REVERSED = {"sendonly": "recvonly", "recvonly": "sendonly"}
Change = Callable[[RTCDescription], RTCDescription]


def reply(section: RTCMediaSection) -> RTCMediaSection:
    """The other side of one m-line."""
    sends = section.direction == "recvonly"
    encodings = tuple(RTCEncoding(rid=rid) for rid in section.receive_rids) or (RTCEncoding(),)
    return replace(
        section,
        direction=REVERSED[section.direction],  # type: ignore[arg-type]
        encodings=encodings if sends else (),
        receive_rids=(),
        stream_id="camera" if sends else None,
        track_id=section.mid if sends else None,
    )


def silence(*mids: str) -> Change:
    """Answers these m-lines as inactive."""

    def change(answer: RTCDescription) -> RTCDescription:
        media = (
            replace(section, direction="inactive", encodings=()) if section.mid in mids else section
            for section in answer.media
        )
        return replace(answer, media=tuple(media))

    return change


class OfferPeer(DtlsPeer):
    """Fetch the offer, then `begin` and `post_answer` in any order."""

    password = "peerPasswordOf32Characters0123456"

    def __init__(self) -> None:
        super().__init__()
        self.ufrag = secrets.token_hex(4)
        self.nonce = secrets.token_hex(11)
        self.text = ""

    async def fetch(self, http: httpx.AsyncClient, room: str = "lobby", identity: str = "ada") -> None:
        """Takes the room's offer; the token opens the room."""
        response = await http.get(f"/rooms/{room}/offer", headers=bearer(identity, room))
        assert response.status_code == 200, response.text
        self.take(response.text)

    def take(self, text: str) -> None:
        """Keeps an offer."""
        self.text = text
        self.description = parse(text)
        self.port = self.description.candidates[0].port

    @property
    def fork_ufrag(self) -> str:
        """The whole fragment."""
        return self.description.ufrag + self.nonce

    def send_check(self, *, nonce: str | None = None, remote: str | None = None, password: str | None = None) -> bytes:
        """A nominating check, as a browser sends it once it has the offer."""
        ufrag = self.description.ufrag + (self.nonce if nonce is None else nonce)
        return self.check(self.port, ufrag, password or self.description.password, remote=remote or self.ufrag)

    def answer(self, change: Change = lambda answer: answer) -> str:
        """Its answer."""
        answer = RTCDescription(
            ufrag=self.ufrag,
            password=self.password,
            fingerprints=(self.certificate.fingerprint,),
            dtls_role="active",
            media=tuple(reply(section) for section in self.description.media),
            allow_mixed_extensions=True,
        )
        return write(change(answer), session_id=7)

    async def post_answer(
        self,
        http: httpx.AsyncClient,
        identity: str = "ada",
        *,
        room: str = "lobby",
        token_room: str | None = None,
        ufrag: str | None = None,
        change: Change = lambda answer: answer,
        **rights: bool,
    ) -> httpx.Response:
        """Sends it."""
        headers = {
            "Content-Type": SDP,
            "Fork-Ufrag": self.fork_ufrag if ufrag is None else ufrag,
            **bearer(identity, token_room or room, **rights),
        }
        return await http.post(f"/rooms/{room}/forks", content=self.answer(change), headers=headers)


def ufrags_of(text: str) -> set[str]:
    """All a=ice-ufrag values of an SDP text."""
    return set(re.findall(r"^a=ice-ufrag:(\S+)", text, re.MULTILINE))

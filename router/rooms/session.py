"""A session: one fork of the room's connection, one resource of the public port, one peer connection at the other end.

Its id is the secret part of its URL (RFC 9725 section 5 asks for unguessable URLs). ICE trickle and restart (sections
4.3.2 and 4.3.3) act on it; the room decides when it begins and ends.
"""

import secrets
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from router.rooms.offers import Endpoint
from router.rooms.participant import Participant, PublishedTrack, make_track_id
from router.rooms.rights import JoinGrant
from router.rooms.sources import source_of_mid
from router.rooms.wishes import NO_WISH, SlotWish
from router.rtc.description import Kind, RTCCandidate, RTCDescription

if TYPE_CHECKING:
    import asyncio

    from router.rooms.room import Room
    from router.rtc import RTCConnection, RTCSlot

SESSION_ID_BYTES = 24
ETAG_BYTES = 8
PUBLIC_ID_BYTES = 8

SessionState = Literal["new", "connected", "ended"]


def make_session_id() -> str:
    """The unguessable part of a session's URL."""
    return secrets.token_urlsafe(SESSION_ID_BYTES)


def make_etag() -> str:
    """A strong entity tag (RFC 9110 section 8.8.3), with its quotes."""
    return f'"{secrets.token_hex(ETAG_BYTES)}"'


class Session:
    """One peer of a participant."""

    def __init__(self, room: "Room", participant: Participant, connection: "RTCConnection", endpoint: Endpoint) -> None:
        self.id = make_session_id()
        self.public_id = f"S_{secrets.token_hex(PUBLIC_ID_BYTES)}"
        """Names it to operators; `id` is its owner's secret."""
        self.room = room
        self.participant = participant
        self.connection = connection
        self.endpoint = endpoint
        self.state: SessionState = "new"
        self.etag = make_etag()
        self.tracks: dict[str, PublishedTrack] = {}
        """Published tracks by mid."""
        self.slots: dict[str, RTCSlot] = {}
        """Receiving m-lines by mid."""
        self.shown: dict[str, str | None] = {}
        """Track id in each video slot, by mid. Audio slots follow the speakers, in the engine."""
        self.wishes: dict[str, SlotWish] = {}
        """Of video slots, by mid."""
        self.grant: JoinGrant | None = None
        """The newest that was shown for it; `router.rooms.grants` sets it and the next."""
        self.subscribes = True
        """Its owner has the right to receive now; else its slots stay empty."""
        self.end_reason = ""
        self.closing: asyncio.Task[None] | None = None
        """Closes the connection once the session has ended."""
        self.started_us = 0
        self.connect_timer: asyncio.TimerHandle | None = None
        self._remote = ("", "")
        self._candidates = 0

    @property
    def local(self) -> RTCDescription:
        """Our side: the answer to an offer, or what was agreed of ours."""
        return self.connection.get_description("local")

    def adopt(self, peer: RTCDescription) -> None:
        """Takes over what the negotiated connection publishes and receives. `peer` is the peer's offer or answer."""
        self._remote = (peer.ufrag, peer.password)
        self._candidates = len(peer.candidates)
        for stream in self.connection.get_remote_streams():
            for track in stream.tracks:
                self.tracks[track.mid] = PublishedTrack(track, self, track.mid, source_of_mid(track.mid, track.kind))
        for slot in self.connection.slots:
            self.slots[slot.mid] = slot
            self.shown[slot.mid] = None

    def is_restart(self, ufrag: str | None, password: str | None) -> bool:
        """RFC 8839 section 4.4.1.1.1: a change of either is a restart; none given means the current ones."""
        return (ufrag or self._remote[0], password or self._remote[1]) != self._remote

    def trickle(self, candidates: Sequence[RTCCandidate], *, end_of_candidates: bool) -> None:
        """Adds remote candidates; those above the cap are dropped, ICE-lite learns the peer's address by itself."""
        room = max(0, self.room.limits.max_candidates_per_session - self._candidates)
        for candidate in candidates[:room]:
            self.connection.add_remote_candidate(candidate)
        self._candidates += min(room, len(candidates))
        if end_of_candidates:
            self.connection.add_remote_candidate(None)

    def restart(self, ufrag: str, password: str, candidates: Sequence[RTCCandidate]) -> tuple[str, str]:
        """New ICE credentials on both sides and a new entity tag; media goes on over the old path until then."""
        credentials = self.connection.restart_ice(ufrag, password)
        self._remote = (ufrag, password)
        self._candidates = 0
        self.etag = make_etag()
        self.trickle(candidates, end_of_candidates=False)
        return credentials

    @property
    def video_mids(self) -> list[str]:
        """m-lines of the slots that the room's policy fills."""
        return [mid for mid, slot in self.slots.items() if slot.kind == "video"]

    def track_in(self, mid: str) -> PublishedTrack | None:
        """What a slot shows."""
        slot = self.slots[mid]
        if slot.kind == "video":
            return self.room.find_track(self.shown[mid])
        heard = slot.track
        return None if heard is None else self.room.find_track(make_track_id(heard.contributor))

    def describe_slots(self, mids: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """All slots or some, as their owner is told."""
        return [self._describe_slot(mid) for mid in (self.slots if mids is None else mids)]

    def _describe_slot(self, mid: str) -> dict[str, Any]:
        kind, track, wish = self.slots[mid].kind, self.track_in(mid), self.wishes.get(mid, NO_WISH)
        return {
            "mid": mid,
            "kind": kind,
            "track_id": track.id if track else None,
            "participant_id": track.session.participant.id if track else None,
            "pinned": wish.track_id is not None,
            "paused": wish.paused,
            "reason": self._explain(mid, kind),
        }

    def _explain(self, mid: str, kind: Kind) -> str:
        if not self.subscribes:
            return "no right to subscribe"
        return self.room.settlement.explain(self, mid) if kind == "video" else "loudest speakers"

"""What an offer, or an answer to ours, asks of a room, weighed against what its sender may do.

RFC 9725 sections 4.4.2 to 4.4.4 and the WHEP draft. A `sendrecv` m-line keeps the half that the endpoint and the grant
allow, as both want for their one direction; an m-line that asks only for something not granted refuses the whole offer.
Where only some sources are granted, the mids of our own offer name them; other m-lines count as what their kind may be.
"""

from dataclasses import dataclass, replace
from typing import Literal

from router.errors import UnprocessableError
from router.rooms.rights import Rights
from router.rooms.sources import source_of_mid
from router.rtc.description import MediaDirection, RTCDescription, RTCMediaSection

OfferingEndpoint = Literal["whip", "whep"]
"""Where the peer offers and we answer."""
Endpoint = OfferingEndpoint | Literal["fork"]


@dataclass(frozen=True, slots=True)
class AdmittedOffer:
    """An offer whose directions the sender has a right to."""

    offer: RTCDescription
    tracks: int
    """m-lines that publish."""
    slots: int
    """m-lines that receive."""


def admit_offer(offer: RTCDescription, rights: Rights, endpoint: OfferingEndpoint) -> AdmittedOffer:
    """The offer with its directions narrowed, or `ForbiddenError` or `UnprocessableError`."""
    admit = _admit_whip_section if endpoint == "whip" else _admit_whep_section
    if endpoint == "whip":
        rights.require_publish()
        _check_one_track_per_kind(offer)
    sections = tuple(admit(section, rights) for section in offer.media)
    active = [section for section in sections if not section.rejected and section.kind != "data"]
    tracks = sum(section.direction in ("sendonly", "sendrecv") for section in active)
    slots = sum(section.direction in ("recvonly", "sendrecv") for section in active)
    if tracks + slots == 0:
        raise UnprocessableError("no m-line of the offer sends or receives audio or video", slug="nothing-offered")
    return AdmittedOffer(replace(offer, media=sections), tracks, slots)


def admit_answer(answer: RTCDescription, rights: Rights) -> AdmittedOffer:
    """The answer to our offer, if its sender has a right to all that it says it will do."""
    directions = [section.direction for section in answer.media if not section.rejected and section.kind != "data"]
    tracks = sum(direction in ("sendonly", "sendrecv") for direction in directions)
    slots = sum(direction in ("recvonly", "sendrecv") for direction in directions)
    if tracks:
        rights.require_publish()
        for section in answer.media:
            if not section.rejected and section.kind != "data" and section.direction in ("sendonly", "sendrecv"):
                _require_source(section, rights)
    if slots:
        rights.require_subscribe()
    if tracks + slots == 0:
        raise UnprocessableError("no m-line of the answer sends or receives", slug="unusable-m-line")
    return AdmittedOffer(answer, tracks, slots)


def check_whip_answer(answer: RTCDescription) -> None:
    """RFC 9725 section 4.4.3: never a partially successful answer."""
    for section in answer.media:
        if section.rejected or section.direction != "recvonly":
            raise UnprocessableError(f"m-line {section.mid}: no usable {section.kind} codec", slug="unusable-m-line")


def check_whep_answer(answer: RTCDescription) -> None:
    """A player may do without some m-lines, not without all."""
    if all(section.rejected or section.direction == "inactive" for section in answer.media):
        raise UnprocessableError("no m-line of the offer has a usable codec", slug="unusable-m-line")


def _check_one_track_per_kind(offer: RTCDescription) -> None:
    kinds = [section.kind for section in offer.media]
    for kind in ("audio", "video"):
        if kinds.count(kind) > 1:
            raise UnprocessableError(f"WHIP takes one {kind} track, got {kinds.count(kind)}", slug="too-many-tracks")


def _admit_whip_section(section: RTCMediaSection, rights: Rights) -> RTCMediaSection:
    if section.kind == "data" or section.rejected:
        what = "data channels are" if section.kind == "data" else "a rejected m-line is"
        raise UnprocessableError(f"m-line {section.mid}: {what} not usable with WHIP", slug="unusable-m-line")
    if section.direction not in ("sendonly", "sendrecv"):
        raise UnprocessableError(
            f"m-line {section.mid}: expected sendonly, got {section.direction}", slug="wrong-direction"
        )
    _require_source(section, rights)
    return replace(section, direction="sendonly")


def _admit_whep_section(section: RTCMediaSection, rights: Rights) -> RTCMediaSection:
    if section.kind == "data" or section.rejected:
        return section
    if section.direction == "sendonly":
        _require_source(section, rights)
    elif section.direction == "recvonly":
        rights.require_subscribe()
    elif section.direction == "sendrecv":
        may_publish = rights.allows(source_of_mid(section.mid, section.kind), section.kind)
        if not rights.may_subscribe:
            _require_source(section, rights)
        if not (may_publish and rights.may_subscribe):
            half: MediaDirection = "sendonly" if may_publish else "recvonly"
            return replace(section, direction=half)
    return section


def _require_source(section: RTCMediaSection, rights: Rights) -> None:
    rights.require_source(source_of_mid(section.mid, section.kind), section.kind)

"""`…/diagnosis` of a participant: why its call does not work, as JSON and as a page. Also of those who left lately."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict
from starlette.responses import HTMLResponse, Response

from router.admin.pages import Cursor, Limit, cut_page
from router.admin.schemas import Body
from router.admin.state import AdminState, State
from router.diagnosis.collect import collect
from router.diagnosis.facts import Judgement, PeerFacts
from router.diagnosis.media_verdicts import judge, summarize
from router.diagnosis.page import CONTENT_SECURITY_POLICY, write_page
from router.errors import NotFoundError
from router.rooms.names import check_room_name
from router.rooms.participant import Participant

router = APIRouter(prefix="/v1/rooms/{room}", tags=["diagnosis"])
VerdictName = Literal["ok", "waiting", "broken", "not applicable"]


SUMMARY: Final[JsonDict] = {
    "participant_id": "P_99aabbccddeeff00",
    "identity": "ada",
    "verdict": "broken",
    "sentence": "ice: no STUN check arrived from the peer for 12 s: UDP blocked, or announced address wrong: "
    "203.0.113.5:10000",
    "ended": {"reason": "never-connected", "ago_s": 41.5},
}
SECTION: Final[JsonDict] = {
    "verdict": "broken",
    "sentence": "no STUN check arrived from the peer for 12 s: UDP blocked, or announced address wrong: "
    "203.0.113.5:10000",
    "facts": {"local_candidates": ["203.0.113.5:10000"], "checks_received": 0},
}
DIAGNOSIS: Final[JsonDict] = {
    "room": "lobby",
    "participant_id": "P_99aabbccddeeff00",
    "identity": "ada",
    "verdict": "broken",
    "sentence": SUMMARY["sentence"],
    "sessions": [
        {
            "endpoint": "fork",
            "state": "ended",
            "age_s": 12.0,
            "ended": SUMMARY["ended"],
            "verdict": "broken",
            "sentence": SUMMARY["sentence"],
            "sections": {"ice": SECTION},
        }
    ],
}
HTML_ANSWER: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"text/html": {"example": "<!doctype html>…"}}}}


class SectionBody(Body):
    """One part of a call."""

    verdict: VerdictName
    sentence: str = Field(description="What is wrong and what to look at.")
    facts: Any = Field(description="What the verdict was made from; durations are seconds ago.")


class EndBody(Body):
    """How a session ended."""

    reason: str
    ago_s: float


class SessionDiagnosis(Body):
    """One peer connection; sections in causal order, so the first that is broken is the one to look at."""

    endpoint: Literal["whip", "whep", "fork"]
    state: Literal["new", "connected", "ended"]
    age_s: float
    ended: EndBody | None = Field(description="Null while it lives; else all facts are its last.")
    verdict: VerdictName
    sentence: str
    sections: dict[str, SectionBody]


class Diagnosis(Body):
    """A participant, living or gone."""

    model_config = ConfigDict(json_schema_extra={"examples": [DIAGNOSIS]})

    room: str
    participant_id: str
    identity: str
    verdict: VerdictName
    sentence: str
    sessions: list[SessionDiagnosis] = Field(description="Those alive, then those that ended lately, newest first.")


class DiagnosisSummary(Body):
    """A participant in one sentence."""

    participant_id: str
    identity: str
    verdict: VerdictName
    sentence: str
    ended: EndBody | None


class DiagnosisPage(Body):
    """Participants by id."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [SUMMARY], "next_cursor": None}]})

    items: list[DiagnosisSummary]
    next_cursor: str | None


class Found:
    """Whom a path names: a participant now, or one that left."""

    def __init__(self, room: str, participant: str, state: AdminState) -> None:
        self.room, self.id = check_room_name(room), participant
        living = _living(state, room).get(participant)
        ended = list(state.ended.find(room, participant))
        if living is None and not ended:
            raise NotFoundError("no such participant, now or in the last minutes", slug="unknown-participant")
        self.alive = living is not None
        self.identity = living.identity if living is not None else ended[0].identity
        self.sessions: list[PeerFacts] = [
            *(collect(session) for session in (living.sessions.values() if living is not None else ())),
            *(one.facts for one in ended),
        ]


def find(room: str, participant: str, state: State) -> Found:
    """A FastAPI dependency."""
    return Found(room, participant, state)


FoundPeer = Annotated[Found, Depends(find)]


def _living(state: AdminState, room: str) -> dict[str, Participant]:
    open_room = state.registry.rooms.get(room)
    return {} if open_room is None else {it.id: it for it in open_room.participants.values()}


@router.get("/diagnosis", summary="Who of a room has trouble, those who left lately included")
async def diagnose_room(room: str, state: State, limit: Limit = 50, cursor: Cursor = None) -> DiagnosisPage:
    """One sentence for each participant."""
    check_room_name(room)
    living = _living(state, room)
    gone = {ended.participant for ended in state.ended.find(room)}
    if not living and not gone:
        state.registry.get_room(room)
    ids, following = cut_page(dict.fromkeys((*living, *gone), None), cursor, limit)
    return DiagnosisPage(items=[_summarize(Found(room, id_, state)) for id_ in ids], next_cursor=following)


@router.get(
    "/participants/{participant}/diagnosis",
    summary="Why a participant's call does not work",
    response_model=Diagnosis,
    responses=HTML_ANSWER,
)
async def diagnose_participant(request: Request, peer: FoundPeer) -> Any:
    """Each part with a verdict, one sentence and its facts; HTML where the client prefers it."""
    if _prefers_html(request.headers.get("accept", "")):
        return _write_page(peer)
    whole = _judge_whole(peer)
    return Diagnosis(
        room=peer.room,
        participant_id=peer.id,
        identity=peer.identity,
        verdict=whole.verdict,
        sentence=whole.sentence,
        sessions=[_write_session(facts) for facts in peer.sessions],
    )


@router.get(
    "/participants/{participant}/diagnosis.html",
    summary="The same as a page",
    response_class=HTMLResponse,
    responses=HTML_ANSWER,
)
async def show_participant(peer: FoundPeer) -> Response:
    """HTML without scripts, which works without internet."""
    return _write_page(peer)


def _prefers_html(accept: str) -> bool:
    """Whether HTML stands before JSON, as in what browsers send."""
    names = [part.partition(";")[0].strip() for part in accept.lower().split(",")]
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    return "text/html" in places and places["text/html"] < places.get("application/json", len(names))


def _judge_whole(peer: Found) -> Judgement:
    """Of what lives; of whom nothing lives, of the last session."""
    living = [facts for facts in peer.sessions if facts.ended is None]
    judged = [summarize(judge(facts)) for facts in living or peer.sessions[:1]]
    for verdict in ("broken", "waiting"):
        worst = next((one for one in judged if one.verdict == verdict), None)
        if worst is not None:
            return worst
    return judged[0] if judged else Judgement("waiting", "has no session")


def _summarize(peer: Found) -> DiagnosisSummary:
    whole, newest = _judge_whole(peer), peer.sessions[0] if peer.sessions else None
    ended = newest.ended if newest is not None and not peer.alive else None
    return DiagnosisSummary(
        participant_id=peer.id,
        identity=peer.identity,
        verdict=whole.verdict,
        sentence=whole.sentence,
        ended=None if ended is None else EndBody(reason=ended.reason, ago_s=ended.ago_s),
    )


def _write_session(facts: PeerFacts) -> SessionDiagnosis:
    judged = judge(facts)
    whole, values = summarize(judged), dict(_facts_by_section(facts))
    end = facts.ended
    return SessionDiagnosis(
        endpoint=facts.endpoint,
        state=facts.state,
        age_s=facts.age_s,
        ended=None if end is None else EndBody(reason=end.reason, ago_s=end.ago_s),
        verdict=whole.verdict,
        sentence=whole.sentence,
        sections={
            name: SectionBody(verdict=one.verdict, sentence=one.sentence, facts=values[name])
            for name, one in judged.items()
        },
    )


def _facts_by_section(facts: PeerFacts) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "ice", asdict(facts.ice)
    yield "dtls", asdict(facts.dtls)
    yield "srtp", asdict(facts.srtp)
    yield "streams_up", {"tracks": [asdict(track) for track in facts.tracks]}
    link = None if facts.link is None else asdict(facts.link)
    yield "streams_down", {"link": link, "slots": [asdict(slot) for slot in facts.slots]}
    yield "events", {"connections": facts.events}
    yield "rights", asdict(facts.rights)


def _write_page(peer: Found) -> Response:
    judged = [(facts, judge(facts)) for facts in peer.sessions]
    sessions = [(facts, summarize(sections), sections) for facts, sections in judged]
    text = write_page(peer.room, peer.identity, sessions, reload=peer.alive)
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(text, headers=headers)

"""What clients say on the events WebSocket once they are in: one handler for each type of message.

A request that is refused is answered with an `error` and changes nothing; the connection stays. Only who does not speak
the protocol at all (no type that we know) loses it, see `router.signaling.events`. A request may carry a number `id`;
it is repeated in the `ok` or the `error` that answers it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeVar

from router import clock
from router.errors import RateLimitedError, RequestError, RouterError
from router.rates import RateLimiter
from router.rooms.registry import RoomRegistry
from router.rooms.rights import JoinGrant
from router.rooms.room import Room
from router.rooms.roster import write_message
from router.rooms.session import Session
from router.rooms.sources import fits, read_source
from router.signaling.event_stream import EventStream

Message = dict[str, Any]
Value = TypeVar("Value", str, int, bool)

MAX_REQUEST_ID: Final = 2**53 - 1
RESYNCS_PER_S: Final = 1.0
RESYNC_BURST: Final = 5
"""Each may cost a welcome, which is as large as the room."""


@dataclass(slots=True, eq=False)
class Conversation:
    """One authenticated connection."""

    stream: EventStream
    room: Room
    registry: RoomRegistry
    grant: JoinGrant
    sessions: set[Session] = field(default_factory=set)
    """Those that the client named on this connection: they live by its token."""
    resyncs: RateLimiter = field(
        default_factory=lambda: RateLimiter(RESYNCS_PER_S, RESYNC_BURST, now_us=clock.monotonic_us)
    )

    def handle(self, message: Message) -> None:
        """Does what the message says and answers; or raises `RequestError` for a type that we do not know."""
        kind = message.get("type")
        handler = HANDLERS.get(kind) if isinstance(kind, str) else None
        if handler is None:
            raise RequestError(f"type: expected auth, {', '.join(HANDLERS)}", slug="bad-message")
        request_id = message.get("id")
        try:
            if request_id is not None:
                _check_request_id(request_id)
            handler(self, message)
        except RouterError as error:
            self.refuse(error, request_id)
        else:
            self.confirm(request_id)

    def confirm(self, request_id: object) -> None:
        """The request was granted."""
        if _is_request_id(request_id):
            self.stream.send(write_message({"type": "ok", "id": request_id}))

    def refuse(self, error: RouterError, request_id: object) -> None:
        """The request was not granted."""
        answer: Message = {"type": "error", "slug": error.slug, "detail": error.public_detail}
        if _is_request_id(request_id):
            answer["id"] = request_id
        self.stream.send(write_message(answer))

    def find_session(self, message: Message) -> Session:
        """The session of the message, which must be of the same identity. From now on this token counts for it too."""
        session_id = _read(message, "session", str)
        session = self.registry.find_session(self.room.name, session_id, self.grant.identity)
        if session not in self.sessions:
            self.sessions = {known for known in self.sessions if known.state != "ended"} | {session}
            self.room.grants.renew(session, self.grant)
        return session

    def show(self, grant: JoinGrant) -> None:
        """Another token of the same person. An older one prolongs the stay, and no more."""
        self.room.grants.prolong(grant)
        if grant.issued_at_s < self.grant.issued_at_s:
            return
        self.grant = grant
        for session in self.sessions:
            if session.state != "ended":
                self.room.grants.renew(session, grant)


def _on_ping(conversation: Conversation, _message: Message) -> None:
    conversation.stream.send('{"type":"pong"}')


def _on_publish(conversation: Conversation, message: Message) -> None:
    session = conversation.find_session(message)
    conversation.room.declare_tracks(session, read_declarations(message.get("tracks"), session))


def _on_wish(conversation: Conversation, message: Message) -> None:
    session = conversation.find_session(message)
    conversation.room.declare_wishes(session, message.get("slots"))


def _on_follow(conversation: Conversation, message: Message) -> None:
    session = conversation.find_session(message)
    conversation.room.demand.follow(session, conversation.stream, _read(message, "follows", bool))


def _on_resync(conversation: Conversation, message: Message) -> None:
    version = _read(message, "version", int)
    if conversation.stream.catching_up:
        raise RateLimitedError("the last welcome is still on its way")
    try:
        conversation.resyncs.take("")
    except RateLimitedError as error:
        raise RateLimitedError("too many resyncs on this connection") from error
    conversation.room.resync(conversation.stream, version)


def _on_mute(conversation: Conversation, message: Message) -> None:
    track_id, muted = _read(message, "track_id", str), _read(message, "muted", bool)
    conversation.room.moderation.mute(conversation.grant, track_id, muted)


def _on_remove(conversation: Conversation, message: Message) -> None:
    conversation.room.moderation.remove(conversation.grant, _read(message, "participant_id", str))


def _on_describe(conversation: Conversation, message: Message) -> None:
    fields = {name: _read(message, name, str) for name in ("name", "metadata") if name in message}
    conversation.room.describe_participant(conversation.grant, **fields)


def _on_lock(conversation: Conversation, message: Message) -> None:
    conversation.room.moderation.lock(conversation.grant, _read(message, "locked", bool))


HANDLERS: Final[Mapping[str, Callable[[Conversation, Message], None]]] = MappingProxyType(
    {
        "ping": _on_ping,
        "publish": _on_publish,
        "wish": _on_wish,
        "follow": _on_follow,
        "resync": _on_resync,
        "mute": _on_mute,
        "remove": _on_remove,
        "lock": _on_lock,
        "describe": _on_describe,
    }
)


def read_declarations(value: Any, session: Session) -> dict[str, dict[str, Any]]:
    """`{MID: {source, muted}}`, checked against what the session publishes."""
    if not isinstance(value, dict):
        raise RequestError("tracks: expected an object", slug="bad-message")
    declared: dict[str, dict[str, Any]] = {}
    for mid, fields in value.items():
        name = f"tracks.{mid[:32]!a}"
        if mid not in session.tracks:
            raise RequestError(f"{name}: the session publishes no such mid", slug="bad-message")
        if not isinstance(fields, dict) or not fields.keys() <= {"source", "muted"}:
            raise RequestError(f"{name}: expected an object with source and muted", slug="bad-message")
        source = read_source(fields.get("source", "unknown"))
        if source is None or not fits(source, session.tracks[mid].kind):
            kind = session.tracks[mid].kind
            raise RequestError(f"{name}.source: expected a known source of {kind}", slug="bad-message")
        if "muted" in fields and not isinstance(fields["muted"], bool):
            raise RequestError(f"{name}.muted: expected true or false", slug="bad-message")
        declared[mid] = fields
    return declared


_EXPECTED: Final = {str: "a text", int: "a whole number", bool: "true or false"}


def _read(message: Message, name: str, kind: type[Value]) -> Value:
    """A field of exactly this type: `True` is no number."""
    value = message.get(name)
    if type(value) is not kind:
        raise RequestError(f"{name}: expected {_EXPECTED[kind]}", slug="bad-message")
    return value


def _is_request_id(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_REQUEST_ID


def _check_request_id(value: object) -> None:
    if not _is_request_id(value):
        raise RequestError(f"id: expected a whole number from 0 to {MAX_REQUEST_ID}", slug="bad-message")

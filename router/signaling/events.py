"""`WS /rooms/{room}/events`: the roster and one's own slots out; declarations, wishes and moderation in.

A token comes as `?access_token=` or as the first message, within seconds; another `auth` message with a newer one
brings its rights and prolongs the stay. Who is not let in, whose token expires or is revoked, and who sends what is no
message (bad JSON, an unknown type, too much) gets an `error` followed by a close whose code is 4000 plus the HTTP
status. A request that is refused, see `event_messages`, does not cost the connection.
"""

import asyncio
import contextlib
import logging
import math
from collections import Counter

from starlette.websockets import WebSocket, WebSocketDisconnect

from router import clock
from router.errors import (
    CapacityError,
    ForbiddenError,
    PayloadTooLargeError,
    RateLimitedError,
    RequestError,
    RouterError,
    UnauthorizedError,
)
from router.json_input import read_object
from router.rates import RateLimiter, normalise_address
from router.rooms.revocation import Revocation
from router.rooms.rights import JoinGrant
from router.rooms.roster import Since, write_rights
from router.signaling.cors import is_allowed_origin
from router.signaling.elsewhere import check_place
from router.signaling.event_messages import Conversation, Message
from router.signaling.event_stream import EventStream
from router.signaling.state import PublicState

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 65_536
MESSAGES_PER_S = 20.0
MESSAGE_BURST = 100
CLOSE_POLICY = 1008


class EventsResource:
    """Accepts the WebSockets of all rooms."""

    def __init__(self, state: PublicState) -> None:
        self._state = state
        self._pending: Counter[str] = Counter()
        self._conversations: set[Conversation] = set()
        state.tokens.revocations.listen(self._on_revoked)

    async def serve(self, websocket: WebSocket) -> None:
        """One WebSocket from its handshake to its end."""
        if not is_allowed_origin(websocket.headers.get("origin"), self._state.settings.allowed_origins):
            await websocket.close(CLOSE_POLICY)
            return
        await websocket.accept()
        stream = EventStream(websocket, "")
        sending = asyncio.create_task(stream.run())
        try:
            await self._converse(websocket, stream, sending)
        except RouterError as error:
            stream.fail(error)
            await sending
        except WebSocketDisconnect:
            pass
        except Exception:
            logger.exception("events connection failed")
            stream.fail(RouterError())
            await sending
        finally:
            await _cancel(sending)

    async def _converse(self, websocket: WebSocket, stream: EventStream, sending: asyncio.Task[None]) -> None:
        grant, since = await self._authenticate(websocket)
        stream.identity = grant.identity
        remembered = await check_place(self._state.registry, self._state.peers, grant.room)
        room = self._state.registry.open_room(grant.room, remembered)
        room.moderation.check_entry(grant)
        room.watch(stream, since)
        room.grants.prolong(grant)
        if (in_force := room.grants.in_force(grant)) != grant:
            stream.send(write_rights(in_force))
        if self._state.drain is not None and self._state.drain.plan is not None:
            stream.send(self._state.drain.write_notice())
        conversation = Conversation(stream, room, self._state.registry, grant)
        self._conversations.add(conversation)
        reading = asyncio.create_task(self._read(websocket, conversation))
        try:
            await asyncio.wait((reading, sending), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            self._conversations.discard(conversation)
            room.unwatch(stream)
            await _cancel(reading)

    def _on_revoked(self, revocation: Revocation) -> None:
        for conversation in tuple(self._conversations):
            if revocation.concerns(conversation.grant):
                conversation.stream.fail(revocation.refusal(inside=True))

    # -- authentication ------------------------------------------------------------------------------------------

    async def _authenticate(self, websocket: WebSocket) -> tuple[JoinGrant, Since | None]:
        token, since = websocket.query_params.get("access_token"), None
        if token is None:
            token, since = await self._await_token(websocket)
        grant = self._state.tokens.verify(token)
        grant.check_room(websocket.path_params["room"])
        return grant, since

    async def _await_token(self, websocket: WebSocket) -> tuple[str, Since | None]:
        settings = self._state.settings
        address = normalise_address(websocket.client.host if websocket.client else "unknown")
        of_address = self._pending[address]
        if self._pending.total() >= settings.max_pending_sockets or of_address >= settings.max_pending_per_address:
            raise CapacityError("too many connections without a token", slug="too-many-pending", retry_after_s=5)
        self._pending[address] += 1
        try:
            async with asyncio.timeout(settings.auth_timeout_s):
                message = read_object(await _receive_text(websocket))
        except TimeoutError as error:
            raise UnauthorizedError(f"no token within {settings.auth_timeout_s:g} s", slug="auth-timeout") from error
        finally:
            self._pending[address] -= 1
            if not self._pending[address]:
                del self._pending[address]
        if message.get("type") != "auth" or not isinstance(message.get("token"), str):
            raise UnauthorizedError('expected {"type": "auth", "token": …} as the first message')
        return str(message["token"]), read_since(message.get("since"))

    # -- messages ------------------------------------------------------------------------------------------------

    async def _read(self, websocket: WebSocket, conversation: Conversation) -> None:
        limiter = RateLimiter(MESSAGES_PER_S, MESSAGE_BURST, now_us=clock.monotonic_us)
        try:
            async with asyncio.timeout_at(_deadline(conversation.grant)) as expiry:
                while True:
                    text = await _receive_text(websocket)
                    try:
                        limiter.take("")
                    except RateLimitedError as error:
                        raise RateLimitedError("too many messages on this connection") from error
                    message = read_object(text)
                    if message.get("type") == "auth":
                        again = self._read_again(message, conversation.grant)
                        conversation.show(again)
                        expiry.reschedule(_latest(expiry.when(), _deadline(again)))
                        conversation.confirm(message.get("id"))
                    else:
                        conversation.handle(message)
        except TimeoutError as error:
            raise UnauthorizedError("the token has expired", slug="token-expired") from error

    def _read_again(self, message: Message, grant: JoinGrant) -> JoinGrant:
        """The grant of another token of the same person."""
        token = message.get("token")
        if not isinstance(token, str):
            raise RequestError("token: expected a text", slug="bad-message")
        again = self._state.tokens.verify(token)
        if (again.room, again.identity) != (grant.room, grant.identity):
            raise ForbiddenError("the connection belongs to another identity")
        return again


def read_since(value: object) -> Since | None:
    """What the client says it knows: `{log, version}` of the last message it got, or nothing."""
    if value is None:
        return None
    log, version = (value.get("log"), value.get("version")) if isinstance(value, dict) else (None, None)
    if not isinstance(log, str) or type(version) is not int:
        raise RequestError("since: expected an object with log and version", slug="bad-message")
    return Since(log, version)


def _deadline(grant: JoinGrant) -> float | None:
    """When the grant ends, on the loop's clock; None for never."""
    if grant.expires_at_s == math.inf:
        return None
    return asyncio.get_running_loop().time() + grant.expires_at_s - clock.wall_s()


def _latest(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)


async def _receive_text(websocket: WebSocket) -> str:
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code") or 1005)
    text = message.get("text")
    if text is None:
        raise RequestError("expected a text message", slug="bad-message")
    # A character is at most four bytes: most messages need not be encoded to be measured.
    if len(text) > MAX_MESSAGE_BYTES or (len(text) * 4 > MAX_MESSAGE_BYTES and len(text.encode()) > MAX_MESSAGE_BYTES):
        raise PayloadTooLargeError(f"a message has at most {MAX_MESSAGE_BYTES} bytes")
    return str(text)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task

"""`POST /v1/rooms/{room}/participants/{id}/captures`: a peer's packets as a pcapng file, while they come and go.

    curl -N -H "Authorization: Bearer …" -d '{"what": "headers", "max_s": 30}' …/captures | wireshark -k -i -

Off unless `capture.enabled`. The answer begins at once and ends when time or bytes are over, the participant has left,
or the client hangs up. Media is never in the clear: `encrypted` has packets as they travel, `headers` the RTP headers
without payloads and RTCP decrypted. A client that reads too slowly loses packets, which the file counts at its end.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from router import clock
from router.admin.auth import Operator
from router.admin.capture_limits import CaptureLimits
from router.admin.participants import FoundParticipant
from router.admin.state import State
from router.errors import (
    CapacityError,
    ConflictError,
    ConnectionClosedError,
    EngineError,
    ForbiddenError,
    RequestError,
)
from router.rooms.participant import Participant
from router.rooms.session import Session
from router.rtc.capture import CaptureWhat, PeerCapture
from router.rtc.pcapng import MEDIA_TYPE, write_interface, write_section, write_statistics

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/rooms/{room}/participants/{participant}/captures", tags=["captures"])

POLL_S = 0.05
"""Between two reads: the engine keeps a tenth of a second of 40 Mbit/s."""

GRACE_S = 10.0
"""How much longer than the capture its answer may take."""


class CaptureRequest(BaseModel):
    """What to capture; limits that are left out are those of the settings."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"what": "headers", "max_s": 30}]}
    )

    what: CaptureWhat = Field(
        default="headers",
        description="`headers`: RTP without payloads, RTCP decrypted. `encrypted`: packets as they travel.",
    )
    max_bytes: int | None = Field(default=None, ge=1_000, description="End of the file, beside its head and its end.")
    max_s: float | None = Field(default=None, gt=0, le=86_400)


@router.post(
    "",
    summary="Capture the packets of a participant",
    response_class=StreamingResponse,
    openapi_extra={"requestBody": {"content": {"application/json": {"example": {"what": "headers", "max_s": 30}}}}},
    responses={
        200: {"description": "A pcapng file, while it is written.", "content": {MEDIA_TYPE: {"example": "pcapng"}}}
    },
)
async def capture_participant(
    participant: FoundParticipant,
    state: State,
    operator: Operator,
    wanted: CaptureRequest | None = None,
) -> StreamingResponse:
    """Streams a pcapng file of all sessions of the participant, those that come during the capture included."""
    wanted = wanted or CaptureRequest()
    limits = state.captures
    if not limits.enabled:
        raise ForbiddenError("captures are off: set capture.enabled", slug="capture-disabled")
    max_bytes, max_s = _bound(wanted, limits)
    if participant.id in limits.running:
        raise ConflictError("this participant is being captured", slug="capture-running")
    if len(limits.running) >= limits.max_concurrent:
        raise CapacityError("as many captures run as may: capture.max_concurrent", slug="too-many-captures")
    logger.info("capture begins", extra={"operator": operator.name, "participant": participant.id, "what": wanted.what})
    limits.running.add(participant.id)
    return CaptureResponse(RunningCapture(participant, wanted.what, max_bytes, max_s), limits, max_s)


class CaptureResponse(StreamingResponse):
    """The file. However the answer ends, the capture ends with it; who does not read holds it only for a while."""

    def __init__(self, running: "RunningCapture", limits: CaptureLimits, max_s: float) -> None:
        self._running, self._limits, self._patience_s = running, limits, max_s + GRACE_S
        headers = {
            "Content-Disposition": f'attachment; filename="{running.participant.id}.pcapng"',
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
        super().__init__(_stream(running), media_type=MEDIA_TYPE, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience_s):
                    await super().__call__(scope, receive, send)
        finally:
            self._running.stop()
            self._limits.running.discard(self._running.participant.id)


def _bound(wanted: CaptureRequest, limits: CaptureLimits) -> tuple[int, float]:
    max_bytes, max_s = wanted.max_bytes or limits.max_bytes, wanted.max_s or limits.max_s
    if max_bytes > limits.max_bytes:
        raise RequestError(f"max_bytes: at most {limits.max_bytes} (capture.max_bytes)")
    if max_s > limits.max_s:
        raise RequestError(f"max_s: at most {limits.max_s:g} (capture.max_s)")
    return max_bytes, max_s


class RunningCapture:
    """One capture of a participant, over all sessions it has and gets."""

    def __init__(self, participant: Participant, what: CaptureWhat, max_bytes: int, max_s: float) -> None:
        self.participant = participant
        self._what: CaptureWhat = what
        self._left = max_bytes
        self._ends_us = clock.monotonic_us() + round(max_s * 1e6)
        self._parts: dict[str, PeerCapture] = {}
        """By session id."""
        self._stopped = False

    @property
    def over(self) -> bool:
        """Nothing more is to come."""
        time_is_over = clock.monotonic_us() >= self._ends_us
        return time_is_over or self._left <= 0 or not self.participant.sessions or any(self._full())

    def _full(self) -> list[bool]:
        return [part.full for part in self._parts.values()]

    def read(self) -> bytes:
        """What has come since the last call, with the descriptions of new interfaces."""
        blocks = b"".join(self._begin(session) for session in self.participant.sessions.values())
        packets = b"".join(part.read() for part in self._parts.values())
        self._left -= len(packets)
        return blocks + packets

    def _begin(self, session: Session) -> bytes:
        if session.id in self._parts:
            return b""
        number = len(self._parts)
        try:
            part = PeerCapture(session.connection, self._what, interface=number, max_bytes=max(1, self._left))
        except (ConnectionClosedError, EngineError):
            return b""  # it goes just now, or the engine does
        self._parts[session.id] = part
        return write_interface(f"session{number}", f"{session.endpoint} session of {self.participant.id}, {self._what}")

    def stop(self) -> None:
        """Ends it in the engine, once; what is left can be read."""
        if self._stopped:
            return
        self._stopped = True
        for part in self._parts.values():
            try:
                part.stop()
            except EngineError:
                logger.debug("the engine was gone before a capture of it ended")
        parts = self._parts.values()
        packets, dropped = sum(it.packets for it in parts), sum(it.dropped for it in parts)
        extra = {"participant": self.participant.id, "packets": packets, "dropped": dropped}
        logger.info("capture ends", extra=extra)

    def close(self) -> bytes:
        """The end of the file: the last packets and what became of all."""
        now_us = round(clock.wall_s() * 1e6)
        rest = b"".join(part.read() for part in self._parts.values())
        parts = self._parts.values()
        counts = [write_statistics(it.interface, now_us, packets=it.packets, dropped=it.dropped) for it in parts]
        return rest + b"".join(counts)


async def _stream(running: RunningCapture) -> AsyncIterator[bytes]:
    yield write_section("fork-router")
    while not running.over:
        blocks = running.read()
        if blocks:
            yield blocks
        await asyncio.sleep(POLL_S)
    running.stop()
    yield running.close()

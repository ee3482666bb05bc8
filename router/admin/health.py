"""`/healthz` and `/readyz`, for whoever restarts the process and whoever routes traffic to it. Neither needs a token.

Alive means that this answer came. Ready means that a participant could join. The store is told of and decides neither:
calls need none, and a Redis that is down must not take the routers with it.
"""

from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from router.admin.drain import DrainBody
from router.admin.examples import answer
from router.admin.state import State
from router.problems import MEDIA_TYPE, describe_problem

router = APIRouter(tags=["health"])


READY: Final = {
    "status": "ready",
    "checks": {"engine": True, "sockets": True, "event-loop": True, "not-draining": True},
    "store": {"kind": "memory", "up": True},
}


@router.get("/healthz", summary="Is the process alive?", responses=answer({"status": "ok"}))
async def read_health() -> dict[str, str]:
    """200, or no answer."""
    return {"status": "ok"}


@router.get("/readyz", summary="Can participants join?", responses={**answer(READY), 503: {"description": "Not ready"}})
async def read_readiness(state: State) -> JSONResponse:
    """200 with the checks, or 503 and a problem that names the checks that failed."""
    checks = state.check_readiness()
    failed = [name for name, holds in checks.items() if not holds]
    if not failed:
        return JSONResponse({"status": "ready", "checks": checks, "store": dict(state.describe_store())})
    problem = describe_problem("not-ready", "Not ready", 503, f"failed: {', '.join(failed)}")
    body: dict[str, Any] = {**problem, "checks": checks, "store": dict(state.describe_store())}
    if state.drain is not None and state.drain.plan is not None:
        body["drain"] = DrainBody.of(state.drain, state).model_dump(mode="json")
    return JSONResponse(body, 503, headers={"Retry-After": "5"}, media_type=MEDIA_TYPE)

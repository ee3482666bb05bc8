"""`/metrics` in the Prometheus text format."""

from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from router.admin.auth import require_metrics_token
from router.admin.state import State

router = APIRouter(tags=["health"], dependencies=[Depends(require_metrics_token)])


EXAMPLE: Final = "# HELP sfu_rooms Open rooms.\n# TYPE sfu_rooms gauge\nsfu_rooms 2.0\n"
SAMPLE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": EXAMPLE}}}
}


@router.get("/metrics", summary="Prometheus metrics", response_class=Response, responses=SAMPLE)
async def read_metrics(request: Request, state: State) -> Response:
    """One scrape: what Python counted, and one snapshot of the engine."""
    text = generate_latest(state.metrics.registry) + generate_latest(request.app.state.snapshots)
    return Response(text, media_type=CONTENT_TYPE_LATEST)

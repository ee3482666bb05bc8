"""`/metrics` in the Prometheus text format."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from router.admin.auth import require_metrics_token
from router.admin.state import AdminState, read_state

router = APIRouter(tags=["health"], dependencies=[Depends(require_metrics_token)])


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def read_metrics(request: Request, state: Annotated[AdminState, Depends(read_state)]) -> Response:
    """One scrape: what Python counted, and one snapshot of the engine."""
    text = generate_latest(state.metrics.registry) + generate_latest(request.app.state.snapshots)
    return Response(text, media_type=CONTENT_TYPE_LATEST)

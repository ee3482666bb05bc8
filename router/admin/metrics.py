"""`/metrics` in the Prometheus text format."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from router.admin.auth import require_metrics_token
from router.admin.state import AdminState, read_state

router = APIRouter(tags=["health"], dependencies=[Depends(require_metrics_token)])


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def read_metrics(state: Annotated[AdminState, Depends(read_state)]) -> Response:
    """One scrape: what Python counted, and one snapshot of the engine."""
    return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)

"""/metrics: what this process counts, for Prometheus."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Request, Response, Router, get
from prometheus_client import CONTENT_TYPE_LATEST

from api.http.guards import gateway_of
from api.http.responses import problems_of_all


@get(
    "/metrics",
    summary="What is counted",
    media_type=MediaType.TEXT,
    responses=problems_of_all(),
    sync_to_thread=False,
)
def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What is counted.

    In Prometheus' text format, of this process: refusals, cache, feed, channels and valuations.
    Nothing in it says who trades or what.
    """
    return Response(gateway_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


ROUTER = Router("/", route_handlers=[metrics], tags=["Health"])

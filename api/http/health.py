"""/healthz and /readyz: whether this process lives, and whether the venue takes orders."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, Router, get
from litestar.openapi.datastructures import ResponseSpec

from api.health_documents import Health, Readiness
from api.http.guards import gateway_of
from api.http.responses import json_response, problems_of_all

_MILLI = 1_000


@get(
    "/healthz",
    summary="This process lives",
    responses=problems_of_all(),
    sync_to_thread=False,
)
def healthz(request: Request[Any, Any, Any]) -> Response[Health]:
    """This process lives."""
    return json_response({"status": "ok"})


@get(
    "/readyz",
    summary="Orders are taken",
    responses={
        **problems_of_all(),
        503: ResponseSpec(
            Readiness,
            description="The writer or the database is away, or a view is not kept.",
            generate_examples=False,
        ),
    },
)
async def readyz(request: Request[Any, Any, Any]) -> Response[Readiness]:
    """Orders are taken.

    503 when the writer or the database is away, or when a view is not kept.
    """
    gateway = gateway_of(request)
    beat = await gateway.heart.beat()
    written, viewed, troubles = beat
    lag = max(0, written - viewed) if written is not None and viewed is not None else None
    return json_response(
        {
            "status": "ready" if beat.ready else "not_ready",
            "writer": written is not None,
            "database": viewed is not None,
            "writer_position": written,
            "projection_position": viewed,
            "projection_lag": lag,
            "clock_off_ms": gateway.heart.clock.off // _MILLI,
            "ahead_ms": gateway.heart.clock.ahead // _MILLI,
            "problems": list(troubles),
        },
        status=200 if beat.ready else 503,
    )


ROUTER = Router("/", route_handlers=[healthz, readyz], tags=["Health"])

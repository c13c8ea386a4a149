"""/healthz and /readyz: whether this process lives, and whether the venue takes orders."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from litestar import Request, Response, Router, get
from psycopg_pool import PoolTimeout

from api.documents import Health, Readiness
from api.gateway import Gateway
from api.http.guards import gateway_of
from api.http.responses import json_response
from application.commands import ReadState
from domain.errors import Rejection

WITHIN_SECONDS = 2.0


@get("/healthz", summary="This process lives", sync_to_thread=False)
def healthz(request: Request[Any, Any, Any]) -> Response[Health]:
    """This process lives."""
    return json_response({"status": "ok"})


@get(
    "/readyz",
    summary="Orders are taken",
)
async def readyz(request: Request[Any, Any, Any]) -> Response[Readiness]:
    """Orders are taken.

    503 when the writer or the database is away.
    """
    gateway = gateway_of(request)
    written, viewed = await asyncio.gather(_written(gateway), _viewed(gateway))
    ready = written is not None and viewed is not None
    lag = max(0, written - viewed) if written is not None and viewed is not None else None
    return json_response(
        {
            "status": "ready" if ready else "not_ready",
            "writer": written is not None,
            "database": viewed is not None,
            "writer_position": written,
            "projection_position": viewed,
            "projection_lag": lag,
        },
        status=200 if ready else 503,
    )


async def _written(gateway: Gateway) -> int | None:
    """The writer's position; None when it does not answer."""
    try:
        async with asyncio.timeout(WITHIN_SECONDS):
            reply = await gateway.bus.send(ReadState(), "gateway", "http")
    except (Rejection, TimeoutError, OSError):
        return None
    return reply.position if reply.refusal is None else None


async def _viewed(gateway: Gateway) -> int | None:
    """The views' position; None when the database does not answer."""
    try:
        async with asyncio.timeout(WITHIN_SECONDS):
            return await gateway.progress.ask()
    except (psycopg.Error, PoolTimeout, TimeoutError, OSError):
        return None


ROUTER = Router("/", route_handlers=[healthz, readyz], tags=["Health"])

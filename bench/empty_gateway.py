"""What a request costs without a venue: an empty handler, served as the gateway is."""

from __future__ import annotations

import argparse
import gc

import uvicorn
from litestar import Litestar, get, post

from api.cli.gateway import server_config
from api.door.limits import Limits
from infrastructure.settings import Settings

NOBODY_IS_KNOWN = 10**9
"""Requests a second: it has no keys, so that all who ask are strangers."""
LIMITS = Limits(
    strangers_requests=NOBODY_IS_KNOWN,
    strangers_requests_at_once=NOBODY_IS_KNOWN,
    strangers_turns=NOBODY_IS_KNOWN,
    strangers_turns_saved=NOBODY_IS_KNOWN,
    strangers_turns_together=NOBODY_IS_KNOWN,
)


@post("/v2/orders", status_code=200)
async def orders() -> dict[str, str]:
    """Answer at once; the body is not looked at."""
    return {}


@get("/readyz")
async def ready() -> dict[str, str]:
    """Say that this serves."""
    return {}


def main() -> None:
    """Serve until told to stop, with the gateway's own settings of server and collector."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    settings = Settings.load(port=parser.parse_args().port)
    app = Litestar(route_handlers=[orders, ready], openapi_config=None, logging_config=None)
    server = uvicorn.Server(server_config(app, settings, LIMITS))
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    server.run()


if __name__ == "__main__":
    main()

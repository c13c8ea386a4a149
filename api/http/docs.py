"""/openapi.json, and /docs: a page of our own that shows it without anything from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Response, Router, get

_PAGE = Path(__file__).with_name("docs.html").read_bytes()


@get("/openapi.json", include_in_schema=False, sync_to_thread=False)
def openapi_json(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Openapi json."""
    return Response(request.app.state["openapi_bytes"], media_type=MediaType.JSON)


@get("/docs", include_in_schema=False, sync_to_thread=False)
def docs(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Docs."""
    return Response(
        _PAGE,
        media_type=MediaType.HTML,
        headers={
            "Content-Security-Policy": "default-src 'self'; style-src 'unsafe-inline';"
            " script-src 'unsafe-inline'; connect-src 'self'"
        },
    )


ROUTER = Router("/", route_handlers=[openapi_json, docs])

"""OPTIONS: the methods that a path knows, whichever handlers they have."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Response
from litestar.handlers import HTTPRouteHandler


def with_options(handlers: Sequence[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """The handlers, and before them one for the OPTIONS of each of their paths.

    Before, because the framework would else make its own for a path's first handler, which
    knows of no others.
    """
    methods: dict[str, set[str]] = {}
    for handler in handlers:
        for path in handler.paths:
            methods.setdefault(path, {"OPTIONS"}).update(handler.http_methods)
    return [*(_options(path, known) for path, known in methods.items()), *handlers]


def _options(path: str, known: set[str]) -> HTTPRouteHandler:
    allow = ", ".join(sorted(known))

    def options() -> Response[None]:
        return Response(None, status_code=204, headers={"Allow": allow})

    made = HTTPRouteHandler(
        path, http_method=["OPTIONS"], include_in_schema=False, sync_to_thread=False
    )
    return made(options)

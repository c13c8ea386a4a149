"""Query parameters: a route's signature says which it takes, and any other is refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args
from urllib.parse import parse_qsl

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.enums import ParamType
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.routes import HTTPRoute

from domain.errors import InvalidField

Taken = Mapping[str, bool]
"""What a route takes, by the names that clients use; true of what is a whole number."""

_WHOLE = re.compile(r"-?[0-9]{1,20}")
_LONGEST_NAME = 64


def taken_by(app: Litestar) -> dict[HTTPRouteHandler, Taken]:
    """The query parameters of every route: those that its documentation shows, and no others."""
    return {
        handler: _parameters_of(handler)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
    }


def refuse_others(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Refuse what the route does not take, what is given twice or empty, and numbers that are
    written as anything but digits; raises InvalidField.
    """
    query = connection.scope["query_string"]
    if not query:
        return
    taken: Taken = connection.app.state["query_parameters"][connection.route_handler]
    seen = set[str]()
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in taken:
            here = ", ".join(sorted(taken)) or "no parameters"
            raise InvalidField(name[:_LONGEST_NAME] or "query", f"is not taken here: {here}")
        if name in seen:
            raise InvalidField(name, "is given more than once")
        if not value:
            raise InvalidField(name, "is given without a value")
        if taken[name]:
            check_whole(value, name)
        seen.add(name)


def check_whole(written: str, name: str) -> None:
    """A whole number is digits alone: the framework would read 1e2 as a hundred. Raises
    InvalidField.
    """
    if _WHOLE.fullmatch(written) is None:
        raise InvalidField(name, "must be a whole number, in digits")


def _parameters_of(handler: HTTPRouteHandler) -> Taken:
    found = {}
    for field in handler.parsed_fn_signature.parameters.values():
        told = field.kwarg_definition
        if isinstance(told, ParameterKwarg) and told.param_type is ParamType.QUERY:
            kind = field.annotation
            found[told.name or field.name] = kind is int or int in get_args(kind)
    return found

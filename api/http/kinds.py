"""What a request asks for, by its method and path."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from api.door.fairness import Kind

Scope = MutableMapping[str, Any]

_LISTS = frozenset(
    {
        "/v2/account/portfolio/history",
        "/v2/account/risk",
        "/v2/assets",
        "/v2/calendar",
        "/v2/options/contracts",
        "/v2/orders",
        "/v2/positions",
        "/v2/settlements",
        "/admin/accounts",
        "/admin/trades",
    }
)
"""Where answers may be long, or long in the making, beside activities and the events of orders."""

_ACTIVITIES, _LONG_TOO = "/v2/account/activities", "/events"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def kind_of(scope: Scope) -> Kind:
    """What a request asks for: cancels, and what operators do, wait for no order."""
    method, path = scope["method"], scope["path"]
    if method in _READS:
        path = path.rstrip("/")
        is_list = path in _LISTS or path.endswith(_LONG_TOO) or path.startswith(_ACTIVITIES)
        return Kind.LIST if is_list else Kind.READ
    if path.startswith("/admin/") or (method == "DELETE" and path.startswith("/v2/orders")):
        return Kind.CANCEL
    return Kind.ORDER

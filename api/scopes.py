"""What a key must be good for: to read, to trade, to run the venue, to set its limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.auth import Principal
from api.refusals import ScopeRequired
from domain.api_key import ADMIN, READ, RISK, TRADE

READING = ("GET", "HEAD")
OF_RISK: Mapping[str, Any] = {"scope": RISK}
"""The `opt` of a route that sets limits, or stops an account or the venue."""


def check_scope(who: Principal, scope: str) -> None:
    """Refuse a key that is not good for something; raises ScopeRequired."""
    if scope not in who.scopes:
        raise ScopeRequired(scope)


def scope_of_request(method: str, *, operators: bool, opt: Mapping[str, Any]) -> str | None:
    """What a request over HTTP needs; None where it asks for nothing but what may be asked."""
    if method in READING:
        return READ
    if method == "OPTIONS":
        return None
    said: str | None = opt.get("scope")
    return said or (ADMIN if operators else TRADE)

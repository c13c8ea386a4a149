"""Each key's share of a gateway over HTTP: who waits, who is refused, what answers say of it.

By draft-ietf-httpapi-ratelimit-headers-06: how many requests a second, how many are left now, and
in how many seconds all of them are there again.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar.types import Message, Send

from api.auth import Principal
from api.door.fairness import IN_A_SECOND, Fairness, Kind, Standing
from api.refusals import TooManyRequests

STANDING = "standing_of_key"
"""Where a scope has how much more its key may ask for."""
PLACE = "place_of_key"
"""Where it has how to give its key's place back."""
LIMIT, REMAINING, RESET = "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"

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


def kind_of(scope: Any) -> Kind:
    """What a request asks for: cancels, and what operators do, wait for no order."""
    method, path = scope["method"], scope["path"]
    if method in _READS:
        path = path.rstrip("/")
        is_list = path in _LISTS or path.endswith(_LONG_TOO) or path.startswith(_ACTIVITIES)
        return Kind.LIST if is_list else Kind.READ
    if path.startswith("/admin/") or (method == "DELETE" and path.startswith("/v2/orders")):
        return Kind.CANCEL
    return Kind.ORDER


async def count(scope: Any, fairness: Fairness, who: Principal) -> None:
    """Count a request of a key; raises TooManyRequests."""
    taken, standing = fairness.count(who.key_id)
    scope[STANDING] = standing
    if not taken:
        await fairness.before_refusal(who.key_id)
        raise TooManyRequests(standing.limit, IN_A_SECOND)


async def enter(scope: Any, fairness: Fairness, who: Principal) -> None:
    """Return when the request may go on; raises TooManyRequests or QueueFull."""
    kind = kind_of(scope)
    await fairness.enter(who.key_id, kind)
    scope[PLACE] = partial(fairness.leave, who.key_id, kind)


def leave(scope: Any) -> None:
    """Give the place back, if there is one; how slowly the answer is read is no matter of it."""
    give_back = scope.pop(PLACE, None)
    if give_back is not None:
        give_back()


def answering(scope: Any, send: Send) -> Send:
    """Send an answer, with where its key stands."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            leave(scope)
            standing = scope.get(STANDING)
            if standing is not None:
                message["headers"] = [*message["headers"], *_headers(standing)]
        await send(message)

    return told


def _headers(standing: Standing) -> list[tuple[bytes, bytes]]:
    limit, remaining, reset = standing
    return [
        (b"ratelimit-limit", b"%d" % limit),
        (b"ratelimit-remaining", b"%d" % remaining),
        (b"ratelimit-reset", b"%d" % reset),
    ]

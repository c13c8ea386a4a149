"""Each key's share of a gateway over HTTP: who waits, who is refused, what answers say of it.

By draft-ietf-httpapi-ratelimit-headers-06: how many requests a second, how many are left now, and
in how many seconds all of them are there again.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar.types import Message, Send

from api.auth import Principal
from api.door.fairness import IN_A_SECOND, Fairness
from api.door.rates import Standing
from api.http.kinds import kind_of
from api.http.late import seconds_waited
from api.refusals import TooManyRequests

STANDING = "standing_of_key"
"""Where a scope has how much more its key may ask for."""
PLACE = "place_of_key"
"""Where it has how to give its key's place back."""
LIMIT, REMAINING, RESET = "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"


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
    await fairness.enter(who.key_id, kind, seconds_waited(scope))
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

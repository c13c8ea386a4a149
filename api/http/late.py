"""Requests that waited too long to be begun: refused before anything else is done for them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent, Send

from api.door.fairness import Fairness, Kind
from api.door.refusals import HTTP, Refusals
from api.http.kinds import Scope, kind_of
from api.refusals import PROBLEM_JSON, SAYS, problem_document, problem_headers, refusal_of

WAITED = "waited_to_be_begun"
"""Where a scope has how long its request has waited."""

_RATIONED = ("/v2/", "/admin/")


class Waited(NamedTuple):
    """For how many seconds a request of a key, or the first in its line, has waited; whether that
    is too long for it, and whether no other key's waits.
    """

    key_id: str
    seconds: float
    late: bool
    alone: bool


def may_be_refused(scope: Scope) -> bool:
    """Whether a request may come too late: not what takes risk away, nor what asks how we are."""
    return scope["path"].startswith(_RATIONED) and kind_of(scope) is not Kind.CANCEL


def seconds_waited(scope: Scope) -> float:
    """For how long a request has waited to be begun."""
    waited: Waited | None = scope.get(WAITED)
    return 0.0 if waited is None else waited.seconds


def is_late(scope: Scope) -> bool:
    """Whether a request has waited for longer than anybody has use for."""
    waited: Waited | None = scope.get(WAITED)
    return waited is not None and waited.late


async def refuse_late(scope: Scope, send: Send, fairness: Fairness, refusals: Refusals) -> None:
    """Say that the key asks too much, or that the venue is busy."""
    waited: Waited = scope[WAITED]
    late = fairness.too_late(waited.key_id, kind_of(scope), alone=waited.alone)
    refusal = refusal_of(late)
    await fairness.before_refusal(waited.key_id)
    refusals.count(HTTP, refusal.code)
    body = msgspec.json.encode(problem_document(refusal))
    said = {"content-type": PROBLEM_JSON, "content-length": str(len(body))}
    said |= problem_headers(refusal)
    start: HTTPResponseStartEvent = {
        "type": "http.response.start",
        "status": SAYS[refusal.code].status,
        "headers": [(name.lower().encode(), value.encode()) for name, value in said.items()],
    }
    end: HTTPResponseBodyEvent = {"type": "http.response.body", "body": body, "more_body": False}
    await send(start)
    await send(end)

"""Successful responses, and what every route declares about the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from litestar import Response
from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec

from api.documents import Problem
from api.refusals import DUPLICATE, POSITION, PROBLEM_JSON
from application.turns import Turn

DATA_AGE = "X-Data-Age-Ms"
DATA_TIER = "X-Data-Tier"
DATA_SOURCE = "X-Data-Source"
WARNING = "Warning"

Row = TypeVar("Row")

_encode = msgspec.json.Encoder().encode


def json_response(
    document: Any, *, status: int = 200, position: int = 0, duplicate: bool = False
) -> Response[Any]:
    """A document, with the log position it stands at when a command made it."""
    headers = {}
    if position:
        headers[POSITION] = str(position)
    if duplicate:
        headers[DUPLICATE] = "true"
    return Response(
        _encode(document), status_code=status, media_type="application/json", headers=headers
    )


async def list_response(rows: Iterable[Row], shown: Callable[[Row], Any]) -> Response[Any]:
    """What is shown of some rows, made a piece at a time."""
    return Response(await encoded_list(rows, shown), media_type="application/json")


async def encoded_list(rows: Iterable[Row], shown: Callable[[Row], Any]) -> bytes:
    """A JSON array of what is shown of some rows; others go on while a long one is made."""
    turn, parts = Turn(), list[bytes]()
    for row in rows:
        parts.append(_encode(shown(row)))
        await turn.is_over()
    return b"[%b]" % b",".join(parts)


def valued_response(document: Any, source: str, age: int | None) -> Response[Any]:
    """A document of holdings that were valued at prices of an age in microseconds."""
    answer = json_response(document)
    answer.headers[DATA_SOURCE] = source
    if age is not None:
        answer.headers[DATA_AGE] = milliseconds(age)
    return answer


def milliseconds(age: int) -> str:
    """An age in microseconds as clients are told it: never younger than it is."""
    return str(-(-age // 1_000))


def no_content(position: int = 0, duplicate: bool = False) -> Response[None]:
    """Nothing to show; the position all the same."""
    headers = {}
    if position:
        headers[POSITION] = str(position)
    if duplicate:
        headers[DUPLICATE] = "true"
    return Response(None, status_code=204, headers=headers)


COMMAND_HEADERS = [
    ResponseHeader(
        name=POSITION,
        description="Log position of the last event of this command; of a repeat, of its answer.",
        documentation_only=True,
    ),
    ResponseHeader(
        name=DUPLICATE,
        description="`true` when this repeats an earlier request: an order is shown as it is now.",
        documentation_only=True,
    ),
]

SNAPSHOT_HEADERS = [
    ResponseHeader(
        name=DATA_AGE,
        description="Milliseconds since the feed knew that it had told everything, rounded up.",
        documentation_only=True,
        required=True,
    ),
    ResponseHeader(
        name=DATA_TIER,
        description="How fresh the symbol is kept: 1 is never older than 100 ms.",
        documentation_only=True,
        required=True,
    ),
    ResponseHeader(
        name=WARNING,
        description="Says why it is older than its tier allows; such an answer is bounded too.",
        documentation_only=True,
    ),
]
VALUED_HEADERS = [
    ResponseHeader(
        name=DATA_AGE,
        description=(
            "How old the prices are by which holdings are valued, in milliseconds; not there "
            "where nobody can say."
        ),
        documentation_only=True,
    ),
    ResponseHeader(
        name=DATA_SOURCE,
        description="Whose prices they are: the market data feed's, or the views'.",
        documentation_only=True,
        required=True,
    ),
]

_MEANINGS = {
    400: "The request, or its body, cannot be read.",
    401: "No live key.",
    403: "Refused by a limit, a state or a role.",
    404: "Not there, or another's.",
    409: "Does not fit the present state.",
    413: "The body is too large.",
    422: "A field or a parameter is wrong; the problem names it.",
    429: "More than the key may ask for, or the account may send; nothing was taken.",
    500: "A fault of the venue's own.",
    503: "Busy, unreachable or behind: Retry-After says when to ask again.",
}


OF_EVERY_ROUTE = (400, 500)
"""Statuses of what cannot be read as HTTP, and of our own faults."""
OF_EVERY_KEY = (401, 403, 422, 429, 503)
"""Statuses of a key that is wrong, of another role or asks too much, of wrong parameters, and of a
store that is away.
"""


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """The problem responses of a route that wants a key, beside those of every such route."""
    return problems_of_all(*OF_EVERY_KEY, *statuses)


def problems_of_all(*statuses: int) -> dict[int, ResponseSpec]:
    """The problem responses of a route, beside those of every route."""
    return {
        status: ResponseSpec(
            data_container=Problem,
            description=_MEANINGS[status],
            media_type=PROBLEM_JSON,
            generate_examples=False,
        )
        for status in sorted({*OF_EVERY_ROUTE, *statuses})
    }

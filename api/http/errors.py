"""Whatever goes wrong in a request becomes a problem document, and nothing else."""

from __future__ import annotations

import logging
import re
from typing import Any

import psycopg
from litestar import Request, Response
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import ExceptionHandlersMap

from api.door.refusals import HTTP, refusals_of
from api.patience import STORE_AWAY
from api.refusals import (
    BodyTooLarge,
    InternalError,
    MalformedBody,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    Refused,
    UpgradeRequired,
    problem,
    refusal_of,
)
from domain.errors import InvalidField, Rejection, VenueUnavailable

LARGEST_BODY = 64 * 1024
LONGEST_PATH_SHOWN = 256

_HOST = "Invalid host header"
"""What the framework says of a Host that cannot be one."""

_HUNG_UP = "client disconnected prematurely"
"""What it says when no more of a body will come."""

_BOUND = re.compile(r"(?:of length )?[<>]=? (-?\d+)$")
_MISSING = re.compile(r"[Mm]issing required \w+ parameter '([^']+)'")

log = logging.getLogger("nexus.http")


def rejected(request: Request[Any, Any, Any], error: Rejection) -> Response[Any]:
    """A refusal of the gateway's own."""
    return _problem(request, error)


def refused(request: Request[Any, Any, Any], error: Refused) -> Response[Any]:
    """A refusal of the writer's."""
    refusals_of(request.app).count(HTTP, error.refusal.code)
    return problem(
        error.refusal,
        path_fields=error.path_fields,
        position=error.position,
        duplicate=error.duplicate,
    )


def framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """What the framework itself found wrong, in the words of the rest."""
    rejection: Rejection
    if isinstance(error, ValidationException):
        rejection = _first_wrong(error)
    elif isinstance(error, MethodNotAllowedException):
        return _not_allowed(request, error)
    elif isinstance(error, NotFoundException):
        rejection = NotFound(_path(request))
    elif isinstance(error, RequestEntityTooLarge):
        rejection = BodyTooLarge(LARGEST_BODY)
    elif isinstance(error, ClientException) and error.detail == _HOST:
        rejection = MalformedRequest("Host", "is no name or address of a host")
    elif isinstance(error, ClientException):
        rejection = MalformedBody(f"cannot be read: {error.detail}")
    elif error.detail == _HUNG_UP:
        log.info(
            "%s %s: the client hung up in the middle of its body", request.method, _path(request)
        )
        rejection = MalformedBody("ends before it is whole")
    else:
        return unexpected(request, error)
    return _problem(request, rejection)


def store_away(request: Request[Any, Any, Any], error: psycopg.Error) -> Response[Any]:
    """The store does not answer; nothing was decided here, the writer has its own connection."""
    # That it stays away was said when it went, by a gateway; before there is one nobody has.
    gateway = request.app.state.get("gateway")
    if gateway is None or not gateway.pool.away.lasts:
        log.warning("%s %s: the store is away: %s", request.method, _path(request), error)
    return _problem(request, VenueUnavailable(STORE_AWAY))


def views_missing(
    request: Request[Any, Any, Any], error: psycopg.ProgrammingError
) -> Response[Any]:
    """No projector has made the views yet, or not yet as this program reads them."""
    return _problem(request, VenueUnavailable("the views are not there yet"))


def unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """A fault of ours: logged whole, told in one sentence."""
    log.error("%s %s failed", request.method, _path(request), exc_info=error)
    return _problem(request, InternalError())


def _not_allowed(
    request: Request[Any, Any, Any], error: MethodNotAllowedException
) -> Response[Any]:
    """The path knows other methods, or none but the opening of a WebSocket."""
    named = (error.headers or {}).get("allow", "").split(", ")
    allowed = sorted(name for name in named if name.isupper())
    if not allowed:
        answer = _problem(request, UpgradeRequired(_path(request)))
        answer.set_header("Upgrade", "websocket")
        return answer
    answer = _problem(request, MethodNotAllowed(request.method, _path(request), allowed))
    answer.set_header("Allow", ", ".join(allowed))
    return answer


def _problem(request: Request[Any, Any, Any], rejection: Rejection) -> Response[Any]:
    """A refusal as a problem, counted."""
    refusals_of(request.app).count(HTTP, rejection.code)
    return problem(refusal_of(rejection))


def _path(request: Request[Any, Any, Any]) -> str:
    """The path as it was asked for.

    Not by the request's URL: that is made with the Host header, which may be any text.
    """
    return str(request.scope["path"])[:LONGEST_PATH_SHOWN]


def _first_wrong(error: ValidationException) -> Rejection:
    extra = error.extra
    wrong = extra[0] if isinstance(extra, list) and extra else {}
    field = str(wrong.get("key") or "")
    why = str(wrong.get("message") or error.detail)
    if field == "data":
        return MalformedBody("is required")
    missing = _MISSING.search(why)
    if missing is not None:
        return InvalidField(missing[1], "is required")
    bound = _BOUND.search(why)
    return InvalidField(
        field or "request",
        f"is wrong: {why[:1].lower()}{why[1:]}",
        **({"limit": int(bound[1])} if bound is not None else {}),
    )


HANDLERS: ExceptionHandlersMap = {
    Rejection: rejected,
    Refused: refused,
    HTTPException: framework,
    psycopg.OperationalError: store_away,
    psycopg.InterfaceError: store_away,
    psycopg.errors.UndefinedTable: views_missing,
    psycopg.errors.UndefinedColumn: views_missing,
    Exception: unexpected,
}

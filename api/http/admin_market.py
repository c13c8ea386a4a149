"""/admin/instruments: list, change, open, close, halt, resume, mark."""

from __future__ import annotations

from litestar import Response, patch, post
from litestar.params import FromPath, JSONBody

from api.admin_schemas import (
    MarkRequest,
    ReasonRequest,
    SessionRequest,
)
from api.decimals import ExactRequest
from api.documents import Outcome
from api.http.admin_accounts import outcome
from api.http.guards import gateway_of, principal_of
from api.http.responses import COMMAND_HEADERS, problems
from api.instrument_schemas import REMAINDERS, TRIGGER_RULES, InstrumentChange, InstrumentRequest
from api.schemas import plain_text
from application.commands import (
    ChangeInstrument,
    CloseInstrument,
    HaltInstrument,
    ListInstrument,
    MarkInstrument,
    OpenInstrument,
    ResumeInstrument,
)
from application.requests import Command
from domain.errors import InvalidField
from domain.identifiers import instant_of

NEW = ("symbol",)
_REFUSALS = problems(400, 403, 404, 409, 413, 422)


async def command_outcome(request: ExactRequest, command: Command) -> Response[Outcome]:
    """Have an operator's command decided; what the path named and is unknown is not there."""
    gateway = gateway_of(request)
    return outcome(await gateway.send(command, principal_of(request), path_fields=NEW))


def _symbol(text: str) -> str:
    return plain_text(text, "symbol", 24) or ""


TAGS = ["Admin: market"]


@post(
    "/instruments",
    status_code=200,
    tags=TAGS,
    summary="List an instrument",
    responses=problems(409, 413),
    response_headers=COMMAND_HEADERS,
)
async def list_instrument(
    request: ExactRequest, data: JSONBody[InstrumentRequest]
) -> Response[Outcome]:
    """List an instrument.

    It starts closed. The same symbol and terms again give the first result. With `option` it is
    an option on an instrument that is listed, under the OCC symbol of its terms.
    """
    command = ListInstrument(**data.terms())
    return outcome(await gateway_of(request).send(command, principal_of(request)))


@patch(
    "/instruments/{symbol:str}",
    tags=TAGS,
    summary="Change an instrument",
    responses=_REFUSALS,
    response_headers=COMMAND_HEADERS,
)
async def change_instrument(
    request: ExactRequest, symbol: FromPath[str], data: JSONBody[InstrumentChange]
) -> Response[Outcome]:
    """Change an instrument."""
    rule = None if data.trigger_rule is None else TRIGGER_RULES[data.trigger_rule]
    command = ChangeInstrument(
        symbol=_symbol(symbol),
        new_symbol=data.new_symbol,
        name=data.name,
        trigger_rule=rule,
        collar_bps=data.collar_bps,
        protection_bps=data.protection_bps,
        remainder=None if data.remainder is None else REMAINDERS[data.remainder],
        max_order_qty=data.max_order_qty,
        max_order_notional=data.max_order_notional,
        position_limit=data.position_limit,
        initial_margin_bps=data.initial_margin_bps,
        maintenance_margin_bps=data.maintenance_margin_bps,
        shortable=data.shortable,
        settlement_cycle=data.settlement_cycle,
    )
    return await command_outcome(request, command)


@post(
    "/instruments/{symbol:str}/open",
    status_code=200,
    tags=TAGS,
    summary="Open a session",
    responses=_REFUSALS,
    response_headers=COMMAND_HEADERS,
)
async def open_instrument(
    request: ExactRequest, symbol: FromPath[str], data: JSONBody[SessionRequest]
) -> Response[Outcome]:
    """Open a session.

    Uncrosses what is queued at one price, then trades continuously.
    """
    opens_at, closes_at = instant_of(data.opens_at), instant_of(data.closes_at)
    if closes_at <= opens_at:
        raise InvalidField("closes_at", "must lie after opens_at")
    command = OpenInstrument(
        _symbol(symbol), data.session_date, data.value_date, opens_at, closes_at
    )
    return await command_outcome(request, command)


@post(
    "/instruments/{symbol:str}/close",
    status_code=200,
    tags=TAGS,
    summary="Close the session",
    responses=_REFUSALS,
    response_headers=COMMAND_HEADERS,
)
async def close_instrument(request: ExactRequest, symbol: FromPath[str]) -> Response[Outcome]:
    """Close the session.

    Its closing auction comes first; an instrument that is halted closes without one.
    """
    return await command_outcome(request, CloseInstrument(_symbol(symbol)))


@post(
    "/instruments/{symbol:str}/halt",
    status_code=200,
    tags=TAGS,
    summary="Halt trading",
    responses=_REFUSALS,
    response_headers=COMMAND_HEADERS,
)
async def halt_instrument(
    request: ExactRequest, symbol: FromPath[str], data: JSONBody[ReasonRequest]
) -> Response[Outcome]:
    """Halt trading."""
    return await command_outcome(request, HaltInstrument(_symbol(symbol), data.reason))


@post(
    "/instruments/{symbol:str}/resume",
    status_code=200,
    tags=TAGS,
    summary="Resume trading",
    responses=_REFUSALS,
    response_headers=COMMAND_HEADERS,
)
async def resume_instrument(request: ExactRequest, symbol: FromPath[str]) -> Response[Outcome]:
    """Resume trading."""
    return await command_outcome(request, ResumeInstrument(_symbol(symbol)))


@post(
    "/instruments/{symbol:str}/mark",
    status_code=200,
    tags=TAGS,
    summary="Set the mark price",
    responses=problems(404, 413),
    response_headers=COMMAND_HEADERS,
)
async def mark_instrument(
    request: ExactRequest, symbol: FromPath[str], data: JSONBody[MarkRequest]
) -> Response[Outcome]:
    """Set the mark price."""
    return await command_outcome(request, MarkInstrument(_symbol(symbol), data.price))


HANDLERS = [
    list_instrument,
    change_instrument,
    open_instrument,
    close_instrument,
    halt_instrument,
    resume_instrument,
    mark_instrument,
]

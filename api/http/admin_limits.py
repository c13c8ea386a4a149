"""/admin: unsettled money, what trades cost, kill switches, margins and pairs."""

from __future__ import annotations

from uuid import UUID

from litestar import Response, get, post, put
from litestar.params import FromPath, JSONBody

from api.admin_schemas import (
    CommissionRequest,
    KillSwitchRequest,
    PairMarginRequest,
    PolicyRequest,
)
from api.decimals import ExactRequest
from api.documents import KillSwitch, Outcome, PairMargin
from api.http.admin_accounts import IN_PATH, account_in, outcome
from api.http.guards import gateway_of, principal_of
from api.http.parameters import MinPosition
from api.http.responses import COMMAND_HEADERS, json_response, list_response, problems
from api.rendering import kill_switch_document, pair_document
from api.scopes import OF_RISK
from api.trading import cancel_all
from application.commands import (
    CheckMargins,
    Reply,
    SetAccountPolicy,
    SetCommissionSchedule,
    SetKillSwitch,
    SetPairMargin,
)
from projections import balances, pair_margins

DOOR = "http"
TAGS = ["Admin: risk"]
_REFUSALS = problems(400, 403, 404, 413, 422)


@put(
    "/accounts/{account_id:str}/policy",
    opt=OF_RISK,
    tags=TAGS,
    summary="Set an account's policy",
    responses=_REFUSALS,
    response_headers=COMMAND_HEADERS,
)
async def set_policy(
    request: ExactRequest, account_id: FromPath[str], data: JSONBody[PolicyRequest]
) -> Response[Outcome]:
    """Set an account's policy.

    Whether proceeds that have not settled may buy. What a cash account buys with them it
    cannot sell before that purchase settles.
    """
    wanted = account_in(account_id)
    command = SetAccountPolicy(wanted, data.use_unsettled)
    reply = await gateway_of(request).send(
        command, principal_of(request), path_fields=IN_PATH, account_id=wanted
    )
    return outcome(reply)


@put(
    "/accounts/{account_id:str}/commission",
    tags=TAGS,
    summary="Set an account's commission",
    responses=_REFUSALS,
    response_headers=COMMAND_HEADERS,
)
async def set_commission(
    request: ExactRequest, account_id: FromPath[str], data: JSONBody[CommissionRequest]
) -> Response[Outcome]:
    """Set an account's commission.

    The whole schedule, from the next trade on; `kind: none` makes trades free.
    """
    wanted = account_in(account_id)
    command = SetCommissionSchedule(wanted, *data.schedule())
    reply = await gateway_of(request).send(
        command, principal_of(request), path_fields=IN_PATH, account_id=wanted
    )
    return outcome(reply)


@put(
    "/accounts/{account_id:str}/kill-switch",
    opt=OF_RISK,
    tags=TAGS,
    summary="Stop an account",
    responses=_REFUSALS,
    response_headers=COMMAND_HEADERS,
)
async def switch_account(
    request: ExactRequest, account_id: FromPath[str], data: JSONBody[KillSwitchRequest]
) -> Response[Outcome]:
    """Stop an account.

    No new order and no replace is taken until it is released; cancels are. With
    `cancel_orders` its working orders end, in as many steps as the writer wants to take.
    """
    wanted = account_in(account_id)
    command = SetKillSwitch(wanted, data.engaged, data.reason)
    reply = await gateway_of(request).send(
        command, principal_of(request), path_fields=IN_PATH, account_id=wanted
    )
    return await _with_cancels(request, reply, data, [wanted])


@put(
    "/kill-switch",
    opt=OF_RISK,
    tags=TAGS,
    summary="Stop the venue",
    responses=problems(413),
    response_headers=COMMAND_HEADERS,
)
async def switch_venue(
    request: ExactRequest, data: JSONBody[KillSwitchRequest]
) -> Response[Outcome]:
    """Stop the venue.

    As the switch of an account, for all accounts at once.
    """
    gateway = gateway_of(request)
    command = SetKillSwitch(None, data.engaged, data.reason)
    reply = await gateway.send(command, principal_of(request))
    working: list[UUID] = []
    if data.cancel_orders:
        # Nothing new is taken any more: who has orders now is all there is to end.
        await gateway.catch_up_to_end("orders")
        async with gateway.pool.connection() as conn:
            working = await balances.accounts_with_open_orders(conn)
    return await _with_cancels(request, reply, data, working)


async def _with_cancels(
    request: ExactRequest, switched: Reply, data: KillSwitchRequest, accounts: list[UUID]
) -> Response[Outcome]:
    """The outcome of a switch, and of the mass cancels that go with it."""
    position, canceled = switched.position, 0
    if data.cancel_orders:
        for account_id in accounts:
            ended, at = await cancel_all(
                gateway_of(request), principal_of(request), DOOR, account_id
            )
            position, canceled = max(position, at), canceled + len(ended)
    result = {**(switched.result or {}), "engaged": data.engaged, "canceled_orders": canceled}
    return outcome(Reply(position, result=result, duplicate=switched.duplicate))


@get("/kill-switch", tags=TAGS, summary="Get the venue's kill switch", responses=problems(403))
async def get_switch(request: ExactRequest, position: MinPosition) -> Response[KillSwitch]:
    """Get the venue's kill switch."""
    gateway = gateway_of(request)
    await gateway.catch_up(None, position, "balances")
    async with gateway.pool.connection() as conn:
        venue = await balances.get_venue_switch(conn)
    return json_response(kill_switch_document(venue))


@put(
    "/pair-margins",
    opt=OF_RISK,
    tags=TAGS,
    summary="Set the margin of a pair",
    responses=_REFUSALS,
    response_headers=COMMAND_HEADERS,
)
async def set_pair(request: ExactRequest, data: JSONBody[PairMarginRequest]) -> Response[Outcome]:
    """Set the margin of a pair.

    What an account holds long of one share and short of the other, of equal value at the marks,
    binds this rate in the place of the shares' own. A rate of 0 ends the pair.
    """
    command = SetPairMargin(data.symbol, data.other_symbol, data.bps)
    return outcome(await gateway_of(request).send(command, principal_of(request)))


@get("/pair-margins", tags=TAGS, summary="List the margins of pairs", responses=problems(403))
async def list_pairs(request: ExactRequest, position: MinPosition) -> Response[list[PairMargin]]:
    """List the margins of pairs."""
    gateway = gateway_of(request)
    await gateway.catch_up(None, position, "pair_margins", "instruments")
    async with gateway.pool.connection() as conn:
        rows = await pair_margins.list_pairs(conn)
    return await list_response(rows, pair_document)


@post(
    "/margin-check",
    opt=OF_RISK,
    status_code=200,
    tags=TAGS,
    summary="Check all margins",
    responses=problems(403),
    response_headers=COMMAND_HEADERS,
)
async def check_margins(request: ExactRequest) -> Response[Outcome]:
    """Check all margins.

    Calls margin accounts whose equity is below their maintenance requirement at the present
    marks, and clears the calls of those that cover it again.
    """
    gateway, changed = gateway_of(request), 0
    while True:
        reply = await gateway.send(CheckMargins(), principal_of(request))
        assert reply.result is not None, "a margin check says what it changed"
        changed += reply.result["changed"]
        if not reply.result["remaining"]:
            return outcome(Reply(reply.position, result={"changed": changed}))


HANDLERS = [
    *(set_policy, set_commission, switch_account, switch_venue, get_switch),
    *(set_pair, list_pairs, check_margins),
]

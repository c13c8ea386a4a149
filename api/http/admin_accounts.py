"""/admin/accounts: open accounts, give them keys, money and holdings, and say what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from litestar import Response, get, patch, post
from litestar.params import FromPath, JSONBody

from api.admin_schemas import (
    AccountChange,
    AccountRequest,
    CashRequest,
    ForgetRequest,
    TransferRequest,
)
from api.decimals import ExactRequest
from api.documents import AdminAccount, Outcome
from api.http.guards import gateway_of, principal_of
from api.http.parameters import IdempotencyKey, MinPosition
from api.http.responses import COMMAND_HEADERS, json_response, list_response, problems
from api.key_documents import IssuedKey
from api.key_issuing import issue
from api.processes.gateway import NAMED_ALIKE, new_key
from api.refusals import NotFound
from api.rendering import admin_account_document
from api.schemas import plain_text
from api.scopes import OF_RISK
from api.trading import KEY_NAMES, order_id_in
from application.commands import (
    ChargeFee,
    Deposit,
    ForgetOwner,
    OpenAccount,
    Reply,
    SetAccountLimits,
    SetAccountStatus,
    TransferPosition,
    Withdraw,
)
from application.requests import Command
from domain.api_key import OF_ACCOUNTS, KeyTerms
from domain.errors import InvalidField
from domain.terms import AccountKind, AccountStatus
from projections import balances
from projections.balances import AccountRow

IN_PATH = ("account_id",)


def outcome(reply: Reply) -> Response[Outcome]:
    """What a command of an operator did."""
    return json_response(
        {
            "position": reply.position,
            "duplicate": reply.duplicate,
            "result": reply.result or {},
        },
        position=reply.position,
        duplicate=reply.duplicate,
    )


def account_in(text: str) -> UUID:
    """The account a path names."""
    return order_id_in(text, "account_id")


TAGS = ["Admin: accounts"]


@post(
    "/accounts",
    status_code=200,
    tags=TAGS,
    summary="Open an account",
    responses=problems(400, 403, 409, 413, 422),
    response_headers=COMMAND_HEADERS,
)
async def open_account(
    request: ExactRequest, data: JSONBody[AccountRequest]
) -> Response[IssuedKey]:
    """Open an account.

    Gives the account and, the first time or with `rotate`, a key whose secret is shown this
    once. `rotate` ends the keys before.
    """
    gateway = gateway_of(request)
    command = OpenAccount(
        data.name,
        await gateway.subjects.sealed(data.name, data.owner),
        int(AccountKind[data.kind.upper()]),
        data.max_order_notional,
    )
    reply = await gateway.send(command, principal_of(request))
    assert reply.result is not None, "an account that was opened has an id"
    account_id = UUID(reply.result["account_id"])
    gateway.wrote(account_id, reply.position)
    key = None
    if data.rotate or not await gateway.keys.has_key(account_id):
        terms = KeyTerms(account_id, "", OF_ACCOUNTS)
        key = await issue(gateway, principal_of(request), terms, instead=data.rotate)
    return json_response(
        {
            "account_id": str(account_id),
            "name": data.name,
            "created": not reply.duplicate,
            "key_id": key.key_id if key else None,
            "secret_key": key.secret if key else None,
        },
        position=key.position if key else reply.position,
        duplicate=reply.duplicate,
    )


@get("/accounts", tags=TAGS, summary="List accounts", responses=problems(403))
async def list_accounts(
    request: ExactRequest, position: MinPosition
) -> Response[list[AdminAccount]]:
    """List accounts."""
    gateway = gateway_of(request)
    await gateway.catch_up(None, position, "balances")
    async with gateway.pool.connection() as conn:
        rows = await balances.list_accounts(conn)
    owners = await gateway.subjects.opened([row.owner for row in rows])
    return await list_response(
        list(zip(rows, owners, strict=True)), lambda told: admin_account_document(*told)
    )


@get(
    "/accounts/{account_id:str}",
    tags=TAGS,
    summary="Get an account",
    responses=problems(403, 404, 422),
)
async def get_account(
    request: ExactRequest, account_id: FromPath[str], position: MinPosition
) -> Response[AdminAccount]:
    """Get an account."""
    gateway, wanted = gateway_of(request), account_in(account_id)
    await gateway.catch_up(wanted, position, "balances")
    async with gateway.pool.connection() as conn:
        row = await balances.get_account(conn, wanted)
    if row is None:
        raise NotFound("account", "account_id")
    (owner,) = await gateway.subjects.opened([row.owner])
    return json_response(admin_account_document(row, owner))


@post(
    "/accounts/{account_id:str}/forget-owner",
    status_code=200,
    tags=TAGS,
    summary="Forget an owner",
    responses=problems(400, 403, 404, 413, 422),
    response_headers=COMMAND_HEADERS,
)
async def forget_owner(
    request: ExactRequest, account_id: FromPath[str], data: JSONBody[ForgetRequest]
) -> Response[Outcome]:
    """Forget an owner.

    Throws the key away that opens the owner's name, of all accounts of his: nobody reads it again,
    and money, holdings and history stay.
    """
    wanted = account_in(account_id)
    return outcome(await _send(request, ForgetOwner(wanted, data.reason), wanted))


@patch(
    "/accounts/{account_id:str}",
    opt=OF_RISK,
    tags=TAGS,
    summary="Change an account",
    responses=problems(400, 403, 404, 413, 422),
    response_headers=COMMAND_HEADERS,
)
async def change_account(
    request: ExactRequest, account_id: FromPath[str], data: JSONBody[AccountChange]
) -> Response[Outcome]:
    """Change an account.

    Either its status, or its own limits (0: none); a limit that is left out stays.
    """
    wanted = account_in(account_id)
    limits = (data.max_order_notional, data.max_orders_per_second)
    if (data.status is None) == (limits == (None, None)):
        # Two commands could leave one done and the other refused.
        raise InvalidField("body", "must change either status or limits")
    if data.status is not None:
        status = int(AccountStatus[data.status.upper()])
        command: Command = SetAccountStatus(wanted, status, data.reason)
    else:
        command = await _limits(request, wanted, *limits)
    return outcome(await _send(request, command, wanted))


async def _limits(
    request: ExactRequest, account_id: UUID, notional: int | None, rate: int | None
) -> SetAccountLimits:
    """The account's limits, all of them, with what was left out as it is now."""
    if notional is None or rate is None:
        row = await _account(request, account_id)
        notional = row.max_order_notional if notional is None else notional
        rate = row.max_orders_per_second if rate is None else rate
    return SetAccountLimits(account_id, notional, rate)


async def _account(request: ExactRequest, account_id: UUID) -> AccountRow:
    gateway = gateway_of(request)
    await gateway.catch_up_to_end("balances")
    async with gateway.pool.connection() as conn:
        row = await balances.get_account(conn, account_id)
    if row is None:
        raise NotFound("account", "account_id")
    return row


@post(
    "/accounts/{account_id:str}/deposits",
    status_code=200,
    tags=TAGS,
    summary="Bring cash in",
    responses=problems(400, 403, 404, 413, 422),
    response_headers=COMMAND_HEADERS,
)
async def deposit(
    request: ExactRequest,
    account_id: FromPath[str],
    data: JSONBody[CashRequest],
    idempotency_key: IdempotencyKey,
) -> Response[Outcome]:
    """Bring cash in."""
    wanted = account_in(account_id)
    key, named = _key(data.request_key, idempotency_key)
    command = Deposit(wanted, data.amount, key, data.description)
    return outcome(await _send(request, command, wanted, named))


@post(
    "/accounts/{account_id:str}/withdrawals",
    status_code=200,
    tags=TAGS,
    summary="Take cash out",
    responses=problems(400, 403, 404, 413, 422),
    response_headers=COMMAND_HEADERS,
)
async def withdraw(
    request: ExactRequest,
    account_id: FromPath[str],
    data: JSONBody[CashRequest],
    idempotency_key: IdempotencyKey,
) -> Response[Outcome]:
    """Take cash out."""
    wanted = account_in(account_id)
    key, named = _key(data.request_key, idempotency_key)
    command = Withdraw(wanted, data.amount, key, data.description)
    return outcome(await _send(request, command, wanted, named))


@post(
    "/accounts/{account_id:str}/fees",
    status_code=200,
    tags=TAGS,
    summary="Charge a fee",
    responses=problems(400, 403, 404, 413, 422),
    response_headers=COMMAND_HEADERS,
)
async def charge_fee(
    request: ExactRequest,
    account_id: FromPath[str],
    data: JSONBody[CashRequest],
    idempotency_key: IdempotencyKey,
) -> Response[Outcome]:
    """Charge a fee."""
    wanted = account_in(account_id)
    key, named = _key(data.request_key, idempotency_key)
    command = ChargeFee(wanted, data.amount, key, data.description)
    return outcome(await _send(request, command, wanted, named))


@post(
    "/accounts/{account_id:str}/positions",
    status_code=200,
    tags=TAGS,
    summary="Bring a holding in or out",
    responses=problems(400, 403, 404, 413, 422),
    response_headers=COMMAND_HEADERS,
)
async def transfer(
    request: ExactRequest,
    account_id: FromPath[str],
    data: JSONBody[TransferRequest],
    idempotency_key: IdempotencyKey,
) -> Response[Outcome]:
    """Bring a holding in or out."""
    wanted = account_in(account_id)
    key, named = _key(data.request_key, idempotency_key)
    command = TransferPosition(wanted, data.symbol, data.qty, data.cost, key, data.description)
    return outcome(await _send(request, command, wanted, named))


async def _send(
    request: ExactRequest,
    command: Command,
    account_id: UUID,
    named: Mapping[str, str] = NAMED_ALIKE,
) -> Reply:
    return await gateway_of(request).send(
        command, principal_of(request), path_fields=IN_PATH, named=named, account_id=account_id
    )


class _RequestKey(NamedTuple):
    """A request key, and how the operator spelled where it stands."""

    key: str
    named: Mapping[str, str]


def _key(in_body: str | None, in_header: str | None) -> _RequestKey:
    """The request key: the body's, else the header's, else a new one."""
    if in_body:
        return _RequestKey(in_body, NAMED_ALIKE)
    return _RequestKey(plain_text(in_header, "Idempotency-Key") or new_key(), KEY_NAMES["http"])


HANDLERS = [
    open_account,
    list_accounts,
    get_account,
    forget_owner,
    change_account,
    deposit,
    withdraw,
    charge_fee,
    transfer,
]

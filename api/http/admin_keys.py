"""/admin/keys: issue keys, list them, give them another secret, and end them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody

from api.admin_schemas import KeyRequest, KeyRotation
from api.decimals import ExactRequest
from api.http.admin_accounts import account_in
from api.http.guards import gateway_of, principal_of
from api.http.responses import COMMAND_HEADERS, json_response, no_content, problems
from api.key_documents import IssuedKey, OperatorsKey
from api.key_issuing import NewKey, issue, revoke, rotate
from api.key_rows import KnownKey
from api.refusals import NotFound
from api.schemas import plain_text
from application.log.ports import Recorded
from domain.api_key import OF_ACCOUNTS, KeyTerms
from domain.errors import InvalidField
from domain.identifiers import NO_ID, Instant, instant_of, iso
from projections import balances

TAGS = ["Admin: keys"]


@post(
    "/keys",
    status_code=200,
    tags=TAGS,
    summary="Issue a key",
    responses=problems(400, 403, 404, 413, 422),
    response_headers=COMMAND_HEADERS,
)
async def issue_key(request: ExactRequest, data: JSONBody[KeyRequest]) -> Response[IssuedKey]:
    """Issue a key.

    Of an account, or of an operator; the secret is shown this once. An operator gives others no
    scope that his own key has not.
    """
    if data.account_id == NO_ID:
        raise InvalidField("account_id", "is of no account")
    account_id = data.account_id or NO_ID
    if data.scopes is None and account_id == NO_ID:
        raise InvalidField("scopes", "must be said of an operator's key")
    scopes = OF_ACCOUNTS if data.scopes is None else tuple(data.scopes)
    terms = KeyTerms(account_id, "", scopes, data.label, _instant(data.valid_until) or 0)
    return _issued(await issue(gateway_of(request), principal_of(request), terms), account_id)


@get("/keys", tags=TAGS, summary="List keys", responses=problems(403))
async def list_keys(request: ExactRequest) -> Response[list[OperatorsKey]]:
    """List keys.

    All that there were, revoked ones too, each with its last event; never a secret.
    """
    gateway = gateway_of(request)
    rows = await gateway.keys.listed()
    events = await gateway.log.read_at([row.position for row in rows if row.position])
    told = {recorded.position: recorded for recorded in events}
    now = gateway.clock.now()
    return json_response([_document(row, told.get(row.position), now) for row in rows])


@post(
    "/keys/{key_id:str}/rotate",
    status_code=200,
    tags=TAGS,
    summary="Rotate a key",
    responses=problems(400, 403, 404, 413, 422),
    response_headers=COMMAND_HEADERS,
)
async def rotate_key(
    request: ExactRequest, key_id: FromPath[str], data: JSONBody[KeyRotation]
) -> Response[IssuedKey]:
    """Rotate a key.

    Gives it another secret, shown this once; the one before ends at once, and every stream with it.
    """
    wanted = _named(key_id)
    until = _instant(data.valid_until)
    new = await rotate(gateway_of(request), principal_of(request), wanted, until)
    known = await gateway_of(request).keys.known(wanted)
    return _issued(new, known.account_id if known is not None else None)


@delete(
    "/keys/{key_id:str}",
    tags=TAGS,
    summary="Revoke a key",
    responses=problems(403, 404, 422),
    response_headers=COMMAND_HEADERS,
)
async def revoke_key(request: ExactRequest, key_id: FromPath[str]) -> Response[None]:
    """Revoke a key.

    It stops working at once, in every gateway, and every stream that it opened ends.
    """
    reply = await revoke(gateway_of(request), principal_of(request), _named(key_id))
    return no_content(reply.position)


@post(
    "/accounts/{account_id:str}/keys",
    status_code=200,
    tags=TAGS,
    summary="Issue a key of an account",
    responses=problems(403, 404, 422),
    response_headers=COMMAND_HEADERS,
)
async def issue_accounts_key(
    request: ExactRequest, account_id: FromPath[str]
) -> Response[IssuedKey]:
    """Issue a key of an account.

    A further key, to read and to trade; the secret is shown this once.
    """
    gateway, wanted = gateway_of(request), account_in(account_id)
    if wanted == NO_ID:
        # Of the nil account are operators' keys.
        raise NotFound("account", "account_id")
    terms = KeyTerms(wanted, "", OF_ACCOUNTS)
    new = await issue(gateway, principal_of(request), terms, path_fields=("account_id",))
    await gateway.catch_up(wanted, None, "balances")
    async with gateway.pool.connection() as conn:
        row = await balances.get_account(conn, wanted)
    return _issued(new, wanted, None if row is None else row.name)


@delete(
    "/accounts/{account_id:str}/keys/{key_id:str}",
    tags=TAGS,
    summary="Revoke a key of an account",
    responses=problems(403, 404, 422),
    response_headers=COMMAND_HEADERS,
)
async def revoke_accounts_key(
    request: ExactRequest, account_id: FromPath[str], key_id: FromPath[str]
) -> Response[None]:
    """Revoke a key of an account.

    It stops working at once, in every gateway, and every stream that it opened ends.
    """
    gateway, wanted = gateway_of(request), _named(key_id)
    known = await gateway.keys.known(wanted)
    if known is None or known.account_id != account_in(account_id) or known.revoked:
        raise NotFound("key", "key_id")
    reply = await revoke(gateway, principal_of(request), wanted)
    return no_content(reply.position)


def _named(key_id: str) -> str:
    named = plain_text(key_id, "key_id")
    assert named is not None, "a path names something"
    return named


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else instant_of(moment)


def _issued(new: NewKey, account_id: Any, name: str | None = None) -> Response[IssuedKey]:
    document = {
        "account_id": None if account_id in (None, NO_ID) else str(account_id),
        "name": name,
        "created": False,
        "key_id": new.key_id,
        "secret_key": new.secret,
    }
    return json_response(document, position=new.position)


def _document(row: KnownKey, last: Recorded | None, now: Instant) -> dict[str, Any]:
    expired = bool(row.expires_at) and row.expires_at <= now
    return {
        "key_id": row.key_id,
        "account_id": None if row.account_id is None else str(row.account_id),
        "label": row.label,
        "scopes": list(row.scopes),
        "status": "revoked" if row.revoked else "expired" if expired else "live",
        "created_at": iso(instant_of(row.created_at)),
        "valid_until": iso(row.expires_at) if row.expires_at else None,
        "last_event": None if last is None else last.event.TOPIC,
        "last_event_at": None if last is None else iso(last.event.at),
        "last_position": row.position or None,
    }


HANDLERS = [
    issue_key,
    list_keys,
    rotate_key,
    revoke_key,
    issue_accounts_key,
    revoke_accounts_key,
]

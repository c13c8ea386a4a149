"""/v2/watchlists: an account's own lists of assets, by id and by name."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Response, delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from api.decimals import ExactRequest
from api.http.guards import gateway_of, principal_of
from api.http.parameters import IdempotencyKey, MinPosition
from api.http.responses import COMMAND_HEADERS, json_response, no_content, problems
from api.processes.gateway import Gateway, new_key
from api.refusals import NotFound
from api.schemas import plain_text
from api.trading import order_id_in, trader
from api.watchlists import (
    Watchlist,
    WatchlistAddition,
    WatchlistChange,
    WatchlistRequest,
    watchlist_document,
)
from application.commands import Reply
from application.requests import Command
from application.watchlists import ChangeWatchlist, CreateWatchlist, DeleteWatchlist
from domain.identifiers import NO_ID
from domain.watchlist import LONGEST_NAME
from projections import instruments, watchlists

TAGS = ["Watchlists"]
WHICH = "watchlist_id"
BY_NAME = "/watchlists:by_name"
NamedList = Annotated[str, QueryParameter(description="The name of the watchlist.")]


def _named(name: str) -> str:
    return plain_text(name, "name", LONGEST_NAME) or ""


def _key(given: str | None) -> str:
    return plain_text(given, "Idempotency-Key") or new_key()


async def _done(request: ExactRequest, command: Command, *path_fields: str) -> Response[Watchlist]:
    """Have a list made or changed; it is shown as the command left it."""
    gateway, who = gateway_of(request), principal_of(request)
    reply: Reply = await gateway.send(command, who, path_fields=path_fields)
    result = reply.result
    assert result is not None, "a watchlist's command says what the list is"
    assets = await _assets(gateway, reply.position, result["instruments"])
    times = (result["created_at"], result["updated_at"])
    shown = watchlist_document(result["watchlist_id"], trader(who), result["name"], times, assets)
    return json_response(shown, position=reply.position, duplicate=reply.duplicate)


async def _assets(
    gateway: Gateway, position: int, ids: list[str]
) -> list[instruments.InstrumentRow]:
    await gateway.catch_up(None, position, "instruments")
    async with gateway.pool.connection() as conn:
        return await instruments.instruments_of(conn, [UUID(one) for one in ids])


async def _shown(
    request: ExactRequest, position: int | None, which: str | UUID, field: str
) -> Response[Watchlist]:
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    await gateway.catch_up(account_id, position, "watchlists")
    # What operators renamed last, too.
    await gateway.catch_up(None, position, "instruments")
    async with gateway.pool.connection() as conn:
        row = await watchlists.get_watchlist(conn, account_id, which)
        if row is None:
            raise NotFound("watchlist", field)
        assets = await instruments.instruments_of(conn, row.instrument_ids)
    times = (row.created_at, row.updated_at)
    return json_response(watchlist_document(row.watchlist_id, account_id, row.name, times, assets))


@get("/watchlists", tags=TAGS, summary="List watchlists", responses=problems())
async def list_watchlists(
    request: ExactRequest, position: MinPosition
) -> Response[list[Watchlist]]:
    """List watchlists.

    The oldest first, without their assets.
    """
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    await gateway.catch_up(account_id, position, "watchlists")
    async with gateway.pool.connection() as conn:
        rows = await watchlists.list_watchlists(conn, account_id)
    return json_response(
        [
            watchlist_document(
                row.watchlist_id, account_id, row.name, (row.created_at, row.updated_at)
            )
            for row in rows
        ]
    )


@post(
    "/watchlists",
    status_code=200,
    tags=TAGS,
    summary="Make a watchlist",
    responses=problems(400, 403, 404, 413, 422),
    response_headers=COMMAND_HEADERS,
)
async def create_watchlist(
    request: ExactRequest, data: JSONBody[WatchlistRequest], idempotency_key: IdempotencyKey
) -> Response[Watchlist]:
    """Make a watchlist.

    Its name is the account's only one; its symbols are known, and each is named once.
    """
    owner, symbols = trader(principal_of(request)), tuple(data.symbols or ())
    return await _done(request, CreateWatchlist(owner, data.name, _key(idempotency_key), symbols))


@get(
    "/watchlists/{watchlist_id:str}",
    tags=TAGS,
    summary="Get a watchlist",
    responses=problems(404, 422),
)
async def get_watchlist(
    request: ExactRequest, watchlist_id: FromPath[str], position: MinPosition
) -> Response[Watchlist]:
    """Get a watchlist."""
    return await _shown(request, position, order_id_in(watchlist_id, WHICH), WHICH)


@put(
    "/watchlists/{watchlist_id:str}",
    tags=TAGS,
    summary="Change a watchlist",
    responses=problems(400, 403, 404, 413, 422),
    response_headers=COMMAND_HEADERS,
)
async def update_watchlist(
    request: ExactRequest,
    watchlist_id: FromPath[str],
    data: JSONBody[WatchlistChange],
    idempotency_key: IdempotencyKey,
) -> Response[Watchlist]:
    """Change a watchlist.

    The symbols that are given take the place of those on it.
    """
    return await _done(
        request,
        ChangeWatchlist(
            trader(principal_of(request)),
            order_id_in(watchlist_id, WHICH),
            _key(idempotency_key),
            name=data.name,
            symbols=None if data.symbols is None else tuple(data.symbols),
        ),
    )


@post(
    "/watchlists/{watchlist_id:str}",
    status_code=200,
    tags=TAGS,
    summary="Add an asset to a watchlist",
    responses=problems(400, 403, 404, 413, 422),
    response_headers=COMMAND_HEADERS,
)
async def add_asset(
    request: ExactRequest,
    watchlist_id: FromPath[str],
    data: JSONBody[WatchlistAddition],
    idempotency_key: IdempotencyKey,
) -> Response[Watchlist]:
    """Add an asset to a watchlist."""
    which, key = order_id_in(watchlist_id, WHICH), _key(idempotency_key)
    owner = trader(principal_of(request))
    return await _done(request, ChangeWatchlist(owner, which, key, add=data.symbol))


@delete(
    "/watchlists/{watchlist_id:str}/{symbol:path}",
    status_code=200,
    tags=TAGS,
    summary="Remove an asset from a watchlist",
    responses=problems(403, 404, 422),
    response_headers=COMMAND_HEADERS,
)
async def remove_asset(
    request: ExactRequest,
    watchlist_id: FromPath[str],
    symbol: FromPath[str],
    idempotency_key: IdempotencyKey,
) -> Response[Watchlist]:
    """Remove an asset from a watchlist.

    A symbol may hold a slash, as BTC/USD does.
    """
    which, key = order_id_in(watchlist_id, WHICH), _key(idempotency_key)
    removed = plain_text(str(symbol).lstrip("/"), "symbol", 24) or ""
    owner = trader(principal_of(request))
    return await _done(request, ChangeWatchlist(owner, which, key, remove=removed), "symbol")


async def _deleted(request: ExactRequest, command: DeleteWatchlist) -> Response[None]:
    reply = await gateway_of(request).send(command, principal_of(request), path_fields=(WHICH,))
    return no_content(reply.position, reply.duplicate)


@delete(
    "/watchlists/{watchlist_id:str}",
    status_code=204,
    tags=TAGS,
    summary="Delete a watchlist",
    responses=problems(403, 404, 422),
    response_headers=COMMAND_HEADERS,
)
async def delete_watchlist(
    request: ExactRequest, watchlist_id: FromPath[str], idempotency_key: IdempotencyKey
) -> Response[None]:
    """Delete a watchlist."""
    which, key = order_id_in(watchlist_id, WHICH), _key(idempotency_key)
    return await _deleted(request, DeleteWatchlist(trader(principal_of(request)), which, key))


@get(BY_NAME, tags=TAGS, summary="Get a watchlist by name", responses=problems(404, 422))
async def get_watchlist_by_name(
    request: ExactRequest, name: NamedList, position: MinPosition
) -> Response[Watchlist]:
    """Get a watchlist by name."""
    return await _shown(request, position, _named(name), "name")


@put(
    BY_NAME,
    tags=TAGS,
    summary="Change a watchlist by name",
    responses=problems(400, 403, 404, 413, 422),
    response_headers=COMMAND_HEADERS,
)
async def update_watchlist_by_name(
    request: ExactRequest,
    name: NamedList,
    data: JSONBody[WatchlistChange],
    idempotency_key: IdempotencyKey,
) -> Response[Watchlist]:
    """Change a watchlist by name."""
    return await _done(
        request,
        ChangeWatchlist(
            trader(principal_of(request)),
            NO_ID,
            _key(idempotency_key),
            _named(name),
            data.name,
            None if data.symbols is None else tuple(data.symbols),
        ),
    )


@post(
    BY_NAME,
    status_code=200,
    tags=TAGS,
    summary="Add an asset to a watchlist by name",
    responses=problems(400, 403, 404, 413, 422),
    response_headers=COMMAND_HEADERS,
)
async def add_asset_by_name(
    request: ExactRequest,
    name: NamedList,
    data: JSONBody[WatchlistAddition],
    idempotency_key: IdempotencyKey,
) -> Response[Watchlist]:
    """Add an asset to a watchlist by name."""
    owner, key = trader(principal_of(request)), _key(idempotency_key)
    return await _done(request, ChangeWatchlist(owner, NO_ID, key, _named(name), add=data.symbol))


@delete(
    BY_NAME,
    status_code=204,
    tags=TAGS,
    summary="Delete a watchlist by name",
    responses=problems(403, 404, 422),
    response_headers=COMMAND_HEADERS,
)
async def delete_watchlist_by_name(
    request: ExactRequest, name: NamedList, idempotency_key: IdempotencyKey
) -> Response[None]:
    """Delete a watchlist by name."""
    owner, key = trader(principal_of(request)), _key(idempotency_key)
    return await _deleted(request, DeleteWatchlist(owner, NO_ID, key, _named(name)))


HANDLERS = [
    list_watchlists,
    create_watchlist,
    get_watchlist,
    update_watchlist,
    add_asset,
    remove_asset,
    delete_watchlist,
    get_watchlist_by_name,
    update_watchlist_by_name,
    add_asset_by_name,
    delete_watchlist_by_name,
]

"""Make, change and delete the lists of instruments that accounts keep."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from application.deciding.recording import Asked, refuse
from application.deciding.step import Step
from application.desk.desk import Desk
from application.watchlists import ChangeWatchlist, CreateWatchlist, DeleteWatchlist
from domain.errors import InvalidField, Rejection, UnknownInstrument
from domain.order_terms import Request
from domain.watchlist import (
    LONGEST_NAME,
    MOST_LISTS,
    MOST_SYMBOLS,
    Selection,
    Watchlist,
)
from domain.watchlist_errors import (
    NotOnWatchlist,
    UnknownWatchlist,
    WatchlistLimit,
    WatchlistNameTaken,
)


def create_watchlist(step: Step, cmd: CreateWatchlist) -> None:
    """Make a list of instruments, or record why not."""
    desk = step.desk
    account = desk.accounts.account(cmd.account_id)
    request = Request(cmd.request_key, step.fingerprint)
    try:
        _check_name(desk, account.id, cmd.name, None)
        if desk.watchlists.count_of(account.id) >= MOST_LISTS:
            raise WatchlistLimit("name", "watchlists an account", MOST_LISTS)
        selection = Selection(cmd.name, _instruments(desk, cmd.symbols))
    except Rejection as refusal:
        refuse(step, account, Asked("create_watchlist", cmd.name, request), refusal)
        return
    Watchlist.create(step, account.id, request, selection)


def change_watchlist(step: Step, cmd: ChangeWatchlist) -> None:
    """Change a list's name or its instruments, or record why not."""
    desk = step.desk
    account = desk.accounts.account(cmd.account_id)
    request = Request(cmd.request_key, step.fingerprint)
    try:
        watchlist = _found(desk, cmd)
        if cmd.name is not None:
            _check_name(desk, account.id, cmd.name, watchlist)
        name = watchlist.name if cmd.name is None else cmd.name
        selection = Selection(name, _changed(desk, watchlist.instruments, cmd))
    except Rejection as refusal:
        refuse(step, account, Asked("change_watchlist", _target(cmd), request), refusal)
        return
    watchlist.change(step, request, selection)


def delete_watchlist(step: Step, cmd: DeleteWatchlist) -> None:
    """Give a list up, or record why not."""
    account = step.desk.accounts.account(cmd.account_id)
    request = Request(cmd.request_key, step.fingerprint)
    try:
        watchlist = _found(step.desk, cmd)
    except Rejection as refusal:
        refuse(step, account, Asked("delete_watchlist", _target(cmd), request), refusal)
        return
    watchlist.delete(step, request)


def _target(cmd: ChangeWatchlist | DeleteWatchlist) -> str:
    return str(cmd.watchlist_id) if cmd.watchlist_id.int else cmd.named


def _found(desk: Desk, cmd: ChangeWatchlist | DeleteWatchlist) -> Watchlist:
    if cmd.watchlist_id.int:
        found = desk.watchlists.find(cmd.account_id, cmd.watchlist_id)
    else:
        found = desk.watchlists.named(cmd.account_id, cmd.named)
    if found is None:
        raise UnknownWatchlist(_target(cmd), "watchlist_id" if cmd.watchlist_id.int else "name")
    return found


def _check_name(desk: Desk, account_id: UUID, name: str, own: Watchlist | None) -> None:
    if not name:
        raise InvalidField("name", "is empty")
    if len(name) > LONGEST_NAME:
        raise InvalidField("name", f"has more than {LONGEST_NAME} characters")
    if desk.watchlists.named(account_id, name) not in (None, own):
        raise WatchlistNameTaken(name)


def _changed(desk: Desk, listed: tuple[UUID, ...], cmd: ChangeWatchlist) -> tuple[UUID, ...]:
    """What is on the list afterwards."""
    if cmd.symbols is not None:
        listed = _instruments(desk, cmd.symbols)
    if cmd.add:
        added = desk.markets.named(cmd.add).instrument.id
        if added in listed:
            raise InvalidField("symbol", "is on the watchlist already")
        if len(listed) >= MOST_SYMBOLS:
            raise WatchlistLimit("symbol", "symbols a watchlist", MOST_SYMBOLS)
        listed = (*listed, added)
    if cmd.remove:
        removed = desk.markets.named(cmd.remove).instrument.id
        if removed not in listed:
            raise NotOnWatchlist(cmd.remove)
        listed = tuple(one for one in listed if one != removed)
    return listed


def _instruments(desk: Desk, symbols: Iterable[str]) -> tuple[UUID, ...]:
    """The instruments that some symbols lead to, each once."""
    found: dict[UUID, str] = {}
    for symbol in symbols:
        try:
            instrument_id = desk.markets.named(symbol).instrument.id
        except UnknownInstrument as unknown:
            unknown.details["field"] = "symbols"
            raise
        if instrument_id in found:
            raise InvalidField("symbols", f"names {symbol} twice")
        found[instrument_id] = symbol
    return tuple(found)

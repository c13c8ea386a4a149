"""The desk, a book or one aggregate as it stood: the newest snapshot, then the events after it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.state import load, state_hash
from application.log.ports import DeskSnapshots, EventReads
from domain.aggregate import Aggregate
from domain.identifiers import Instant, instant_of
from domain.matching.engine import Market
from domain.terms import Side

PAGE = 5_000


class NotThere(LookupError):
    """What is asked for was not there at that position."""


class WrongTime(ValueError):
    """Neither a position nor a time."""


async def position_of(log: EventReads, as_of: str) -> int:
    """The position that a number or an ISO time names; raises WrongTime.

    A time without a zone is UTC. It names the last event at or before it.
    """
    last = await log.last_position()
    if as_of.isascii() and as_of.isdigit():
        return min(int(as_of), last)
    try:
        moment = datetime.fromisoformat(as_of)
    except ValueError:
        raise WrongTime(as_of) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return await position_at(log, instant_of(moment))


async def position_at(log: EventReads, at: Instant) -> int:
    """The position of the last event at or before an instant; time never goes back."""
    low, high = 0, await log.last_position()
    while low < high:
        middle = (low + high + 1) // 2
        (found,) = await log.read(middle - 1, 1)
        low, high = (middle, high) if found.event.at <= at else (low, middle - 1)
    return low


class Replayed(NamedTuple):
    """A desk as it stood, and how it was made."""

    desk: Desk
    from_snapshot: int
    """The position of the snapshot it began with; 0 for none."""
    events: int


async def desk_at(
    log: EventReads,
    snapshots: DeskSnapshots,
    position: int,
    *,
    partition: int = 0,
    progress: Callable[[int], object] | None = None,
) -> Replayed:
    """The desk at a position. A snapshot that does not fit its own hash is passed over."""
    desk = Desk(partition)
    snapshot = await snapshots.latest(position)
    while snapshot is not None and not desk.position:
        try:
            candidate = load(snapshot.state)
            if state_hash(candidate) == snapshot.state_hash:
                desk = candidate
                break
        except Exception:
            # Whatever a damaged snapshot raises: the log itself says all that it says.
            pass
        snapshot = await snapshots.latest(snapshot.position - 1)
    began = desk.position
    while desk.position < position:
        page = await log.read(desk.position, min(PAGE, position - desk.position))
        if not page:
            break
        follow(desk, page)
        if progress is not None:
            progress(desk.position - began)
    return Replayed(desk, began, desk.position - began)


async def order_at(log: EventReads, desk: Desk, order_id: UUID) -> Aggregate:
    """An order as it stood, working or done; any revision's id of a working one will do."""
    found = desk.orders.remembered(order_id) or desk.orders.revisions.get(order_id.int)
    if found is not None:
        return found
    return await aggregate_at(log, order_id, desk.position)


async def aggregate_at(log: EventReads, identifier: UUID, position: int) -> Aggregate:
    """One aggregate from its own events alone; raises NotThere."""
    aggregate: Any = None
    for recorded in await log.stream(identifier):
        if recorded.position > position:
            break
        aggregate = recorded.event.mutate(aggregate)
    if aggregate is None:
        raise NotThere(f"{identifier} was not there at position {position}")
    return cast("Aggregate", aggregate)


def account_at(desk: Desk, account_id: UUID) -> Aggregate:
    """An account as it stood; raises NotThere."""
    account = desk.accounts.by_id.get(account_id.int)
    if account is None:
        raise NotThere(f"account {account_id} was not there at position {desk.position}")
    return account


def market_at(desk: Desk, symbol: str) -> Market:
    """An instrument and its book as they stood, under the symbol of that time."""
    market = desk.markets.by_symbol.get(symbol)
    if market is None:
        raise NotThere(f"instrument {symbol} was not there at position {desk.position}")
    return market


def holding_at(desk: Desk, account_id: UUID, symbol: str) -> Aggregate:
    """A position as it stood; raises NotThere."""
    instrument_id = market_at(desk, symbol).instrument.id
    position = desk.accounts.positions.get((account_id.int, instrument_id.int))
    if position is None:
        raise NotThere(f"account {account_id} had no position in {symbol}")
    return position


class BookRow(NamedTuple):
    """One order of a book, in strict priority; quantity and price in the events' units."""

    side: int
    price: int
    qty: int
    order_id: UUID
    account_id: UUID


def book_rows(desk: Desk, market: Market) -> list[BookRow]:
    """Every resting order of a book: buys, then sells, each by priority."""
    tick, lot = market.instrument.tick, market.instrument.lot
    rows = []
    for side in (int(Side.BUY), int(Side.SELL)):
        for sequence, ticks, lots, _ in market.book.orders(side):
            order = desk.orders.by_sequence[sequence]
            rows.append(BookRow(side, ticks * tick, lots * lot, order.id, order.account_id))
    return rows

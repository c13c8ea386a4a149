"""The double-entry ledger: which postings each event makes, always summing to zero.

Every party keeps the ledgers of `domain.terms.Ledger`, debits positive. What an account holds
back for orders moves from AVAILABLE to HELD; a position's cost basis stands in SECURITIES and
what closing it brought in REALIZED (income: negative), both against what was paid, which
passes through the house's SECURITIES: once both sides of a trade are in, nothing is left there
but what was rounded off costs and profits. What accounts are posted for trades is rounded on
their totals and not trade by trade: what that makes more or less stands in the house's ROUNDING.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domain.events import (
    AccountSettled,
    CashMoved,
    DomainEvent,
    MarginReleased,
    MarginReserved,
    PositionExpired,
    PositionReversed,
    PositionTraded,
    PositionTransferred,
    Posting,
    TradeBooked,
    TradeReversed,
)
from domain.identifiers import HOUSE
from domain.money import notional
from domain.terms import Ledger, Side

_FUNDING = int(Ledger.FUNDING)
_HELD = int(Ledger.HELD)
_AVAILABLE = int(Ledger.AVAILABLE)
_SECURITIES = int(Ledger.SECURITIES)
_REALIZED = int(Ledger.REALIZED)
_BUY = int(Side.BUY)

Postings = tuple[Posting, ...]


def postings_of(event: DomainEvent) -> Postings:
    """The balanced postings of an event; most kinds have none."""
    rule = RULES.get(type(event))
    return rule(event) if rule is not None else ()


def _as_written(event: CashMoved | AccountSettled) -> Postings:
    return event.postings


def _reserved(event: MarginReserved) -> Postings:
    account, amount = event.originator_id, event.amount
    return ((account, _HELD, amount), (account, _AVAILABLE, -amount))


def _released(event: MarginReleased) -> Postings:
    account, amount = event.originator_id, event.amount
    return ((account, _HELD, -amount), (account, _AVAILABLE, amount))


def _booked(event: TradeBooked) -> Postings:
    amount = event.released
    if not amount:
        return event.postings
    account = event.originator_id
    return (*event.postings, (account, _HELD, -amount), (account, _AVAILABLE, amount))


def _traded(event: PositionTraded) -> Postings:
    amount = notional(event.price, event.qty * event.multiplier, event.price_decimals)
    paid = amount if event.side == _BUY else -amount
    paid += event.rounded
    account, realized = event.account_id, event.realized
    if not realized:
        return ((account, _SECURITIES, paid), (HOUSE, _SECURITIES, -paid))
    return (
        (account, _SECURITIES, paid + realized),
        (account, _REALIZED, -realized),
        (HOUSE, _SECURITIES, -paid),
    )


def _undone(event: TradeReversed) -> Postings:
    """What was paid is known here and not in the position's event, which says what it realized."""
    account = event.originator_id
    amount = notional(event.price, event.qty * event.multiplier, event.price_decimals)
    paid = -amount if event.side == _BUY else amount
    return (*event.postings, (account, _SECURITIES, paid), (HOUSE, _SECURITIES, -paid))


def _closed(event: PositionReversed | PositionExpired) -> Postings:
    account, realized, rounded = event.account_id, event.realized, event.rounded
    if not realized and not rounded:
        return ()
    postings = ((account, _SECURITIES, realized + rounded), (account, _REALIZED, -realized))
    return (*postings, (HOUSE, _SECURITIES, -rounded)) if rounded else postings


def _transferred(event: PositionTransferred) -> Postings:
    if not event.cost:
        return ()
    return ((event.account_id, _SECURITIES, event.cost), (HOUSE, _FUNDING, -event.cost))


RULES: dict[type[DomainEvent], Callable[[Any], Postings]] = {
    **dict.fromkeys((*CashMoved.__subclasses__(), AccountSettled), _as_written),
    MarginReserved: _reserved,
    MarginReleased: _released,
    TradeBooked: _booked,
    TradeReversed: _undone,
    PositionTraded: _traded,
    PositionReversed: _closed,
    PositionExpired: _closed,
    PositionTransferred: _transferred,
}
"""The kinds of events that post, and how."""

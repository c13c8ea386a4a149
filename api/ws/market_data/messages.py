"""What clients are told of market data, message by message, in the shapes of Alpaca's streams.

Amounts are strings with all their places. What is not there is null: a side of the book without an
order has no price, and none of them is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from api.rendering import date_text, moment, quantity
from domain.money import to_text
from domain.terms import Phase, Side
from projections.market_data.levels import checksum
from projections.market_data.records import (
    Level,
    Printed,
    Record,
    level_of,
    quote_of,
    status_of,
    trade_of,
)

Message = dict[str, Any]

EMPTY_CHECKSUM = checksum((), ())
_TAKER = {int(Side.BUY): "B", int(Side.SELL): "S"}
_BUSTED, _CORRECTED = int(Printed.BUSTED), int(Printed.CORRECTED)


class Told(NamedTuple):
    """Which instrument a message is of, under the name by which the client asked."""

    symbol: str
    price_decimals: int


class Span(NamedTuple):
    """The updates that a message stands for: those above `previous` up to `sequence`.

    `previous` is None where it follows nothing: what was known before is void. `left_out` are
    those that nobody is told, conflated or dropped.
    """

    previous: int | None
    sequence: int
    left_out: int


def book(told: Told, span: Span, records: Sequence[Record]) -> Message:
    """Levels of a book: all of them, or those that changed."""
    levels = [level_of(record) for record in records]
    newest = records[-1] if records else None
    return {
        **_head("o", told, span, newest),
        "skipped": span.left_out,
        "b": _side(levels, int(Side.BUY), told),
        "a": _side(levels, int(Side.SELL), told),
        "checksum": levels[-1].checksum if levels else EMPTY_CHECKSUM,
    }


def quote(told: Told, span: Span, record: Record | None) -> Message:
    """The best prices; without a record there has been none yet."""
    found = None if record is None else quote_of(record)
    bid, bid_qty, ask, ask_qty = (0, 0, 0, 0) if found is None else found
    return {
        **_head("q", told, span, record),
        "skipped": span.left_out,
        "bp": to_text(bid, told.price_decimals) if bid_qty else None,
        "bs": quantity(bid_qty) if bid_qty else None,
        "ap": to_text(ask, told.price_decimals) if ask_qty else None,
        "as": quantity(ask_qty) if ask_qty else None,
    }


def status(told: Told, span: Span, record: Record) -> Message:
    """The phase of an instrument, and what its auction traded."""
    found = status_of(record)
    auction = None
    if found.auction_qty:
        price = to_text(found.auction_price, told.price_decimals)
        auction = {"p": price, "s": quantity(found.auction_qty)}
    return {
        **_head("s", told, span, record),
        "skipped": span.left_out,
        "phase": Phase(found.phase).name.lower(),
        "session_date": date_text(found.session_date),
        "auction": auction,
    }


def trade(told: Told, span: Span, record: Record) -> Message:
    """A trade, or what became of one: its bust, or its correction."""
    found = trade_of(record)
    price, qty = to_text(found.price, told.price_decimals), quantity(found.qty)
    trade_id = str(found.trade_id)
    dropped = {"dropped": span.left_out}
    if found.printed == _CORRECTED:
        old = to_text(found.price_before, told.price_decimals)
        said = {"oi": trade_id, "op": old, "os": qty, "ci": trade_id, "cp": price, "cs": qty}
        return {**_head("c", told, span, record), **dropped, **said}
    if found.printed == _BUSTED:
        said = {"i": trade_id, "p": price, "s": qty}
        return {**_head("x", told, span, record), **dropped, **said}
    return {
        **_head("t", told, span, record),
        **dropped,
        "i": trade_id,
        "p": price,
        "s": qty,
        "tks": _TAKER.get(found.side),
    }


def _head(kind: str, told: Told, span: Span, record: Record | None) -> Message:
    return {
        "T": kind,
        "S": told.symbol,
        "t": None if record is None else moment(record.at),
        "position": None if record is None else record.position,
        "r": span.previous is None,
        "previous": span.previous,
        "sequence": span.sequence,
    }


def _side(levels: Sequence[Level], side: int, told: Told) -> list[Message]:
    return [
        {
            "p": to_text(level.price, told.price_decimals),
            "s": quantity(level.qty),
            "n": level.orders,
        }
        for level in levels
        if level.side == side
    ]

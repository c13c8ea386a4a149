"""Order books, quotes and trades as clients get them: Alpaca's names, decimals as strings."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from api.documents import Document, Price, Quantity
from api.rendering import moment, quantity
from domain.money import to_text
from domain.terms import Side
from projections.market_data.feed import Snapshot
from projections.market_data.records import (
    Kind,
    Level,
    Printed,
    Record,
    level_of,
    quote_of,
    trade_of,
)

_TAKER = {int(Side.BUY): "B", int(Side.SELL): "S"}
_BECAME = {int(Printed.BUSTED): "canceled", int(Printed.CORRECTED): "corrected"}


class BookLevel(Document):
    """What rests at a price, and how many orders that is."""

    p: Price
    s: Quantity
    n: int


class OrderBook(Document):
    """The best levels of both sides, best first, all after the same command.

    `t` is when a command last concerned the instrument, null where that is not known any more.
    `sequence` and `checksum` are those of the updates in the WebSocket channel: the checksum is
    over the best ten levels of each side, also where fewer are asked for.
    """

    symbol: str
    t: datetime | None
    sequence: int
    checksum: int
    b: list[BookLevel]
    a: list[BookLevel]


class Quote(Document):
    """The best prices and what rests there; null where a side is empty."""

    t: datetime | None
    bp: Price | None
    bs: Quantity | None
    ap: Price | None
    as_: Quantity | None = Field(alias="as")
    sequence: int


class LatestQuote(Document):
    """The best prices of a symbol."""

    symbol: str
    quote: Quote


class Trade(Document):
    """The newest trade, or what last became of one.

    `i` names it, `tks` is the side that took, null in an auction, and where a trade was busted
    or corrected. `u` is there then alone, and says which.
    """

    t: datetime | None
    i: UUID
    p: Price
    s: Quantity
    tks: Literal["B", "S"] | None
    sequence: int
    u: Literal["canceled", "corrected"] | None = None


class LatestTrade(Document):
    """The newest trade of a symbol."""

    symbol: str
    trade: Trade


MARKET_DOCUMENTS: tuple[type[Document], ...] = (OrderBook, LatestQuote, LatestTrade)


def book_document(snapshot: Snapshot, depth: int) -> dict[str, Any]:
    """The best levels of a book."""
    told = snapshot.instrument
    levels = [level_of(record) for record in snapshot.book.records]
    return {
        "symbol": told.symbol,
        "t": moment(_moved_at(snapshot)),
        "sequence": snapshot.book.sequence,
        "checksum": snapshot.checksum,
        "b": _side(levels, Side.BUY, depth, told.price_decimals),
        "a": _side(levels, Side.SELL, depth, told.price_decimals),
    }


def quote_document(snapshot: Snapshot) -> dict[str, Any]:
    """The best prices, which are also those of the book."""
    told = snapshot.instrument
    record = _newest(snapshot, Kind.QUOTE)
    bid, bid_qty, ask, ask_qty = (0, 0, 0, 0) if record is None else quote_of(record)
    quote = {
        "t": moment(_moved_at(snapshot) if record is None else record.at),
        "bp": to_text(bid, told.price_decimals) if bid_qty else None,
        "bs": quantity(bid_qty) if bid_qty else None,
        "ap": to_text(ask, told.price_decimals) if ask_qty else None,
        "as": quantity(ask_qty) if ask_qty else None,
        # A side that was never quoted has no update, and begins before the first.
        "sequence": 0 if record is None else record.sequence,
    }
    return {"symbol": told.symbol, "quote": quote}


def trade_document(snapshot: Snapshot) -> dict[str, Any] | None:
    """The newest trade; None where there was none yet."""
    told = snapshot.instrument
    record = _newest(snapshot, Kind.TRADE)
    if record is None:
        return None
    found = trade_of(record)
    trade = {
        "t": moment(record.at),
        "i": str(found.trade_id),
        "p": to_text(found.price, told.price_decimals),
        "s": quantity(found.qty),
        "tks": _TAKER.get(found.side),
        "sequence": record.sequence,
    }
    if found.printed in _BECAME:
        trade["u"] = _BECAME[found.printed]
    return {"symbol": told.symbol, "trade": trade}


def _newest(snapshot: Snapshot, kind: Kind) -> Record | None:
    return next((record for record in snapshot.latest if record.kind == kind), None)


def _moved_at(snapshot: Snapshot) -> int:
    """When a command last concerned the instrument; 0 where nobody knows any more."""
    told = (*snapshot.book.records[:1], *snapshot.latest)
    return max((record.at for record in told if record.kind != Kind.REFERENCE), default=0)


def _side(levels: Iterable[Level], side: Side, depth: int, decimals: int) -> list[dict[str, Any]]:
    best = [level for level in levels if level.side == side][:depth]
    return [
        {"p": to_text(level.price, decimals), "s": quantity(level.qty), "n": level.orders}
        for level in best
    ]

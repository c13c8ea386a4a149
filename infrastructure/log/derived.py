"""Rows that follow from events and are stored with them: in the same statement, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from application.log.ports import Batch
from domain.events import DomainEvent, OrderFillBusted, OrderFillCorrected
from domain.identifiers import datetime_of, drawn_at
from domain.money import notional
from domain.terms import Side
from infrastructure.log.binary_arrays import bigints, byteas, texts, uuids

_BUY = int(Side.BUY)
_EPOCH_DAY = date(1970, 1, 1).toordinal()


class Column(NamedTuple):
    """A column: its name, the type in PostgreSQL that it crosses as, how many values of it are
    packed, and the expression over such a value that is stored.
    """

    name: str
    type: str
    pack: Callable[[Sequence[Any]], bytes]
    stored: str = "{}"


class DerivedRows(NamedTuple):
    """A table of derived rows. To keep another kind, declare it here and make its table."""

    table: str
    columns: tuple[Column, ...]
    key: int
    """How many of the first columns no two rows share."""
    of: Callable[[Batch], Sequence[tuple[Any, ...]]]
    """The rows of a batch, each in the order of the columns."""

    @property
    def names(self) -> str:
        """The columns, as statements name them."""
        return ", ".join(column.name for column in self.columns)


REQUEST_KEYS = DerivedRows(
    table="request_keys",
    columns=(
        Column("account_id", "uuid", uuids),
        Column("request_key", "text", texts),
        Column("fingerprint", "bytea", byteas),
        Column("position", "bigint", bigints),
    ),
    key=2,
    of=lambda batch: batch.keys,
)


class UndoneTrade(NamedTuple):
    """What a bust or a correction changes of the volume of the day on which the trade printed.

    It is added to what the fills of that day say: both are less than nothing where it takes off.
    """

    position: int
    instrument_id: UUID
    traded_on: date
    qty: int
    notional: int
    trades: int


_UNDOING = frozenset((OrderFillBusted, OrderFillCorrected))
UNDOING_TOPICS = (OrderFillBusted.TOPIC, OrderFillCorrected.TOPIC)
"""The events that undo what was traded; older shapes of theirs would stand here too."""


def undone_trade(position: int, event: DomainEvent) -> UndoneTrade | None:
    """What an event undoes of a trade; both sides are told, and the buyer's counts as in a fill."""
    if isinstance(event, OrderFillBusted):
        if event.side != _BUY:
            return None
        worth = notional(event.price, event.qty * event.multiplier, event.price_decimals)
        change = (-event.qty, -worth, -1)
    elif isinstance(event, OrderFillCorrected):
        if event.side != _BUY:
            return None
        before = notional(event.old_price, event.qty * event.multiplier, event.price_decimals)
        change = (0, event.notional - before, 0)
    else:
        return None
    day = datetime_of(drawn_at(event.trade_id)).date()
    return UndoneTrade(position, event.instrument_id, day, *change)


def _undone_in(batch: Batch) -> Sequence[UndoneTrade]:
    first = batch.first_position
    return [
        undone
        for number, event in enumerate(batch.events)
        if type(event) in _UNDOING and (undone := undone_trade(first + number, event)) is not None
    ]


def _days(dates: Sequence[date]) -> bytes:
    return bigints([day.toordinal() - _EPOCH_DAY for day in dates])


UNDONE_TRADES = DerivedRows(
    table="undone_trades",
    columns=(
        Column("position", "bigint", bigints),
        Column("instrument_id", "uuid", uuids),
        Column("traded_on", "bigint", _days, "date 'epoch' + {}::int"),
        Column("qty", "bigint", bigints),
        Column("notional", "bigint", bigints),
        Column("trades", "bigint", bigints),
    ),
    key=1,
    of=_undone_in,
)

DERIVED_ROWS = (REQUEST_KEYS,)
"""Every kind that a store of any layout keeps, in the order in which they are stored."""

CHUNKED_ROWS = (REQUEST_KEYS, UNDONE_TRADES)
"""Every kind that a chunked store keeps."""

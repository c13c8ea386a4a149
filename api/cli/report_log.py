"""`nexus report` of the log itself: events by topic and by kind, trades, each by day."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from api.cli.printing import Table, tell
from api.cli.reading import Pace, print_whole
from api.cli.report_asking import Days, First, Json, Last, Store, Symbol, store_of
from application.audit.trail import position_at
from domain.money import QTY_SCALE, USD_SCALE, to_text
from infrastructure.log.aggregates import (
    EVENTS,
    KINDS,
    TRADES,
    Added,
    Stretch,
    Sums,
    together,
)
from infrastructure.log.reader import LogReader
from projections.instruments import Instruments


class Line(NamedTuple):
    """One count as it is shown; what concerns no instrument has an empty symbol."""

    day: date
    symbol: str
    topic: str
    events: int


class Traded(NamedTuple):
    """What was traded of an instrument on a day, as it is shown."""

    day: date
    symbol: str
    trades: int
    qty: int
    notional: int

    @property
    def facts(self) -> dict[str, Any]:
        """The line for machines."""
        return {
            "day": self.day.isoformat(),
            "symbol": self.symbol,
            "trades": self.trades,
            "volume": to_text(self.qty, QTY_SCALE),
            "notional": to_text(self.notional, USD_SCALE),
        }


def events(
    symbol: Symbol = None, first: First = None, last: Last = None, as_json: Json = False
) -> None:
    """Count the events of every topic by day and symbol, in the log itself.

    What concerns no instrument, such as a deposit, is counted under no symbol.
    """
    days = Days.between(first, last)
    with store_of(Instruments) as store:
        only = store.instrument(symbol)
        with LogReader(store.dsn, store.schema) as log:
            position = log.last_position()
            counts = add_up(log, EVENTS, days, only, show=not as_json)
    rows = sorted(
        Line(day, _symbol(store, identifier), topic, count)
        for (day, identifier, topic), (count,) in counts.items()
    )
    if as_json:
        facts = [
            {**row._asdict(), "day": row.day.isoformat(), "symbol": row.symbol or None}
            for row in rows
        ]
        print(json.dumps({"position": position, "counts": facts}))
        return
    table = Table("day", "symbol", "topic", box=None)
    table.add_column("events", justify="right")
    for row in rows:
        table.add_row(row.day.isoformat(), row.symbol or "-", row.topic, f"{row.events:,}")
    print_whole(table)
    tell(f"{sum(row.events for row in rows):,} events, as of position {position:,}")


def kinds(first: First = None, last: Last = None, as_json: Json = False) -> None:
    """Count the events of every kind of aggregate (order, account, position, …) by day."""
    days = Days.between(first, last)
    with store_of(Instruments) as store, LogReader(store.dsn, store.schema) as log:
        position = log.last_position()
        counts = add_up(log, KINDS, days, None, show=not as_json)
    rows = sorted((day, kind, count) for (day, kind), (count,) in counts.items())
    if as_json:
        facts = [{"day": d.isoformat(), "kind": kind, "events": n} for d, kind, n in rows]
        print(json.dumps({"position": position, "counts": facts}))
        return
    table = Table("day", "kind", box=None)
    table.add_column("events", justify="right")
    for day, kind, count in rows:
        table.add_row(day.isoformat(), kind, f"{count:,}")
    print_whole(table)
    tell(f"{sum(row[2] for row in rows):,} events, as of position {position:,}")


def trades(
    symbol: Symbol = None, first: First = None, last: Last = None, as_json: Json = False
) -> None:
    """Add up what was traded by day and symbol, in the log itself and in no view.

    A trade counts on the day it printed, each in whole cents; busts and corrections are taken off.
    """
    days = Days.between(first, last)
    with store_of(Instruments) as store:
        only = store.instrument(symbol)
        with LogReader(store.dsn, store.schema) as log:
            position = log.last_position()
            found = traded(log, days, only, show=not as_json)
    rows = sorted(
        Traded(day, _symbol(store, identifier), *amounts)
        for (day, identifier), amounts in found.items()
    )
    if as_json:
        print(json.dumps({"position": position, "days": [row.facts for row in rows]}))
        return
    names = ("day", "symbol", "trades", "volume", "notional")
    table = Table(*names[:2], box=None)
    for name in names[2:]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(str(row.facts[name]) for name in names))
    print_whole(table)
    dollars = to_text(sum(row.notional for row in rows), USD_SCALE)
    tell(
        f"{sum(row.trades for row in rows):,} trades, {dollars} dollars, as of position"
        f" {position:,}"
    )


def add_up(log: LogReader, sums: Sums, days: Days, only: UUID | None, *, show: bool) -> Added:
    """What the events of these days add up to: from the sums that the store keeps, and the rest
    counted a part at a time.
    """
    wanted = _positions(log, days)
    with Pace("counting", max(wanted.up_to - wanted.after, 0), show=show) as pace:
        return log.add_up(sums, wanted, instrument_id=only, pace=pace)


def traded(
    log: LogReader, days: Days, only: UUID | None, *, show: bool
) -> Mapping[tuple[date, UUID], Sequence[int]]:
    """Trades, quantity and cents of these days by day and instrument, as they stand now."""
    printed = add_up(log, TRADES, days, only, show=show)
    changes = log.undone(_positions(log, days).after, days.first, days.last)
    whole = together(printed, {k: v for k, v in changes.items() if only in (None, k[1])})
    return {(key[0], key[1]): amounts for key, amounts in whole.items()}


def _positions(log: LogReader, days: Days) -> Stretch:
    after = 0 if days.first == date.min else position_at(log, _begin_of(days.first) - 1)
    end = log.last_position()
    if days.last != date.max:
        end = position_at(log, _begin_of(days.last + timedelta(days=1)) - 1)
    return Stretch(after, end)


def _symbol(store: Store, instrument_id: UUID | None) -> str:
    return store.symbols.get(instrument_id, str(instrument_id)) if instrument_id else ""


def _begin_of(day: date) -> int:
    """The first instant of a UTC day."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return (midnight - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

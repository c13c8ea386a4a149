"""What the log adds up to by UTC day: from sums of days, and from its rows where these lack any.

A sum says between which positions its events stand, and positions have no gap: a day counts as
summed up when it has as many events as positions. So a sum that is behind, or was made while its
events still came, is never believed; what it lacks is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple
from uuid import UUID

from domain.identifiers import HOUSE
from infrastructure.log.codec import recorded
from infrastructure.log.derived import UNDOING_TOPICS, undone_trade
from infrastructure.log.statements import EventTable, Query, Wanted

PAGE: Final = 250_000
"""So many positions are counted in one statement."""


class Stretch(NamedTuple):
    """Positions above one and up to another."""

    after: int
    up_to: int


class Sums(NamedTuple):
    """A question that can be answered from sums of days as from rows."""

    table: str
    """Of the sums, in a store that keeps them."""
    keys: int
    """How many columns, the day among them, say what is added up; the others are amounts."""
    summed: str
    """The columns after the day, in the sums."""
    counted: str
    """The same over rows."""


EVENTS: Final = Sums(
    "topic_days",
    3,
    "NULLIF(s.instrument_id, %(none)s), s.topic, s.events",
    "NULLIF(instrument_id, %(none)s), topic, count(*)",
)
"""How many events of each topic concerned each instrument, or none."""
KINDS: Final = Sums("kind_days", 2, "s.kind, s.events", "split_part(topic, '.', 1), count(*)")
"""How many events each kind of aggregate had."""
TRADES: Final = Sums(
    "symbol_days",
    2,
    "s.instrument_id, NULLIF(s.trades, 0), COALESCE(s.qty, 0), COALESCE(s.notional, 0)",
    "instrument_id, NULLIF(count(traded_qty), 0), COALESCE(sum(traded_qty), 0),"
    " COALESCE(sum(traded_notional), 0)",
)
"""What was traded of each instrument, as printed: trades, quantity, cents of each as rounded."""

Added = Mapping[tuple[Any, ...], tuple[int, ...]]
"""Amounts by the day and what else they are of."""
Fetch = Callable[[Query], Sequence[tuple[Any, ...]]]


class Log(NamedTuple):
    """A log that is asked: how, and its table."""

    fetch: Fetch
    table: EventTable


def add_up(
    log: Log,
    sums: Sums,
    wanted: Stretch,
    *,
    instrument: UUID | None = None,
    pace: Callable[[int], object] = lambda _: None,
) -> Added:
    """Add up the events of a stretch; `pace` is told how many positions are done."""
    added: dict[tuple[Any, ...], tuple[int, ...]] = {}
    covered = _summed(log, sums, wanted, instrument, added) if log.table.layout.chunked else []
    done = sum(part.up_to - part.after for part in covered)
    pace(done)
    for gap in gaps(wanted, covered):
        for start in range(gap.after, gap.up_to, PAGE):
            part = Stretch(start, min(start + PAGE, gap.up_to))
            _add(added, sums.keys, log.fetch(_counting(log.table, sums, part, instrument)))
            done += part.up_to - part.after
            pace(done)
    return added


def gaps(wanted: Stretch, covered: Iterable[Stretch]) -> list[Stretch]:
    """The parts of a stretch that no other covers, in order."""
    missing = []
    after = wanted.after
    for part in sorted(covered):
        if part.after > after:
            missing.append(Stretch(after, part.after))
        after = max(after, part.up_to)
    if after < wanted.up_to:
        missing.append(Stretch(after, wanted.up_to))
    return missing


def undone(log: Log, after: int, first: date, last: date) -> Added:
    """What busts and corrections change of the trades of these days, to be added to `TRADES`.

    All of them stand above a position.
    """
    if log.table.layout.chunked:
        rows = log.fetch(
            Query(
                "SELECT traded_on, instrument_id, sum(trades), sum(qty), sum(notional)"
                f" FROM {log.table.quoted_schema}.undone_trades"
                " WHERE traded_on BETWEEN %(first)s AND %(last)s GROUP BY 1, 2",
                {"first": first, "last": last},
            )
        )
    else:
        # No column says of which day one takes off: every one is read.
        found = log.fetch(log.table.select(Wanted(after=after, topics=list(UNDOING_TOPICS))))
        changes = [change for one in recorded(found) if (change := undone_trade(*one)) is not None]
        rows = [
            (change.traded_on, change.instrument_id, change.trades, change.qty, change.notional)
            for change in changes
            if first <= change.traded_on <= last
        ]
    added: dict[tuple[Any, ...], tuple[int, ...]] = {}
    _add(added, TRADES.keys, rows)
    return added


def together(one: Added, other: Added) -> Added:
    """Both added together; what comes to nothing is left out."""
    whole = dict(one)
    for key, amounts in other.items():
        _add(whole, len(key), [(*key, *amounts)])
    return {key: amounts for key, amounts in whole.items() if any(amounts)}


def _summed(
    log: Log,
    sums: Sums,
    wanted: Stretch,
    instrument: UUID | None,
    added: dict[tuple[Any, ...], tuple[int, ...]],
) -> list[Stretch]:
    """Add the days up that are summed up whole, and answer with the positions of these."""
    schema = log.table.quoted_schema
    # As text and back: either may be infinite, and both narrow only as constants.
    ((first, last),) = log.fetch(
        Query(
            f"SELECT date_trunc('day', {schema}.recorded_from(%(after)s), 'UTC')::text,"
            f" {schema}.recorded_until(%(up_to)s)::text",
            wanted._asdict(),
        )
    )
    of_instrument = "" if instrument is None else " AND s.instrument_id = %(instrument)s"
    rows = log.fetch(
        Query(
            f"WITH s AS MATERIALIZED (SELECT * FROM {schema}.{sums.table}"
            " WHERE day >= %(first)s::timestamptz AND day <= %(last)s::timestamptz"
            "), whole AS ("
            "SELECT day, min(first_position) - 1 AS after, max(last_position) AS up_to FROM s"
            " GROUP BY day HAVING sum(events) = max(last_position) - min(first_position) + 1"
            " AND min(first_position) > %(after)s AND max(last_position) <= %(up_to)s)"
            f" SELECT after, up_to, (whole.day AT TIME ZONE 'UTC')::date, {sums.summed}"
            f" FROM whole LEFT JOIN s ON s.day = whole.day{of_instrument}",
            {
                **wanted._asdict(),
                "first": first,
                "last": last,
                "none": HOUSE,
                "instrument": instrument,
            },
        )
    )
    _add(added, sums.keys, (row[2:] for row in rows))
    return sorted({Stretch(row[0], row[1]) for row in rows})


def _counting(table: EventTable, sums: Sums, part: Stretch, instrument: UUID | None) -> Query:
    where, values = table.where(Wanted(after=part.after, up_to=part.up_to, instrument=instrument))
    by = ", ".join(str(number + 1) for number in range(sums.keys))
    return Query(
        f"SELECT (recorded_at AT TIME ZONE 'UTC')::date, {sums.counted}"
        f" FROM {table.quoted}{where} GROUP BY {by}",
        {**values, "none": HOUSE},
    )


def _add(
    added: dict[tuple[Any, ...], tuple[int, ...]], keys: int, rows: Iterable[tuple[Any, ...]]
) -> None:
    for row in rows:
        # A day without an event of what is asked for has no first amount.
        if row[keys] is None:
            continue
        key, amounts = row[:keys], tuple(map(int, row[keys:]))
        before = added.get(key)
        added[key] = amounts if before is None else tuple(map(int.__add__, before, amounts))

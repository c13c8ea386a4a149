"""Portfolio history: an account's equity over time, and what it has gained, as clients see it.

Gains leave out what came in and went out: cash that was brought or taken, and what was
transferred, at what it was worth then. They are counted from the base value: the equity at the
end of the day before, or, of an account that has no such day, what it was first brought.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from pydantic import WithJsonSchema

from api.documents import Document
from api.portfolio_range import MINUTE, Asked, Reset, date_of, number_of
from api.rendering import date_text
from domain.errors import InvalidField
from domain.identifiers import Instant
from domain.money import USD_SCALE, divide_half_even, to_text
from projections.account_days import AccountDay
from projections.equity import Flow
from projections.equity_reads import FlowRow, SessionRow

PLACES = 12
"""The decimal places of a share of the base value."""
Number = Annotated[Decimal, WithJsonSchema({"type": "number"})]
Share = Annotated[Decimal | None, WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "null"}]})]
CASHFLOWS: Mapping[str, Flow] = {
    "CSD": Flow.DEPOSIT,
    "CSW": Flow.WITHDRAWAL,
    "FEE": Flow.FEE,
}
"""Alpaca's names of the cash that comes and goes here."""
_BESIDE = frozenset(
    {
        *("FILL", "ACATC", "ACATS", "CFEE", "CIL", "DIV", "DIVCGL", "DIVCGS", "DIVNRA", "DIVROC"),
        *("DIVTXEX", "DIVWH", "EXTRD", "FXTRD", "INT", "INTPNL", "JNLC", "JNLS", "MA", "MEM"),
        *("NC", "OCT", "OPASN", "OPCSH", "OPEXC", "OPEXP", "OPTRD", "PTC", "REORG", "SPIN"),
        *("SPLIT", "SWP", "TRANS", "VOF", "WH"),
    }
)
"""Alpaca's other names: nothing of theirs happens here."""


class PortfolioHistory(Document):
    """An account's equity over time, in Alpaca's shape: numbers, in arrays of one length.

    `timestamp` is where a point begins, in seconds since 1970, `equity` what it was when the
    point was over. `profit_loss_pct` is a share of `base_value`, null where that is not above 0.
    """

    timestamp: list[int]
    equity: list[Number]
    profit_loss: list[Number]
    profit_loss_pct: list[Share]
    base_value: Number
    base_value_asof: str | None = None
    timeframe: Literal["1Min", "5Min", "15Min", "1H", "1D"]
    cashflow: dict[str, list[Number]]


class Window(NamedTuple):
    """One point: from a minute on until one, and the session date it is of; 0 for none."""

    begins: int
    ends: int
    day: int


class Point(NamedTuple):
    """A point with its equity and the days that were closed before it.

    `position` is the last one of the log that it takes in, None for all of its minutes.
    """

    timestamp: int
    equity: int
    ends: int
    position: int | None
    days_before: int


class Base(NamedTuple):
    """What gains are counted from: an equity, after a position of the log, as of a date."""

    equity: int
    position: int
    day: int


def windows_of(
    asked: Asked, sessions: Sequence[SessionRow], opened: int, now: Instant, *, trading: bool
) -> list[Window]:
    """The points finer than a day that are asked for, of an account since it was opened.

    While anything is in a session the last one goes on until now.
    """
    step, present = asked.step, now // MINUTE
    last = present if asked.end is None else min(present, asked.end // MINUTE // step * step - 1)
    first = opened
    if asked.start is not None:
        first = max(first, asked.start // MINUTE // step * step)
    if asked.reporting == "continuous":
        if asked.start is None:
            assert asked.period is not None, "without a start there is a period"
            first = max(first, last + 1 - asked.period.days * 1440)
        return _cut(first, last, step, 0, present)
    found: list[Window] = []
    for row in _chosen(asked, sessions):
        on = trading and row is sessions[-1]
        closed = present if on else max(row.closed_at - 1, row.opened_at) // MINUTE
        begins = max(first, row.opened_at // MINUTE)
        if found:
            begins = max(begins, found[-1].ends)
        found += _cut(begins, min(last, closed), step, row.session_date, present)
    return found


def _chosen(asked: Asked, sessions: Sequence[SessionRow]) -> Sequence[SessionRow]:
    """The sessions of the period, or all."""
    wanted = [row for row in sessions if row.session_date <= asked.end_date]
    if asked.end is not None:
        wanted = [row for row in wanted if row.opened_at < asked.end]
    if asked.start is not None or asked.period is None or not wanted:
        return wanted
    if asked.period.unit == "D":
        return wanted[-asked.period.number :]
    after = number_of(asked.period.before(date_of(wanted[-1].session_date)))
    return [row for row in wanted if row.session_date > after]


def _cut(first: int, last: int, step: int, day: int, present: int) -> list[Window]:
    """The windows between two minutes, both included; they end where the timeframe's do."""
    found = []
    begins = first
    while begins <= last:
        ends = begins // step * step + step
        found.append(Window(begins, min(ends, present + 1), day))
        begins = ends
    return found


def points_of(
    windows: Sequence[Window], equity: Sequence[int], days: Sequence[AccountDay]
) -> list[Point]:
    """The points of windows, each after the days that were closed when it began."""
    dates = [day.session_date for day in days]
    closed = [day.closed_at // MINUTE for day in days]
    return [
        Point(
            window.begins * 60,
            worth,
            window.ends,
            None,
            bisect_left(dates, window.day) if window.day else bisect_right(closed, window.begins),
        )
        for window, worth in zip(windows, equity, strict=True)
    ]


class History:
    """Points with what came in and went out: gains, shares and cash flows of each."""

    def __init__(
        self,
        points: Sequence[Point],
        days: Sequence[AccountDay],
        flows: Sequence[FlowRow],
        reset: Reset,
    ) -> None:
        self._points = points
        self._days = days
        self._flows = flows
        self._positions = [flow.position for flow in flows]
        self._minutes = [flow.minute for flow in flows]
        self._total = [0, *accumulate(0 if f.kind == Flow.FEE else f.amount for f in flows)]
        self._reset = reset

    def _taken(self, point: Point) -> int:
        """How many of the flows a point takes in."""
        if point.position is not None:
            return bisect_right(self._positions, point.position)
        return bisect_left(self._minutes, point.ends)

    def _base_of(self, point: Point) -> Base:
        if point.days_before:
            day = self._days[point.days_before - 1]
            return Base(day.equity, day.position, day.session_date)
        for one in self._points:
            brought = self._total[self._taken(one)]
            if brought:
                return Base(brought, 0, 0)
        return Base(0, 0, 0)

    def _gain(self, point: Point, base: Base) -> int:
        """What it has gained since its base."""
        total = self._total
        if not base.day:
            return point.equity - total[self._taken(point)]
        before = bisect_right(self._positions, base.position)
        return point.equity - base.equity - (total[self._taken(point)] - total[before])

    def document(self, asked: Asked, types: Iterable[str]) -> dict[str, Any]:
        """All of it, as clients see it."""
        points = self._points
        bases = [self._base_of(point) for point in points]
        if self._reset == "no_reset":
            bases = bases[:1] * len(points)
        base = bases[0] if bases else self._without_points()
        gains = [self._gain(*pair) for pair in zip(points, bases, strict=True)]
        document = {
            "timestamp": [point.timestamp for point in points],
            "equity": [_dollars(point.equity) for point in points],
            "profit_loss": [_dollars(gain) for gain in gains],
            "profit_loss_pct": [
                _share(gain, base.equity) for gain, base in zip(gains, bases, strict=True)
            ],
            "base_value": _dollars(base.equity),
            "timeframe": asked.timeframe,
            "cashflow": self._cashflow(types),
        }
        if base.day:
            document["base_value_asof"] = date_text(base.day)
        return document

    def _without_points(self) -> Base:
        if not self._days:
            return Base(0, 0, 0)
        day = self._days[-1]
        return Base(day.equity, day.position, day.session_date)

    def _cashflow(self, types: Iterable[str]) -> dict[str, list[msgspec.Raw]]:
        """What came and went of each type with each point; a type that never did is left out."""
        ends = [self._taken(point) for point in self._points]
        first = ends[0] if ends else 0
        begins = [self._began(first), *ends[:-1]]
        found = {}
        for name in types:
            wanted = CASHFLOWS.get(name)
            each = [
                sum(flow.amount for flow in self._flows[begin:end] if flow.kind == wanted)
                for begin, end in zip(begins, ends, strict=False)
            ]
            if any(each):
                found[name] = [_dollars(amount) for amount in each]
        return found

    def _began(self, first: int) -> int:
        """Which flow is the first that the first point may tell of: none before its base."""
        if not self._points or not self._points[0].days_before:
            return 0
        base = self._base_of(self._points[0])
        return min(first, bisect_right(self._positions, base.position))


def types_in(text: str | None) -> list[str]:
    """The cash flows that are asked for; raises InvalidField."""
    if text is None or text == "ALL":
        return list(CASHFLOWS)
    if text == "NONE":
        return []
    found = text.split(",")
    for name in found:
        if name not in CASHFLOWS and name not in _BESIDE:
            raise InvalidField("cashflow_types", f"knows no {name[:20]!r}")
    return list(dict.fromkeys(found))


def _dollars(cents: int) -> msgspec.Raw:
    """An amount as a JSON number, exactly."""
    return msgspec.Raw(to_text(cents, USD_SCALE).encode())


def _share(gain: int, base: int) -> msgspec.Raw:
    """A gain as a share of the base, as a JSON number; null where there is nothing to share."""
    if base <= 0:
        return msgspec.Raw(b"null" if gain else b"0")
    text = to_text(divide_half_even(gain * 10**PLACES, base), PLACES)
    return msgspec.Raw(text.rstrip("0").rstrip(".").encode())

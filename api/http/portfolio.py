"""/v2/account/portfolio/history: what the account was worth, day by day or finer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from litestar import Response, get
from litestar.params import FromQuery, QueryParameter

from api.decimals import ExactRequest
from api.http.guards import gateway_of, principal_of
from api.http.parameters import MinPosition
from api.http.responses import json_response, problems
from api.portfolio import (
    History,
    Point,
    PortfolioHistory,
    Window,
    points_of,
    types_in,
    windows_of,
)
from api.portfolio_range import (
    MINUTE,
    Asked,
    Reporting,
    Reset,
    Timeframe,
    Words,
    asked_for,
    date_of,
    number_of,
    utc_date,
)
from api.refusals import NotFound
from api.trading import trader
from domain.errors import InvalidField
from domain.identifiers import Instant
from projections import account_days, equity_reads, instruments
from projections.account_days import AccountDay
from projections.connections import Connection
from projections.equity_reads import SessionRow, Span, TooMany

MOST_CHANGES = 200_000
"""How many changes of prices, quantities and money are read for one answer."""
VIEWS = ("equity", "account_days", "positions", "instruments")


@get(
    "/account/portfolio/history",
    tags=["Account"],
    summary="Get the account's portfolio history",
    responses=problems(404, 422),
)
async def get_portfolio_history(
    request: ExactRequest,
    position: MinPosition,
    period: Annotated[str | None, QueryParameter(max_length=8)] = None,
    timeframe: FromQuery[Timeframe | None] = None,
    start: FromQuery[str | None] = None,
    end: FromQuery[str | None] = None,
    date_end: FromQuery[str | None] = None,
    intraday_reporting: FromQuery[Reporting | None] = None,
    extended_hours: FromQuery[bool | None] = None,
    pnl_reset: FromQuery[Reset | None] = None,
    cashflow_types: Annotated[str | None, QueryParameter(max_length=256)] = None,
) -> Response[PortfolioHistory]:
    """Get the account's portfolio history.

    With timeframe 1D the equity at the end of each of its days, and of the day under way now;
    finer ones from money, holdings and prices as each minute left them. Gains leave out what
    came in and went out.
    """
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    now = gateway.clock.now()
    words = Words(
        *(period, timeframe, start, end, date_end),
        *(intraday_reporting, extended_hours, pnl_reset),
    )
    asked, types = asked_for(words, now), types_in(cashflow_types)
    await gateway.catch_up(account_id, position, *VIEWS)
    async with gateway.pool.connection() as conn, conn.transaction():
        # All that follows is of one position of each view.
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        opened = await equity_reads.opened_in(conn, account_id)
        if opened is None:
            raise NotFound("account")
        days = await account_days.list_account_days(conn, account_id)
        read = _daily if asked.timeframe == "1D" else _fine
        points = await read(conn, account_id, asked, days, max(opened, 0), now)
        after = _first_position(points, days)
        flows = await equity_reads.flows_of(conn, account_id, after=after)
    usual: Reset = "no_reset" if asked.timeframe == "1D" else "per_day"
    history = History(points, days, flows, asked.reset or usual)
    # Of every minute of a week it takes some tenths of a second.
    return await asyncio.to_thread(lambda: json_response(history.document(asked, types)))


def _first_position(points: Sequence[Point], days: Sequence[AccountDay]) -> int:
    """After which position of the log what came and went is looked at."""
    if not points or not points[0].days_before:
        return 0
    return days[points[0].days_before - 1].position


async def _daily(
    conn: Connection,
    account_id: UUID,
    asked: Asked,
    days: Sequence[AccountDay],
    opened: int,
    now: Instant,
) -> list[Point]:
    """The days that were closed, as they were closed, and the one under way as it is now."""
    present = await _day_under_way(conn, asked, days, now)
    dates = [day.session_date for day in days] + ([present] if present else [])
    wanted = _dates_of(asked, dates)
    points = [
        Point(_timestamp(day.session_date), day.equity, 0, day.position, number)
        for number, day in enumerate(days)
        if day.session_date in wanted
    ]
    if present in wanted:
        minute = now // MINUTE
        (equity,) = await _equity(
            conn, account_id, [Window(minute, minute + 1, present)], Span(minute, minute)
        )
        points.append(Point(_timestamp(present), equity, minute + 1, None, len(days)))
    return points


async def _day_under_way(
    conn: Connection, asked: Asked, days: Sequence[AccountDay], now: Instant
) -> int:
    """The date of the account's day that is not closed yet; 0 when there is none."""
    sessions = await equity_reads.sessions_of(conn, first=0, last=99_991_231)
    closed = days[-1].session_date if days else 0
    current = sessions[-1].session_date if sessions else 0
    if current <= closed and (asked.reporting == "continuous" or not days):
        current = utc_date(now)
    return current if current > closed else 0


def _dates_of(asked: Asked, dates: Sequence[int]) -> frozenset[int]:
    """Which of some dates are asked for."""
    within = [day for day in dates if asked.start_date <= day <= asked.end_date]
    if asked.start_date or asked.period is None or not asked.period.number or not within:
        return frozenset(within)
    if asked.period.unit == "D":
        return frozenset(within[-asked.period.number :])
    after = number_of(asked.period.before(date_of(within[-1])))
    return frozenset(day for day in within if day > after)


def _timestamp(day: int) -> int:
    """The first second of a date, in UTC."""
    return (date_of(day).toordinal() - 719_163) * 86_400


async def _fine(
    conn: Connection,
    account_id: UUID,
    asked: Asked,
    days: Sequence[AccountDay],
    opened: int,
    now: Instant,
) -> list[Point]:
    """Points finer than a day."""
    sessions: list[SessionRow] = []
    trading = False
    if asked.reporting != "continuous":
        sessions = await equity_reads.sessions_of(conn, first=0, last=99_991_231)
        trading = (await instruments.market_clock(conn)).is_open
    windows = await asyncio.to_thread(
        lambda: windows_of(asked, sessions, opened, now, trading=trading)
    )
    if not windows:
        return []
    span = Span(windows[0].begins, windows[-1].ends - 1, asked.step)
    return await asyncio.to_thread(
        points_of, windows, await _equity(conn, account_id, windows, span), days
    )


async def _equity(
    conn: Connection, account_id: UUID, windows: Sequence[Window], span: Span
) -> list[int]:
    try:
        changes = await equity_reads.changes_of(conn, account_id, span, limit=MOST_CHANGES)
    except TooMany:
        raise InvalidField(
            "timeframe", f"is too fine: prices changed more than {MOST_CHANGES} times"
        ) from None
    ends = [window.ends for window in windows]
    # Long ones take some tenths of a second: others go on meanwhile.
    return await asyncio.to_thread(equity_reads.equities, changes, ends)


HANDLERS = [get_portfolio_history]

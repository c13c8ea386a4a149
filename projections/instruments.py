"""Instruments: reference data, phase, session, and the prices seen last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from domain.events import (
    InstrumentClosed,
    InstrumentExpired,
    InstrumentHalted,
    InstrumentListed,
    InstrumentMarked,
    InstrumentOpened,
    InstrumentResumed,
    InstrumentTermsChanged,
    OrderFilled,
)
from domain.identifiers import NO_ID, Instant
from domain.terms import Phase, Side
from projections.columns import BIGINT, BOOLEAN, INTEGER, SMALLINT, TEXT, UUID_
from projections.connections import Connection
from projections.pieces import rows_of
from projections.projection import Column, Index, Projection, Row, Table, on

_CLOSED = int(Phase.CLOSED)
_OPEN = int(Phase.OPEN)
_HALTED = int(Phase.HALTED)
_EXPIRED = int(Phase.EXPIRED)
_ENDED = (_CLOSED, _EXPIRED)
_BUY = int(Side.BUY)

INSTRUMENTS = Table(
    "instruments",
    (
        Column("instrument_id", UUID_),
        Column("tick", BIGINT),
        Column("lot", BIGINT),
        Column("max_order_qty", BIGINT),
        Column("max_order_notional", BIGINT),
        Column("position_limit", BIGINT),
        Column("reference_price", BIGINT),
        Column("mark_price", BIGINT),
        Column("last_price", BIGINT),
        Column("previous_close", BIGINT),
        Column("last_qty", BIGINT),
        Column("last_at", BIGINT),
        Column("opens_at", BIGINT),
        Column("closes_at", BIGINT),
        Column("listed_at", BIGINT),
        Column("updated_at", BIGINT),
        Column("session_date", INTEGER),
        Column("value_date", INTEGER),
        Column("collar_bps", INTEGER),
        Column("protection_bps", INTEGER),
        Column("strike", BIGINT),
        Column("underlying_id", UUID_),
        Column("initial_margin_bps", INTEGER),
        Column("maintenance_margin_bps", INTEGER),
        Column("settlement_cycle", INTEGER),
        Column("multiplier", INTEGER),
        Column("expiry", INTEGER),
        Column("phase", SMALLINT),
        Column("price_decimals", SMALLINT),
        Column("trigger_rule", SMALLINT),
        Column("remainder", SMALLINT),
        Column("right_code", SMALLINT),
        Column("style", SMALLINT),
        Column("shortable", BOOLEAN),
        Column("symbol", TEXT),
        Column("name", TEXT),
        Column("asset_class", TEXT),
        Column("calendar", TEXT),
        Column("halt_reason", TEXT),
    ),
    key=("instrument_id",),
    indexes=(Index("symbol", ("symbol",)),),
    fillfactor=50,
)


SYMBOLS = Table(
    "instrument_symbols",
    (
        Column("symbol", TEXT),
        Column("instrument_id", UUID_),
    ),
    key=("symbol",),
)
"""Which instrument a symbol leads to: the one that took it last, whatever it is called now."""


class Instruments(Projection):
    """Every instrument as it is now."""

    name = "instruments"
    version = 6
    tables = (INSTRUMENTS, SYMBOLS)

    def __init__(self) -> None:
        super().__init__()
        self.instruments, self.symbols = self.changes

    @on(InstrumentListed)
    def listed(self, position: int, e: InstrumentListed) -> None:
        self._takes(e.originator_id, e.symbol)
        self.instruments.put(
            e.originator_id.int,
            {
                "instrument_id": e.originator_id,
                "tick": e.tick,
                "lot": e.lot,
                "max_order_qty": e.max_order_qty,
                "max_order_notional": e.max_order_notional,
                "position_limit": e.position_limit,
                "reference_price": e.reference_price,
                "mark_price": 0,
                "last_price": 0,
                "previous_close": 0,
                "last_qty": 0,
                "last_at": 0,
                "opens_at": 0,
                "closes_at": 0,
                "listed_at": e.at,
                "updated_at": e.at,
                "session_date": 0,
                "value_date": 0,
                "collar_bps": e.collar_bps,
                "protection_bps": e.protection_bps,
                "remainder": e.remainder,
                "initial_margin_bps": e.initial_margin_bps,
                "maintenance_margin_bps": e.maintenance_margin_bps,
                "shortable": e.shortable,
                "settlement_cycle": e.settlement_cycle,
                "phase": _CLOSED,
                "price_decimals": e.price_decimals,
                "trigger_rule": e.trigger_rule,
                "symbol": e.symbol,
                "name": e.name,
                "asset_class": e.asset_class,
                "calendar": e.calendar,
                "halt_reason": "",
                "multiplier": e.multiplier,
                "underlying_id": e.underlying_id,
                "right_code": e.right,
                "strike": e.strike,
                "expiry": e.expiry,
                "style": e.style,
            },
        )

    @on(InstrumentTermsChanged)
    def terms_changed(self, position: int, e: InstrumentTermsChanged) -> None:
        self._takes(e.originator_id, e.symbol)
        self._patch(
            e.originator_id,
            e.at,
            {
                "symbol": e.symbol,
                "name": e.name,
                "trigger_rule": e.trigger_rule,
                "collar_bps": e.collar_bps,
                "protection_bps": e.protection_bps,
                "remainder": e.remainder,
                "initial_margin_bps": e.initial_margin_bps,
                "maintenance_margin_bps": e.maintenance_margin_bps,
                "shortable": e.shortable,
                "settlement_cycle": e.settlement_cycle,
                "max_order_qty": e.max_order_qty,
                "max_order_notional": e.max_order_notional,
                "position_limit": e.position_limit,
            },
        )

    @on(InstrumentOpened)
    def opened(self, position: int, e: InstrumentOpened) -> None:
        self._patch(
            e.originator_id,
            e.at,
            {
                "phase": _OPEN,
                "session_date": e.session_date,
                "value_date": e.value_date,
                "opens_at": e.opens_at,
                "closes_at": e.closes_at,
                "previous_close": e.previous_close,
            },
        )

    @on(InstrumentClosed)
    def closed(self, position: int, e: InstrumentClosed) -> None:
        self._patch(e.originator_id, e.at, {"phase": _CLOSED, "halt_reason": ""})

    @on(InstrumentExpired)
    def expired(self, position: int, e: InstrumentExpired) -> None:
        self._patch(e.originator_id, e.at, {"phase": _EXPIRED, "halt_reason": ""})

    @on(InstrumentHalted)
    def halted(self, position: int, e: InstrumentHalted) -> None:
        self._patch(e.originator_id, e.at, {"phase": _HALTED, "halt_reason": e.reason})

    @on(InstrumentResumed)
    def resumed(self, position: int, e: InstrumentResumed) -> None:
        self._patch(e.originator_id, e.at, {"phase": _OPEN, "halt_reason": ""})

    @on(InstrumentMarked)
    def marked(self, position: int, e: InstrumentMarked) -> None:
        self._patch(e.originator_id, e.at, {"mark_price": e.price})

    @on(OrderFilled)
    def traded(self, position: int, e: OrderFilled) -> None:
        if e.side == _BUY:
            self._patch(
                e.instrument_id,
                e.at,
                {"last_price": e.price, "last_qty": e.qty, "last_at": e.at},
            )

    def _takes(self, instrument_id: UUID, symbol: str) -> None:
        self.symbols.put(symbol, {"symbol": symbol, "instrument_id": instrument_id})

    def _patch(self, instrument_id: UUID, at: Instant, columns: Row) -> None:
        columns["instrument_id"] = instrument_id
        columns["updated_at"] = at
        self.instruments.patch(instrument_id.int, columns)


class InstrumentRow(msgspec.Struct, frozen=True, gc=False):
    """One instrument; prices at its own decimals, quantities 1e-8, amounts cents, 0 for none.

    An option names its underlying, its strike on the wire's scale and its expiry as 20261218.
    """

    instrument_id: UUID
    symbol: str
    name: str
    asset_class: str
    calendar: str
    phase: int
    halt_reason: str
    price_decimals: int
    tick: int
    lot: int
    trigger_rule: int
    collar_bps: int
    protection_bps: int
    remainder: int
    initial_margin_bps: int
    maintenance_margin_bps: int
    shortable: bool
    settlement_cycle: int
    max_order_qty: int
    max_order_notional: int
    position_limit: int
    reference_price: int
    mark_price: int
    last_price: int
    previous_close: int
    last_qty: int
    last_at: int
    session_date: int
    value_date: int
    opens_at: int
    closes_at: int
    listed_at: int
    updated_at: int
    multiplier: int = 1
    underlying_id: UUID = NO_ID
    right_code: int = 0
    strike: int = 0
    expiry: int = 0
    style: int = 0

    @property
    def is_option(self) -> bool:
        """Whether it is a right to buy or sell another instrument."""
        return self.underlying_id != NO_ID


class MarketClock(msgspec.Struct, frozen=True, gc=False):
    """Whether anything trades, and the sessions that say when; 0 for unknown."""

    is_open: bool
    opens_at: int
    closes_at: int


_SELECT = f"SELECT {', '.join(InstrumentRow.__struct_fields__)} FROM instruments"


def named_by(symbol: str) -> str:
    """The statement for the instruments that a symbol, or any of some, leads to."""
    return f"(SELECT instrument_id FROM instrument_symbols WHERE symbol = {symbol})"


_CLOCK = f"""
SELECT COALESCE(bool_or(phase NOT IN {_ENDED}), false) AS is_open,
       COALESCE(max(opens_at), 0) AS opens_at,
       COALESCE(min(closes_at) FILTER (WHERE phase NOT IN {_ENDED}), max(closes_at), 0) AS closes_at
  FROM instruments
 WHERE %(calendar)s::text IS NULL OR calendar = %(calendar)s
"""


async def list_instruments(
    conn: Connection, *, symbols: Sequence[str] = (), asset_class: str | None = None
) -> list[InstrumentRow]:
    """All instruments, or those of some symbols or of one asset class, by symbol."""
    async with conn.cursor(row_factory=class_row(InstrumentRow)) as cursor:
        await cursor.execute(
            _SELECT + f" WHERE (%(any)s OR instrument_id IN {named_by('ANY(%(symbols)s)')})"
            " AND (%(class)s::text IS NULL OR asset_class = %(class)s) ORDER BY symbol",
            {"any": not symbols, "symbols": list(symbols), "class": asset_class},
        )
        return await rows_of(cursor)


async def get_instrument(conn: Connection, symbol_or_id: str | UUID) -> InstrumentRow | None:
    """One instrument by a symbol that leads to it, or by its id."""
    which = "%s" if isinstance(symbol_or_id, UUID) else named_by("%s")
    async with conn.cursor(row_factory=class_row(InstrumentRow)) as cursor:
        await cursor.execute(f"{_SELECT} WHERE instrument_id = {which}", (symbol_or_id,))
        return await cursor.fetchone()


async def instruments_of(conn: Connection, ids: Sequence[UUID]) -> list[InstrumentRow]:
    """The instruments with some ids, in their order."""
    async with conn.cursor(row_factory=class_row(InstrumentRow)) as cursor:
        await cursor.execute(_SELECT + " WHERE instrument_id = ANY(%s)", (list(ids),))
        found = {row.instrument_id: row for row in await rows_of(cursor)}
    return [found[one] for one in ids if one in found]


async def instruments_by_symbol(conn: Connection) -> dict[str, UUID]:
    """Every symbol that leads to an instrument: those of today, and former ones."""
    cursor = await conn.execute("SELECT symbol, instrument_id FROM instrument_symbols")
    return dict(await cursor.fetchall())


async def list_calendars(conn: Connection) -> list[str]:
    """The calendars by which instruments trade, each once."""
    cursor = await conn.execute("SELECT DISTINCT calendar FROM instruments ORDER BY calendar")
    return [calendar for (calendar,) in await cursor.fetchall()]


class PresentSymbols(NamedTuple):
    """The symbol of every instrument, as of a position of the log."""

    position: int
    symbols: dict[UUID, str]


async def present_symbols(conn: Connection) -> PresentSymbols:
    """What every instrument is called now, and how much of the log that takes in."""
    cursor = await conn.execute(
        "SELECT t.position, i.instrument_id, i.symbol FROM projection_tracking t"
        " LEFT JOIN instruments i ON true WHERE t.name = 'instruments' AND t.state = 'active'"
    )
    rows = await cursor.fetchall()
    known = {instrument_id: symbol for _, instrument_id, symbol in rows if instrument_id}
    return PresentSymbols(rows[0][0] if rows else 0, known)


async def market_clock(conn: Connection, *, calendar: str | None = None) -> MarketClock:
    """Whether any instrument, or any of one calendar, is in a session, and until when."""
    async with conn.cursor(row_factory=class_row(MarketClock)) as cursor:
        row = await (await cursor.execute(_CLOCK, {"calendar": calendar})).fetchone()
    assert row is not None
    return row

"""Equity: what each account's equity was made of at the end of every minute.

Kept is what changed in a minute, as it stood when the minute was over: an account's money, its
holdings, and the prices that they are valued at. So a million marks of an instrument within a
minute are one row, and no instrument has more than one row a minute for each of its prices. The
equity of any minute is reckoned from these when somebody asks (`projections.equity_reads`).
"""

from __future__ import annotations

from enum import IntEnum
from uuid import UUID

from domain.events import (
    AccountOpened,
    AccountSettled,
    CashDeposited,
    CashWithdrawn,
    FeeCharged,
    InstrumentClosed,
    InstrumentListed,
    InstrumentMarked,
    InstrumentOpened,
    InstrumentTermsChanged,
    OrderFilled,
    PositionExpired,
    PositionReversed,
    PositionTraded,
    PositionTransferred,
    TradeBooked,
    TradeReversed,
)
from domain.identifiers import Instant
from domain.money import QTY_SCALE, USD_SCALE
from domain.terms import Side
from projections.columns import BIGINT, INTEGER, SMALLINT, UUID_, WIDE
from projections.projection import Column, Merge, Projection, Row, Table, on

MINUTE = 60_000_000
_BUY = int(Side.BUY)


def value_of(qty: int, price: int, decimals: int) -> int:
    """Cents, signed like the quantity; of a long rounded down and of a short up, in size."""
    unit: int = 10 ** (decimals + QTY_SCALE - USD_SCALE)
    return price * qty // unit


class Valued(IntEnum):
    """What the value of a holding follows from, beside its quantity."""

    DECIMALS = 0
    RULE = 1
    REFERENCE = 2
    MARK = 3
    LAST = 4
    MULTIPLIER = 5
    """Told of those alone whose is not 1."""


class Flow(IntEnum):
    """What comes into an account or leaves it without a trade."""

    DEPOSIT = 1
    WITHDRAWAL = 2
    FEE = 3
    TRANSFER = 4


MONEY = Table(
    "equity_money",
    (
        Column("account_id", UUID_),
        Column("minute", INTEGER),
        Column("cash", BIGINT),
        Column("unsettled", BIGINT, True, Merge.FILL),
    ),
    key=("account_id", "minute"),
)
HOLDINGS = Table(
    "equity_holdings",
    (
        Column("account_id", UUID_),
        Column("instrument_id", UUID_),
        Column("minute", INTEGER),
        Column("qty", BIGINT),
    ),
    key=("account_id", "instrument_id", "minute"),
)
PRICES = Table(
    "equity_prices",
    (
        Column("instrument_id", UUID_),
        Column("kind", SMALLINT),
        Column("minute", INTEGER),
        Column("level", BIGINT),
    ),
    key=("instrument_id", "kind", "minute"),
)
FLOWS = Table(
    "equity_flows",
    (
        Column("account_id", UUID_),
        Column("position", BIGINT),
        Column("minute", INTEGER),
        Column("kind", SMALLINT),
        Column("amount", WIDE),
    ),
    key=("account_id", "position"),
    fresh=True,
)
SESSIONS = Table(
    "equity_sessions",
    (
        Column("session_date", INTEGER),
        Column("opened_at", BIGINT, merge=Merge.LEAST),
        Column("closed_at", BIGINT, merge=Merge.GREATEST),
    ),
    key=("session_date",),
)
"""From the first opening of a date to its last closing, of all instruments; 0 until one closes."""


class Equity(Projection):
    """What equity is made of, by minute; sessions by date; what came in and went out, each."""

    name = "equity"
    version = 2
    tables = (MONEY, HOLDINGS, PRICES, FLOWS, SESSIONS)

    def __init__(self) -> None:
        super().__init__()
        self.money, self.holdings, self.prices, self.flows, self.sessions = self.changes

    @on(AccountOpened)
    def opened(self, position: int, e: AccountOpened) -> None:
        self._money(e.originator_id, e.at, {"cash": 0, "unsettled": 0})

    @on(TradeBooked, TradeReversed, AccountSettled)
    def booked(self, position: int, e: TradeBooked | TradeReversed | AccountSettled) -> None:
        stands = {"cash": e.cash_after, "unsettled": e.unsettled_after}
        self._money(e.originator_id, e.at, stands)

    @on(CashDeposited, CashWithdrawn, FeeCharged)
    def cash_moved(self, position: int, e: CashDeposited | CashWithdrawn | FeeCharged) -> None:
        self._money(e.originator_id, e.at, {"cash": e.cash_after})
        self._flow(position, e.originator_id, e.at, {"kind": _FLOWS[type(e)], "amount": e.amount})

    @on(PositionTraded, PositionReversed, PositionExpired)
    def held(self, position: int, e: PositionTraded | PositionReversed | PositionExpired) -> None:
        self._holding(e.account_id, e.instrument_id, e.at, e.qty_after)

    @on(PositionTransferred)
    def transferred(self, position: int, e: PositionTransferred) -> None:
        self._holding(e.account_id, e.instrument_id, e.at, e.qty_after)
        # Older ones do not say what it was worth.
        worth = e.cost
        if e.mark:
            worth = value_of(e.qty * e.multiplier, e.mark, e.price_decimals)
        self._flow(position, e.account_id, e.at, {"kind": int(Flow.TRANSFER), "amount": worth})

    @on(InstrumentListed)
    def listed(self, position: int, e: InstrumentListed) -> None:
        self._value(e.originator_id, Valued.DECIMALS, e.at, e.price_decimals)
        self._value(e.originator_id, Valued.RULE, e.at, e.trigger_rule)
        self._value(e.originator_id, Valued.REFERENCE, e.at, e.reference_price)
        if e.multiplier != 1:
            self._value(e.originator_id, Valued.MULTIPLIER, e.at, e.multiplier)

    @on(InstrumentTermsChanged)
    def terms_changed(self, position: int, e: InstrumentTermsChanged) -> None:
        self._value(e.originator_id, Valued.RULE, e.at, e.trigger_rule)

    @on(InstrumentMarked)
    def marked(self, position: int, e: InstrumentMarked) -> None:
        self._value(e.originator_id, Valued.MARK, e.at, e.price)

    @on(OrderFilled)
    def traded(self, position: int, e: OrderFilled) -> None:
        if e.side == _BUY:
            self._value(e.instrument_id, Valued.LAST, e.at, e.price)

    @on(InstrumentOpened)
    def session_opened(self, position: int, e: InstrumentOpened) -> None:
        if e.session_date not in self.sessions.puts:
            self.sessions.put(
                e.session_date,
                {"session_date": e.session_date, "opened_at": e.at, "closed_at": 0},
            )

    @on(InstrumentClosed)
    def session_closed(self, position: int, e: InstrumentClosed) -> None:
        closed = {"session_date": e.session_date, "closed_at": e.at}
        self.sessions.patch(e.session_date, closed)

    def _money(self, account_id: UUID, at: Instant, stands: Row) -> None:
        minute = at // MINUTE
        row = self.money.puts.get((account_id.int, minute))
        if row is None:
            row = {"account_id": account_id, "minute": minute}
            self.money.put((account_id.int, minute), row)
        row.update(stands)

    def _holding(self, account_id: UUID, instrument_id: UUID, at: Instant, qty: int) -> None:
        minute = at // MINUTE
        self.holdings.put(
            (account_id.int, instrument_id.int, minute),
            {
                "account_id": account_id,
                "instrument_id": instrument_id,
                "minute": minute,
                "qty": qty,
            },
        )

    def _value(self, instrument_id: UUID, kind: Valued, at: Instant, value: int) -> None:
        minute = at // MINUTE
        self.prices.put(
            (instrument_id.int, kind, minute),
            {
                "instrument_id": instrument_id,
                "kind": int(kind),
                "minute": minute,
                "level": value,
            },
        )

    def _flow(self, position: int, account_id: UUID, at: Instant, flow: Row) -> None:
        row = {"account_id": account_id, "position": position, "minute": at // MINUTE, **flow}
        self.flows.put(position, row)


_FLOWS = {
    CashDeposited: int(Flow.DEPOSIT),
    CashWithdrawn: int(Flow.WITHDRAWAL),
    FeeCharged: int(Flow.FEE),
}

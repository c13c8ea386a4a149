"""What clients get: one model a response, decimals as strings with an explicit scale."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.vocabulary import AssetClassName, OrderStatusName
from domain.money import AVERAGE_PLACES, RATIO_PLACES, USD_SCALE, to_text
from domain.units import CENTS, PRICE, QTY, TRAIL_PERCENT, Priced, Rate, Scaled, Unit

PERCENT_PLACES = 2
"""Of a percentage that is told: a basis point is its hundredth."""


def _text_of(unit: Unit) -> Any:
    """How an amount looks as text: with all the places that its unit has."""
    if isinstance(unit, Scaled):
        example = to_text(10_125 * 10 ** (unit.places - USD_SCALE), unit.places)
        return Field(pattern=rf"^-?\d+\.\d{{{unit.places}}}$", examples=[example])
    # As many as the instrument's prices have; none where these are whole dollars.
    return Field(pattern=r"^-?\d+(\.\d+)?$", examples=["101.2500"])


_AVERAGE = Priced("average_price", more=AVERAGE_PLACES)
_PERCENT = Scaled("percent", PERCENT_PLACES)
_RATIO = Scaled("ratio", RATIO_PLACES)

ExchangeName = Literal["", "CRYPTO"]
"""Alpaca's names of venues: none is ours, but that of crypto follows from the class."""

Quantity = Annotated[str, QTY, _text_of(QTY)]
Dollars = Annotated[str, CENTS, _text_of(CENTS)]
Price = Annotated[str, PRICE, _text_of(PRICE)]
AveragePrice = Annotated[str, _AVERAGE, _text_of(_AVERAGE)]
Percent = Annotated[str, _PERCENT, _text_of(_PERCENT)]
TrailPercent = Annotated[str, TRAIL_PERCENT, _text_of(TRAIL_PERCENT)]
Ratio = Annotated[str, _RATIO, _text_of(_RATIO)]
CommissionRate = Annotated[str, Rate(), _text_of(Rate())]


class Document(BaseModel):
    """A response body; it has these members and no others."""

    model_config = ConfigDict(extra="forbid")


class FirstRefusal(Document):
    """Why a request was refused that has spent a client order id; `details` were judged."""

    code: int
    message: str
    reason: str
    field: str | None
    leg: Literal["entry", "take_profit", "stop_loss"] | int | None
    details: dict[str, Any]


class Problem(Document):
    """An RFC 9457 problem. `code` and `message` are Alpaca's, `reason` is our stable code.

    `leg` names the refused leg of a group, which none of its legs then enters; of a multi-leg order
    it is the leg's number. `first_refusal`
    is there only for a client order id that is spent, and says what was refused under it.
    `until` is there only while nothing trades: when the instrument's calendar lets it trade
    again, null where that is an operator's to say; and of FREE_RIDING it is the value date that
    the sale waits for, null where its settlement has failed. `details` are the values that were
    judged, as docs/refusals.md lists them by `reason`. `symbol`, `existing_qty`,
    `held_for_orders` and `available` are there only where what is held does not suffice.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:nexustrade:problem:INSUFFICIENT_BUYING_POWER",
                    "title": "Insufficient buying power",
                    "status": 403,
                    "detail": "insufficient buying power: 1012.50 needed, 500.00 available",
                    "code": 40310000,
                    "message": "insufficient buying power: 1012.50 needed, 500.00 available",
                    "reason": "INSUFFICIENT_BUYING_POWER",
                    "field": "qty",
                    "leg": None,
                    "details": {"needed": "1012.50", "available": "500.00"},
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    detail: str
    code: int
    message: str
    reason: str
    field: str | None
    leg: Literal["entry", "take_profit", "stop_loss"] | int | None
    details: dict[str, Any]
    first_refusal: FirstRefusal | None = None
    until: datetime | date | None = None
    symbol: str | None = None
    existing_qty: Quantity | None = None
    held_for_orders: Quantity | None = None
    available: Quantity | None = None


class CanceledOrder(Document):
    """What became of one order of a mass cancel."""

    id: UUID
    status: int


class Account(Document):
    """The account of the key, in Alpaca's shape; amounts are US dollars.

    `cash` counts trades that are not settled. `buying_power` is `free_margin` times the
    multiplier; `free_margin` is what new orders may hold. `kind`, `margin_called` and what is
    named after settlement are extensions.
    """

    id: UUID
    account_number: str
    name: str
    status: Literal["ACTIVE", "LIMITED", "INACTIVE"]
    currency: Literal["USD"]
    cash: Dollars
    buying_power: Dollars
    regt_buying_power: Dollars
    daytrading_buying_power: Dollars
    non_marginable_buying_power: Dollars
    free_margin: Dollars
    held_for_orders: Dollars
    settled_cash: Dollars
    cash_withdrawable: Dollars
    unsettled: Dollars
    unsettled_receivable: Dollars
    unsettled_payable: Dollars
    use_unsettled: bool
    accrued_fees: Dollars
    portfolio_value: Dollars
    equity: Dollars
    last_equity: Dollars
    long_market_value: Dollars
    short_market_value: Dollars
    initial_margin: Dollars
    maintenance_margin: Dollars
    multiplier: str
    kind: Literal["cash", "margin"]
    margin_called: bool
    pattern_day_trader: bool
    trading_blocked: bool
    transfers_blocked: bool
    account_blocked: bool
    trade_suspended_by_user: bool
    shorting_enabled: bool
    created_at: datetime


class Position(Document):
    """One holding, in Alpaca's shape. Values at market are null until there is a price."""

    asset_id: UUID
    symbol: str
    exchange: ExchangeName
    asset_class: AssetClassName
    asset_marginable: bool
    avg_entry_price: AveragePrice
    qty: Quantity
    qty_available: Quantity
    settled_qty: Quantity
    unpaid_qty: Quantity
    side: Literal["long", "short"]
    market_value: Dollars | None
    cost_basis: Dollars
    unrealized_pl: Dollars | None
    unrealized_plpc: Ratio | None
    unrealized_intraday_pl: Dollars | None
    unrealized_intraday_plpc: Ratio | None
    current_price: Price | None
    lastday_price: Price | None
    change_today: Ratio | None
    realized_pl: Dollars


class ValueAtRisk(Document):
    """What is lost on no more than 5 % and 1 % of days, in US dollars."""

    var_95: Dollars
    var_99: Dollars


class RiskFigures(Document):
    """Value at risk by both methods; null where `reason` says why."""

    market_value: Dollars | None
    observations: int
    historical: ValueAtRisk | None
    parametric: ValueAtRisk | None
    reason: str | None


class PositionRisk(RiskFigures):
    """The value at risk of one holding."""

    symbol: str
    asset_id: UUID
    qty: Quantity


class PortfolioRisk(RiskFigures):
    """The value at risk of all holdings together, but for those that have none of their own."""

    unmeasured: list[str]


class AccountRisk(Document):
    """What the account's holdings may lose over some days."""

    days: int
    positions: list[PositionRisk]
    portfolio: PortfolioRisk


class Asset(Document):
    """An instrument, in Alpaca's shape; `phase` and what follows are extensions.

    It is `shortable` and `easy_to_borrow` when a short sale needs no `locate`, `fractionable`
    when its lot is less than one, and has none of Alpaca's `attributes`.
    """

    id: UUID
    asset_class: AssetClassName = Field(alias="class")
    exchange: ExchangeName
    symbol: str
    name: str
    status: Literal["active", "inactive"]
    tradable: bool
    marginable: bool
    shortable: bool
    easy_to_borrow: bool
    fractionable: bool
    min_order_size: Quantity
    min_trade_increment: Quantity
    price_increment: Price
    maintenance_margin_requirement: Percent
    attributes: Annotated[list[str], Field(max_length=0)]
    phase: Literal["closed", "open", "halted", "closing", "expired"]
    calendar: str
    price_decimals: int
    trigger_rule: Literal["last_trade", "bid_ask", "mark"]
    collar_bps: int
    protection_bps: int
    remainder: Literal["rest", "cancel"]
    initial_margin_bps: int
    maintenance_margin_bps: int
    settlement_cycle: int
    max_order_qty: Quantity | None
    max_order_notional: Dollars | None
    position_limit: Quantity | None
    reference_price: Price | None
    mark_price: Price | None
    last_price: Price | None
    session_date: str | None
    closes_at: datetime | None


class Clock(Document):
    """The venue's clock: open when any instrument is."""

    timestamp: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime


class EventDocument(Document):
    """One event of an order or its group, as the log has it; amounts are exact text.

    `actor`, `gateway`, `correlation_id` and `causation_id` are null of what another account or
    an operator did.
    """

    position: int
    originator_id: UUID
    type: str
    version: int
    at: datetime
    actor: str | None
    gateway: str | None
    correlation_id: UUID | None
    causation_id: int | None
    data: dict[str, Any]


class TradeDocument(Document):
    """One trade of the tape, with both its sides."""

    trade_id: UUID
    position: int
    symbol: str
    asset_id: UUID
    at: datetime
    qty: Quantity
    price: Price
    original_price: Price | None
    notional: Dollars
    aggressor: Literal["buy", "sell"] | None
    session_date: str
    value_date: str
    buy_account_id: UUID
    buy_order_id: UUID
    buy_fee: Dollars
    sell_account_id: UUID
    sell_order_id: UUID
    sell_fee: Dollars
    status: Literal["done", "corrected", "busted"]


class Settlement(Document):
    """What the account's trades of one instrument come to on a value date.

    `net_qty` and `net_amount` are signed as the account sees them: negative is to be delivered,
    or paid. `settled_qty` and `settled_amount` are what of it has moved. `reason` says what a
    failed one lacks: CASH, SECURITIES, AWAITING_DELIVERY of others, or their AWAITING_RECEIPT.
    The `id` is where a page may end.
    """

    id: str
    account_id: UUID
    asset_id: UUID
    symbol: str
    value_date: date
    status: Literal["pending", "failed", "settled"]
    reason: Literal["CASH", "SECURITIES", "AWAITING_DELIVERY", "AWAITING_RECEIPT"] | None
    bought_qty: Quantity
    bought_amount: Dollars
    sold_qty: Quantity
    sold_amount: Dollars
    net_qty: Quantity
    net_amount: Dollars
    settled_qty: Quantity
    settled_amount: Dollars
    attempts: int
    run_date: date | None
    updated_at: datetime


class Activity(Document):
    """One fill of the account, or what became of it, in Alpaca's shape.

    A bust takes the fill's quantity back: `qty` is negative. A correction is two: the fill taken
    back at its old price, and booked at the new one. All of them together are the position.
    `order_id` is the revision of the order that stood then; `cum_qty`, `leaves_qty` and
    `order_status` are the order's after a fill; of a bust or a correction the latter two are the
    order's as it is now. `exact_type`, which tells these from fills, and `execution_id`, which
    names the trade, are extensions.
    """

    id: str
    activity_type: Literal["FILL"]
    account_id: UUID
    transaction_time: datetime
    type: Literal["fill", "partial_fill"]
    exact_type: Literal["fill", "partial_fill", "trade_bust", "trade_correct"]
    price: Price
    qty: Quantity
    cum_qty: Quantity
    leaves_qty: Quantity
    side: Literal["buy", "sell"]
    symbol: str
    order_id: UUID
    order_status: OrderStatusName
    execution_id: UUID


class CommissionTierDocument(Document):
    """The rates from a quantity traded in the month on."""

    from_qty: Quantity
    maker: CommissionRate
    taker: CommissionRate


class CommissionDocument(Document):
    """What trades cost: dollars a share, or basis points of the value."""

    kind: Literal["none", "per_share", "bps"]
    tiers: list[CommissionTierDocument]
    minimum: Dollars | None
    cap_bps: int | None


class KillSwitch(Document):
    """The kill switch of all accounts."""

    engaged: bool
    reason: str
    changed_at: datetime | None


class PairMargin(Document):
    """Two shares that hedge each other, and the rate of margin of what does, in basis points."""

    symbol: str
    other_symbol: str
    bps: int
    set_at: datetime


class AdminAccount(Document):
    """An account as the venue's operators see it."""

    id: UUID
    name: str
    owner: str
    number: int
    kind: Literal["cash", "margin"]
    status: Literal["active", "closing_only", "blocked"]
    cash: Dollars
    unsettled: Dollars
    held: Dollars
    receivable: Dollars
    payable: Dollars
    unpaid: Dollars
    commissions: Dollars
    use_unsettled: bool
    killed: bool
    kill_reason: str
    margin_called: bool
    max_order_notional: Dollars | None
    max_orders_per_second: int | None
    commission: CommissionDocument


class Outcome(Document):
    """What a command of an operator did."""

    position: int
    duplicate: bool
    result: dict[str, Any]


DOCUMENTS: tuple[type[Document], ...] = (
    Problem,
    CanceledOrder,
    Account,
    Position,
    AccountRisk,
    Asset,
    Clock,
    EventDocument,
    TradeDocument,
    Settlement,
    Activity,
    AdminAccount,
    KillSwitch,
    PairMargin,
    Outcome,
)

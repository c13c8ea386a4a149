"""What clients get: one model a response, decimals as strings with an explicit scale."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import OrderTypeName, TimeInForceName

OrderStatusName = Literal[
    "new", "held", "partially_filled", "filled", "canceled", "expired", "replaced", "rejected"
]
Decimals = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", examples=["101.2500"])]


class Document(BaseModel):
    """A response body; it has these members and no others."""

    model_config = ConfigDict(extra="forbid")


class Order(Document):
    """An order, or one revision of it, in Alpaca's shape.

    `legs` are nested in the parent of a group: its entry, or an oco's take-profit.
    `post_only`, `triggered_at`, `group_id` and `leg` are extensions.
    """

    id: UUID
    client_order_id: str
    created_at: datetime
    updated_at: datetime
    submitted_at: datetime
    filled_at: datetime | None
    expired_at: datetime | None
    expires_at: datetime | None
    canceled_at: datetime | None
    failed_at: datetime | None
    replaced_at: datetime | None
    replaced_by: UUID | None
    replaces: UUID | None
    triggered_at: datetime | None
    asset_id: UUID | None
    symbol: str
    asset_class: str | None
    notional: None
    qty: Decimals
    filled_qty: Decimals
    filled_avg_price: Decimals | None
    order_class: Literal["simple", "oco", "bracket", "oto"]
    order_type: OrderTypeName
    type: OrderTypeName
    side: Literal["buy", "sell"]
    time_in_force: TimeInForceName
    limit_price: Decimals | None
    stop_price: Decimals | None
    status: OrderStatusName
    extended_hours: Literal[False]
    post_only: bool
    legs: list[Order] | None
    group_id: UUID | None
    leg: Literal["entry", "take_profit", "stop_loss"] | None
    trail_percent: None
    trail_price: None
    hwm: None
    position_intent: None


class Problem(Document):
    """An RFC 9457 problem. `code` and `message` are Alpaca's, `reason` is our stable code.

    `leg` names the refused leg of a group, which none of its legs then enters.
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
    leg: Literal["entry", "take_profit", "stop_loss"] | None


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
    cash: Decimals
    buying_power: Decimals
    regt_buying_power: Decimals
    daytrading_buying_power: Decimals
    non_marginable_buying_power: Decimals
    free_margin: Decimals
    held_for_orders: Decimals
    settled_cash: Decimals
    cash_withdrawable: Decimals
    unsettled: Decimals
    unsettled_receivable: Decimals
    unsettled_payable: Decimals
    use_unsettled: bool
    accrued_fees: Decimals
    portfolio_value: Decimals
    equity: Decimals
    last_equity: Decimals
    long_market_value: Decimals
    short_market_value: Decimals
    initial_margin: Decimals
    maintenance_margin: Decimals
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
    exchange: str
    asset_class: str
    asset_marginable: bool
    avg_entry_price: Decimals
    qty: Decimals
    qty_available: Decimals
    settled_qty: Decimals
    unpaid_qty: Decimals
    side: Literal["long", "short"]
    market_value: Decimals | None
    cost_basis: Decimals
    unrealized_pl: Decimals | None
    unrealized_plpc: Decimals | None
    unrealized_intraday_pl: Decimals | None
    unrealized_intraday_plpc: Decimals | None
    current_price: Decimals | None
    lastday_price: Decimals | None
    change_today: Decimals | None
    realized_pl: Decimals


class ValueAtRisk(Document):
    """What is lost on no more than 5 % and 1 % of days, in US dollars."""

    var_95: Decimals
    var_99: Decimals


class RiskFigures(Document):
    """Value at risk by both methods; null where `reason` says why."""

    market_value: Decimals | None
    observations: int
    historical: ValueAtRisk | None
    parametric: ValueAtRisk | None
    reason: str | None


class PositionRisk(RiskFigures):
    """The value at risk of one holding."""

    symbol: str
    asset_id: UUID
    qty: Decimals


class PortfolioRisk(RiskFigures):
    """The value at risk of all holdings together, but for those that have none of their own."""

    unmeasured: list[str]


class AccountRisk(Document):
    """What the account's holdings may lose over some days."""

    days: int
    positions: list[PositionRisk]
    portfolio: PortfolioRisk


class Asset(Document):
    """An instrument, in Alpaca's shape; `phase` and what follows are extensions."""

    id: UUID
    asset_class: str = Field(alias="class")
    exchange: str
    symbol: str
    name: str
    status: Literal["active", "inactive"]
    tradable: bool
    marginable: bool
    shortable: bool
    easy_to_borrow: bool
    fractionable: bool
    min_order_size: Decimals
    min_trade_increment: Decimals
    price_increment: Decimals
    phase: Literal["closed", "open", "halted"]
    calendar: str
    price_decimals: int
    trigger_rule: Literal["last_trade", "bid_ask", "mark"]
    collar_bps: int
    initial_margin_bps: int
    maintenance_margin_bps: int
    settlement_cycle: int
    max_order_qty: Decimals | None
    max_order_notional: Decimals | None
    position_limit: Decimals | None
    reference_price: Decimals | None
    mark_price: Decimals | None
    last_price: Decimals | None
    session_date: str | None
    closes_at: datetime | None


class Clock(Document):
    """The venue's clock: open when any instrument is."""

    timestamp: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime


class EventDocument(Document):
    """One event of an order or its group, as the log has it; amounts are exact text."""

    position: int
    originator_id: UUID
    type: str
    version: int
    at: datetime
    actor: str
    gateway: str
    correlation_id: UUID
    causation_id: int
    data: dict[str, Any]


class TradeDocument(Document):
    """One trade of the tape, with both its sides."""

    trade_id: UUID
    position: int
    symbol: str
    asset_id: UUID
    at: datetime
    qty: Decimals
    price: Decimals
    original_price: Decimals | None
    notional: Decimals
    aggressor: Literal["buy", "sell"] | None
    session_date: str
    value_date: str
    buy_account_id: UUID
    buy_order_id: UUID
    buy_fee: Decimals
    sell_account_id: UUID
    sell_order_id: UUID
    sell_fee: Decimals
    status: Literal["done", "corrected", "busted"]


class Settlement(Document):
    """What the account's trades of one instrument come to on a value date.

    `net_qty` and `net_amount` are signed as the account sees them: negative is to be delivered,
    or paid. `settled_qty` and `settled_amount` are what of it has moved. `reason` says what a
    failed one lacks: CASH, SECURITIES, or AWAITING_DELIVERY of others.
    """

    account_id: UUID
    asset_id: UUID
    symbol: str
    value_date: date
    status: Literal["pending", "failed", "settled"]
    reason: Literal["CASH", "SECURITIES", "AWAITING_DELIVERY"] | None
    bought_qty: Decimals
    bought_amount: Decimals
    sold_qty: Decimals
    sold_amount: Decimals
    net_qty: Decimals
    net_amount: Decimals
    settled_qty: Decimals
    settled_amount: Decimals
    attempts: int
    run_date: date | None
    updated_at: datetime


class Activity(Document):
    """One fill of the account, in Alpaca's shape."""

    id: str
    activity_type: Literal["FILL"]
    account_id: UUID
    transaction_time: datetime
    type: Literal["fill"]
    price: Decimals
    qty: Decimals
    side: Literal["buy", "sell"]
    symbol: str
    order_id: UUID


class CommissionTierDocument(Document):
    """The rates from a quantity traded in the month on."""

    from_qty: Decimals
    maker: Decimals
    taker: Decimals


class CommissionDocument(Document):
    """What trades cost: dollars a share, or basis points of the value."""

    kind: Literal["none", "per_share", "bps"]
    tiers: list[CommissionTierDocument]
    minimum: Decimals | None
    cap_bps: int | None


class KillSwitch(Document):
    """The kill switch of all accounts."""

    engaged: bool
    reason: str
    changed_at: datetime | None


class AdminAccount(Document):
    """An account as the venue's operators see it."""

    id: UUID
    name: str
    owner: str
    number: int
    kind: Literal["cash", "margin"]
    status: Literal["active", "closing_only", "blocked"]
    cash: Decimals
    unsettled: Decimals
    held: Decimals
    receivable: Decimals
    payable: Decimals
    unpaid: Decimals
    commissions: Decimals
    use_unsettled: bool
    killed: bool
    kill_reason: str
    margin_called: bool
    max_order_notional: Decimals | None
    max_orders_per_second: int | None
    commission: CommissionDocument


class IssuedKey(Document):
    """A key of an account. The secret is shown this once and kept nowhere."""

    account_id: UUID
    name: str | None
    created: bool
    key_id: str | None
    secret_key: str | None


class Outcome(Document):
    """What a command of an operator did."""

    position: int
    duplicate: bool
    result: dict[str, Any]


class Health(Document):
    """This process lives."""

    status: Literal["ok"]


class Readiness(Document):
    """Whether orders can be taken, and what is missing when not."""

    status: Literal["ready", "not_ready"]
    writer: bool
    database: bool
    writer_position: int | None
    projection_position: int | None
    projection_lag: int | None


DOCUMENTS: tuple[type[Document], ...] = (
    Order,
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
    IssuedKey,
    Outcome,
    Health,
    Readiness,
)

"""Accounts, positions and the rest as clients see them: integers become text, never floats."""

from __future__ import annotations

from typing import Any

from api.documents import PERCENT_PLACES
from api.valuation import Valued
from api.vocabulary import SIDE_NAMES
from domain.commission import BPS_SCALE, RATE_SCALE, Kind, schedule_of
from domain.identifiers import iso
from domain.money import (
    QTY_SCALE,
    QTY_UNIT,
    RATIO_PLACES,
    USD_SCALE,
    divide_half_even,
    to_text,
)
from domain.terms import (
    AccountKind,
    AccountStatus,
    Phase,
    Remainder,
    TriggerRule,
)
from projections.account_days import AccountDay
from projections.balances import AccountRow, VenueSwitch
from projections.instruments import InstrumentRow
from projections.pair_margins import PairRow
from projections.positions import PositionRow
from projections.trades import TradeRow

_KINDS = {int(kind): kind.name.lower() for kind in Kind}
WHOLE_BPS = 10_000
_ACCOUNT_STATUSES = {
    int(AccountStatus.ACTIVE): "ACTIVE",
    int(AccountStatus.CLOSING_ONLY): "LIMITED",
    int(AccountStatus.BLOCKED): "INACTIVE",
}


def moment(at: int) -> str | None:
    """An instant as text; 0 is not yet."""
    return iso(at) if at else None


def quantity(units: int) -> str:
    """A quantity with its eight decimal places."""
    return to_text(units, QTY_SCALE)


def cents(units: int) -> str:
    """US dollars with their two decimal places."""
    return to_text(units, USD_SCALE)


def date_text(day: int) -> str | None:
    """A date such as 20261120 as 2026-11-20; 0 is none."""
    digits = str(day)
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if day else None


def limit_text(units: int, scale: int) -> str | None:
    """A limit, None where there is none."""
    return to_text(units, scale) if units else None


def account_document(
    row: AccountRow, value: Valued, venue: VenueSwitch, last_day: AccountDay | None = None
) -> dict[str, Any]:
    """The account of a trader as it is valued, and its last day if it has one."""
    means = value.means
    equity = cents(value.equity)
    buying_power = cents(means.buying_power)
    blocked = row.status == AccountStatus.BLOCKED
    stopped = is_stopped(row, venue)
    is_margin = row.kind == AccountKind.MARGIN
    limited = row.margin_called and not blocked
    return {
        "id": str(row.account_id),
        "account_number": str(row.number),
        "name": row.name,
        "status": "LIMITED" if limited else _ACCOUNT_STATUSES[row.status],
        "currency": "USD",
        "cash": cents(row.cash + row.unsettled),
        "buying_power": buying_power,
        "regt_buying_power": buying_power,
        "daytrading_buying_power": "0.00",
        "non_marginable_buying_power": cents(means.buying_power // means.multiplier),
        "free_margin": cents(means.free),
        "held_for_orders": cents(row.held),
        "settled_cash": cents(row.cash),
        "cash_withdrawable": cents(means.withdrawable),
        "unsettled": cents(row.unsettled),
        "unsettled_receivable": cents(row.receivable),
        "unsettled_payable": cents(row.payable),
        "use_unsettled": row.use_unsettled,
        "accrued_fees": "0.00",
        "portfolio_value": equity,
        "equity": equity,
        "last_equity": cents(last_day.equity if last_day is not None else 0),
        "long_market_value": cents(value.margin.long_value),
        "short_market_value": cents(-value.margin.short_value),
        "initial_margin": cents(value.margin.initial),
        "maintenance_margin": cents(value.margin.maintenance),
        "multiplier": str(means.multiplier),
        "kind": AccountKind(row.kind).name.lower(),
        "margin_called": row.margin_called,
        "pattern_day_trader": False,
        "trading_blocked": stopped,
        "transfers_blocked": blocked,
        "account_blocked": blocked,
        "trade_suspended_by_user": row.killed or row.suspend_trade,
        "shorting_enabled": is_margin and not row.no_shorting,
        "created_at": iso(row.opened_at),
    }


def is_stopped(row: AccountRow, venue: VenueSwitch) -> bool:
    """Whether nothing but cancels is taken: the account is blocked or suspended by its owner, or a
    kill switch is engaged.
    """
    blocked = row.status == AccountStatus.BLOCKED
    return blocked or row.suspend_trade or row.killed or venue.killed


def admin_account_document(row: AccountRow, owner: str) -> dict[str, Any]:
    """An account as the venue's operators see it, with its owner's name opened."""
    return {
        "id": str(row.account_id),
        "name": row.name,
        "owner": owner,
        "number": row.number,
        "kind": AccountKind(row.kind).name.lower(),
        "status": AccountStatus(row.status).name.lower(),
        "cash": cents(row.cash),
        "unsettled": cents(row.unsettled),
        "held": cents(row.held),
        "receivable": cents(row.receivable),
        "payable": cents(row.payable),
        "unpaid": cents(row.unpaid),
        "commissions": cents(row.commissions),
        "use_unsettled": row.use_unsettled,
        "killed": row.killed,
        "kill_reason": row.kill_reason,
        "margin_called": row.margin_called,
        "max_order_notional": limit_text(row.max_order_notional, USD_SCALE),
        "max_orders_per_second": row.max_orders_per_second or None,
        "commission": commission_document(row),
    }


def commission_document(row: AccountRow) -> dict[str, Any]:
    """What trades cost an account, as it was asked for."""
    schedule = schedule_of(row.schedule_state)
    scale = RATE_SCALE if schedule.kind == Kind.PER_SHARE else BPS_SCALE
    return {
        "kind": _KINDS[schedule.kind],
        "tiers": [
            {
                "from_qty": quantity(from_qty),
                "maker": to_text(maker, scale),
                "taker": to_text(taker, scale),
            }
            for from_qty, maker, taker in schedule.tiers
        ],
        "minimum": limit_text(schedule.minimum, USD_SCALE),
        "cap_bps": schedule.cap_bps or None,
    }


def kill_switch_document(venue: VenueSwitch) -> dict[str, Any]:
    """The venue's kill switch."""
    return {
        "engaged": venue.killed,
        "reason": venue.reason,
        "changed_at": moment(venue.changed_at),
    }


def pair_document(row: PairRow) -> dict[str, Any]:
    """A pair of shares that hedge each other."""
    return {
        "symbol": row.symbol,
        "other_symbol": row.other_symbol,
        "bps": row.bps,
        "set_at": iso(row.set_at),
    }


def position_document(row: PositionRow, *, stopped: bool = False) -> dict[str, Any]:
    """One holding, valued at the present price when there is one; nothing of it is available
    where the account, or the venue, is `stopped`.
    """
    priced = bool(row.price)
    unrealized = cents(row.unrealized) if priced else None
    cost = row.exact_cost
    share = ratio(row.exact_value - cost, abs(cost)) if priced and cost else None
    today = row.unrealized_today if priced else 0
    began = abs(row.market_value - today)
    close = row.previous_close
    return {
        "asset_id": str(row.instrument_id),
        "symbol": row.symbol,
        "exchange": exchange_of(row.asset_class),
        "asset_class": row.asset_class,
        "asset_marginable": row.initial_margin_bps < WHOLE_BPS,
        "avg_entry_price": row.average_price_text,
        "qty": quantity(row.qty),
        "qty_available": quantity(0 if stopped else row.available),
        "settled_qty": quantity(row.settled),
        "unpaid_qty": quantity(row.unpaid),
        "side": "long" if row.qty >= 0 else "short",
        "market_value": cents(row.market_value) if priced else None,
        "cost_basis": cents(row.cost),
        "unrealized_pl": unrealized,
        "unrealized_plpc": share,
        "unrealized_intraday_pl": cents(today) if priced else None,
        "unrealized_intraday_plpc": ratio(today, began) if priced and began else None,
        "current_price": to_text(row.price, row.price_decimals) if priced else None,
        "lastday_price": to_text(close, row.price_decimals) if close else None,
        "change_today": ratio(row.price - close, close) if priced and close else None,
        "realized_pl": cents(row.realized),
    }


def ratio(part: int, whole: int) -> str:
    """A share with six decimal places, ties to even."""
    return to_text(divide_half_even(part * 10**RATIO_PLACES, whole), RATIO_PLACES)


def exchange_of(asset_class: str) -> str:
    """Alpaca's name of the venue: it knows none of ours, and crypto by its class."""
    return "CRYPTO" if asset_class == "crypto" else ""


def asset_document(row: InstrumentRow) -> dict[str, Any]:
    """An instrument as a trader sees it."""
    decimals = row.price_decimals
    lot = quantity(row.lot)
    return {
        "id": str(row.instrument_id),
        "class": row.asset_class,
        "exchange": exchange_of(row.asset_class),
        "symbol": row.symbol,
        "name": row.name,
        "status": "active" if row.phase != Phase.EXPIRED else "inactive",
        "tradable": row.phase != Phase.EXPIRED,
        "marginable": row.initial_margin_bps < WHOLE_BPS,
        "shortable": row.shortable,
        "easy_to_borrow": row.shortable,
        "fractionable": row.lot < QTY_UNIT,
        "min_order_size": lot,
        "min_trade_increment": lot,
        "price_increment": to_text(row.tick, decimals),
        "maintenance_margin_requirement": to_text(row.maintenance_margin_bps, PERCENT_PLACES),
        "attributes": [],
        "phase": Phase(row.phase).name.lower(),
        "calendar": row.calendar,
        "price_decimals": decimals,
        "trigger_rule": TriggerRule(row.trigger_rule).name.lower(),
        "collar_bps": row.collar_bps,
        "protection_bps": row.protection_bps,
        "remainder": Remainder(row.remainder).name.lower(),
        "initial_margin_bps": row.initial_margin_bps,
        "maintenance_margin_bps": row.maintenance_margin_bps,
        "settlement_cycle": row.settlement_cycle,
        "max_order_qty": limit_text(row.max_order_qty, QTY_SCALE),
        "max_order_notional": limit_text(row.max_order_notional, USD_SCALE),
        "position_limit": limit_text(row.position_limit, QTY_SCALE),
        "reference_price": limit_text(row.reference_price, decimals),
        "mark_price": limit_text(row.mark_price, decimals),
        "last_price": limit_text(row.last_price, decimals),
        "session_date": date_text(row.session_date),
        "closes_at": moment(row.closes_at),
    }


def trade_document(row: TradeRow) -> dict[str, Any]:
    """One trade of the tape; a corrected one also shows what was printed first."""
    decimals = row.price_decimals
    status = "busted" if row.busted_at else "corrected" if row.corrected_at else "done"
    return {
        "trade_id": str(row.trade_id),
        "position": row.position,
        "symbol": row.symbol,
        "asset_id": str(row.instrument_id),
        "at": iso(row.at),
        "qty": quantity(row.qty),
        "price": to_text(row.price, decimals),
        "original_price": (
            None if row.original_price is None else to_text(row.original_price, decimals)
        ),
        "notional": cents(row.notional),
        "aggressor": SIDE_NAMES.get(row.aggressor or 0),
        "session_date": date_text(row.session_date),
        "value_date": date_text(row.value_date),
        "buy_account_id": str(row.buy_account_id),
        "buy_order_id": str(row.buy_order_id),
        "buy_fee": cents(row.buy_fee),
        "sell_account_id": str(row.sell_account_id),
        "sell_order_id": str(row.sell_order_id),
        "sell_fee": cents(row.sell_fee),
        "status": status,
    }

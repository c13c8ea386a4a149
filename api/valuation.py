"""An account valued from the views, by the formulas the writer itself decides with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from domain.account import Account
from domain.margin import Holding, Margin, equity, margin_of
from domain.means import Means, means_of
from projections.balances import AccountRow, VenueSwitch
from projections.positions import PositionRow


class Valued(NamedTuple):
    """What an account is worth, in cents, and its means."""

    margin: Margin
    equity: int
    means: Means


def valued(row: AccountRow, positions: Iterable[PositionRow], venue: VenueSwitch) -> Valued:
    """The account at the present marks; only a margin account is bound by requirements."""
    account = account_of(row)
    margin = margin_of(holding_of(position, account) for position in positions if position.qty)
    means = means_of(account, margin, stopped=venue.killed)
    worth = equity(account, margin)
    if not account.is_margin:
        margin = margin._replace(initial=0, maintenance=0)
    return Valued(margin, worth, means)


def account_of(row: AccountRow) -> Account:
    """The account's money as the writer keeps it."""
    account = Account.blank(row.account_id, row.opened_at)
    account.kind = row.kind
    account.status = row.status
    account.killed = row.killed
    account.margin_called = row.margin_called
    account.cash = row.cash
    account.unsettled = row.unsettled
    account.held = row.held
    account.receivable = row.receivable
    account.unpaid = row.unpaid
    account.use_unsettled = row.use_unsettled
    account.suspend_trade = row.suspend_trade
    account.no_shorting = row.no_shorting
    account.fractional_trading = row.fractional_trading
    account.max_margin_multiplier = row.max_margin_multiplier
    return account


def holding_of(row: PositionRow, account: Account) -> Holding:
    """A position as margin sees it."""
    return Holding(
        row.qty * row.multiplier,
        row.price,
        row.price_decimals,
        account.initial_bps(row.initial_margin_bps),
        row.maintenance_margin_bps,
    )

"""An account valued from the views, by the formulas the writer itself decides with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from domain.account import Account
from domain.margin import Holding, Margin, equity, free_margin, margin_of
from projections.balances import AccountRow
from projections.positions import PositionRow

MULTIPLIER = 2
"""Of a margin account: what the usual initial rate, one half, lets it buy of what is free."""


class Valued(NamedTuple):
    """Cents. `free` is what new orders may hold, `buying_power` what they may be worth."""

    margin: Margin
    equity: int
    free: int
    multiplier: int
    withdrawable: int

    @property
    def buying_power(self) -> int:
        """Never negative: who owes cannot buy."""
        return max(0, self.free) * self.multiplier


def valued(row: AccountRow, positions: Iterable[PositionRow]) -> Valued:
    """The account at the present marks; only a margin account is bound by requirements."""
    account = account_of(row)
    margin = margin_of(holding_of(position) for position in positions if position.qty)
    worth = equity(account, margin)
    if account.is_margin:
        free = free_margin(account, margin)
        return Valued(margin, worth, free, MULTIPLIER, account.withdrawable)
    margin = margin._replace(initial=0, maintenance=0)
    return Valued(margin, worth, account.funds, 1, account.withdrawable)


def account_of(row: AccountRow) -> Account:
    """The account's money as the writer keeps it."""
    account = Account.blank(row.account_id, row.opened_at)
    account.kind = row.kind
    account.cash = row.cash
    account.unsettled = row.unsettled
    account.held = row.held
    account.receivable = row.receivable
    account.unpaid = row.unpaid
    account.use_unsettled = row.use_unsettled
    return account


def holding_of(row: PositionRow) -> Holding:
    """A position as margin sees it."""
    return Holding(
        row.qty,
        row.price,
        row.price_decimals,
        row.initial_margin_bps,
        row.maintenance_margin_bps,
    )

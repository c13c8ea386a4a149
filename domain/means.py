"""What an account can spend and take out: what its document shows and what the writer grants."""

from __future__ import annotations

from typing import NamedTuple

from domain.account import Account
from domain.errors import InsufficientBuyingPower, InsufficientCash
from domain.margin import Margin, equity, free_margin
from domain.money import USD_SCALE, to_text
from domain.terms import AccountStatus

ROUNDING = 1
"""Cents that an order of a cash account holds beyond its price: what an account pays is rounded
on all it trades, so an order may be the one that makes it a cent more.
"""


class Means(NamedTuple):
    """Cents. `free` is what new orders may hold, negative when too much is bound already, and
    `rounding` what each holds beyond its worth; an account that `may_open` nothing has it and
    cannot spend it.
    """

    free: int
    rounding: int
    multiplier: int
    may_open: bool
    withdrawable: int

    @property
    def buying_power(self) -> int:
        """What new orders may be worth: never negative, and nothing where none would be taken."""
        return max(0, self.free - self.rounding) * self.multiplier if self.may_open else 0

    def check_order(self, needed: int) -> None:
        """An order, or another one's new terms, may hold so much more.

        The refusal speaks of buying power, as the account's document does: of twice what a
        margin account's order holds, of a cent less than a cash account's. Raises
        InsufficientBuyingPower.
        """
        if needed > self.free:
            raise InsufficientBuyingPower(
                to_text((needed - self.rounding) * self.multiplier, USD_SCALE),
                to_text(self.buying_power, USD_SCALE),
            )

    def check_withdrawal(self, amount: int) -> None:
        """So much may leave; raises InsufficientCash."""
        if amount > self.withdrawable:
            raise InsufficientCash(
                to_text(amount, USD_SCALE), to_text(self.withdrawable, USD_SCALE)
            )


def means_of(account: Account, margin: Margin, *, stopped: bool) -> Means:
    """The means of an account at the marks of `margin`; `stopped` by the venue's kill switch."""
    active = account.status == AccountStatus.ACTIVE
    stopped = stopped or account.killed or account.suspend_trade
    may_open = active and not (account.margin_called or stopped)
    blocked = account.status == AccountStatus.BLOCKED
    if not account.is_margin:
        return Means(account.funds, ROUNDING, 1, may_open, 0 if blocked else account.withdrawable)
    free = free_margin(account, margin)
    # What covers positions stays: also where maintenance asks for more than what orders hold.
    spare = min(account.withdrawable, free, equity(account, margin) - margin.maintenance)
    multiplier = account.max_margin_multiplier
    return Means(free, 0, multiplier, may_open, 0 if blocked else max(0, spare))

"""What is held of one underlying and of the options on it, and what that binds together."""

from __future__ import annotations

from typing import NamedTuple

from domain.account import Account
from domain.strategy_margin import LISTED, UNLEVERED, Bound, OptionHolding, Rates, required

_BPS = 10_000


def rates_of(account: Account) -> Rates:
    """What a short option by itself binds of an account when it is opened."""
    # Where it opens with its own money alone every rate is a whole at least.
    return UNLEVERED if account.initial_bps(0) else LISTED


class Underlying(NamedTuple):
    """What options are for: its mark, of a wire price's places, and what its shares bind."""

    price: int
    initial_bps: int
    maintenance_bps: int


class Family(NamedTuple):
    """An underlying and its options as an account has them.

    `apart` is what longs are worth, prices times quantities, that are held and cover nothing,
    `shares_apart` how many shares are.
    """

    underlying: Underlying
    shares: int
    options: tuple[OptionHolding, ...]
    shares_apart: int = 0
    apart: int = 0

    def initial(self, rates: Rates) -> int:
        """The initial requirement, in cents; `rates` are those of short options."""
        price, bps, _ = self.underlying
        apart = self.apart * _BPS + bps * price * self.shares_apart
        shares = self.shares
        bps = bps if shares else 0
        return required(Bound(price, self.options, rates, shares, bps, apart=apart))

    def maintenance(self) -> int:
        """The maintenance requirement, in cents."""
        price, _, bps = self.underlying
        shares = self.shares
        bps = bps if shares else 0
        return required(Bound(price, self.options, LISTED, shares, bps, protects=shares != 0))

"""What a multi-leg order sets aside until it trades."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from application.deciding.checks import hold_for
from application.desk.desk import Desk
from domain.account import Account
from domain.matching.engine import Market
from domain.risk import protection_price
from domain.strategy_terms import StrategyTerms
from domain.trade import Holds


class LegAsk(NamedTuple):
    """A leg as it is reckoned: `qty` of it in all units, of which `exits` close what is held."""

    market: Market
    side: int
    ratio: int
    qty: int
    exits: int


def strategy_hold(
    desk: Desk, account: Account, legs: Sequence[LegAsk], terms: StrategyTerms
) -> tuple[Holds, ...]:
    """What each leg holds: what it would as an order at the market by itself.

    Raises NoReferencePrice where a leg that opens has no price to go by.
    """
    return tuple(
        Holds(_alone(account, leg) if leg.exits < leg.qty else 0, leg.exits) for leg in legs
    )


def _alone(account: Account, leg: LegAsk) -> int:
    price = protection_price(leg.market, leg.side)
    return hold_for(account, leg.market, leg.side, leg.qty - leg.exits, price)

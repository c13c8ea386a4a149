"""What an amount of money trades: whole lots, from the best price on, and never for more."""

from __future__ import annotations

from typing import NamedTuple

from domain.amount_errors import NotionalTooSmall
from domain.matching.engine import Market, Meeting, Planned
from domain.money import LARGEST, QTY_SCALE, USD_SCALE, notional_up, to_text
from domain.terms import Side

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)


class Afforded(NamedTuple):
    """What of a plan an amount pays for, and whether it is the amount that ends it there."""

    plan: Planned
    spent: bool

    @property
    def traded(self) -> int:
        """How much of the order trades."""
        return sum(meeting.qty for meeting in self.plan.met if meeting.trades)

    def value(self, qty: int) -> int:
        """What the first so many units trade for: prices times quantities."""
        value = 0
        for meeting in self.plan.met:
            if meeting.trades and qty:
                took = min(qty, meeting.qty)
                value += took * meeting.price
                qty -= took
        return value


def unit_of(market: Market) -> int:
    """How many units of price times quantity are a cent."""
    unit: int = 10 ** (market.instrument.price_decimals + QTY_SCALE - USD_SCALE)
    return unit


def lots_for(market: Market, side: int, notional: int, bound: int) -> int:
    """The quantity that an amount reaches at the best price there is, in whole lots, rounded up:
    no more can be traded for it. Raises NotionalTooSmall when it does not reach a lot.
    """
    instrument = market.instrument
    lot, decimals = instrument.lot, instrument.price_decimals
    best = market.book.best(_SELL if side == _BUY else _BUY) * instrument.tick
    meets = best != 0 and (best <= bound if side == _BUY else best >= bound)
    price = best if meets else bound
    amount = notional * unit_of(market)
    if meets and amount < price * lot:
        raise NotionalTooSmall(
            to_text(notional, USD_SCALE), to_text(notional_up(price, lot, decimals), USD_SCALE)
        )
    return min(-(-amount // (price * lot)), LARGEST // lot) * lot


def afforded(market: Market, plan: Planned, notional: int) -> Afforded:
    """The part of a plan that an amount pays for."""
    lot = market.instrument.lot
    amount = notional * unit_of(market)
    met = []
    for at, meeting in enumerate(plan.met):
        qty = min(meeting.qty, amount // (meeting.price * lot) * lot)
        if not qty or (meeting.trades and qty < meeting.qty):
            # Its owner's own orders stand in the way only of what it could trade.
            if qty:
                met.append(Meeting(meeting.sequence, qty, meeting.price, True))
            cut = sum(each.qty for each in plan.met[at:] if each.trades) - qty
            return Afforded(Planned(met, plan.left + cut, False), True)
        if meeting.trades:
            amount -= qty * meeting.price
        met.append(meeting)
    return Afforded(plan, False)

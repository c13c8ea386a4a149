"""Stops that trail, while a step looks at prices: moved by the best, elected by the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from domain.matching.engine import Market
from domain.price_range import PriceRange
from domain.terms import Side, TriggerRule

if TYPE_CHECKING:
    from application.deciding.step import Step

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_LAST_TRADE = int(TriggerRule.LAST_TRADE)


class Followers:
    """The trailing stops of one market, which follow the prices of one step in their order.

    Where trades move them nothing is recorded until the price turns or nothing follows any more:
    however many trades a rise has, each stop moves once. A stop that was reached stays where
    it stands.
    """

    def __init__(self, step: Step, market: Market) -> None:
        self._step = step
        self._market = market
        self._ahead = {_SELL: (0, 0), _BUY: (0, 0)}
        """The best price that the stops of a side have not followed yet, and what told it."""

    def look(
        self, seen: PriceRange, turns: Sequence[int], due: Collection[int], cause: int
    ) -> list[tuple[int, int]]:
        """What prices elect, as (sequence, price seen), of those that are not `due` already.

        `seen` are those that stops are measured against now, `turns` those of trades in their
        order; `cause` is the event that told them.
        """
        by_trade = self._market.instrument.trigger_rule == _LAST_TRADE
        elected: list[tuple[int, int]] = []
        for side, price in ((_SELL, seen.low), (_BUY, seen.high)):
            prices: Sequence[int] = turns if by_trade else (price,) if price else ()
            elected += self._follow(side, prices, due, cause)
            if not by_trade:
                self._move(side, due)
        return elected

    def settle(self) -> None:
        """Move what has not followed the best price yet; nothing is due any more."""
        for side in (_SELL, _BUY):
            self._move(side, ())

    def _follow(
        self, side: int, prices: Sequence[int], due: Collection[int], cause: int
    ) -> list[tuple[int, int]]:
        trailing = self._market.stops.trailing
        elected: dict[int, int] = {}
        worst = min if side == _SELL else max
        for number, price in enumerate(prices):
            best = self._ahead[side][0]
            if best and price != best and worst(price, best) == price:
                self._move(side, {*due, *elected})
                best = 0
            for sequence in trailing.reached(side, price):
                if sequence not in due and sequence not in elected:
                    elected[sequence] = worst(prices[number:])
            if not best or worst(price, best) == best:
                self._ahead[side] = price, cause
        return list(elected.items())

    def _move(self, side: int, due: Collection[int]) -> None:
        """Let the stops of a side follow the best price, but for those that are due."""
        best, cause = self._ahead[side]
        if not best:
            return
        self._ahead[side] = 0, 0
        step, market = self._step, self._market
        tick = market.instrument.tick
        for sequence, trail in market.stops.trailing.moved(side, best):
            if sequence not in due:
                step.causation = cause
                order = step.desk.orders.by_sequence[sequence]
                order.follow(step, trail.stop(side, best, tick), best)

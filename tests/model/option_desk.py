"""A share, options on it, and two margin accounts that trade them with each other."""

from __future__ import annotations

from typing import Any

from application.commands import PlaceMultiLeg, Reply
from application.deciding.checks import buying_power
from domain.terms import (
    AccountKind,
    Execution,
    ExerciseStyle,
    OrderType,
    Right,
    Side,
    TimeInForce,
    TriggerRule,
)
from tests.model.desk_harness import Amount, DeskHarness, code, shares, wire

BUY, SELL = Side.BUY, Side.SELL
MARCH, JUNE = 20270319, 20270618


class OptionDesk(DeskHarness):
    """A share X at 100, calls and puts on it, a margin account `a`, and a rich one `b`."""

    def __init__(self, cash: Amount = 10_000) -> None:
        super().__init__(checked=False)
        self.instrument("X", shortable=True, trigger_rule=int(TriggerRule.MARK))
        for right in Right:
            for strike in (90, 95, 100, 105, 110):
                self.list_option(right, strike, MARCH)
            self.list_option(right, 100, JUNE)
        self.b = self.account("b", 10_000_000, kind=AccountKind.MARGIN)
        self.hold(self.b, 100_000)
        self.a = self.account("a", cash, kind=AccountKind.MARGIN)

    def list_option(self, right: Right, strike: int, expiry: int) -> None:
        """A contract for a hundred shares, easy to write."""
        terms: dict[str, Any] = {
            "asset_class": "us_option",
            "calendar": "",
            "price_decimals": 2,
            "reference_price": 0,
            "settlement_cycle": 1,
            "multiplier": 100,
            "underlying": "X",
            "right": int(right),
            "strike": wire(strike),
            "expiry": expiry,
            "style": int(ExerciseStyle.AMERICAN),
            "shortable": True,
            "collar_bps": 9_999,
        }
        self.instrument(symbol_of(right, strike, expiry), **terms)

    def trade(self, side: Side, qty: int, price: Amount, symbol: str) -> None:
        """Let `a` trade with `b`."""
        other = SELL if side == BUY else BUY
        assert "" == code(self.place(self.b, other, qty, price, symbol=symbol))
        assert "" == code(self.place(self.a, side, qty, price, symbol=symbol))
        assert self.trades()

    def free(self) -> int:
        """What new orders of `a` may hold."""
        return buying_power(self.desk, self.desk.accounts.by_id[self.a.int])

    def held(self) -> int:
        """What its working orders hold."""
        return self.desk.accounts.by_id[self.a.int].held

    def strategy(
        self,
        net: Amount | None,
        *legs: tuple[Side, int, str],
        qty: int = 1,
        execution: Execution = Execution.SIMULTANEOUS,
        tif: TimeInForce | None = None,
    ) -> Reply:
        """A multi-leg order of `a` of legs of a side, a ratio and a symbol; at the market without
        a net price.
        """
        kind = OrderType.MARKET if net is None else OrderType.LIMIT
        within = tif if tif is not None else TimeInForce.DAY if net is None else TimeInForce.GTC
        return self.send(
            PlaceMultiLeg(
                self.a,
                int(kind),
                int(within),
                shares(qty),
                wire(net),
                f"s{self.number + 1}",
                tuple((symbol, int(side), ratio, 0) for side, ratio, symbol in legs),
                int(execution),
            )
        )

    def bound(self) -> tuple[int, int]:
        """What its positions bind, and what they ask for to be kept."""
        margin = self.desk.margin(self.a)
        return margin.initial, margin.maintenance


def symbol_of(right: Right, strike: int, expiry: int = MARCH) -> str:
    """The contract's name."""
    return f"X{expiry % 10**6}{right.name[0]}{strike * 1000:08}"


def call(strike: int, expiry: int = MARCH) -> str:
    """A call on X."""
    return symbol_of(Right.CALL, strike, expiry)


def put(strike: int, expiry: int = MARCH) -> str:
    """A put on X."""
    return symbol_of(Right.PUT, strike, expiry)

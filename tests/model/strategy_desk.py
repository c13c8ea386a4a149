"""A desk of three shares on which multi-leg orders are placed, judged by the second books too."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any
from uuid import UUID

from application.commands import PlaceMultiLeg, Reply
from application.desk.state import dump, load
from domain.events import MultiLegExecuted, MultiLegPlaced, OrderFilled
from domain.multileg import MultiLegOrder
from domain.terms import (
    AccountKind,
    Execution,
    ExerciseStyle,
    OrderType,
    Right,
    SelfTrade,
    Side,
    StrategyStatus,
    TimeInForce,
)
from tests.model.desk_harness import Amount, DeskHarness, shares, wire
from tests.model.judged_log import judged

Row = tuple[str, int, int, int]


def buys(symbol: str, ratio: int = 1, intent: int = 0) -> Row:
    """A leg that buys."""
    return symbol, int(Side.BUY), ratio, intent


def sells(symbol: str, ratio: int = 1, intent: int = 0) -> Row:
    """A leg that sells."""
    return symbol, int(Side.SELL), ratio, intent


OPTION = "A991218C00100000"
OPTION_TERMS: dict[str, Any] = {
    "asset_class": "us_option",
    "multiplier": 100,
    "underlying": "A",
    "right": int(Right.CALL),
    "strike": wire(100),
    "expiry": 20991218,
    "style": int(ExerciseStyle.AMERICAN),
    "initial_margin_bps": 10_000,
    "maintenance_margin_bps": 10_000,
}
PAIR = (buys("A"), sells("B"))
TURNED = (sells("A"), buys("B"))


class StrategyDesk(DeskHarness):
    """Shares A, B and C at 100 with wide collars; four owners with 10,000 of each and cash.

    With `restarts` it begins again from a snapshot before every command. `on_margin` the third is
    an option of A, and there are a hundred times as many shares.
    """

    def __init__(self, *, restarts: bool = False, on_margin: bool = False, **terms: Any) -> None:
        super().__init__(checked=False)
        self._restarts = restarts
        self.symbols = ("A", "B", OPTION if on_margin else "C")
        values = {"collar_bps": 9_000, "protection_bps": 5_000, **terms}
        for symbol in self.symbols:
            more = OPTION_TERMS if symbol == OPTION else {}
            self.instrument(symbol, **{**values, **more})
        kind = AccountKind.MARGIN if on_margin else AccountKind.CASH
        self.maker, self.me, self.you, self.other = [
            self.account(name, 100_000_000, kind=kind) for name in ("maker", "me", "you", "other")
        ]
        for account in (self.maker, self.me, self.you, self.other):
            for symbol in self.symbols:
                if symbol != OPTION:
                    self.hold(account, 1_000_000 if on_margin else 10_000, symbol)
        self.checked = True
        self.check()

    def send(self, command: Any) -> Reply:
        """Decide one command, on a desk that was just loaded where it restarts."""
        if self._restarts:
            self.desk = load(dump(self.desk))
        return super().send(command)

    def asked(
        self,
        account: UUID,
        legs: Sequence[Row] = PAIR,
        qty: Amount = 1,
        net: Amount | None = None,
        tif: TimeInForce = TimeInForce.GTC,
        *,
        client: str = "",
        constraints: tuple[tuple[int, int, int, int, int, int], ...] = (),
        self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST,
    ) -> PlaceMultiLeg:
        """The command for so many units at a net price, at the market without one."""
        return PlaceMultiLeg(
            account,
            int(OrderType.MARKET if net is None else OrderType.LIMIT),
            int(tif),
            shares(qty),
            wire(net),
            client or f"m{self.number + 1}",
            tuple(legs),
            int(Execution.SIMULTANEOUS),
            constraints,
            0,
            int(self_trade),
        )

    def strategy(self, account: UUID, *args: Any, **terms: Any) -> Reply:
        """Place a multi-leg order, as `asked` has it."""
        return self.send(self.asked(account, *args, **terms))

    def placed(self, account: UUID, *args: Any, **terms: Any) -> MultiLegOrder:
        """Place one that is not refused, and find it."""
        reply = self.strategy(account, *args, **terms)
        assert reply.refusal is None, reply.refusal
        assert reply.strategy is not None
        return self.parent(reply.strategy.order_id)

    def parent(self, parent_id: UUID) -> MultiLegOrder:
        """A multi-leg order, live or ended."""
        parent = self.desk.strategies.remembered(parent_id)
        assert parent is not None
        return parent

    def offers(self, symbol: str, qty: Amount, price: Amount, account: UUID | None = None) -> Reply:
        """Somebody sells."""
        return self.place(account or self.maker, Side.SELL, qty, price, symbol=symbol)

    def bids(self, symbol: str, qty: Amount, price: Amount, account: UUID | None = None) -> Reply:
        """Somebody buys."""
        return self.place(account or self.maker, Side.BUY, qty, price, symbol=symbol)

    def executed(self) -> list[tuple[str, int, Fraction]]:
        """The latest command's executions: whose, how many units, what they cost in dollars."""
        names = {
            event.originator_id: event.client_order_id
            for event in self.log
            if isinstance(event, MultiLegPlaced)
        }
        return [
            (
                names[event.originator_id],
                event.qty // shares(1),
                Fraction(int(event.cost), 10**24),
            )
            for event in self.happened(MultiLegExecuted)
        ]

    def paid(self) -> list[tuple[str, int, Fraction]]:
        """The latest command's trades as (symbol, shares, price), each once."""
        symbols = {
            market.instrument.id: market.instrument.symbol
            for market in self.desk.markets.by_id.values()
        }
        return [
            (
                symbols[fill.instrument_id],
                fill.qty // shares(1),
                Fraction(fill.price, 10**fill.price_decimals),
            )
            for fill in self.happened(OrderFilled)[::2]
        ]

    def check(self) -> None:
        """Every multi-leg order and its legs say the same, beside all that must hold else."""
        super().check()
        working = self.desk.orders.working
        legs = {order.id.int for order in working.values() if order.leg > 10}
        for parent in self.desk.strategies.live.values():
            assert parent.qty == parent.filled + parent.leaves
            assert parent.leaves > 0
            for leg in parent.strategy:
                order = working[leg.order_id.int]
                assert order.leaves == parent.leaves * leg.ratio
                assert order.group_id == parent.id
                legs.discard(order.id.int)
        assert set() == legs, "a leg works on without its order"

    def status(self, parent: MultiLegOrder) -> StrategyStatus:
        """Where it is in its life."""
        return StrategyStatus(self.parent(parent.id).status)

    def audit(self) -> None:
        """The second bookkeeper finds nothing in all that happened."""
        assert [] == judged(self.log).violations()

"""A desk with three shares and a client whose multi-leg orders trade leg after leg."""

from __future__ import annotations

from application.commands import PassTurns, PlaceMultiLeg, Reply
from application.desk.state import dump, load
from domain.money import EXACT_CENT
from domain.multileg import MultiLegOrder
from domain.terms import AccountKind, Execution, OrderType, Side, StrategyStatus, TimeInForce
from tests.model.desk_harness import Amount, DeskHarness, shares, wire

SECOND = 1_000_000
SYMBOLS = ("A", "B", "C")
BUY, SELL = Side.BUY, Side.SELL
HELD = 1_000
"""What the client has of each share before."""
Leg = tuple[str, Side, int]


class SequentialDesk:
    """What a client may ask for, and what the maker's books give."""

    def __init__(self, kind: AccountKind = AccountKind.MARGIN) -> None:
        self.venue = DeskHarness()
        for symbol in SYMBOLS:
            self.venue.instrument(symbol)
        self.maker = self.venue.account("maker", 10**9)
        self.client = self.venue.account("client", 10**7, kind=kind)
        for symbol in SYMBOLS:
            self.venue.hold(self.maker, 10**6, symbol)
            self.venue.hold(self.client, HELD, symbol)

    def offer(self, symbol: str, qty: int, price: Amount) -> Reply:
        """The maker sells."""
        return self.venue.place(self.maker, SELL, qty, price, symbol=symbol)

    def bid(self, symbol: str, qty: int, price: Amount) -> Reply:
        """The maker buys."""
        return self.venue.place(self.maker, BUY, qty, price, symbol=symbol)

    def order(
        self,
        legs: tuple[Leg, ...],
        units: int,
        net: Amount | None = None,
        *,
        seconds: int = 60,
        time_in_force: TimeInForce = TimeInForce.GTC,
        constraints: tuple[tuple[int, int, int, int, int, int], ...] = (),
    ) -> Reply:
        """Legs that trade one after the other."""
        return self.venue.send(
            PlaceMultiLeg(
                self.client,
                int(OrderType.MARKET if net is None else OrderType.LIMIT),
                int(time_in_force),
                shares(units),
                wire(net),
                f"order {self.venue.number}",
                tuple((symbol, int(side), ratio, 0) for symbol, side, ratio in legs),
                int(Execution.SEQUENTIAL),
                constraints,
                seconds,
            )
        )

    def placed(self, *given: object, **terms: object) -> MultiLegOrder:
        """An order that was taken, as it stands."""
        reply = self.order(*given, **terms)  # type: ignore[arg-type]
        assert reply.refusal is None, reply.refusal
        assert reply.strategy is not None
        found = self.venue.desk.strategies.remembered(reply.strategy.order_id)
        assert found is not None
        return found

    def pass_time(self, seconds: int, *orders: MultiLegOrder) -> Reply:
        """Let time go on, and the timers look at these."""
        self.venue.at += seconds * SECOND
        return self.venue.ok(PassTurns(tuple(order.id for order in orders)))

    def restart(self, order: MultiLegOrder) -> MultiLegOrder:
        """Go on with a desk that was read from a snapshot."""
        self.restart_all()
        return self.venue.desk.strategies.live[order.id.int]

    def restart_all(self) -> None:
        """The desk as it comes out of a snapshot of it."""
        self.venue.desk = load(dump(self.venue.desk))

    def more(self, symbol: str) -> int:
        """What the client has of a share beyond what it had."""
        key = self.client.int, self.venue.desk.markets.by_symbol[symbol].instrument.id.int
        return (self.venue.desk.accounts.positions[key].qty - shares(HELD)) // shares(1)


def dollars(exact: int) -> float:
    """An exact cost in whole dollars and cents."""
    cents, rest = divmod(exact, EXACT_CENT)
    assert not rest
    return cents / 100


def status(order: MultiLegOrder) -> StrategyStatus:
    """Where an order is in its life."""
    return StrategyStatus(order.status)

"""The books of orders for an amount of money: what each spends, opens, and leaves."""

from __future__ import annotations

from uuid import UUID

from application.audit.second_books.findings import Findings
from application.audit.second_books.holdings import HoldingBooks
from application.audit.second_books.instruments import InstrumentBooks
from application.audit.second_books.market import MarketBooks
from application.audit.second_books.money import MoneyBooks
from application.audit.second_books.orders import OrderBooks
from application.audit.second_books.permits import Permits
from domain.events import OrderAccepted, OrderCanceled, OrderFilled

CHECK = "notionals"
BUY, SELL = 1, 2
MARKET, DAY = 1, 0
OUT_OF_MONEY = 17


class Spending:
    """An order for an amount in the command that takes it: nothing of it outlives that."""

    __slots__ = ("account_id", "closes", "free", "instrument_id", "left", "opened", "side")

    def __init__(self, event: OrderAccepted, left: int, free: int, closes: int) -> None:
        self.account_id = event.account_id
        self.instrument_id = event.instrument_id
        self.side = event.side
        self.left = left
        self.free = free
        self.closes = closes
        self.opened = 0


class NotionalBooks:
    """Knows the orders for an amount of the command under way."""

    def __init__(
        self,
        findings: Findings,
        instruments: InstrumentBooks,
        money: MoneyBooks,
        holdings: HoldingBooks,
        permits: Permits,
        market: MarketBooks,
        orders: OrderBooks,
    ) -> None:
        self._findings = findings
        self._instruments = instruments
        self._money = money
        self._holdings = holdings
        self._permits = permits
        self._market = market
        self._orders = orders
        self._now: dict[UUID, Spending] = {}

    def accepted(self, position: int, event: OrderAccepted) -> None:
        """Take in an order for an amount, with what was free before it traded."""
        if not event.notional:
            return
        self._findings.looked[CHECK] += 1
        if (event.order_type, event.time_in_force, event.rests) != (MARKET, DAY, False):
            self._findings.fail(CHECK, position, "it is no market order that ends at once")
        held = self._holdings.of((event.account_id, event.instrument_id)).qty
        self._now[event.originator_id] = Spending(
            event,
            event.notional * self._cent(event.instrument_id),
            self._permits.free(event.account_id),
            max(0, -held if event.side == BUY else held),
        )

    def filled(self, position: int, event: OrderFilled) -> None:
        """Judge that it trades for no more than it says."""
        order = self._now.get(event.originator_id)
        if order is None:
            return
        self._findings.looked[CHECK] += 1
        order.left -= event.price * event.qty
        if order.left < 0:
            self._findings.fail(CHECK, position, f"{-order.left} more traded than it says")
        closes = min(event.qty, order.closes)
        order.closes -= closes
        order.opened += event.price * (event.qty - closes)

    def canceled(self, position: int, event: OrderCanceled) -> None:
        """Judge that what ends for want of money could not have traded another lot."""
        order = self._now.get(event.originator_id)
        if event.reason != OUT_OF_MONEY:
            return
        self._findings.looked[CHECK] += 1
        if order is None:
            self._findings.fail(CHECK, position, "out of money, of which it never spoke")
            return
        first = self._market.first(order.instrument_id, BUY + SELL - order.side)
        lot = self._instruments.of(order.instrument_id).lot
        if not first or order.left >= first * lot:
            self._findings.fail(CHECK, position, f"{order.left} would have traded more")

    def end_command(self, position: int) -> None:
        """Judge what it opened by what was free, and that nothing of it works on."""
        for order_id, order in self._now.items():
            if order_id in self._orders.working:
                self._findings.fail(CHECK, position, f"order {order_id} works on")
            if not order.opened:
                continue
            account = self._money.account(order.account_id)
            needed = self._permits.cost(order.account_id, order.instrument_id, order.opened)
            self._findings.looked["buying_power"] += 1
            if needed > order.free:
                text = f"what it opened needs {needed}, {order.free} was free"
                self._findings.fail("buying_power", position, text)
            if account.called or account.closing:
                self._findings.fail("margin_calls", position, "it opened what may only be closed")
        self._now.clear()

    def _cent(self, instrument_id: UUID) -> int:
        """A cent in prices times quantities."""
        cent: int = 10 ** (self._instruments.of(instrument_id).decimals + 6)
        return cent

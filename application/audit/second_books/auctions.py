"""The books of auctions: the most that could trade, at one price, and the orders for one alone."""

from __future__ import annotations

from itertools import accumulate
from uuid import UUID

from application.audit.second_books.findings import Findings, within
from application.audit.second_books.market import AUCTION, BUY, CLS, OPG, SELL, MarketBooks
from application.audit.second_books.orders import OrderBooks
from domain.events import (
    InstrumentClosed,
    InstrumentClosing,
    InstrumentOpened,
    InstrumentResumed,
    OrderAccepted,
    OrderFilled,
)

CHECK = "auctions"
Begins = InstrumentOpened | InstrumentResumed | InstrumentClosing


class AuctionBooks:
    """What each auction of the command under way said that it would trade, and what it has."""

    def __init__(self, findings: Findings, market: MarketBooks, orders: OrderBooks) -> None:
        self._findings = findings
        self._market = market
        self._orders = orders
        self._said: dict[UUID, Begins] = {}
        self._traded: dict[UUID, int] = {}
        self._waiting: dict[tuple[UUID, int], set[UUID]] = {}
        self._over: list[tuple[UUID, int]] = []

    def begins(self, position: int, event: Begins) -> None:
        """Judge what an auction says that it trades by all that stands in the book."""
        instrument_id = event.originator_id
        self._said[instrument_id] = event
        self._traded[instrument_id] = 0
        if isinstance(event, InstrumentOpened):
            self._over.append((instrument_id, OPG))
        buys = self._market.standing(instrument_id, BUY)
        sells = self._market.standing(instrument_id, SELL)
        most, at_price = _most(buys, sells, event.uncross_price)
        said = (event.uncross_qty, within(at_price))
        self._findings.chain(CHECK, position, "what trades", said, (within(most), within(most)))

    def closed(self, position: int, event: InstrumentClosed) -> None:
        """Note that no order for this close may work on."""
        self._over.append((event.originator_id, CLS))

    def accepted(self, position: int, event: OrderAccepted) -> None:
        """Note an order that is for one auction alone."""
        if event.time_in_force in (OPG, CLS):
            self._findings.looked[CHECK] += 1
            place = (event.instrument_id, event.time_in_force)
            self._waiting.setdefault(place, set()).add(event.originator_id)
            if event.leg or event.armed == (event.time_in_force == CLS):
                self._findings.fail(CHECK, position, "an order for the close stands in the book")

    def filled(self, position: int, event: OrderFilled) -> None:
        """Judge that what is for one auction trades there, and all there at its price."""
        said = self._said.get(event.instrument_id)
        order = self._orders.working.get(event.originator_id)
        meant = order.auction if order is not None else 0
        if event.liquidity == AUCTION:
            self._findings.looked[CHECK] += 1
            if said is None or event.price != said.uncross_price:
                self._findings.fail(CHECK, position, f"traded at {event.price}, in {said}")
            elif event.side == BUY:
                self._traded[event.instrument_id] += event.qty
            opens, closes = (
                isinstance(said, InstrumentOpened),
                isinstance(said, InstrumentClosing),
            )
            if (meant == OPG and not opens) or (meant == CLS and not closes):
                self._findings.fail(CHECK, position, "traded in an auction that it was not for")
        elif meant:
            self._findings.fail(CHECK, position, "an order for an auction traded outside of it")

    def end_command(self, position: int) -> None:
        """Judge what the auctions have traded, and that nothing meant for them works on."""
        for instrument_id, said in self._said.items():
            traded = within(self._traded[instrument_id])
            self._findings.chain(CHECK, position, "traded", said.uncross_qty, traded)
        for place in self._over:
            for order_id in self._waiting.pop(place, ()):
                self._findings.looked[CHECK] += 1
                if order_id in self._orders.working:
                    text = f"order {order_id} works on after its auction"
                    self._findings.fail(CHECK, position, text)
        if self._said or self._over:
            self._said.clear()
            self._traded.clear()
            self._over.clear()


def _most(buys: list[tuple[int, int]], sells: list[tuple[int, int]], price: int) -> tuple[int, int]:
    """The most that any one price lets trade, and what this one does."""
    prices = sorted({bound for bound, _ in (*buys, *sells)})
    wanted = dict.fromkeys(prices, 0)
    offered = dict.fromkeys(prices, 0)
    for bound, leaves in buys:
        wanted[bound] += leaves
    for bound, leaves in sells:
        offered[bound] += leaves
    # Who bids a price takes every lower one too, who offers one every higher one.
    demand = list(accumulate(wanted[each] for each in reversed(prices)))[::-1]
    supply = list(accumulate(offered[each] for each in prices))
    most = max(map(min, demand, supply), default=0)
    here = (
        sum(leaves for bound, leaves in buys if bound >= price),
        sum(leaves for bound, leaves in sells if bound <= price),
    )
    return most, min(here) if price else 0

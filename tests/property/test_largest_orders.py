"""The finest and coarsest instruments with the largest orders: nothing fails in the middle."""

from __future__ import annotations

import random
from typing import Any

import pytest

from application.commands import (
    ClosePosition,
    ListInstrument,
    PlaceGroup,
    PlaceOrder,
    ReplaceOrder,
    Settle,
    TransferPosition,
)
from domain.events import InstrumentOpened, InstrumentResumed, OrderFilled, SettlementSettled
from domain.money import LARGEST
from domain.terms import AccountKind, OrderClass, Side
from tests.model.desk_harness import DeskHarness, code

BUY, SELL = int(Side.BUY), int(Side.SELL)
LIMIT, STOP, MARKET = 2, 3, 1
GTC = 1
INT64 = 2**63
LISTINGS = {
    # tick, lot, decimals, reference, quantities
    "finest": (1, 1, 9, 3, [1, 2, 2**31, 2**53 + 1, 10**16, LARGEST - 1, LARGEST]),
    "dear and fine": (1, 1, 9, LARGEST - 4, [1, 2, 3, 2**13]),
    "fine ticks": (1, 10**8, 9, 2**31, [10**8, 10**12]),
    "fine lots": (10**7, 1, 2, 10**11, [1, 2**31 - 1, 2**31, 2200000000]),
    "coarse": (10**9, 10**16, 0, 10**9, [10**16, 9 * 10**16]),
}


class Extreme:
    """A venue with one extreme instrument, where many may trade and borrow."""

    def __init__(self, name: str) -> None:
        tick, lot, decimals, self.middle, self.quantities = LISTINGS[name]
        self.venue = venue = DeskHarness()
        self.tick = tick
        self.lot = lot
        self.number = 0
        terms: dict[str, Any] = {
            "price_decimals": decimals,
            "tick": tick,
            "lot": lot,
            "reference_price": self.middle,
            "collar_bps": 9_999,
            "shortable": True,
        }
        listing = venue.listing("X", **terms)
        assert isinstance(listing, ListInstrument)
        venue.ok(listing)
        venue.open("X")
        self.accounts = [
            venue.account(f"{kind.name} {n}", 10**12, kind=kind)
            for n, kind in enumerate([AccountKind.MARGIN] * 4 + [AccountKind.CASH] * 2)
        ]
        for account in self.accounts:
            qty = LARGEST // lot * lot
            assert "" == code(venue.send(TransferPosition(account, "X", qty, 0, "in")))

    def order(self, account: Any, side: int, qty: int, price: int, **terms: Any) -> str:
        """One order; the code that refuses it."""
        self.number += 1
        kind = terms.pop("kind", LIMIT)
        limit, stop = (0, price) if kind == STOP else (0, 0) if kind == MARKET else (price, 0)
        place = PlaceOrder(
            *(account, "X", side, kind, GTC, qty, limit, stop, f"n{self.number}"), **terms
        )
        return code(self.venue.send(place))

    def price(self, away: int) -> int:
        """A price so many ticks from the middle, inside what a price may be."""
        price = self.middle + away * self.tick
        return max(self.tick, min(price, LARGEST // self.tick * self.tick))

    def sums_hold(self) -> None:
        """What the book says of its levels is what its orders have left."""
        book = self.venue.desk.markets.by_symbol["X"].book
        for side in (BUY, SELL):
            sums: dict[int, int] = {}
            for _, ticks, lots, _ in book.orders(side):
                sums[ticks] = sums.get(ticks, 0) + lots
            assert sums == {ticks: lots for ticks, lots, _ in book.depth(side, 10**6)}


ANSWERED = {
    *("", "INSUFFICIENT_BUYING_POWER", "INSUFFICIENT_QTY", "ORDER_TOO_LARGE", "LIQUIDATION_ONLY"),
    *("POSITION_LIMIT_EXCEEDED", "PRICE_OUTSIDE_COLLAR", "STOP_ALREADY_THROUGH", "FREE_RIDING"),
    *("UNKNOWN_POSITION", "NO_REFERENCE_PRICE", "LEG_PRICE_ORDER", "INVALID_FIELD"),
    *("NOTHING_TO_REPLACE", "REPLACE_QTY_TOO_SMALL", "ORDER_NOT_WORKING", "LOT_VIOLATION"),
    *("MARKET_CLOSED", "INSTRUMENT_HALTED", "LEG_FIXED"),
}
"""What an order may come to: done, or refused by name. Anything else is a fault."""


@pytest.mark.parametrize("name", LISTINGS)
@pytest.mark.parametrize("seed", range(3))
def test_no_order_however_large_or_small_breaks_the_desk(name, seed):
    """Every event fits its row, both bookkeepers agree, every refusal has a name."""
    draw = random.Random(f"{name} {seed}")
    market = Extreme(name)
    venue = market.venue
    fills = 0
    for step in range(160):
        account = draw.choice(market.accounts)
        side, qty = draw.choice((BUY, SELL)), draw.choice(market.quantities)
        away, choice = draw.randint(-3, 3), draw.random()
        if choice < 0.72:
            kind = draw.choice((LIMIT, LIMIT, LIMIT, MARKET, STOP))
            said = market.order(account, side, qty, market.price(away), kind=kind)
        elif choice < 0.8:
            orders = list(venue.desk.orders.of_account(account))
            if not orders:
                continue
            target = draw.choice(orders).id
            terms = ReplaceOrder(account, target, "", f"r{step}", qty=draw.choice((qty, None)))
            said = code(venue.send(terms))
        elif choice < 0.88:
            exits = market.price(away + 2), market.price(away - 2)
            profit, loss = exits if side == BUY else exits[::-1]
            group = PlaceGroup(
                *(account, "X", int(OrderClass.BRACKET), side, LIMIT, GTC, qty),
                *(market.price(away), 0, f"g{step}", profit, loss),
            )
            said = code(venue.send(group))
        elif choice < 0.93:
            said = code(venue.send(ClosePosition(account, "X", f"c{step}")))
        else:
            venue.halt()
            market.order(account, side, qty, market.price(away))
            venue.resume()
            said = ""
        assert said in ANSWERED
        fills += sum(isinstance(event, OrderFilled) for event in venue.events)
        market.sums_hold()
    assert fills > 10


def test_an_auction_of_more_than_64_bits_opens_its_instrument():
    """Its event tells as much as it can hold, its fills tell all, and all of it settles."""
    market = Extreme("finest")
    venue = market.venue
    venue.halt()
    sides = 8
    buyers = [venue.account(f"buyer {n}", 10**6, kind=AccountKind.MARGIN) for n in range(sides)]
    sellers = [venue.account(f"seller {n}", 10**6, kind=AccountKind.MARGIN) for n in range(sides)]
    for _ in range(30):
        for buyer, seller in zip(buyers, sellers, strict=True):
            assert "" == market.order(buyer, BUY, LARGEST, 3)
            assert "" == market.order(seller, SELL, LARGEST, 3)
    market.sums_hold()

    venue.resume()

    (resumed,) = (e for e in venue.events if isinstance(e, InstrumentResumed | InstrumentOpened))
    traded = sum(e.qty for e in venue.events if isinstance(e, OrderFilled) and e.side == BUY)
    assert 30 * sides * LARGEST == traded
    assert INT64 - 1 == resumed.uncross_qty
    assert [30 * LARGEST] * sides == [next(iter(held(venue, b))).qty for b in buyers]
    assert 2**63 < traded, "more than the house can hold at once"

    pools = []
    while venue.ok(Settle(20301231)).result["remaining"] or not pools:
        pools += [e.pool_after for e in venue.events if isinstance(e, SettlementSettled)]

    assert 2 * sides == len(pools)
    assert max(pools) < INT64 and {} == venue.desk.accounts.pool
    assert {} == venue.desk.accounts.obligations


def held(venue: DeskHarness, account: Any) -> Any:
    """The positions of an account."""
    return venue.desk.accounts.positions_of(account)


@pytest.mark.parametrize("qty", [2_200_000_000, 2**31 - 1, 2**31, LARGEST])
def test_the_finest_lot_takes_every_quantity_that_there_is(qty):
    """Twenty-two at a lot of a hundred-millionth, and all that docs/money.md promises."""
    market = Extreme("finest")
    buyer, seller = market.accounts[:2]

    assert ["", ""] == [market.order(a, s, qty, 3) for a, s in ((seller, SELL), (buyer, BUY))]

    assert qty == sum(e.qty for e in market.venue.events if isinstance(e, OrderFilled)) // 2

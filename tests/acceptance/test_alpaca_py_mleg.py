"""alpaca-py's mleg orders: placed unmodified, found, replaced and canceled as it expects to."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.acceptance.test_alpaca_py_stream import SECONDS, limit, updates_of
from tests.alpaca_py import (
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OptionLegRequest,
    Order,
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    PositionIntent,
    QueryOrderStatus,
    ReplaceOrderRequest,
    TimeInForce,
    TradeEvent,
    TradeUpdate,
)
from tests.venue import Venue

SELL, BUY = OrderSide.SELL, OrderSide.BUY


class Options:
    """A share with two calls on it, a trader, and somebody who quotes the calls."""

    def __init__(self, venue: Venue) -> None:
        share = venue.instrument(f"T{uuid4().hex[:5]}".upper())
        self.calls = [call(venue, share, strike) for strike in ("100", "105")]
        self.trader, other = (venue.trader(kind="margin") for _ in range(2))
        self.client, self.market = client_of(venue, self.trader), client_of(venue, other)

    def quote(self, qty: int = 10) -> None:
        """Somebody offers the lower call at 5 and bids 3 for the higher one."""
        self.market.submit_order(limit(self.calls[0], SELL, 5, qty))
        self.market.submit_order(limit(self.calls[1], BUY, 3, qty))

    def legs(self) -> list[OptionLegRequest]:
        """A debit spread, as alpaca-py writes it: side and intent, or one of both."""
        bought, sold = self.calls
        return [
            OptionLegRequest(
                symbol=bought, ratio_qty=1, side=BUY, position_intent=PositionIntent.BUY_TO_OPEN
            ),
            OptionLegRequest(symbol=sold, ratio_qty=1, position_intent=PositionIntent.SELL_TO_OPEN),
        ]

    def spread(self, price: float | None, qty: int = 2, **terms: Any) -> Order:
        """The spread at a net price, or at the market."""
        common: dict[str, Any] = {
            "qty": qty,
            "order_class": OrderClass.MLEG,
            "time_in_force": TimeInForce.DAY,
            "legs": self.legs(),
            **terms,
        }
        if price is None:
            return self.client.submit_order(MarketOrderRequest(**common))
        return self.client.submit_order(LimitOrderRequest(limit_price=price, **common))


def call(venue: Venue, share: str, strike: str) -> str:
    """A call on a share, in an open session: its OCC symbol."""
    symbol = f"{share}261218C{int(strike) * 1000:08}"
    option = {"underlying": share, "expiry": "2026-12-18", "right": "call", "strike": strike}
    return venue.instrument(symbol, tick="0.01", reference_price="4", option=option)


@pytest.fixture
def options(venue: Venue) -> Options:
    """Options of the test's own."""
    return Options(venue)


@shows("submit_order", "`OrderClass.MLEG` with two to four `OptionLegRequest`s, at a net price")
def test_mleg_limit_order_of_alpaca_py_fills_unmodified(options: Options) -> None:
    """The parent is of no symbol and side; its legs are orders with ratio and intent."""
    options.quote()

    parent = options.spread(2)

    assert (OrderClass.MLEG, OrderStatus.FILLED, OrderType.LIMIT, None, None, None) == (
        *(parent.order_class, parent.status, parent.type),
        *(parent.symbol or None, parent.side, parent.asset_class),
    )
    assert ("2.00000000", "2.000000", "2.00") == (
        *(parent.filled_qty, parent.filled_avg_price, parent.limit_price),
    )
    assert parent.legs is not None
    assert [
        (options.calls[0], BUY, PositionIntent.BUY_TO_OPEN, "1", OrderStatus.FILLED),
        (options.calls[1], SELL, PositionIntent.SELL_TO_OPEN, "1", OrderStatus.FILLED),
    ] == [
        (leg.symbol, leg.side, leg.position_intent, leg.ratio_qty, leg.status)
        for leg in parent.legs
    ]
    assert parent == options.client.get_order_by_id(parent.id)


@shows("submit_order", "`OrderClass.MLEG` at the market")
def test_mleg_market_order_of_alpaca_py_fills_unmodified(options: Options) -> None:
    """It pays what the books ask."""
    options.quote()

    parent = options.spread(None, qty=1)

    assert (OrderStatus.FILLED, "2.000000", None) == (
        *(parent.status, parent.filled_avg_price, parent.limit_price),
    )


@shows("replace_order_by_id", "the net price and the units of a multi-leg order")
def test_mleg_order_of_alpaca_py_is_replaced_and_canceled(options: Options) -> None:
    """A revision of its own with other terms, which a cancel ends with all its legs."""
    parent = options.spread(1.5)

    replaced = options.client.replace_order_by_id(
        parent.id, ReplaceOrderRequest(qty=3, limit_price=1.25)
    )
    assert (parent.id, "3.00000000", "1.25") == (
        *(replaced.replaces, replaced.qty, replaced.limit_price),
    )
    (listed,) = options.client.get_orders(GetOrdersRequest(nested=True))
    assert replaced == listed

    options.client.cancel_order_by_id(replaced.id)

    assert [] == options.client.get_orders()
    closed = options.client.get_orders(
        GetOrdersRequest(status=QueryOrderStatus.CLOSED, nested=True)
    )
    assert [(replaced.id, OrderStatus.CANCELED), (parent.id, OrderStatus.REPLACED)] == [
        (one.id, one.status) for one in closed
    ]


@shows("subscribe_trade_updates", "the updates of a multi-leg order and of its legs")
def test_mleg_updates_reach_the_stream_of_alpaca_py(venue: Venue) -> None:
    """The parent's own, beside those of the orders that its legs are."""
    options = Options(venue)
    with updates_of(venue, options.trader) as updates:
        options.quote(1)
        parent = options.spread(2)
        options.client.cancel_order_by_id(parent.id)
        own: list[TradeUpdate] = []
        others = 0
        while not own or own[-1].event != TradeEvent.CANCELED:
            update = updates.get(timeout=SECONDS)
            if update.order.id == parent.id:
                own.append(update)
            else:
                others += 1
                assert update.order.order_class is OrderClass.MLEG
                assert update.order.ratio_qty == "1"

    assert [TradeEvent.NEW, TradeEvent.PARTIAL_FILL, TradeEvent.CANCELED] == [
        one.event for one in own
    ]
    assert (1.0, 2.0) == (own[1].qty, own[1].price)
    legs = own[1].order.legs or []
    assert [OrderStatus.PARTIALLY_FILLED] * 2 == [leg.status for leg in legs]
    assert others >= 4

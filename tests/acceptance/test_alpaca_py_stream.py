"""alpaca-py's TradingStream hears what happens to the account's orders."""

import asyncio
import queue
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.alpaca_py import (
    LimitOrderRequest,
    OrderClass,
    OrderSide,
    OrderStatus,
    ReplaceOrderRequest,
    StopLossRequest,
    TakeProfitRequest,
    TimeInForce,
    TradeUpdate,
    TradingStream,
)
from tests.venue import Trader, Venue

SECONDS = 20


class Listening(TradingStream):
    """The stream, which says when the venue has taken its subscription."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self.taken = threading.Event()

    async def _dispatch(self, msg: dict[str, object]) -> None:
        if msg.get("stream") == "listening":
            self.taken.set()
        await super()._dispatch(msg)


def stream_into(
    heard: "queue.Queue[TradeUpdate]", venue: Venue, trader: Trader
) -> tuple[Listening, threading.Thread]:
    """The trader's stream, and the thread that will run it."""

    async def hear(update: TradeUpdate) -> None:
        heard.put(update)

    stream = Listening(trader.key_id, trader.secret, url_override=venue.ws_url)
    stream.subscribe_trade_updates(hear)
    return stream, threading.Thread(target=stream.run)


@contextmanager
def updates_of(venue: Venue, trader: Trader) -> Iterator["queue.Queue[TradeUpdate]"]:
    """What the trader's stream hears, from now until the block ends."""
    heard: queue.Queue[TradeUpdate] = queue.Queue()
    stream, thread = stream_into(heard, venue, trader)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        thread.start()
        try:
            assert stream.taken.wait(SECONDS), "the subscription was not taken"
            yield heard
        finally:
            loop = stream._loop
            asyncio.run_coroutine_threadsafe(stream.stop_ws(), loop).result(SECONDS)
            asyncio.run_coroutine_threadsafe(stream.close(), loop).result(SECONDS)
            thread.join(SECONDS)


def limit(symbol: str, side: OrderSide, price: float, qty: int) -> LimitOrderRequest:
    """A limit order that rests until canceled."""
    return LimitOrderRequest(
        symbol=symbol, qty=qty, side=side, time_in_force=TimeInForce.GTC, limit_price=price
    )


@shows(
    "subscribe_trade_updates",
    "`new`, fills, `replaced` and `canceled`, in order, each with the order as it then was",
)
@shows("run", "connects, authenticates and listens")
@shows("stop_ws", "ends it")
@shows("close", "closes the socket")
def test_the_stream_tells_the_whole_life_of_an_order(venue: Venue) -> None:
    """New, partial fill, replacement, fill and cancel arrive in order, with the order as it was."""
    symbol, buyer, seller = venue.instrument(), venue.trader(), venue.trader()
    venue.hold(seller, symbol, "50", "5000")
    buying, selling = client_of(venue, buyer), client_of(venue, seller)

    with updates_of(venue, buyer) as heard:
        first = buying.submit_order(limit(symbol, OrderSide.BUY, 99, 10))
        selling.submit_order(limit(symbol, OrderSide.SELL, 99, 4))
        second = buying.replace_order_by_id(first.id, ReplaceOrderRequest(qty=12))
        selling.submit_order(limit(symbol, OrderSide.SELL, 99, 8))
        third = buying.submit_order(limit(symbol, OrderSide.BUY, 98, 5))
        buying.cancel_order_by_id(third.id)
        updates = [heard.get(timeout=SECONDS) for _ in range(7)]

    assert [
        ("new", first.id, OrderStatus.NEW),
        ("partial_fill", first.id, OrderStatus.PARTIALLY_FILLED),
        ("replaced", first.id, OrderStatus.REPLACED),
        ("new", second.id, OrderStatus.PARTIALLY_FILLED),
        ("fill", second.id, OrderStatus.FILLED),
        ("new", third.id, OrderStatus.NEW),
        ("canceled", third.id, OrderStatus.CANCELED),
    ] == [(str(getattr(u.event, "value", u.event)), u.order.id, u.order.status) for u in updates]
    assert [(4.0, 99.0, 4.0), (8.0, 99.0, 12.0)] == [
        (u.qty, u.price, u.position_qty) for u in updates if u.execution_id
    ]
    assert Decimal("99") == Decimal(str(updates[4].order.filled_avg_price))


@shows("stop", "ends the stream from another thread: `run` returns")
def test_the_stream_stops_when_it_is_told_to(venue: Venue) -> None:
    """Whoever runs the stream in a thread ends it from outside, and is told nothing after it."""
    symbol, trader = venue.instrument(), venue.trader()
    client, heard = client_of(venue, trader), queue.Queue[TradeUpdate]()
    stream, thread = stream_into(heard, venue, trader)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        thread.start()
        assert stream.taken.wait(SECONDS), "the subscription was not taken"
        first = client.submit_order(limit(symbol, OrderSide.BUY, 99, 10))
        assert first.id == heard.get(timeout=SECONDS).order.id
        stream.stop()
        # The next message wakes it, and is the last that it tells.
        client.cancel_order_by_id(first.id)
        thread.join(SECONDS)

    assert not thread.is_alive()
    client.submit_order(limit(symbol, OrderSide.BUY, 98, 10))
    assert {first.id} >= {heard.get().order.id for _ in range(heard.qsize())}


def grouped(
    symbol: str, kind: OrderClass, side: OrderSide, price: float | None, qty: int = 10
) -> LimitOrderRequest:
    """A group with its take-profit at 105 and its stop-loss at 95."""
    return LimitOrderRequest(
        symbol=symbol,
        qty=qty,
        side=side,
        time_in_force=TimeInForce.GTC,
        limit_price=price,
        order_class=kind,
        take_profit=TakeProfitRequest(limit_price=105),
        stop_loss=StopLossRequest(stop_price=95),
    )


def told(updates: list[TradeUpdate]) -> list[tuple[str, Any, OrderStatus, Decimal]]:
    """Event, order, status and quantity of each update."""
    return [
        (str(getattr(u.event, "value", u.event)), u.order.id, u.order.status, Decimal(u.order.qty))
        for u in updates
    ]


@shows("subscribe_trade_updates", "an oco whose take-profit trades, in part and whole")
def test_the_stream_tells_an_oco_take_profit_fill_and_the_stop_loss_cancel(venue: Venue) -> None:
    """The sibling shrinks with each partial fill and is canceled with the last, as it happens."""
    symbol, owner, buyer = venue.instrument(), venue.trader(), venue.trader()
    venue.hold(owner, symbol, "50", "5000")
    owning, buying = client_of(venue, owner), client_of(venue, buyer)

    with updates_of(venue, owner) as heard:
        placed = owning.submit_order(grouped(symbol, OrderClass.OCO, OrderSide.SELL, None))
        buying.submit_order(limit(symbol, OrderSide.BUY, 105, 4))
        buying.submit_order(limit(symbol, OrderSide.BUY, 105, 6))
        updates = [heard.get(timeout=SECONDS) for _ in range(6)]

    profit, stop = placed.id, placed.legs[0].id
    assert [
        ("new", profit, OrderStatus.NEW, 10),
        ("accepted", stop, OrderStatus.HELD, 10),
        ("partial_fill", profit, OrderStatus.PARTIALLY_FILLED, 10),
        ("restated", stop, OrderStatus.HELD, 6),
        ("fill", profit, OrderStatus.FILLED, 10),
        ("canceled", stop, OrderStatus.CANCELED, 6),
    ] == told(updates)
    assert {OrderClass.OCO} == {update.order.order_class for update in updates}


@shows("subscribe_trade_updates", "an oco whose stop-loss is elected")
def test_the_stream_tells_how_an_oco_stop_loss_takes_over(venue: Venue) -> None:
    """The take-profit's cancel comes first, then the stop is new, triggered and filled."""
    symbol, owner, other = venue.instrument(), venue.trader(), venue.trader()
    for who in (owner, other):
        venue.hold(who, symbol, "50", "5000")
    owning, trading = client_of(venue, owner), client_of(venue, other)
    placed = owning.submit_order(grouped(symbol, OrderClass.OCO, OrderSide.SELL, None))
    trading.submit_order(limit(symbol, OrderSide.BUY, 95, 1))
    trading.submit_order(limit(symbol, OrderSide.BUY, 94.5, 20))

    with updates_of(venue, owner) as heard:
        hit = owning.submit_order(limit(symbol, OrderSide.SELL, 95, 1))
        updates = [heard.get(timeout=SECONDS) for _ in range(6)]

    profit, stop = placed.id, placed.legs[0].id
    assert [
        ("new", hit.id, OrderStatus.NEW, 1),
        ("fill", hit.id, OrderStatus.FILLED, 1),
        ("canceled", profit, OrderStatus.CANCELED, 10),
        ("new", stop, OrderStatus.NEW, 10),
        ("restated", stop, OrderStatus.NEW, 10),
        ("fill", stop, OrderStatus.FILLED, 10),
    ] == told(updates)


@shows("subscribe_trade_updates", "a bracket whose entry trades in two parts")
def test_the_stream_tells_a_bracket_take_profit_and_stop_loss_grow(venue: Venue) -> None:
    """With the entry's first fill the take-profit is new and the stop is for what was bought."""
    symbol, owner, seller = venue.instrument(), venue.trader(), venue.trader()
    venue.hold(seller, symbol, "50", "5000")
    owning, selling = client_of(venue, owner), client_of(venue, seller)
    placed = owning.submit_order(grouped(symbol, OrderClass.BRACKET, OrderSide.BUY, 100))

    with updates_of(venue, owner) as heard:
        selling.submit_order(limit(symbol, OrderSide.SELL, 100, 4))
        selling.submit_order(limit(symbol, OrderSide.SELL, 100, 6))
        updates = [heard.get(timeout=SECONDS) for _ in range(6)]

    profit, stop = (leg.id for leg in placed.legs)
    first, second = told(updates[:3]), told(updates[3:])
    assert ("partial_fill", placed.id, OrderStatus.PARTIALLY_FILLED, 10) == first[0]
    assert {
        ("new", profit, OrderStatus.NEW, Decimal(4)),
        ("restated", stop, OrderStatus.HELD, Decimal(4)),
    } == set(first[1:])
    assert ("fill", placed.id, OrderStatus.FILLED, 10) == second[0]
    assert {
        ("restated", profit, OrderStatus.NEW, Decimal(10)),
        ("restated", stop, OrderStatus.HELD, Decimal(10)),
    } == set(second[1:])


@shows("subscribe_trade_updates", "nothing of another account")
def test_nobody_hears_of_anothers_orders(venue: Venue) -> None:
    """A stream tells its own account's updates and nothing of others."""
    symbol, mine, other = venue.instrument(), venue.trader(), venue.trader()

    with updates_of(venue, mine) as heard:
        client_of(venue, other).submit_order(limit(symbol, OrderSide.BUY, 99, 10))
        own = client_of(venue, mine).submit_order(limit(symbol, OrderSide.BUY, 98, 10))
        assert own.id == heard.get(timeout=SECONDS).order.id
        assert heard.empty()

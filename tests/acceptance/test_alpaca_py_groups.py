"""alpaca-py places oco, bracket and oto orders, and finds them as it expects to."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.alpaca_py import (
    APIError,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    Order,
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    QueryOrderStatus,
    ReplaceOrderRequest,
    StopLossRequest,
    TakeProfitRequest,
    TimeInForce,
)
from tests.venue import Venue

NESTED = GetOrderByIdRequest(nested=True)
Life = list[tuple[OrderType, OrderStatus, Decimal, Decimal]]


class Desk:
    """A trader with 50 shares, somebody to trade with, and an instrument of their own."""

    def __init__(self, venue: Venue) -> None:
        self.symbol = venue.instrument()
        self.trader, self.other = venue.trader(), venue.trader()
        for who in (self.trader, self.other):
            venue.hold(who, self.symbol, "50", "5000")
        self.client, self.market = client_of(venue, self.trader), client_of(venue, self.other)

    def order(self, side: OrderSide, price: float | None, qty: int, **terms: Any) -> Any:
        """A request for an order, market without a price."""
        common = {"symbol": self.symbol, "qty": qty, "side": side, **terms}
        if price is None and terms.get("order_class") is not OrderClass.OCO:
            return MarketOrderRequest(time_in_force=TimeInForce.DAY, **common)
        return LimitOrderRequest(time_in_force=TimeInForce.GTC, limit_price=price, **common)

    def oco(self, qty: int = 10, profit: float = 105, loss: float = 95, **terms: Any) -> Order:
        """Exits for shares that are held, as alpaca-py writes them."""
        exits = {"order_class": OrderClass.OCO, **legs(profit, loss)}
        return self.client.submit_order(self.order(OrderSide.SELL, None, qty, **exits, **terms))

    def bracket(self, qty: int = 10, price: float | None = 100, **terms: Any) -> Order:
        """An entry with both exits."""
        exits = {"order_class": OrderClass.BRACKET, **legs(105, 95)}
        return self.client.submit_order(self.order(OrderSide.BUY, price, qty, **{**exits, **terms}))

    def trade(self, side: OrderSide, price: float | None, qty: int) -> Order:
        """What somebody else sends to the market."""
        return self.market.submit_order(self.order(side, price, qty))

    def seen(self, group: Order) -> Order:
        """The group as it stands, nested."""
        # A GET waits for the reader's own writes; what another caused is behind a write of ours.
        own = self.client.submit_order(self.order(OrderSide.BUY, 50, 1))
        self.client.cancel_order_by_id(own.id)
        return self.client.get_order_by_id(group.id, NESTED)

    def life(self, group: Order) -> Life:
        """Type, status, quantity and fills of the parent and of each leg."""
        return life_of(self.seen(group))


def legs(profit: float, loss: float) -> dict[str, Any]:
    """Both exits as alpaca-py's own models."""
    return {
        "take_profit": TakeProfitRequest(limit_price=profit),
        "stop_loss": StopLossRequest(stop_price=loss),
    }


def life_of(group: Order) -> Life:
    """Type, status, quantity and fills of the parent and of each leg."""
    return [
        (order.type, order.status, Decimal(order.qty), Decimal(order.filled_qty))
        for order in (group, *(group.legs or ()))
    ]


@pytest.fixture
def desk(venue: Venue) -> Desk:
    """A desk of the test's own."""
    return Desk(venue)


@shows("submit_order", "an oco: the take-profit, with its stop-loss nested and `held`")
def test_oco_shows_the_stop_loss_held_in_the_take_profit(desk: Desk) -> None:
    """The limit leg is the parent, the stop its nested child with status held."""
    placed = desk.oco()

    assert (OrderClass.OCO, "105.0000") == (placed.order_class, placed.limit_price)
    assert [
        (OrderType.LIMIT, OrderStatus.NEW, 10, 0),
        (OrderType.STOP, OrderStatus.HELD, 10, 0),
    ] == life_of(placed)
    (stop,) = placed.legs
    assert (OrderClass.OCO, "95.0000", OrderSide.SELL) == (
        stop.order_class,
        stop.stop_price,
        stop.side,
    )
    assert placed == desk.client.get_order_by_id(placed.id, NESTED)
    assert stop == desk.client.get_order_by_id(stop.id)
    assert stop == desk.client.get_order_by_client_id(stop.client_order_id)


@shows("get_orders", "a group once with `nested`, leg by leg without")
def test_oco_is_listed_once_nested_and_leg_by_leg_otherwise(desk: Desk) -> None:
    """`nested` rolls the legs up under their parent; without it each order stands alone."""
    placed, plain = desk.oco(), desk.client.submit_order(desk.order(OrderSide.BUY, 90, 1))

    rolled = desk.client.get_orders(GetOrdersRequest(nested=True))
    flat = desk.client.get_orders(GetOrdersRequest(nested=False))

    assert [plain, placed] == rolled
    assert {plain.id, placed.id, placed.legs[0].id} == {order.id for order in flat}
    assert {None} == {order.legs and tuple(order.legs) for order in flat}


@shows("submit_order", "an oco whose take-profit trades: the stop-loss is canceled")
def test_oco_take_profit_fill_cancels_the_stop_loss(desk: Desk) -> None:
    """Executing one leg ends the other, and the group is closed."""
    placed = desk.oco()

    desk.trade(OrderSide.BUY, 105, 10)

    assert [
        (OrderType.LIMIT, OrderStatus.FILLED, 10),
        (OrderType.STOP, OrderStatus.CANCELED, 0),
    ] == [(kind, status, filled) for kind, status, _, filled in desk.life(placed)]
    assert [] == desk.client.get_orders(GetOrdersRequest(nested=True))
    closed = desk.client.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED, nested=True))
    assert placed.id in {order.id for order in closed}


@shows("submit_order", "an oco whose take-profit trades in part: the stop-loss shrinks with it")
def test_oco_partial_take_profit_shrinks_the_stop_loss_by_as_much(desk: Desk) -> None:
    """Both legs always stand for the same rest."""
    placed = desk.oco()

    desk.trade(OrderSide.BUY, 105, 4)

    assert [
        (OrderType.LIMIT, OrderStatus.PARTIALLY_FILLED, 10, 4),
        (OrderType.STOP, OrderStatus.HELD, 6, 0),
    ] == desk.life(placed)


@shows("submit_order", "an oco whose stop-loss is elected: the take-profit is canceled")
def test_oco_triggered_stop_loss_cancels_the_take_profit_and_sells(desk: Desk) -> None:
    """A trade at the stop's price ends the limit leg, and the stop sells to the bids."""
    placed = desk.oco()
    desk.trade(OrderSide.BUY, 95, 1)
    desk.trade(OrderSide.BUY, 94.5, 20)

    desk.client.submit_order(desk.order(OrderSide.SELL, 95, 1))

    assert [
        (OrderType.LIMIT, OrderStatus.CANCELED, 10, 0),
        (OrderType.STOP, OrderStatus.FILLED, 10, 10),
    ] == desk.life(placed)
    stop = desk.client.get_order_by_id(placed.legs[0].id)
    assert Decimal("94.5") == Decimal(stop.filled_avg_price)


@shows("cancel_order_by_id", "either leg of an oco takes the other along")
def test_oco_is_canceled_by_either_leg(desk: Desk) -> None:
    """Whichever id the client knows, both legs go."""
    first, second = desk.oco(), desk.oco()

    desk.client.cancel_order_by_id(first.id)
    desk.client.cancel_order_by_id(second.legs[0].id)

    for placed in (first, second):
        assert [OrderStatus.CANCELED] * 2 == [status for _, status, _, _ in desk.life(placed)]
    assert [] == desk.client.get_orders()


@shows("cancel_orders", "legs of groups too")
def test_oco_legs_go_in_a_mass_cancel(desk: Desk) -> None:
    """Cancel all leaves no exit behind."""
    placed = desk.oco()

    canceled = desk.client.cancel_orders()

    assert placed.id in {response.id for response in canceled}
    assert [] == desk.client.get_orders()


@shows("replace_order_by_id", "one leg's price; the group stays together")
def test_oco_take_profit_and_stop_loss_take_new_prices(desk: Desk) -> None:
    """A leg's price is replaced alone; the group stays together under the new revisions."""
    placed = desk.oco()

    higher = desk.client.replace_order_by_id(placed.id, ReplaceOrderRequest(limit_price=106))
    closer = desk.client.replace_order_by_id(placed.legs[0].id, ReplaceOrderRequest(stop_price=97))

    assert ("106.0000", OrderClass.OCO, placed.id) == (
        higher.limit_price,
        higher.order_class,
        higher.replaces,
    )
    assert ("97.0000", OrderStatus.HELD) == (closer.stop_price, closer.status)
    (group,) = desk.client.get_orders(GetOrdersRequest(nested=True))
    assert (higher.id, [closer.id]) == (group.id, [leg.id for leg in group.legs])
    old = desk.client.get_order_by_id(placed.id, NESTED)
    assert (OrderStatus.REPLACED, None) == (old.status, old.legs)


@shows("replace_order_by_id", "the quantity of an oco: that of both legs")
def test_oco_replaced_quantity_is_that_of_both_legs(desk: Desk) -> None:
    """After a partial fill a new total leaves both legs the same rest."""
    placed = desk.oco()
    desk.trade(OrderSide.BUY, 105, 4)

    larger = desk.client.replace_order_by_id(placed.id, ReplaceOrderRequest(qty=12))

    assert [
        (OrderType.LIMIT, OrderStatus.PARTIALLY_FILLED, 12, 4),
        (OrderType.STOP, OrderStatus.HELD, 8, 0),
    ] == desk.life(larger)


@shows("submit_order", "422 for exits that are the wrong way round")
def test_oco_with_its_stop_loss_on_the_wrong_side_is_refused(desk: Desk) -> None:
    """A take-profit below the stop cannot be meant; nothing of the group is kept working."""
    with pytest.raises(APIError) as refusal:
        desk.oco(profit=94, loss=95)

    assert (422, 42210000) == (refusal.value.status_code, refusal.value.code)
    assert "take_profit.limit_price" in refusal.value.message
    assert [] == desk.client.get_orders()
    (kept,) = desk.client.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED))
    assert (OrderStatus.REJECTED, OrderClass.OCO) == (kept.status, kept.order_class)


@shows("submit_order", "a group sent twice is one; with other exits 422")
def test_oco_sent_twice_gives_its_first_result_with_its_stop_loss(desk: Desk) -> None:
    """The same client order id and legs are one group; other legs under it are refused."""
    key = f"mine-{uuid4().hex}"

    first = desk.oco(client_order_id=key)

    assert first == desk.oco(client_order_id=key)
    with pytest.raises(APIError) as refusal:
        desk.oco(client_order_id=key, loss=94)
    assert 422 == refusal.value.status_code
    assert first.id == desk.client.get_order_by_client_id(key).id


@shows("submit_order", "a bracket: its exits stand for what the entry bought")
def test_bracket_take_profit_and_stop_loss_grow_with_the_entry(desk: Desk) -> None:
    """Held until the entry trades; then exits for what was bought, the limit leg in the book."""
    placed = desk.bracket()
    assert [
        (OrderType.LIMIT, OrderStatus.NEW, 10, 0),
        (OrderType.LIMIT, OrderStatus.HELD, 10, 0),
        (OrderType.STOP, OrderStatus.HELD, 10, 0),
    ] == life_of(placed)
    assert [OrderSide.BUY, OrderSide.SELL, OrderSide.SELL] == [
        order.side for order in (placed, *placed.legs)
    ]

    desk.trade(OrderSide.SELL, 100, 4)

    assert [
        (OrderType.LIMIT, OrderStatus.PARTIALLY_FILLED, 10, 4),
        (OrderType.LIMIT, OrderStatus.NEW, 4, 0),
        (OrderType.STOP, OrderStatus.HELD, 4, 0),
    ] == desk.life(placed)

    desk.trade(OrderSide.SELL, 100, 6)

    assert [
        (OrderType.LIMIT, OrderStatus.FILLED, 10, 10),
        (OrderType.LIMIT, OrderStatus.NEW, 10, 0),
        (OrderType.STOP, OrderStatus.HELD, 10, 0),
    ] == desk.life(placed)


@shows("get_orders", "a bracket is open, under its filled entry, until an exit has traded")
def test_bracket_with_a_filled_entry_is_open_until_its_take_profit_trades(desk: Desk) -> None:
    """Nested, the group is listed as open under its filled parent; then it is closed."""
    placed = desk.bracket()
    desk.trade(OrderSide.SELL, 100, 10)
    assert OrderStatus.FILLED is desk.seen(placed).status
    assert [placed.id] == [o.id for o in desk.client.get_orders(GetOrdersRequest(nested=True))]

    desk.trade(OrderSide.BUY, 105, 10)

    assert [OrderStatus.FILLED, OrderStatus.FILLED, OrderStatus.CANCELED] == [
        status for _, status, _, _ in desk.life(placed)
    ]
    assert [] == desk.client.get_orders(GetOrdersRequest(nested=True))


@shows("submit_order", "a bracket with an entry at the market")
def test_bracket_of_a_market_entry_answers_with_its_stop_loss_in_place(desk: Desk) -> None:
    """An entry that trades at once is answered with exits that stand for what it bought."""
    desk.trade(OrderSide.SELL, 100, 20)

    placed = desk.bracket(price=None)

    assert [
        (OrderType.MARKET, OrderStatus.FILLED, 10, 10),
        (OrderType.LIMIT, OrderStatus.NEW, 10, 0),
        (OrderType.STOP, OrderStatus.HELD, 10, 0),
    ] == life_of(placed)


@shows("cancel_order_by_id", "a bracket before its entry traded: all of it")
def test_bracket_canceled_before_its_entry_leaves_no_take_profit_or_stop_loss(desk: Desk) -> None:
    """Without an entry there is nothing to exit."""
    placed = desk.bracket()

    desk.client.cancel_order_by_id(placed.id)

    assert [OrderStatus.CANCELED] * 3 == [status for _, status, _, _ in desk.life(placed)]


@shows("submit_order", "a stop-loss with a limit")
def test_bracket_stop_loss_may_have_a_limit(desk: Desk) -> None:
    """With `stop_loss.limit_price` the exit is a stop-limit order."""
    loss = StopLossRequest(stop_price=95, limit_price=94.5)

    placed = desk.bracket(stop_loss=loss)

    stop = placed.legs[1]
    assert (OrderType.STOP_LIMIT, "95.0000", "94.5000") == (
        stop.type,
        stop.stop_price,
        stop.limit_price,
    )


@pytest.mark.parametrize("name", ["take_profit", "stop_loss"])
@shows("submit_order", "an oto: its exit works once the entry has traded")
def test_oto_take_profit_or_stop_loss_works_once_the_entry_is_filled(desk: Desk, name: str) -> None:
    """One exit, held until the entry trades, new from then on."""
    terms = {name: legs(105, 95)[name], "order_class": OrderClass.OTO}
    placed = desk.client.submit_order(desk.order(OrderSide.BUY, 100, 10, **terms))
    assert (OrderClass.OTO, [OrderStatus.HELD]) == (
        placed.order_class,
        [leg.status for leg in placed.legs],
    )

    desk.trade(OrderSide.SELL, 100, 10)

    kind = OrderType.LIMIT if name == "take_profit" else OrderType.STOP
    assert [
        (OrderType.LIMIT, OrderStatus.FILLED, 10, 10),
        (kind, OrderStatus.NEW, 10, 0),
    ] == desk.life(placed)

"""Place: what each type and time in force does, and what it holds meanwhile."""

import pytest

from application.commands import PlaceOrder, SetAccountPolicy, TransferPosition
from domain.events import MarginReserved, OrderAccepted, OrderCanceled, OrderFilled, PositionOpened
from domain.money import MAX_AMOUNT
from domain.terms import CancelReason, Liquidity, OrderStatus, Side, TimeInForce
from tests.model.desk_harness import DeskHarness, cents, code, shares, trading_desk, wire

BUY, SELL = Side.BUY, Side.SELL
IOC, FOK = TimeInForce.IOC, TimeInForce.FOK


@pytest.fixture
def venue() -> DeskHarness:
    """One open instrument and two accounts with cash and shares."""
    return trading_desk()


def reasons(venue: DeskHarness) -> list[int]:
    """Why orders left the market in the latest command."""
    return [event.reason for event in venue.happened(OrderCanceled)]


def test_a_limit_trades_at_better_prices_first_and_rests_with_the_remainder(venue):
    """Trades are at the resting order's price; what is left holds its limit."""
    venue.place(venue.b, SELL, 2, 100, client="cheap")
    venue.place(venue.b, SELL, 2, 101, client="dear")
    venue.place(venue.b, SELL, 2, 103, client="too dear")

    reply = venue.place(venue.a, BUY, 5, 102, client="mine")

    assert [
        ("mine", "cheap", shares(2), 100_0000),
        ("mine", "dear", shares(2), 101_0000),
    ] == venue.trades()
    assert (OrderStatus.PARTIALLY_FILLED, shares(4)) == (reply.order.status, reply.order.filled)
    assert [("mine", 102_0000, shares(1))] == venue.book(BUY)
    assert cents("102.01") == venue.desk.accounts.by_id[venue.a.int].held
    first, second = venue.happened(OrderFilled)[:2]
    assert (Liquidity.REMOVED, Liquidity.ADDED) == (first.liquidity, second.liquidity)


def test_at_one_price_the_earlier_order_trades_first(venue):
    """Time decides where the price does not, never the size."""
    for label, qty in (("first", 1), ("second", 50), ("third", 1)):
        venue.place(venue.b, SELL, qty, 100, client=label)
    venue.place(venue.a, BUY, 51, 100)
    assert ["first", "second"] == [sell for _, sell, _, _ in venue.trades()]


def test_a_market_buy_reserves_at_the_collar_and_its_ioc_remainder_cancels(venue):
    """It pays what it trades at; beyond the collar it does not trade."""
    venue.place(venue.b, SELL, 1, 140)
    venue.place(venue.b, SELL, 1, 150)
    third = venue.account("third")
    venue.hold(third, 5)
    venue.place(third, SELL, 1, "150.01")

    reply = venue.place(venue.a, BUY, 3, tif=IOC)

    [reserved] = venue.happened(MarginReserved)
    assert cents("450.01") == reserved.amount
    assert [140_0000, 150_0000] == [price for _, _, _, price in venue.trades()]
    assert [CancelReason.COLLAR] == reasons(venue)
    assert OrderStatus.CANCELED == reply.order.status
    account = venue.desk.accounts.by_id[venue.a.int]
    assert (0, cents(-290)) == (account.held, account.unsettled)


def test_a_market_order_in_an_empty_book_cancels_when_it_may_not_wait(venue):
    """There is nobody to trade with."""
    for side in (BUY, SELL):
        reply = venue.place(venue.a, side, 3, tif=IOC)
        assert (OrderStatus.CANCELED, [CancelReason.NO_LIQUIDITY]) == (
            reply.order.status,
            reasons(venue),
        )


def test_ioc_trades_what_it_can_and_fok_all_or_nothing(venue):
    """Neither ever rests."""
    venue.place(venue.b, SELL, 3, 100)
    venue.place(venue.b, SELL, 3, 101)
    assert OrderStatus.CANCELED == venue.place(venue.a, BUY, 4, 100, tif=FOK).order.status
    assert [CancelReason.FILL_OR_KILL] == reasons(venue)
    assert [] == venue.trades()
    assert OrderStatus.FILLED == venue.place(venue.a, BUY, 4, 101, tif=FOK).order.status
    assert shares(2) == venue.place(venue.a, BUY, 4, 101, tif=IOC).order.filled
    assert [CancelReason.IMMEDIATE_OR_CANCEL] == reasons(venue)
    assert [] == venue.book(BUY) == venue.book(SELL)


def test_a_post_only_order_is_refused_where_it_would_trade(venue):
    """At the touch it is refused, one tick away it rests."""
    venue.place(venue.b, SELL, 3, 100)
    assert "POST_ONLY_WOULD_TRADE" == code(venue.place(venue.a, BUY, 1, 100, post_only=True))
    assert "" == code(venue.place(venue.a, BUY, 1, "99.99", post_only=True))


def test_a_sell_reserves_quantity_and_no_cash(venue):
    """What is reserved cannot be sold twice."""
    venue.place(venue.a, SELL, 600, 110)
    position = next(p for p in venue.desk.accounts.positions.values() if p.account_id == venue.a)
    assert (shares(600), shares(400)) == (position.reserved, position.available)
    assert 0 == venue.desk.accounts.by_id[venue.a.int].held
    assert "INSUFFICIENT_QTY" == code(venue.place(venue.a, SELL, 401, 110))
    assert "" == code(venue.place(venue.a, SELL, 400, 110))


def test_proceeds_of_a_sale_buy_nothing_before_they_settle(venue):
    """Unless the account's policy says so; they cannot be withdrawn either way."""
    poor = venue.account("poor", cash=0)
    venue.hold(poor, 10)
    venue.place(venue.b, BUY, 10, 100)
    venue.place(poor, SELL, 10, 100)
    account = venue.desk.accounts.by_id[poor.int]
    assert (0, 0, cents(1000)) == (account.funds, account.withdrawable, account.receivable)
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(poor, BUY, 1, 1))
    venue.ok(SetAccountPolicy(poor, True))
    assert (cents(1000), 0) == (account.funds, account.withdrawable)
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(poor, BUY, 10, 100))
    assert "" == code(venue.place(poor, BUY, 10, "99.99"))
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(poor, BUY, 1, 1))


def test_what_unsettled_proceeds_have_bought_is_not_sold_before_it_is_paid(venue):
    """Free riding is refused for the shares of that purchase, not for those held before."""
    poor = venue.account("poor", cash=0, use_unsettled=True)
    venue.hold(poor, 15)
    venue.place(venue.b, BUY, 10, 100)
    venue.place(poor, SELL, 10, 100)
    venue.place(venue.b, SELL, 10, 90)
    venue.place(poor, BUY, 10, 90)
    assert "FREE_RIDING" == code(venue.place(poor, SELL, 6, 100))
    assert "INSUFFICIENT_QTY" == code(venue.place(poor, SELL, 16, 100))
    assert "" == code(venue.place(poor, SELL, 5, 100))


def test_a_refused_order_is_one_event_and_nothing_else(venue):
    """No position is opened, nothing is held, and the refusal is kept."""
    third = venue.account("third", cash=1)
    positions = dict(venue.desk.accounts.positions)
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(third, BUY, 1, 100, client="r"))
    assert ["order.rejected.v1"] == [event.TOPIC for event in venue.events]
    assert positions == venue.desk.accounts.positions
    assert OrderStatus.REJECTED not in {
        order.status for order in venue.desk.orders.working.values()
    }


def test_the_first_touch_of_an_instrument_opens_the_position(venue):
    """Accepting comes second, so that the hold has a place to stand."""
    third = venue.account("third")
    venue.place(third, BUY, 1, 90)
    assert [PositionOpened, OrderAccepted, MarginReserved] == [type(e) for e in venue.events]


def test_one_lot_at_one_tick_is_an_order(venue):
    """The smallest order holds the cent that it is rounded up to, and one more."""
    venue.instrument("SMALL", tick=wire("0.0001"), lot=1, reference_price=wire("0.0001"))
    reply = venue.place(venue.a, BUY, "0.00000001", "0.0001", symbol="SMALL")
    assert 2 == venue.order(reply.order.order_id).hold
    assert 0 == venue.desk.accounts.by_id[venue.a.int].unsettled


def test_the_largest_order_the_book_takes_is_one(venue):
    """2^31 - 1 lots at 2^31 - 1 ticks; more money than an order may be worth is refused."""
    most = 2**31 - 1
    venue.instrument(
        "BIG",
        price_decimals=9,
        tick=1,
        lot=1,
        reference_price=most,
        collar_bps=9_999,
    )
    rich = venue.account("rich")
    reply = venue.ok(PlaceOrder(rich, "BIG", 1, 2, 1, most, most, 0, "b"))
    assert 1 == len(venue.happened(MarginReserved))
    seller = venue.account("seller")
    venue.ok(TransferPosition(seller, "BIG", most, 0, "t"))
    venue.ok(PlaceOrder(seller, "BIG", 2, 2, 1, most, most, 0, "s"))
    assert OrderStatus.FILLED == venue.order(reply.order.order_id).status
    for qty, price, field in (
        (MAX_AMOUNT, 5, "qty"),
        (5, MAX_AMOUNT, "limit_price"),
        (2**63 - 1, 5, "qty"),
        (5, 2**63 - 1, "limit_price"),
    ):
        reply = venue.send(PlaceOrder(rich, "BIG", 1, 2, 1, qty, price, 0, "z"))
        refusal = {"qty": "LOT_VIOLATION", "limit_price": "TICK_VIOLATION"}[field]
        assert (refusal, field) == (code(reply), reply.refusal.details["field"])
        largest = {"qty": "999999999.99999999", "limit_price": "99999999.999999999"}[field]
        assert f"is larger than {largest}" in reply.refusal.message


def test_no_quantity_or_price_grows_beyond_what_sums_can_hold(venue):
    """Coarse lots and ticks do not stretch the bound on amounts, nor does the collar."""
    venue.instrument(
        "COARSE",
        price_decimals=9,
        tick=10**11,
        lot=10**16,
        reference_price=10**14,
        collar_bps=9_999,
    )
    for qty, price, refusal in (
        (MAX_AMOUNT, 10**11, "LOT_VIOLATION"),
        (92 * MAX_AMOUNT, 10**11, "LOT_VIOLATION"),
        (10**16, MAX_AMOUNT, "TICK_VIOLATION"),
        (10**16, 9 * 10**18, "TICK_VIOLATION"),
    ):
        order = PlaceOrder(venue.a, "COARSE", 1, 2, 1, qty, price, 0, f"c{qty}{price}")
        assert refusal == code(venue.send(order))
    listing = venue.listing("HUGE", tick=10**11, reference_price=MAX_AMOUNT, price_decimals=9)
    assert "INVALID_FIELD" == code(venue.send(listing))


@pytest.mark.parametrize("lot", [1, 10**4, 10**5, 10**8])
def test_what_a_hold_covers_is_never_passed_however_many_trades_there_are(lot):
    """What is paid is rounded on the total; what is left goes on covering the rest."""
    venue = trading_desk(
        lot=lot, tick=wire("0.0001"), reference_price=wire("0.5"), collar_bps=9_000
    )
    buyer = venue.account("buyer", cash=500)
    for number in range(60):
        qty = lot * (1 + number % 7)
        price = wire(f"0.4{number:03d}")
        command = PlaceOrder(venue.b, "X", 2, 2, 1, qty, price, 0, f"s{number}")
        venue.ok(command)
    qty = lot * 200
    reply = venue.ok(PlaceOrder(buyer, "X", 1, 2, 1, qty, wire("0.9"), 0, "sweep"))
    held = -(-qty * 9_000 // 10**10) + 1
    account = venue.desk.accounts.by_id[buyer.int]
    trades = len(venue.trades())
    assert trades > 40
    assert -account.unsettled + account.held <= held
    assert account.held == venue.order(reply.order.order_id).hold

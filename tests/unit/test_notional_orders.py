"""Market orders for an amount of money: whole lots, never for more, the rest canceled at once."""

import pytest
from msgspec.structs import asdict

from api.orders import OrderRequest, order_document
from api.schemas import validated
from application.commands import ChangeInstrument, SetAccountLimits, SetKillSwitch
from application.orders import OrderView
from application.writer.replies import render
from domain.errors import Rejection
from domain.events import MarginReserved, OrderAccepted, OrderCanceled, OrderFilled, OrderRejected
from domain.order_terms import Terms
from domain.terms import AccountKind, CancelReason, OrderStatus, SelfTrade, Side, TimeInForce
from projections.orders import Orders
from tests.model.desk_harness import DeskHarness, cents, code, shares, trading_desk

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> DeskHarness:
    """An open instrument about 100, protected by half; two accounts with cash and shares."""
    return trading_desk()


def became(venue: DeskHarness, reply) -> tuple[OrderStatus, int, int]:
    """An order's status, what it traded, and why it ended."""
    order = venue.order(reply.order.order_id)
    return OrderStatus(order.status), order.filled, order.end_reason


def test_notional_buys_whole_lots_for_no_more_than_it_says(venue):
    """1,000.00 at 101.25 are nine shares; the rest, 88.75, buys none and is canceled."""
    venue.place(venue.b, SELL, 50, "101.25")
    order = venue.spend(venue.a, BUY, 1_000)
    assert (OrderStatus.CANCELED, shares(9), CancelReason.NOTIONAL) == became(venue, order)
    assert cents(1_000_000) - cents("911.25") == venue.desk.accounts.by_id[venue.a.int].funds
    assert [] == venue.happened(MarginReserved)
    assert [(101_2500, shares(41))] == [row[1:] for row in venue.book(SELL)]


def test_notional_that_is_spent_to_the_cent_is_filled(venue):
    """Ten shares at 100.00."""
    venue.place(venue.b, SELL, 50, 100)
    assert (OrderStatus.FILLED, shares(10), 0) == became(venue, venue.spend(venue.a, BUY, 1_000))


def test_notional_goes_through_the_book_as_far_as_it_reaches(venue):
    """Two at 100, three at 110, and of those at 120 two: 290.00 of 530.00 more."""
    for qty, price in ((2, 100), (3, 110), (9, 120)):
        venue.place(venue.b, SELL, qty, price)
    order = venue.spend(venue.a, BUY, 800)
    assert [(shares(2), 100_0000), (shares(3), 110_0000), (shares(2), 120_0000)] == [
        row[2:] for row in venue.trades()
    ]
    assert (OrderStatus.CANCELED, shares(7), CancelReason.NOTIONAL) == became(venue, order)


def test_notional_trades_fractions_where_lots_are_fractions():
    """100.00 at 30.01 are 3.33222259 shares of eight decimals, for 99.9999999259."""
    venue = trading_desk(lot=1)
    venue.ok(ChangeInstrument("X", collar_bps=9_000))
    venue.place(venue.b, SELL, 50, "30.01")
    order = venue.spend(venue.a, BUY, 100)
    filled = venue.order(order.order.order_id).filled
    assert 333_222_259 == filled
    assert filled * 300_100 <= 100 * 10**12 < (filled + 1) * 300_100


def test_notional_of_a_thin_book_ends_for_want_of_others(venue):
    """What stands beyond the protection price, or nobody, is why; not its amount."""
    nobody = venue.spend(venue.a, BUY, 1_000)
    assert (OrderStatus.CANCELED, 0, CancelReason.NO_LIQUIDITY) == became(venue, nobody)
    venue.place(venue.b, SELL, 3, 100)
    some = venue.spend(venue.a, BUY, 1_000)
    assert (OrderStatus.CANCELED, shares(3), CancelReason.NO_LIQUIDITY) == became(venue, some)
    venue.ok(ChangeInstrument("X", protection_bps=100))
    venue.place(venue.b, SELL, 3, 100)
    venue.place(venue.b, SELL, 3, 120)
    beyond = venue.spend(venue.a, BUY, 1_000)
    assert (OrderStatus.CANCELED, shares(3), CancelReason.PROTECTION) == became(venue, beyond)


def test_notional_below_a_lot_is_refused_and_says_what_one_costs(venue):
    """99.99 where the best offer is 100.00; a cent more buys one."""
    venue.place(venue.b, SELL, 3, 100)
    refused = venue.spend(venue.a, BUY, "99.99")
    assert "NOTIONAL_TOO_SMALL" == code(refused)
    assert ("99.99", "100.00") == (
        refused.refusal.details["notional"],
        refused.refusal.details["lot_costs"],
    )
    assert cents("99.99") == venue.happened(OrderRejected)[0].notional
    assert (OrderStatus.FILLED, shares(1), 0) == became(venue, venue.spend(venue.a, BUY, 100))


def test_notional_sells_as_many_whole_lots_as_it_says(venue):
    """1,050.00 at 100.00 are ten shares, and ten are all that is held."""
    seller = venue.account("seller")
    venue.hold(seller, 10)
    venue.place(venue.a, BUY, 50, 100)
    order = venue.spend(seller, SELL, 1_050)
    assert (OrderStatus.CANCELED, shares(10), CancelReason.NOTIONAL) == became(venue, order)
    assert "INSUFFICIENT_QTY" == code(venue.spend(seller, SELL, 100))


def test_notional_sells_no_more_than_is_free_of_other_orders(venue):
    """Six of ten are reserved."""
    seller = venue.account("seller")
    venue.hold(seller, 10)
    venue.place(seller, SELL, 6, 110)
    venue.place(venue.a, BUY, 50, 100)
    assert "INSUFFICIENT_QTY" == code(venue.spend(seller, SELL, 500))
    assert shares(4) == became(venue, venue.spend(seller, SELL, 499))[1]


@pytest.mark.parametrize(("cash", "said"), [("1000.01", ""), (1_000, "INSUFFICIENT_BUYING_POWER")])
def test_notional_needs_what_it_says_and_a_cent(venue, cash, said):
    """The cent is for what an account's trades together may round to; it is not spent."""
    buyer = venue.account("buyer", cash)
    venue.place(venue.b, SELL, 50, "99.99")
    assert said == code(venue.spend(buyer, BUY, 1_000))
    if not said:
        assert cents(cash) - cents("999.90") == venue.desk.accounts.by_id[buyer.int].funds


def test_notional_on_margin_needs_margin_for_what_it_opens(venue):
    """Half of 1,000.00; what closes a short position needs none."""
    short = venue.account("short", 505, kind=AccountKind.MARGIN)
    venue.place(venue.b, SELL, 50, 100)
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.spend(short, BUY, "1010.01"))
    assert "" == code(venue.spend(short, BUY, 1_000))
    venue.ok(ChangeInstrument("X", shortable=True))
    other = venue.account("other", 505, kind=AccountKind.MARGIN)
    venue.place(venue.a, BUY, 10, 99)
    venue.spend(other, SELL, 990)
    assert "" == code(venue.spend(other, BUY, 1_000))
    position = venue.desk.accounts.positions_of(other)
    assert [0] == [one.qty for one in position]


def test_notional_stays_within_the_limits_of_orders_and_positions(venue):
    """An order's worth is what it says; its size is what it would trade."""
    venue.place(venue.b, SELL, 50, 100)
    venue.ok(SetAccountLimits(venue.a, cents(1_000), 0))
    assert "ORDER_TOO_LARGE" == code(venue.spend(venue.a, BUY, "1000.01"))
    assert "" == code(venue.spend(venue.a, BUY, 1_000))
    venue.ok(ChangeInstrument("X", max_order_qty=shares(5)))
    assert "ORDER_TOO_LARGE" == code(venue.spend(venue.a, BUY, 600))
    venue.ok(ChangeInstrument("X", position_limit=shares(1_012)))
    assert "POSITION_LIMIT_EXCEEDED" == code(venue.spend(venue.a, BUY, 300))
    assert "" == code(venue.spend(venue.a, BUY, 299))


@pytest.mark.parametrize("pause", ["close", "halt"])
def test_notional_is_not_queued(venue, pause):
    """What an auction's price lets it trade cannot be known: it is refused, as ioc is."""
    getattr(venue, pause)()
    said = code(venue.spend(venue.a, BUY, 1_000))
    assert {"close": "MARKET_CLOSED", "halt": "INSTRUMENT_HALTED"}[pause] == said


@pytest.mark.parametrize(
    ("field", "terms"),
    [
        ("notional", {"qty": shares(1)}),
        ("notional", {"order_type": 2, "limit_price": 10**11}),
        ("time_in_force", {"time_in_force": int(TimeInForce.GTC)}),
        ("time_in_force", {"time_in_force": int(TimeInForce.IOC)}),
        ("time_in_force", {"time_in_force": int(TimeInForce.CLS)}),
    ],
)
def test_notional_is_of_market_orders_for_the_day(venue, field, terms):
    """Whatever door it came through."""
    reply = venue.spend(venue.a, BUY, 1_000, **terms)
    assert ("INVALID_FIELD", field) == (code(reply), reply.refusal.details["field"])


def test_notional_ends_where_its_owner_stands_and_money_is_left(venue):
    """By its own instruction; with no money for another lot nobody's order is canceled."""
    venue.place(venue.b, SELL, 2, 100)
    own = venue.place(venue.a, SELL, 2, 101)
    newest = venue.spend(venue.a, BUY, 500)
    assert (OrderStatus.CANCELED, shares(2), CancelReason.SELF_TRADE) == became(venue, newest)
    venue.place(venue.b, SELL, 2, 100)
    oldest = int(SelfTrade.CANCEL_OLDEST)
    short = venue.spend(venue.a, BUY, 250, self_trade=oldest)
    assert (OrderStatus.CANCELED, shares(2), CancelReason.NOTIONAL) == became(venue, short)
    assert OrderStatus.NEW == became(venue, own)[0]
    venue.place(venue.b, SELL, 2, 102)
    venue.spend(venue.a, BUY, 250, self_trade=oldest)
    assert (OrderStatus.CANCELED, 0, CancelReason.SELF_TRADE) == became(venue, own)


def test_notional_is_refused_while_stopped_and_is_over_when_it_is_answered(venue):
    """It cannot be replaced or canceled any more."""
    venue.place(venue.b, SELL, 50, "101.25")
    venue.ok(SetKillSwitch(venue.a, True, "a runaway"))
    assert "ACCOUNT_KILL_SWITCH" == code(venue.spend(venue.a, BUY, 1_000))
    venue.ok(SetKillSwitch(venue.a, False))
    order = venue.spend(venue.a, BUY, 1_000).order
    assert "ORDER_NOT_WORKING" == code(venue.replace(venue.a, order.order_id, qty=5))
    assert "ORDER_NOT_WORKING" == code(venue.cancel(venue.a, order.order_id))


def test_notional_keeps_what_was_asked_and_shows_no_quantity(venue):
    """From the request to command, event, order, view and document."""
    asked = {
        "symbol": "X",
        "notional": "1000.00",
        "side": "buy",
        "type": "market",
        "time_in_force": "day",
    }
    command = validated(OrderRequest, asked).command(venue.a, "mine")
    assert (100_000, 0) == (command.notional, command.qty)
    venue.place(venue.b, SELL, 50, "101.25")
    venue.ok(command)
    (accepted,) = venue.happened(OrderAccepted)
    order = venue.order(accepted.originator_id)
    told = Terms(**{name: getattr(accepted, name) for name in Terms.__struct_fields__})
    assert told == order.terms
    assert command.notional == accepted.notional == order.notional
    shown = OrderView.of(order)
    assert shown == render(venue.events, venue.desk.position).order
    view = Orders()
    view.accepted(1, accepted)
    assert accepted.notional == view.orders.puts[accepted.originator_id.int]["notional"]
    document = order_document(shown, None)
    assert ("1000.00", None, "9.00000000", "canceled", "notional") == tuple(
        document[name] for name in ("notional", "qty", "filled_qty", "status", "cancel_reason")
    )
    assert asdict(accepted)["qty"] == shares(10)
    [canceled] = venue.happened(OrderCanceled)
    assert shares(1) == canceled.canceled_qty
    assert shares(9) == sum(fill.qty for fill in venue.happened(OrderFilled) if fill.side == BUY)


@pytest.mark.parametrize(
    ("field", "terms"),
    [
        ("notional", {"qty": "1"}),
        ("notional", {"notional": "1000.001"}),
        ("notional", {"notional": "0"}),
        ("notional", {"notional": "-5"}),
        ("notional", {"type": "limit", "limit_price": "100"}),
        ("time_in_force", {"time_in_force": "gtc"}),
        ("time_in_force", {"time_in_force": "opg"}),
        ("notional", {"order_class": "bracket"}),
    ],
)
def test_notional_at_the_door_names_what_is_wrong(field, terms):
    """Beside a quantity, too fine, not positive, of other types, times and classes."""
    asked = {
        "symbol": "X",
        "notional": "1000.00",
        "side": "buy",
        "type": "market",
        "time_in_force": "day",
    }
    exits = {"take_profit": {"limit_price": "110"}, "stop_loss": {"stop_price": "90"}}
    if "order_class" in terms:
        terms = {**terms, **exits}
    with pytest.raises(Rejection) as refused:
        validated(OrderRequest, {**asked, **terms})
    assert field == refused.value.details["field"]

"""Sessions: what passes when nothing trades, and how trading begins, rests and ends."""

import pytest

from application.commands import ChangeInstrument, ExpireOrders
from domain.events import (
    InstrumentOpened,
    InstrumentResumed,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
)
from domain.terms import Liquidity, OrderStatus, Phase, Side, TimeInForce, TriggerRule
from tests.model.desk_harness import DeskHarness, code, shares, trading_desk, wire

BUY, SELL = Side.BUY, Side.SELL
DAY, GTC, IOC, GTD = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.GTD


@pytest.fixture
def venue() -> DeskHarness:
    """One open instrument and two accounts with cash and shares."""
    return trading_desk()


@pytest.mark.parametrize(
    ("phase", "refused"), [("close", "MARKET_CLOSED"), ("halt", "INSTRUMENT_HALTED")]
)
def test_only_orders_that_must_trade_at_once_are_refused_while_nothing_trades(
    venue, phase, refused
):
    """Ioc and fok, limited or not; whatever may wait is taken, and so are replaces and cancels."""
    working = venue.place(venue.a, BUY, 5, 90).order
    getattr(venue, phase)()

    for tif in (IOC, TimeInForce.FOK):
        assert refused == code(venue.place(venue.a, BUY, 1, 99, tif=tif))
        assert refused == code(venue.place(venue.a, BUY, 1, tif=tif))
    for tif in (DAY, GTC, GTD):
        lasts = venue.at + 99 if tif == GTD else 0
        for limit, stop in ((101, None), (None, None), (None, 110), (105, 110)):
            reply = venue.place(venue.a, BUY, 1, limit, stop=stop, tif=tif, expires_at=lasts)
            assert "" == code(reply)
        assert "" == code(venue.place(venue.b, SELL, 1, 99, tif=tif, expires_at=lasts))
    assert "" == code(venue.replace(venue.a, working.order_id, qty=4))
    assert [] == venue.trades()
    assert "" == code(venue.cancel(venue.a, working.order_id))
    assert 12 == len(venue.cancel_all(venue.a).result["canceled"])


def test_open_trades_what_crosses_at_one_price_and_leaves_nothing_crossed(venue):
    """Most volume decides; everyone gets the same price, better than asked for if it is."""
    venue.close()
    for price in (103, 102, 101, 99):
        venue.place(venue.a, BUY, 10, price, client=f"b{price}")
    for price in (98, 100, 101, 104):
        venue.place(venue.b, SELL, 10, price, client=f"s{price}")

    venue.open()

    assert [
        ("b103", "s98", shares(10), 101_0000),
        ("b102", "s100", shares(10), 101_0000),
        ("b101", "s101", shares(10), 101_0000),
    ] == venue.trades()
    assert {int(Liquidity.AUCTION)} == {fill.liquidity for fill in venue.happened(OrderFilled)}
    [opened] = venue.happened(InstrumentOpened)
    assert (101_0000, shares(30)) == (opened.uncross_price, opened.uncross_qty)
    assert [("b99", 99_0000, shares(10))] == venue.book(BUY)
    assert [("s104", 104_0000, shares(10))] == venue.book(SELL)


@pytest.mark.parametrize(
    ("buys", "sells", "reference", "price"),
    [
        ([(102, 10)], [(98, 10)], 100, 100),  # all equal: nearest the reference
        ([(102, 10)], [(98, 10)], 120, 102),
        ([(102, 10)], [(98, 10)], 90, 98),
        ([(102, 10), (100, 10)], [(98, 10)], 99, "100.01"),  # least imbalance first
        ([(102, 10)], [(98, 10), (99, 10)], 101, "98.99"),
        ([(102, 10), (100, 20)], [(98, 10), (100, 20)], 90, 100),  # most volume before all
    ],
)
def test_uncross_prefers_volume_then_balance_then_the_reference(buys, sells, reference, price):
    """The auction's price is found in the documented order of merit."""
    venue = DeskHarness()
    venue.instrument(opened=False, reference_price=wire(reference))
    a, b = venue.account("a"), venue.account("b")
    venue.hold(b, 1000)
    for at, qty in buys:
        assert venue.place(a, BUY, qty, at).order
    for at, qty in sells:
        assert venue.place(b, SELL, qty, at).order

    venue.open()

    assert {wire(price) // 10**5} == {trade[3] for trade in venue.trades()}


def test_resume_uncrosses_and_counts_as_trading_for_the_stops(venue):
    """What queued in a halt trades at one price, and only then stops elect."""
    venue.place(venue.a, BUY, 1, stop=105, client="stop")
    venue.halt()
    venue.place(venue.a, BUY, 5, 106, client="queued")
    venue.place(venue.b, SELL, 5, 106)
    venue.place(venue.b, SELL, 5, 107, client="offer")
    assert [] == venue.elections() == venue.trades()

    venue.resume()

    [resumed] = venue.happened(InstrumentResumed)
    assert (106_0000, shares(5)) == (resumed.uncross_price, resumed.uncross_qty)
    assert [("stop", 1, 106_0000)] == venue.elections()
    assert ("stop", "offer", shares(1), 107_0000) == venue.trades()[-1]


def test_nothing_is_elected_while_halted():
    """A mark through a stop's price waits for the resume, and is seen then."""
    venue = DeskHarness()
    venue.instrument(trigger_rule=int(TriggerRule.MARK))
    a, b = venue.account("a"), venue.account("b")
    venue.hold(b, 10)
    venue.place(b, SELL, 10, 106, client="offer")
    venue.place(a, BUY, 1, stop=105, client="stop")
    venue.halt()

    venue.mark(105)
    assert [] == venue.elections()
    venue.resume()

    assert [("stop", 3, 105_0000)] == venue.elections()
    assert [("stop", "offer", shares(1), 106_0000)] == venue.trades()


def test_day_orders_end_with_their_session_and_gtc_orders_do_not(venue):
    """A day order queued after the close belongs to the next session."""
    today = venue.place(venue.a, BUY, 1, 90, tif=DAY).order
    stop = venue.place(venue.a, BUY, 1, stop=120, tif=DAY).order
    good = venue.place(venue.a, BUY, 1, 91, tif=GTC).order
    assert 0 == venue.expire()
    venue.close()
    tomorrow = venue.place(venue.a, BUY, 1, 92, tif=DAY).order

    assert 2 == venue.expire()

    status = {order.order_id: venue.order(order.order_id).status for order in (today, stop, good)}
    assert [12, 12, 0] == list(status.values())
    venue.open()
    assert 0 == venue.expire()
    assert OrderStatus.NEW == venue.order(tomorrow.order_id).status
    venue.close()
    assert 1 == venue.expire()


def test_an_order_made_a_day_order_lasts_to_the_end_of_the_session_it_was_made_in(venue):
    """Yesterday's gtc order that becomes a day order today is not over yet."""
    order = venue.place(venue.a, BUY, 2, 90, tif=GTC).order
    venue.close()
    venue.open()
    assert "" == code(venue.replace(venue.a, order.order_id, tif=DAY))

    assert 0 == venue.expire()
    venue.close()
    assert 1 == venue.expire()


@pytest.mark.parametrize("pause", ["close", "halt"])
def test_an_order_whose_time_is_over_takes_no_part_in_the_uncross(venue, pause):
    """Opening does not wait for the timer: what is due ends before the first trade."""
    venue.place(
        venue.a,
        BUY,
        5,
        101,
        tif=DAY if pause == "close" else GTD,
        expires_at=0 if pause == "close" else venue.at + 3,
        client="late",
    )
    getattr(venue, pause)()
    venue.at += 10
    venue.place(venue.b, SELL, 5, 100, client="offer")

    venue.open() if pause == "close" else venue.resume()

    assert [] == venue.trades()
    assert ["late"] == [venue.label(event) for event in venue.happened(OrderExpired)]
    assert [("offer", 100_0000, shares(5))] == venue.book(SELL)


def test_gtd_orders_end_at_their_instant_and_not_before(venue):
    """An order is good up to its time, in any phase."""
    order = venue.place(venue.a, BUY, 1, 90, tif=GTD, expires_at=venue.at + 3).order
    assert 0 == venue.expire()  # at +2
    assert 1 == venue.expire()  # at +3
    assert OrderStatus.EXPIRED == venue.order(order.order_id).status


def test_expiry_and_mass_cancel_go_in_chunks_of_two_hundred(venue):
    """No single decision ends more than 200 orders, and the reply says what remains."""
    venue.checked = False
    for _ in range(450):
        venue.place(venue.a, BUY, 1, 90, tif=DAY)
    result = venue.cancel_all(venue.a).result
    assert (200, 250) == (len(result["canceled"]), result["remaining"])
    assert 200 == len(venue.happened(OrderCanceled))
    venue.close()
    for remaining, count in ((True, 200), (False, 50)):
        assert {"expired": count, "remaining": remaining} == venue.send(ExpireOrders("X")).result
        assert count == len(venue.happened(OrderExpired))
    venue.check()
    assert {"canceled": [], "remaining": 0} == venue.cancel_all(venue.a).result


def test_a_session_moves_only_along_its_states(venue):
    """Open from closed, halt from open, resume from halted, close from open or halted."""
    wrong = "WRONG_SESSION_STATE"
    assert [wrong, wrong] == [code(venue.open()), code(venue.resume())]
    venue.halt()
    assert [wrong, wrong] == [code(venue.open()), code(venue.halt())]
    assert "" == code(venue.close())
    assert [wrong] * 3 == [code(venue.close()), code(venue.halt()), code(venue.resume())]
    assert Phase.CLOSED == venue.desk.markets.by_symbol["X"].instrument.phase


def test_a_new_trigger_rule_elects_at_once_what_it_has_reached_already():
    """No stop waits on the wrong side of the price that now counts."""
    venue = DeskHarness()
    venue.instrument()
    a, b = venue.account("a"), venue.account("b")
    venue.hold(b, 10)
    venue.place(a, BUY, 1, stop=105, client="stop")
    venue.place(b, SELL, 1, 106, client="offer")
    assert [] == venue.elections()

    venue.ok(ChangeInstrument("X", trigger_rule=int(TriggerRule.BID_ASK)))

    assert [("stop", 2, 106_0000)] == venue.elections()
    assert [("stop", "offer", shares(1), 106_0000)] == venue.trades()


@pytest.mark.parametrize(("last", "elected"), [(107, [("near", 1, 107_0000)]), (101, [])])
def test_when_the_last_trade_becomes_the_rule_no_earlier_trade_counts(last, elected):
    """Only the last price is looked at, so that a desk that was rebuilt elects the same."""
    venue = DeskHarness()
    venue.instrument(trigger_rule=int(TriggerRule.MARK))
    a, b = venue.account("a"), venue.account("b")
    venue.hold(b, 10)
    venue.place(a, BUY, 1, stop=120, client="far")
    venue.place(a, BUY, 1, stop=105, client="near")
    for price in (108, last):
        venue.place(b, SELL, 1, price)
        venue.place(a, BUY, 1, price)

    venue.ok(ChangeInstrument("X", trigger_rule=int(TriggerRule.LAST_TRADE)))

    assert elected == venue.elections()

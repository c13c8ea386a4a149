"""Bust and correct: a trade undone or repriced by new postings, exactly, and once."""

import uuid

import pytest

from application.commands import BustTrade, CorrectTrade, SetCommissionSchedule
from application.desk.state import dump, load, state_hash
from domain.commission import Kind
from domain.events import (
    OrderCanceled,
    OrderFillCorrected,
    OrderFilled,
    PositionReversed,
    TradeBooked,
    TradeReversed,
)
from domain.identifiers import HOUSE
from domain.terms import CancelReason, Ledger, OrderStatus, Side, TriggerRule
from tests.model.desk_harness import DeskHarness, cents, code, shares, trading_desk, wire

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> DeskHarness:
    """Account a bought 4 of its 10 from b at 100."""
    venue = trading_desk()
    venue.bought = venue.place(venue.a, BUY, 10, 100).order.order_id
    venue.sold = venue.place(venue.b, SELL, 4, 100).order.order_id
    return venue


def money(venue: DeskHarness) -> list[tuple[int, int]]:
    """(unsettled cash, quantity) of both accounts."""
    desk = venue.desk
    return [
        (desk.accounts.by_id[p.account_id.int].unsettled, p.qty)
        for one in (venue.a, venue.b)
        for p in desk.accounts.positions.values()
        if p.account_id == one
    ]


def test_a_bust_undoes_both_sides_and_takes_the_filled_order_back(venue):
    """Money and shares go back, postings balance, and what works goes on for what is left."""
    assert [(cents(-400), shares(1004)), (cents(400), shares(996))] == money(venue)

    assert "" == code(venue.bust_last())

    assert [(0, shares(1000))] * 2 == money(venue)
    bought, sold = venue.order(venue.bought), venue.order(venue.sold)
    assert (OrderStatus.PARTIALLY_FILLED, 0, shares(6), 0) == (
        bought.status,
        bought.filled,
        bought.leaves,
        bought.value,
    )
    assert (OrderStatus.CANCELED, CancelReason.BUSTED, 0, 0) == (
        sold.status,
        sold.end_reason,
        sold.filled,
        sold.leaves,
    )
    assert [(0, venue.at)] == [(e.canceled_qty, e.at) for e in venue.happened(OrderCanceled)]
    assert 2 == len(venue.happened(TradeReversed)) == len(venue.happened(PositionReversed))
    clearing = venue.ledger[HOUSE, int(Ledger.CLEARING)]
    assert 0 == clearing


def test_a_trade_is_busted_once(venue):
    """The second time there is no such trade, and none to correct either."""
    assert "" == code(venue.bust_last())
    assert "UNKNOWN_TRADE" == code(venue.bust_last())
    assert "UNKNOWN_TRADE" == code(venue.correct_last(99))
    assert "UNKNOWN_TRADE" == code(venue.send(BustTrade(uuid.UUID(int=3), 1, "never was")))


def test_a_correction_books_the_trade_again_at_the_new_price(venue):
    """Both sides reversed at the old price and booked at the new one, as often as needed."""
    for price in (99, "101.25", 100):
        assert "" == code(venue.correct_last(price))
        paid = cents(price) * 4
        assert [(-paid, shares(1004)), (paid, shares(996))] == money(venue)
        assert wire(price) // 10**5 * shares(4) == venue.order(venue.bought).value
    assert 2 == len(venue.happened(TradeReversed)) == len(venue.happened(TradeBooked))


def test_a_corrected_trade_is_busted_at_the_corrected_price(venue):
    """Nothing of it remains."""
    venue.correct_last(95)
    venue.bust_last()
    assert [(0, shares(1000))] * 2 == money(venue)
    assert 0 == venue.order(venue.bought).value


def test_a_price_off_the_tick_corrects_nothing(venue):
    """A refused correction changes nothing, and the trade may be corrected afterwards."""
    before = state_hash(venue.desk)
    assert "TICK_VIOLATION" == code(venue.correct_last("99.005"))
    assert before == state_hash(venue.desk)
    assert "" == code(venue.correct_last(99))


def test_busts_and_corrections_survive_a_snapshot(venue):
    """A desk that was rebuilt refuses and reprices like the one that lived on."""
    venue.correct_last(95)
    copy = load(dump(venue.desk))
    assert copy.trades.corrected == venue.desk.trades.corrected
    venue.bust_last()
    assert load(dump(venue.desk)).trades.busted == venue.desk.trades.busted


def test_a_bought_share_that_was_sold_on_leaves_the_seller_short_when_busted(venue):
    """Quantity and profit stay exact: the house invents no share and no cent."""
    empty = venue.account("empty")
    venue.place(venue.b, SELL, 2, 100)
    venue.cancel(venue.a, venue.bought)
    venue.place(venue.b, SELL, 2, 100)
    venue.place(empty, BUY, 2, 100)
    fills = [event for event in venue.log if isinstance(event, OrderFilled)][-2:]
    venue.place(venue.a, BUY, 2, 110)
    venue.place(empty, SELL, 2, 110)
    venue.desk.trades_found[fills[0].trade_id] = (fills[0], fills[1])
    assert "" == code(venue.send(BustTrade(fills[0].trade_id, 1, "erroneous")))
    short = next(p for p in venue.desk.accounts.positions.values() if p.account_id == empty)
    assert (shares(-2), cents(220)) == (short.qty, venue.desk.accounts.by_id[empty.int].unsettled)
    # Cash less basis plus nothing left to close is what was realized.
    assert venue.desk.accounts.by_id[empty.int].unsettled == short.realized - short.cost
    assert "INSUFFICIENT_QTY" == code(venue.place(empty, SELL, 1, 110))


def test_a_correction_needs_its_trade_found_first(venue):
    """The log is asked before; what was not found there does not exist."""
    trade_id = venue.happened(OrderFilled)[0].trade_id
    assert "UNKNOWN_TRADE" == code(venue.send(CorrectTrade(trade_id, 1, wire(99), "mispriced")))


def test_an_exit_that_a_bust_takes_away_moves_the_touch_that_stops_watch():
    """The offer of shares that are no longer held ends, and the stop over it is elected."""
    venue = trading_desk(trigger_rule=int(TriggerRule.BID_ASK))
    poor = venue.account("poor")
    venue.place(venue.b, SELL, 5, 100)
    venue.place(poor, BUY, 5, 100)
    trade = venue.happened(OrderFilled)
    offered = venue.place(poor, SELL, 5, 102).order.order_id
    venue.place(venue.b, SELL, 5, 106)
    venue.place(venue.a, BUY, 5, stop=104)
    venue.desk.trades_found[trade[0].trade_id] = (trade[0], trade[1])

    assert "" == code(venue.send(BustTrade(trade[0].trade_id, 1, "erroneous")))

    reasons = {e.originator_id: e.reason for e in venue.happened(OrderCanceled)}
    assert CancelReason.POSITION_CLOSED == reasons[offered]
    assert OrderStatus.CANCELED == venue.order(offered).status
    assert 1 == len(venue.elections()) == len(venue.trades())


def test_a_corrected_trade_is_counted_once_in_its_month(venue):
    """What the month's tiers are measured by does not grow when a price is put right."""
    before = [(a.month, a.month_qty) for a in venue.desk.accounts.by_id.values()]

    venue.correct_last(101)

    assert before == [(a.month, a.month_qty) for a in venue.desk.accounts.by_id.values()]
    assert shares(4) == before[0][1]


def test_a_correction_says_what_the_fill_costs_altogether(venue):
    """The difference is posted; the fee after it is the fill's, correction after correction."""
    venue.ok(SetCommissionSchedule(venue.a, int(Kind.BPS), ((0, 100_000, 100_000),)))
    venue.place(venue.b, SELL, 4, 100)

    fees = []
    for price in (120, 90):
        venue.correct_last(price)
        (event,) = (e for e in venue.happened(OrderFillCorrected) if e.account_id == venue.a)
        fees.append((event.fee, event.fee_after))

    assert [(cents("0.80"), cents("4.80")), (-cents("1.20"), cents("3.60"))] == fees


def test_a_bust_costs_nothing_though_a_minimum_has_come_since(venue):
    """A schedule that grew dearer meanwhile is for what trades from then on."""
    rate = ((0, 1_000_000, 1_000_000),)
    venue.ok(SetCommissionSchedule(venue.a, int(Kind.PER_SHARE), rate))
    venue.place(venue.b, SELL, 2, 100)
    venue.place(venue.b, SELL, 2, 100)
    before = venue.desk.accounts.by_id[venue.a.int].commissions
    venue.ok(SetCommissionSchedule(venue.a, int(Kind.PER_SHARE), rate, cents(1)))

    venue.bust_last()

    assert venue.desk.accounts.by_id[venue.a.int].commissions <= before


@pytest.mark.parametrize("places", [0, 4, 9])
def test_a_correction_beyond_what_books_hold_is_refused_before_anything_moves(places):
    """A price that is a slip of the hand is refused by what it makes the trade worth."""
    venue = trading_desk(price_decimals=places, tick=wire(1), reference_price=wire(1))
    venue.hold(venue.b, 10**8)
    venue.place(venue.a, BUY, 800_000, 1)
    venue.place(venue.b, SELL, 800_000, 1)
    before = state_hash(venue.desk)

    refused = venue.correct_last(8 * 10**7).refusal

    assert refused is not None and "INVALID_AMOUNT" == refused.code
    assert "price" == refused.details["field"]
    assert "worth more than 10000000000000.00" in refused.message
    assert before == state_hash(venue.desk)
    assert "" == code(venue.correct_last(12_000_000))

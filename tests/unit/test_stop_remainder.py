"""What market orders and elected stops leave at their protection price: it rests or it ends."""

import pytest

from application.commands import BustTrade, ChangeInstrument, ListInstrument
from domain.events import (
    GroupEnded,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderTriggered,
)
from domain.terms import (
    AccountKind,
    CancelReason,
    GroupEnd,
    Leg,
    OrderStatus,
    Remainder,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerRule,
)
from tests.model.desk_harness import cents, code, shares, wire
from tests.model.group_desk import GroupDesk, group_desk

BUY, SELL = Side.BUY, Side.SELL
DAY, GTC, IOC, FOK = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK
TERMS = {"collar_bps": 1_000, "protection_bps": 100}


@pytest.fixture
def venue() -> GroupDesk:
    """One instrument with a collar of ten percent and a protection of one, about 100."""
    return group_desk(**TERMS)


def print_at(venue: GroupDesk, price, qty=1) -> None:
    """Let a third party sell to a fourth at a price; whoever bids as much first is bought from."""
    if "buyer" not in venue.desk.accounts.by_name:
        venue.account("buyer")
        venue.hold(venue.account("seller"), 1000)
    names = venue.desk.accounts.by_name
    buyer, seller = names["buyer"].id, names["seller"].id
    venue.place(buyer, BUY, qty, price)
    venue.place(seller, SELL, qty, price)


def buy(venue: GroupDesk, account, qty) -> tuple[OrderFilled, OrderFilled]:
    """Let an account buy from b at 100; both sides of the trade."""
    venue.place(venue.b, SELL, qty, 100)
    venue.place(account, BUY, qty, 100)
    one, other = venue.happened(OrderFilled)
    return one, other


def bust(venue: GroupDesk, fills: tuple[OrderFilled, OrderFilled]) -> None:
    """Undo a trade."""
    venue.desk.trades_found[fills[0].trade_id] = fills
    venue.ok(BustTrade(fills[0].trade_id, 1, "erroneous"))


def held_qty(venue: GroupDesk, account) -> int:
    """What exits of an account have set aside."""
    positions = venue.desk.accounts.positions.values()
    return next(one.reserved for one in positions if one.account_id == account)


def test_stop_remainder_of_a_bracket_works_at_its_protection_price_and_leaves_nothing_bare(venue):
    """Bids 1 at 95 and 50 at 85: one is sold at 95, nine are offered at 94.05."""
    venue.place(venue.b, SELL, 10, 100)
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 95, limit=100))
    venue.ok(ChangeInstrument("X", collar_bps=2_000))
    venue.place(venue.b, BUY, 50, 85)
    venue.ok(ChangeInstrument("X", collar_bps=1_000))
    venue.place(venue.b, BUY, 1, 95)
    print_at(venue, 95)

    sold = [(e.qty, e.price) for e in venue.happened(OrderFilled) if e.leg == Leg.STOP_LOSS]
    assert [(shares(1), 95_0000)] == sold
    [triggered] = venue.happened(OrderTriggered)
    assert (94_0500, True) == (triggered.protection_price, triggered.rests)
    assert [(str(legs.stop_loss), 94_0500, shares(9))] == venue.book(SELL)
    assert legs.group.int in venue.desk.orders.groups
    assert shares(9) == held_qty(venue, venue.a)


def test_stop_remainder_that_trades_to_its_end_ends_its_group_as_stopped(venue):
    """Whoever pays the protection price gets the rest."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 95))
    venue.place(venue.b, BUY, 1, 95)
    print_at(venue, 95)
    venue.place(venue.b, BUY, 4, "94.05")
    assert 5 == venue.leaves(legs.stop_loss)
    assert [] == venue.happened(GroupEnded)
    venue.place(venue.b, BUY, 9, "94.10")
    [ended] = venue.happened(GroupEnded)
    assert (GroupEnd.STOP_LOSS, shares(10)) == (ended.reason, ended.filled)


def test_stop_remainder_canceled_by_its_client_ends_its_group_as_canceled(venue):
    """It is the client's word, and the event says so."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 95))
    print_at(venue, 95)
    venue.cancel(venue.a, legs.stop_loss)
    [canceled] = venue.happened(OrderCanceled)
    assert (CancelReason.CLIENT, shares(10)) == (canceled.reason, canceled.canceled_qty)
    assert GroupEnd.CANCELED == venue.happened(GroupEnded)[0].reason
    assert 0 == held_qty(venue, venue.a)


def test_stop_remainder_of_a_day_group_expires_with_its_session(venue):
    """Its own time in force ends it, and the group with it."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 95, tif=DAY))
    print_at(venue, 95)
    assert [(str(legs.stop_loss), 94_0500, shares(10))] == venue.book(SELL)
    venue.close()
    assert 1 == venue.expire()
    assert GroupEnd.EXPIRED == venue.happened(GroupEnded)[0].reason


def test_stop_remainder_outlives_the_session_where_its_order_does(venue):
    """A gtc rest takes part in the next auction as the limit that it is."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 95))
    print_at(venue, 95)
    venue.close()
    venue.place(venue.b, BUY, 10, 96)
    venue.open()
    assert "filled" == venue.status(legs.stop_loss)


def test_stop_remainder_gives_way_when_its_position_is_gone(venue):
    """It is never for more than is held, and ends with the last of it."""
    account = venue.account("d")
    four, six = buy(venue, account, 4), buy(venue, account, 6)
    legs = venue.legs(venue.oco(account, SELL, 10, 110, 95))
    print_at(venue, 95)
    bust(venue, four)
    assert 6 == venue.leaves(legs.stop_loss)
    bust(venue, six)
    assert GroupEnd.POSITION_CLOSED == venue.happened(GroupEnded)[0].reason


def test_stop_remainder_of_a_single_stop_rests(venue):
    """Ten asked for, three bid within reach: seven go on at 94.05."""
    stop = venue.place(venue.a, SELL, 10, stop=95, client="stop").order
    venue.place(venue.b, BUY, 3, "94.50")
    print_at(venue, 95)
    order = venue.order(stop.order_id)
    assert (shares(3), shares(7), OrderStatus.PARTIALLY_FILLED) == (
        order.filled,
        order.leaves,
        order.status,
    )
    assert [("stop", 94_0500, shares(7))] == venue.book(SELL)


@pytest.mark.parametrize("tif", [DAY, GTC, TimeInForce.GTD])
def test_stop_remainder_of_a_market_order_rests_at_the_protection_of_the_best_offer(venue, tif):
    """From 102, one percent: it pays up to 103.02 and bids that for the rest, which it holds."""
    venue.place(venue.b, SELL, 2, 102)
    venue.place(venue.b, SELL, 2, "103.02")
    venue.place(venue.b, SELL, 2, "103.03")
    expires_at = venue.at + 10**9 if tif == TimeInForce.GTD else 0
    order = venue.place(venue.a, BUY, 10, tif=tif, client="market", expires_at=expires_at).order
    assert [102_0000, 103_0200] == [price for _, _, _, price in venue.trades()]
    assert [("market", 103_0200, shares(6))] == venue.book(BUY)
    [accepted] = venue.happened(OrderAccepted)
    assert (103_0200, 103_0200, True) == (
        accepted.protection_price,
        accepted.working_price,
        accepted.rests,
    )
    assert cents("618.12") <= venue.order(order.order_id).hold <= cents("618.20")


def test_stop_remainder_is_measured_from_the_reference_where_nobody_offers(venue):
    """An empty side has no best price: the reference of 100 stands in for it."""
    venue.place(venue.a, BUY, 5, client="buy")
    assert [("buy", 101_0000, shares(5))] == venue.book(BUY)
    venue.cancel_all(venue.a)
    venue.place(venue.a, SELL, 5, client="sell")
    assert [("sell", 99_0000, shares(5))] == venue.book(SELL)


def test_stop_remainder_never_leaves_the_collar(venue):
    """An offer beyond it is not followed: the order rests at the collar of 110."""
    venue.ok(ChangeInstrument("X", collar_bps=2_000))
    venue.place(venue.b, SELL, 5, 115)
    venue.ok(ChangeInstrument("X", collar_bps=1_000))
    venue.place(venue.a, BUY, 5, client="buy")
    assert [] == venue.trades()
    assert [("buy", 110_0000, shares(5))] == venue.book(BUY)


def test_stop_remainder_protection_wider_than_the_collar_is_the_collar(venue):
    """Whoever narrows the collar need not think of the protection."""
    venue.ok(ChangeInstrument("X", collar_bps=50))
    venue.place(venue.a, BUY, 5, client="buy")
    assert [("buy", 100_5000, shares(5))] == venue.book(BUY)


def test_stop_remainder_price_lies_on_the_tick_inward_and_a_tick_away_at_least():
    """At 0.0150 one percent is less than a tick of 0.0001: the price is one tick off."""
    venue = group_desk(tick=wire("0.0001"), reference_price=wire("0.0150"), **TERMS)
    venue.place(venue.a, SELL, 5, client="sell")
    assert [("sell", 149, shares(5))] == venue.book(SELL)
    venue.cancel_all(venue.a)
    venue.place(venue.a, BUY, 5, client="buy")
    assert [("buy", 151, shares(5))] == venue.book(BUY)


def test_stop_remainder_at_the_lowest_price_there_is_stays_on_the_book():
    """One tick above zero there is no tick below."""
    venue = group_desk(tick=wire("0.0001"), reference_price=wire("0.0001"), **TERMS)
    venue.place(venue.a, SELL, 5, client="sell")
    assert [("sell", 1, shares(5))] == venue.book(SELL)


@pytest.mark.parametrize(("tif", "traded"), [(IOC, 2), (FOK, 0)])
def test_stop_remainder_of_an_ioc_ends_and_a_fok_asks_for_all_within_its_protection(
    venue, tif, traded
):
    """Neither waits; what lies beyond the protection price is not for them."""
    venue.place(venue.b, SELL, 2, 100)
    venue.place(venue.b, SELL, 2, 102)
    order = venue.place(venue.a, BUY, 4, tif=tif).order
    assert (shares(traded), OrderStatus.CANCELED) == (order.filled, order.status)
    reason = CancelReason.PROTECTION if tif == IOC else CancelReason.FILL_OR_KILL
    assert [reason] == [e.reason for e in venue.happened(OrderCanceled)]
    assert [] == venue.book(BUY)


def test_stop_remainder_is_canceled_where_the_instrument_says_so(venue):
    """Then the stop ends, the group with it, and the event says at which bound."""
    venue.ok(ChangeInstrument("X", remainder=int(Remainder.CANCEL)))
    venue.oco(venue.a, SELL, 10, 110, 95)
    venue.place(venue.b, BUY, 1, 95)
    venue.place(venue.b, BUY, 50, 91)
    print_at(venue, 95)
    [triggered] = venue.happened(OrderTriggered)
    assert (94_0500, False) == (triggered.protection_price, triggered.rests)
    reasons = [e.reason for e in venue.happened(OrderCanceled)]
    assert [CancelReason.OTHER_LEG, CancelReason.PROTECTION] == reasons
    assert GroupEnd.STOP_LOSS == venue.happened(GroupEnded)[0].reason
    market = venue.place(venue.a, SELL, 60).order
    assert (OrderStatus.CANCELED, shares(50)) == (market.status, market.filled)


def test_stop_remainder_rests_although_its_instrument_changes_its_mind_later(venue):
    """What was said when it was elected holds for it."""
    venue.place(venue.a, SELL, 10, stop=95, client="stop")
    print_at(venue, 95)
    venue.ok(ChangeInstrument("X", remainder=int(Remainder.CANCEL), protection_bps=1))
    venue.place(venue.b, BUY, 4, "94.05")
    assert [("stop", 94_0500, shares(6))] == venue.book(SELL)


def test_stop_remainder_has_its_price_from_what_was_seen_and_not_from_the_stop(venue):
    """A gap to 92 is followed to 91.08."""
    venue.place(venue.a, SELL, 10, stop=95, client="stop")
    print_at(venue, 92)
    assert [("stop", 91_0800, shares(10))] == venue.book(SELL)


def test_stop_remainder_of_a_short_covers_at_what_was_seen_however_far(venue):
    """An exit holds no money that could bound it: 120 was seen, it bids 121.20."""
    venue.ok(ChangeInstrument("X", collar_bps=5_000, shortable=True))
    short = venue.account("short", 100_000, kind=AccountKind.MARGIN)
    venue.place(venue.b, BUY, 10, 100)
    venue.place(short, SELL, 10, 100)
    legs = venue.legs(venue.oco(short, BUY, 10, 90, 105))
    venue.ok(ChangeInstrument("X", collar_bps=2_500))
    print_at(venue, 120)
    assert [(str(legs.stop_loss), 121_2000, shares(10))] == venue.book(BUY)


def test_stop_remainder_that_opens_never_bids_beyond_what_it_holds(venue):
    """Held for was the collar of its stop price, 111.10, however far the market ran."""
    venue.place(venue.a, BUY, 10, stop=101, client="stop")
    held = venue.desk.accounts.by_id[venue.a.int].held
    venue.ok(ChangeInstrument("X", collar_bps=2_000))
    print_at(venue, 115)
    assert [("stop", 111_1000, shares(10))] == venue.book(BUY)
    assert held == venue.desk.accounts.by_id[venue.a.int].held


def test_stop_remainder_of_one_stop_trades_with_the_next_that_is_elected():
    """A cascade: the first stop's rest is what the second one meets."""
    venue = group_desk(trigger_rule=int(TriggerRule.MARK), **TERMS)
    venue.mark(100)
    venue.place(venue.a, SELL, 10, stop=95, client="sell")
    venue.place(venue.b, BUY, 4, stop=105, client="buy")
    venue.mark(95)
    assert [("sell", 94_0500, shares(10))] == venue.book(SELL)
    venue.mark(105)
    assert [("buy", "sell", shares(4), 94_0500)] == venue.trades()


@pytest.mark.parametrize("prevention", list(SelfTrade))
def test_stop_remainder_is_not_ended_by_its_owners_own_bid(venue, prevention):
    """What stands in the way of an exit ends, whatever it says: its position stays covered."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 95, self_trade=prevention))
    own = venue.place(venue.a, BUY, 5, "94.50").order
    venue.place(venue.b, BUY, 3, "94.20")
    print_at(venue, 95)
    assert OrderStatus.CANCELED == venue.order(own.order_id).status
    assert [(str(legs.stop_loss), 94_0500, shares(7))] == venue.book(SELL)


def test_stop_remainder_ends_its_owners_group_that_only_opens(venue):
    """An oco that would buy more is no exit of anything: it gives way like any order."""
    opening = venue.legs(venue.oco(venue.a, BUY, 5, "94.50", 108))
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 95))
    print_at(venue, 95)
    assert [(str(legs.stop_loss), 94_0500, shares(10))] == venue.book(SELL)
    assert "canceled" == venue.status(opening.take_profit)


def test_group_that_only_opens_gives_way_to_its_owners_order_as_it_says(venue):
    """Coming last it is canceled itself, as any order that asks for nothing else."""
    venue.place(venue.a, SELL, 5, 99, client="offer")
    legs = venue.legs(venue.oco(venue.a, BUY, 5, 99, 108))
    assert "canceled" == venue.status(legs.take_profit)
    assert [("offer", 99_0000, shares(5))] == venue.book(SELL)


def test_stop_remainder_that_meets_an_exit_of_its_owner_ends_as_it_says(venue):
    """Neither exit may end, and they may not trade: whoever comes last decides, as ever."""
    venue.ok(ChangeInstrument("X", shortable=True))
    one = venue.account("one", 100_000, owner="same", kind=AccountKind.MARGIN)
    two = venue.account("two", 100_000, owner="same", kind=AccountKind.MARGIN)
    venue.hold(one, 10)
    venue.place(venue.b, BUY, 10, 100)
    venue.place(two, SELL, 10, 100)
    covering = venue.legs(venue.oco(two, BUY, 10, "94.50", 108))
    selling = venue.legs(venue.oco(one, SELL, 10, 110, 95))
    print_at(venue, 95)
    assert ("new", "canceled") == (
        venue.status(covering.take_profit),
        venue.status(selling.stop_loss),
    )
    ended = {e.originator_id: e.reason for e in venue.happened(OrderCanceled)}
    assert CancelReason.SELF_TRADE == ended[selling.stop_loss]


def test_stop_remainder_asked_for_in_other_size_keeps_its_price(venue):
    """Less keeps its place; more goes last; a limit it has none."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 95))
    print_at(venue, 95)
    assert "" == code(venue.replace(venue.a, legs.stop_loss, qty=8))
    assert [(str(legs.stop_loss), 94_0500, shares(8))] == venue.book(SELL)
    assert "" == code(venue.replace(venue.a, legs.stop_loss, qty=12))
    assert [(str(legs.stop_loss), 94_0500, shares(12))] == venue.book(SELL)
    assert "NOTHING_TO_REPLACE" == code(venue.replace(venue.a, legs.stop_loss, limit=93))
    venue.place(venue.b, BUY, 12, 95)
    assert GroupEnd.STOP_LOSS == venue.happened(GroupEnded)[0].reason


def test_stop_remainder_of_a_market_entry_goes_on_buying_for_its_exits(venue):
    """Three were offered: the exits are for three, and grow with what the rest brings."""
    venue.place(venue.b, SELL, 3, 100)
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90))
    assert (3, 7) == (venue.leaves(legs.take_profit), venue.leaves(legs.entry))
    assert [(101_0000, shares(7))] == [row[1:] for row in venue.book(BUY)]
    venue.place(venue.b, SELL, 7, 101)
    assert (10, 10) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))


def test_stop_remainder_is_busted_as_any_order_is(venue):
    """The undone trade stays undone; what rests goes on."""
    stop = venue.place(venue.a, SELL, 10, stop=95, client="stop").order
    venue.place(venue.b, BUY, 3, "94.50")
    print_at(venue, 95)
    venue.bust_last()
    assert [("stop", 94_0500, shares(7))] == venue.book(SELL)
    assert 0 == venue.order(stop.order_id).filled


def test_stop_remainder_terms_are_one_percent_and_rest_unless_said_otherwise():
    """The numbers an instrument begins with."""
    venue = group_desk()
    listed = ListInstrument("Y", "Y", "us_equity", "24/7", 4, wire("0.01"), shares(1))
    venue.ok(listed)
    instrument = venue.desk.markets.by_symbol["Y"].instrument
    assert (100, Remainder.REST) == (instrument.protection_bps, instrument.remainder)
    venue.ok(ChangeInstrument("X", protection_bps=25, remainder=int(Remainder.CANCEL)))
    instrument = venue.desk.markets.by_symbol["X"].instrument
    assert (25, Remainder.CANCEL) == (instrument.protection_bps, instrument.remainder)
    for wrong in ({"protection_bps": 0}, {"protection_bps": 10_000}, {"remainder": 3}):
        refused = venue.send(ChangeInstrument("X", **wrong))
        assert "INVALID_FIELD" == code(refused)
        assert next(iter(wrong)) == refused.refusal.details["field"]


def test_stop_remainder_on_a_desk_that_restarts_before_every_command():
    """The rest is state of the log like everything else."""
    venue = group_desk(restarts=True, **TERMS)
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 95))
    venue.place(venue.b, BUY, 1, 95)
    print_at(venue, 95)
    venue.place(venue.b, BUY, 2, "94.05")
    assert 7 == venue.leaves(legs.stop_loss)
    assert [(str(legs.stop_loss), 94_0500, shares(7))] == venue.book(SELL)


@pytest.mark.parametrize("entry_stop", [None, 100])
def test_stop_remainder_of_an_entry_rests_a_tick_short_of_its_own_take_profit(entry_stop):
    """Its protection of 101 lies past the take-profit at 100.50: there its own exit would meet
    it and end it. It works on at 100.49, and the exit beside it.
    """
    desk = group_desk(collar_bps=1_000, protection_bps=100)
    desk.place(desk.b, Side.SELL, 4, 100)
    legs = desk.legs(desk.bracket(desk.a, Side.BUY, 10, "100.5", 95, entry_stop=entry_stop))
    if entry_stop:
        maker = desk.account("maker")
        desk.place(maker, Side.BUY, 1, 100)
    entry = desk.order(legs.entry)
    sold = 4 - (1 if entry_stop else 0)

    assert ("partially_filled", 10 - sold) == (desk.status(legs.entry), desk.leaves(legs.entry))
    assert entry.working_price == entry.protection_price == 1_004_900
    assert ("new", sold) == (desk.status(legs.take_profit), desk.leaves(legs.take_profit))

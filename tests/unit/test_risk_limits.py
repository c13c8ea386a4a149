"""Limits set by commands: kill switches, unsettled proceeds, and their order."""

from typing import Any

import pytest

from application.commands import (
    CancelAll,
    ChangeInstrument,
    SetAccountPolicy,
    SetKillSwitch,
)
from application.desk.state import dump, load
from domain.events import AccountKillSwitched, TradeBooked, VenueKillSwitched
from domain.terms import Side
from tests.model.desk_harness import DeskHarness, cents, code, shares, trading_desk

BUY, SELL = Side.BUY, Side.SELL
SECOND = 1_000_000


@pytest.mark.parametrize("whole_venue", [False, True])
def test_an_engaged_kill_switch_stops_orders_and_replaces_but_no_cancels(whole_venue):
    """Per account and for the venue as a whole, each with a code of its own."""
    venue = trading_desk()
    reply = venue.place(venue.a, BUY, 1, 90)
    assert reply.order is not None
    expected = "VENUE_KILL_SWITCH" if whole_venue else "ACCOUNT_KILL_SWITCH"

    venue.ok(SetKillSwitch(None if whole_venue else venue.a, True, "runaway"))

    order_id = reply.order.order_id
    assert expected == code(venue.place(venue.a, BUY, 1, 90))
    assert expected == code(venue.replace(venue.a, order_id, limit=91))
    assert "" == code(venue.cancel(venue.a, order_id))


def test_one_accounts_kill_switch_leaves_the_others_alone():
    """Only the account that was stopped is stopped."""
    venue = trading_desk()

    venue.ok(SetKillSwitch(venue.a, True, "runaway"))

    assert "" == code(venue.place(venue.b, BUY, 1, 90))


def test_a_released_kill_switch_lets_orders_in_again():
    """Engaging and releasing are events; doing either twice is none."""
    venue = trading_desk()
    venue.ok(SetKillSwitch(venue.a, True, "runaway"))
    assert 1 == len(venue.happened(AccountKillSwitched))
    venue.ok(SetKillSwitch(venue.a, True, "again"))
    assert [] == venue.events
    venue.ok(SetKillSwitch(None, True, "all"))
    assert 1 == len(venue.happened(VenueKillSwitched))

    venue.ok(SetKillSwitch(venue.a, False))
    venue.ok(SetKillSwitch(None, False))

    assert "" == code(venue.place(venue.a, BUY, 1, 90))


def test_an_engaged_kill_switch_is_engaged_after_a_restart():
    """The venue's switch is state like all else."""
    venue = trading_desk()
    venue.ok(SetKillSwitch(None, True, "all"))

    assert load(dump(venue.desk)).accounts.venue.killed
    assert venue.follower.accounts.venue.killed


def test_working_orders_of_a_stopped_account_can_be_taken_out():
    """Cancel-all works while the switch is engaged."""
    venue = trading_desk()
    for _ in range(3):
        venue.place(venue.a, BUY, 1, 90)
    venue.ok(SetKillSwitch(venue.a, True, "runaway"))

    result = venue.ok(CancelAll(venue.a)).result

    assert result is not None
    assert 3 == len(result["canceled"])


LATE_CHECKS: list[tuple[str, Any]] = [
    ("POSITION_LIMIT_EXCEEDED", lambda v: v.ok(ChangeInstrument("X", position_limit=shares(1)))),
    ("INSUFFICIENT_BUYING_POWER", lambda v: v.place(v.a, BUY, 9_999, 100)),
    ("ACCOUNT_KILL_SWITCH", lambda v: v.ok(SetKillSwitch(v.a, True, ""))),
    ("VENUE_KILL_SWITCH", lambda v: v.ok(SetKillSwitch(None, True, ""))),
]


@pytest.mark.parametrize("first", range(len(LATE_CHECKS)))
def test_the_first_check_that_fails_answers(first):
    """Position limit, buying power, account's and venue's switch, in this order."""
    venue = trading_desk()
    # Set from the last to the first: what is set later must not be refused by what stands.
    for row in (1, 0, 2, 3):
        if row >= first:
            LATE_CHECKS[row][1](venue)

    assert LATE_CHECKS[first][0] == code(venue.place(venue.a, BUY, 2_000, 100))


def sold_and_rebought(use_unsettled: bool) -> DeskHarness:
    """A cash account with a cent sells 100 held shares and buys 50 with the proceeds."""
    venue = DeskHarness()
    venue.instrument()
    venue.a = venue.account("a", "0.01")
    venue.b = venue.account("b", 1_000_000)
    venue.hold(venue.a, 100)
    venue.hold(venue.b, 1_000)
    venue.ok(SetAccountPolicy(venue.a, True)) if use_unsettled else None
    venue.place(venue.b, BUY, 100, 100)
    venue.place(venue.a, SELL, 100, 100)
    venue.place(venue.b, SELL, 50, 100)
    venue.place(venue.a, BUY, 50, 100)
    return venue


def test_unsettled_proceeds_buy_nothing_without_the_policy():
    """What was sold today is no money before it settles."""
    venue = sold_and_rebought(False)

    assert [] == venue.trades()
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(venue.a, BUY, 1, 100))


def test_shares_bought_with_unsettled_proceeds_cannot_be_sold():
    """By policy the proceeds buy; what they bought is unpaid and stays until it settles."""
    venue = sold_and_rebought(True)

    (booked,) = (e for e in venue.happened(TradeBooked) if e.originator_id == venue.a)
    reply = venue.place(venue.a, SELL, 50, 100)

    assert (shares(50), cents(5_000)) == (booked.unpaid_qty, booked.unpaid_after)
    assert "FREE_RIDING" == code(reply)


def test_a_purchase_that_settled_money_covers_may_be_sold_at_once():
    """Only what proceeds stand for is free riding."""
    venue = sold_and_rebought(True)
    rich = venue.account("rich", 100_000)
    venue.ok(SetAccountPolicy(rich, True))
    venue.place(venue.b, SELL, 50, 100)
    venue.place(rich, BUY, 50, 100)

    assert "" == code(venue.place(rich, SELL, 50, 100))


def test_settled_money_pays_first_whatever_the_order():
    """Purchases that were covered stay covered when proceeds pay for a later one."""
    venue = sold_and_rebought(True)
    venue.place(venue.b, SELL, 50, 100)
    venue.place(venue.a, BUY, 50, 100)

    account = venue.desk.accounts.by_id[venue.a.int]
    assert (cents(10_000), shares(100)) == (
        account.unpaid,
        venue.desk.accounts.positions_of(venue.a)[0].unpaid,
    )


def test_a_busted_unpaid_purchase_is_no_longer_unpaid():
    """Undone trades leave nothing behind in what is unpaid."""
    venue = sold_and_rebought(True)

    venue.bust_last()

    account = venue.desk.accounts.by_id[venue.a.int]
    position = venue.desk.accounts.positions_of(venue.a)[0]
    assert (0, 0, 0) == (account.unpaid, position.unpaid, position.qty)

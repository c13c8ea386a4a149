"""Money and shares that look free and are not: trades undone late, policies that change."""

from __future__ import annotations

from uuid import UUID

import pytest

from application.commands import Deposit, SetAccountPolicy, Withdraw
from application.desk.state import dump, load
from domain.terms import OrderStatus, Side
from tests.model.desk_harness import cents, shares
from tests.model.settling_desk import (
    FRIDAY,
    MONDAY,
    THURSDAY,
    WEDNESDAY,
    SettlingDesk,
    settling_desk,
)


@pytest.fixture
def venue() -> SettlingDesk:
    """X, `a` with a thousand shares, `b` with none, both with 100,000 USD."""
    return settling_desk()


def undone_after_settlement(venue: SettlingDesk) -> None:
    """`b` bought ten of `a` for 1,000.00, both settled, and then the trade is busted."""
    venue.day(MONDAY, WEDNESDAY)
    erroneous = venue.trade(venue.b, venue.a, 10, 100)
    venue.run(WEDNESDAY)
    venue.day(THURSDAY, FRIDAY)
    venue.bust(erroneous)


def refused(venue: SettlingDesk, account: UUID, amount: int | str) -> str:
    """The code with which a withdrawal is refused, if it is."""
    reply = venue.send(Withdraw(account, cents(amount), f"w{venue.number}"))
    return reply.refusal.code if reply.refusal is not None else ""


def test_settlement_undone_brings_the_buyer_nothing_before_it_settles(venue):
    """What a busted purchase gives back is not cash yet: nobody withdraws more than he has."""
    undone_after_settlement(venue)

    assert "INSUFFICIENT_CASH" == refused(venue, venue.b, "99000.01")
    assert cents(99_000) == venue.desk.accounts.by_id[venue.b.int].funds
    assert "" == refused(venue, venue.b, 99_000)
    assert 0 == venue.desk.accounts.by_id[venue.b.int].cash

    venue.run(FRIDAY)
    assert "" == refused(venue, venue.b, 1_000)


def test_settlement_undone_claims_the_sellers_proceeds_at_once(venue):
    """What a busted sale brought has to go back: it neither leaves nor buys."""
    undone_after_settlement(venue)

    assert "INSUFFICIENT_CASH" == refused(venue, venue.a, "100000.01")
    assert cents(100_000) == venue.desk.accounts.by_id[venue.a.int].funds
    assert "" == refused(venue, venue.a, 100_000)

    assert [] == venue.short(FRIDAY)
    assert (0, 0, 0) == venue.money(venue.a)


def recycler(venue: SettlingDesk) -> UUID:
    """An account with a cent that has sold ten shares for 1,000.00, and may use them at once."""
    account = venue.account("c", "0.01", use_unsettled=True)
    venue.hold(account, 10)
    venue.trade(venue.b, account, 10, 100)
    return account


def test_settlement_policy_taken_back_still_marks_what_its_proceeds_buy(venue):
    """An order that proceeds were held for fills later: its shares cannot be sold unpaid."""
    venue.day(MONDAY, WEDNESDAY)
    account = recycler(venue)
    assert venue.place(account, Side.BUY, 10, 100).refusal is None
    venue.ok(SetAccountPolicy(account, False))
    venue.place(venue.a, Side.SELL, 10, 100)

    reply = venue.place(account, Side.SELL, 10, 100)

    assert reply.refusal is not None
    assert "FREE_RIDING" == reply.refusal.code
    venue.run(WEDNESDAY)
    assert venue.place(account, Side.SELL, 10, 100).refusal is None


def test_settlement_bust_leaves_exits_only_what_is_paid_for(venue):
    """Ten paid and ten unpaid shares, the paid ones busted: their exit ends, for it would sell
    what cannot be sold before it settles.
    """
    venue.day(MONDAY, WEDNESDAY)
    account = recycler(venue)
    venue.ok(Deposit(account, cents(1_000), "own money"))
    paid = venue.trade(account, venue.a, 10, 100)
    venue.trade(account, venue.a, 10, 100)
    exit_id = venue.place(account, Side.SELL, 10, 110).order.order_id

    venue.bust(paid)

    assert "canceled" == OrderStatus(venue.order(exit_id).status).name.lower()
    assert venue.place(account, Side.SELL, 1, 110).refusal.code == "FREE_RIDING"


def test_settlement_bust_knows_that_its_trade_settled_before_others_of_the_same_date(venue):
    """Trades after the run of their own value date owe anew: the bust of one that the run
    settled takes nothing out of what is unpaid now.
    """
    venue.day(MONDAY, WEDNESDAY)
    account = recycler(venue)
    settled = venue.trade(account, venue.a, 10, 100)
    venue.run(WEDNESDAY)
    venue.trade(venue.b, account, 5, 100)
    venue.trade(account, venue.a, 5, 100)
    position = venue.desk.accounts.positions[
        account.int, venue.desk.markets.by_symbol["X"].instrument.id.int
    ]
    assert (shares(10), shares(5)) == (position.qty, position.unpaid)

    venue.bust(settled)

    assert (shares(0), shares(5)) == (position.qty, position.unpaid)
    assert 0 == position.closable(Side.SELL)
    assert cents(500) == venue.desk.accounts.by_id[account.int].unpaid
    venue.run(WEDNESDAY)
    assert 0 == position.unpaid == venue.desk.accounts.by_id[account.int].unpaid


def test_settlement_bust_of_shares_sold_on_leaves_them_to_be_paid_for(venue):
    """A cash account that owes shares after a bust buys them with its money, as all it buys."""
    account = venue.account("c", "1000.01")
    venue.day(MONDAY, WEDNESDAY)
    erroneous = venue.trade(account, venue.a, 10, 100)
    venue.trade(venue.b, account, 10, 100)
    venue.bust(erroneous)
    assert (-10, 0) == venue.holds(account)

    reply = venue.place(account, Side.BUY, 10, "100.01")

    assert reply.refusal is not None
    assert "INSUFFICIENT_BUYING_POWER" == reply.refusal.code
    venue.trade(account, venue.a, 10, 100)
    assert (0, 0) == venue.holds(account)
    assert [] == venue.short(WEDNESDAY)


def test_gross_quantities_past_64_bits_are_kept_in_a_snapshot(venue):
    """Traded to and fro all day, what was bought and sold may be more than a number holds."""
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, venue.a, 10, 100)
    owed = next(iter(venue.desk.accounts.obligations.values()))
    owed.bought_qty += 2**70
    owed.sold_qty += 2**70

    kept = load(dump(venue.desk))

    assert [one.state() for one in venue.desk.accounts.obligations.values()] == [
        one.state() for one in kept.accounts.obligations.values()
    ]

"""Margin accounts: what positions bind, shorting, calls, and exits that reserve each share once."""

from typing import Any
from uuid import UUID

import pytest

from application.audit.verify import verify
from application.commands import (
    ChangeInstrument,
    CheckMargins,
    Deposit,
    OpenAccount,
    PlaceOrder,
    SetAccountPolicy,
    SetAccountStatus,
    TransferPosition,
    Withdraw,
)
from application.deciding.checks import buying_power
from domain.events import MarginCalled, MarginCallMet, OrderAdjusted
from domain.margin import Holding, equity, free_margin, margin_of, requirement
from domain.terms import AccountKind, Adjustment, OrderStatus, Side, TriggerRule
from infrastructure.log.audit_source import StoredCodec
from tests.model.desk_harness import DeskHarness, cents, code, shares, wire
from tests.model.memory_audit import MemoryAuditSource
from tests.model.memory_writer import logged

BUY, SELL = Side.BUY, Side.SELL


def margin_account(venue: DeskHarness, name: str, cash: int = 10_000) -> UUID:
    """A margin account with money in it."""
    reply = venue.ok(OpenAccount(name, "", int(AccountKind.MARGIN)))
    assert reply.result is not None
    account = UUID(reply.result["account_id"])
    if cash:
        venue.ok(Deposit(account, cents(cash), f"cash-{name}"))
    return account


def margin_desk(**terms: Any) -> DeskHarness:
    """An open instrument that is easy to borrow, a margin account `a` and a rich one `b`."""
    venue = DeskHarness()
    venue.instrument(**{"shortable": True, **terms})
    venue.a = margin_account(venue, "a")
    venue.b = venue.account("b", 10_000_000)
    venue.hold(venue.b, 100_000)
    return venue


def free(venue: DeskHarness, account: UUID) -> int:
    """What new orders of the account may hold, in cents."""
    return buying_power(venue.desk, venue.desk.accounts.by_id[account.int])


def bought(venue: DeskHarness, qty: int, price: int = 100) -> None:
    """Let `a` buy from `b`."""
    venue.place(venue.b, SELL, qty, price)
    venue.place(venue.a, BUY, qty, price)
    assert venue.trades()


def shorted(venue: DeskHarness, qty: int, price: int = 100) -> None:
    """Let `a` sell short to `b`."""
    venue.place(venue.b, BUY, qty, price)
    venue.place(venue.a, SELL, qty, price)
    assert venue.trades()


def test_a_requirement_is_rounded_up_to_the_cent():
    """What must be covered is never a fraction of a cent too little."""
    assert 5_000_00 == requirement(100_0000, shares(100), 4, 5_000)
    assert 1 == requirement(1, 1, 4, 1)


def test_values_are_rounded_against_the_account():
    """Longs count a cent too little rather than too much, shorts the other way."""
    half_a_cent = Holding(shares(1), 50, 4, 10_000, 10_000)

    assert 0 == margin_of([half_a_cent]).long_value
    assert 1 == margin_of([half_a_cent._replace(qty=-shares(1))]).short_value


def test_an_order_holds_its_initial_requirement():
    """Half the price is held at the default rate, not the whole of it."""
    venue = margin_desk()

    venue.place(venue.a, BUY, 100, 100)

    assert cents(5_000) == venue.desk.accounts.by_id[venue.a.int].held
    assert cents(5_000) == free(venue, venue.a)


def test_the_rate_is_the_instruments_own():
    """An instrument that needs a quarter lets an account buy four times its money."""
    venue = margin_desk(initial_margin_bps=2_500)

    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(venue.a, BUY, 401, 100))
    assert "" == code(venue.place(venue.a, BUY, 400, 100))


def test_an_account_buys_twice_its_money_and_not_a_share_more():
    """At half a margin, 10,000 dollars carry 200 shares at 100."""
    venue = margin_desk()

    bought(venue, 200)

    assert 0 == free(venue, venue.a)
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(venue.a, BUY, 1, 100))


def test_a_position_binds_margin_at_the_mark():
    """When the price rises, half of the gain is free; when it falls, half the loss is bound."""
    venue = margin_desk()
    bought(venue, 100)
    assert cents(5_000) == free(venue, venue.a)

    venue.place(venue.b, SELL, 1, 110)
    venue.place(venue.b, BUY, 1, 110, self_trade=1)
    other = venue.account("c", 10_000_000)
    venue.place(venue.b, SELL, 1, 110)
    venue.place(other, BUY, 1, 110)

    assert cents(5_500) == free(venue, venue.a)


def test_short_sale_proceeds_stand_for_the_short_and_buy_nothing():
    """Selling short binds the initial requirement; its proceeds are no new money."""
    venue = margin_desk()

    shorted(venue, 100)

    account = venue.desk.accounts.by_id[venue.a.int]
    assert cents(10_000) == account.receivable
    assert cents(5_000) == free(venue, venue.a)
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(venue.a, BUY, 301, 100))


def test_proceeds_of_a_sold_long_count_only_by_policy():
    """What was sold and has not settled is no margin, unless the account's policy says so."""
    venue = margin_desk()
    venue.ok(TransferPosition(venue.a, "X", shares(100), cents(10_000), "in"))
    venue.place(venue.b, BUY, 100, 100)
    venue.place(venue.a, SELL, 100, 100)
    before = free(venue, venue.a)

    venue.ok(SetAccountPolicy(venue.a, True))

    assert cents(10_000) == before
    assert cents(20_000) == free(venue, venue.a)


def test_a_round_trip_of_one_day_binds_nothing_more():
    """Bought and sold the same day, what is owed and what is due stand against each other."""
    venue = margin_desk()
    bought(venue, 100)
    venue.place(venue.b, BUY, 100, 100)
    venue.place(venue.a, SELL, 100, 100)

    assert cents(10_000) == free(venue, venue.a)


def test_a_cash_account_cannot_sell_short():
    """Without margin only what is held is sold."""
    venue = margin_desk()
    cash = venue.account("c")

    assert "INSUFFICIENT_QTY" == code(venue.place(cash, SELL, 1, 100))


def test_a_short_sale_of_what_is_hard_to_borrow_needs_located_shares():
    """Not easy to borrow: refused without the flag, taken with it."""
    venue = margin_desk(shortable=False)
    order = PlaceOrder(venue.a, "X", 2, 2, 1, shares(10), wire(100), 0, "short")

    refused = venue.send(order)
    taken = venue.send(
        PlaceOrder(venue.a, "X", 2, 2, 1, shares(10), wire(100), 0, "located", locate=True)
    )

    assert ("LOCATE_REQUIRED", "") == (code(refused), code(taken))


def test_an_order_through_zero_is_an_exit_and_an_opening():
    """Selling 150 of 100 held reserves 100 shares and margins 50."""
    venue = margin_desk()
    bought(venue, 100)

    reply = venue.place(venue.a, SELL, 150, 100)

    assert reply.order is not None
    order = venue.order(reply.order.order_id)
    assert (shares(100), cents(2_500)) == (order.hold_qty, order.hold)


def test_an_exit_trades_before_the_opening_of_the_same_order():
    """As the order fills, the shares held go first and then the hold is converted."""
    venue = margin_desk()
    bought(venue, 100)
    reply = venue.place(venue.a, SELL, 150, 100)
    assert reply.order is not None
    venue.place(venue.b, BUY, 120, 100)
    order = venue.order(reply.order.order_id)

    assert (0, cents(1_500)) == (order.hold_qty, order.hold)
    assert -shares(20) == venue.desk.accounts.positions_of(venue.a)[0].qty


def test_a_buy_covers_a_short_without_margin():
    """Buying back what was sold short reserves the short and holds nothing."""
    venue = margin_desk()
    shorted(venue, 100)

    reply = venue.place(venue.a, BUY, 100, 100)

    assert reply.order is not None
    order = venue.order(reply.order.order_id)
    assert (shares(100), 0) == (order.hold_qty, order.hold)


def test_each_share_is_reserved_once():
    """A second exit finds only what the first has left, and the rest needs margin."""
    venue = margin_desk()
    bought(venue, 100)
    venue.place(venue.a, SELL, 70, 110)

    reply = venue.place(venue.a, SELL, 70, 110)

    assert reply.order is not None
    order = venue.order(reply.order.order_id)
    assert (shares(30), cents(2_200)) == (order.hold_qty, order.hold)


def test_exits_give_way_when_other_orders_close_the_position():
    """What an exit can no longer reserve goes on as an opening with margin, newest first."""
    venue = margin_desk()
    bought(venue, 100)
    exit_reply = venue.place(venue.a, SELL, 100, 120)
    venue.place(venue.b, BUY, 60, 100)
    venue.place(venue.a, SELL, 60, 100)

    assert exit_reply.order is not None
    order = venue.order(exit_reply.order.order_id)
    adjusted = venue.happened(OrderAdjusted)
    assert [int(Adjustment.BECAME_OPENING)] == [event.reason for event in adjusted]
    assert (shares(40), cents(3_600)) == (order.hold_qty, order.hold)
    assert OrderStatus.NEW == order.status


def test_exits_of_a_position_that_turned_round_reserve_nothing():
    """When other orders carry a long through zero, its exit is an opening sale altogether."""
    venue = margin_desk()
    venue.ok(Deposit(venue.a, cents(100_000), "more"))
    bought(venue, 100)
    exit_reply = venue.place(venue.a, SELL, 100, 120)
    venue.place(venue.b, BUY, 300, 100)
    venue.place(venue.a, SELL, 300, 100)

    assert exit_reply.order is not None
    order = venue.order(exit_reply.order.order_id)
    position = venue.desk.accounts.positions_of(venue.a)[0]
    assert (-shares(200), 0) == (position.qty, position.reserved)
    assert (0, cents(6_000)) == (order.hold_qty, order.hold)


def test_a_busted_purchase_takes_the_shares_of_a_cash_accounts_exit():
    """What is no longer held cannot be sold: the exit shrinks with it."""
    venue = margin_desk()
    cash = venue.account("c", 20_000)
    venue.place(venue.b, SELL, 100, 100)
    venue.place(cash, BUY, 100, 100)
    reply = venue.place(cash, SELL, 100, 120)

    venue.bust_last()

    assert reply.order is not None
    assert OrderStatus.CANCELED == venue.order(reply.order.order_id).status


def test_a_fall_below_maintenance_calls_for_margin():
    """Equity under the maintenance requirement is a call, with both amounts in the event."""
    venue = margin_desk(trigger_rule=3)
    bought(venue, 200)
    venue.mark(66)

    venue.ok(CheckMargins())

    (call,) = venue.happened(MarginCalled)
    assert (cents(3_200), cents(3_300)) == (call.equity, call.maintenance)
    assert venue.desk.accounts.by_id[venue.a.int].margin_called


def test_an_account_above_maintenance_is_left_alone():
    """At the requirement itself there is no call, and looking again changes nothing."""
    venue = margin_desk(trigger_rule=3)
    bought(venue, 200)
    venue.mark("66.67")

    venue.ok(CheckMargins())

    assert [] == venue.events


def test_a_called_account_may_only_reduce():
    """Openings are refused as liquidation only; exits and cancels are taken."""
    venue = margin_desk(trigger_rule=3)
    bought(venue, 200)
    venue.mark(60)
    venue.ok(CheckMargins())

    opening = venue.place(venue.a, BUY, 1, 60)
    through_zero = venue.place(venue.a, SELL, 201, 60)
    leaving = venue.place(venue.a, SELL, 200, 61)

    assert ["LIQUIDATION_ONLY", "LIQUIDATION_ONLY", ""] == [
        code(reply) for reply in (opening, through_zero, leaving)
    ]


def test_a_deposit_meets_the_call():
    """Money that brings equity over the requirement ends the call at the next look."""
    venue = margin_desk(trigger_rule=3)
    bought(venue, 200)
    venue.mark(60)
    venue.ok(CheckMargins())
    venue.ok(Deposit(venue.a, cents(5_000), "more"))

    venue.ok(CheckMargins())

    assert 1 == len(venue.happened(MarginCallMet))
    assert "" == code(venue.place(venue.a, BUY, 1, 60))


def test_a_short_is_called_when_the_price_rises():
    """A loss on a short eats equity while its requirement grows."""
    venue = margin_desk(trigger_rule=3)
    shorted(venue, 200)
    venue.mark(121)

    venue.ok(CheckMargins())

    (call,) = venue.happened(MarginCalled)
    assert (cents(5_800), cents(6_050)) == (call.equity, call.maintenance)


def test_a_withdrawal_may_not_take_what_covers_positions():
    """A margin account gives out free margin, not the proceeds of its shorts."""
    venue = margin_desk()
    shorted(venue, 100)

    too_much = venue.send(Withdraw(venue.a, cents(5_001), "w1"))
    enough = venue.send(Withdraw(venue.a, cents(5_000), "w2"))

    assert ("INSUFFICIENT_CASH", "") == (code(too_much), code(enough))


def test_shares_that_cover_others_cannot_leave():
    """A transfer out must leave what is held and shorted covered."""
    venue = margin_desk()
    venue.ok(TransferPosition(venue.a, "X", shares(100), 0, "in"))
    bought(venue, 290)

    out = venue.send(TransferPosition(venue.a, "X", -shares(100), 0, "out"))

    assert "INSUFFICIENT_BUYING_POWER" == code(out)


def test_a_changed_rate_binds_positions_at_once_and_orders_when_they_change():
    """Rates are events: positions follow them, holds that were taken stay."""
    venue = margin_desk()
    bought(venue, 100)
    venue.place(venue.a, BUY, 10, 100)
    held = venue.desk.accounts.by_id[venue.a.int].held

    venue.ok(ChangeInstrument("X", initial_margin_bps=8_000))

    assert held == venue.desk.accounts.by_id[venue.a.int].held
    assert cents(2_000 - 500) == free(venue, venue.a)


@pytest.mark.parametrize("kind", [AccountKind.CASH, AccountKind.MARGIN])
def test_the_position_limit_holds_with_every_working_order_filled(kind):
    """Long and short, working orders count as if they had traded."""
    venue = margin_desk(position_limit=shares(100))
    account = venue.account("c") if kind == AccountKind.CASH else venue.a
    venue.place(account, BUY, 60, 100)

    assert "POSITION_LIMIT_EXCEEDED" == code(venue.place(account, BUY, 41, 100))
    assert "" == code(venue.place(account, BUY, 40, 100))


def test_the_position_limit_holds_for_shorts():
    """A short and its working sells may not go further below zero than the limit."""
    venue = margin_desk()
    shorted(venue, 60)
    venue.ok(ChangeInstrument("X", position_limit=shares(100)))
    venue.place(venue.a, SELL, 30, 101)

    assert "POSITION_LIMIT_EXCEEDED" == code(venue.place(venue.a, SELL, 11, 101))
    assert "" == code(venue.place(venue.a, SELL, 10, 101))


def test_free_margin_is_equity_less_what_is_bound():
    """The formula, on numbers that can be checked by hand: the example of the documentation."""
    venue = margin_desk()
    bought(venue, 100)
    venue.place(venue.a, BUY, 10, 100)
    account = venue.desk.accounts.by_id[venue.a.int]
    margin = venue.desk.margin(venue.a)

    assert (cents(10_000), cents(10_000)) == (account.cash, account.payable)
    assert (cents(10_000), cents(500)) == (margin.long_value, account.held)
    assert cents(10_000) == equity(account, margin)
    assert (cents(5_000), cents(2_500)) == (margin.initial, margin.maintenance)
    assert cents(10_000 - 5_000 - 500) == free_margin(account, margin)
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(venue.a, BUY, 91, 100))
    assert "" == code(venue.place(venue.a, BUY, 90, 100))


def test_a_closing_only_account_may_cover_a_short_but_not_open_one():
    """What reduces a position is taken, on either side."""
    venue = margin_desk()
    shorted(venue, 10)
    venue.ok(SetAccountStatus(venue.a, 1, "winding down"))

    assert "ACCOUNT_NOT_ACTIVE" == code(venue.place(venue.a, SELL, 1, 100))
    assert "LIQUIDATION_ONLY" == code(venue.place(venue.a, BUY, 11, 99))
    assert "" == code(venue.place(venue.a, BUY, 10, 99))


def test_a_mark_beyond_all_amounts_is_recorded_as_far_as_records_reach() -> None:
    """A mark may be set to anything: calls say what 64 bits can, and orders hold no more."""
    terms: dict[str, Any] = {
        "price_decimals": 0,
        "tick": wire(1),
        "reference_price": wire(1),
        "trigger_rule": int(TriggerRule.MARK),
    }
    venue = margin_desk(**terms)
    venue.instrument("Y", **terms)
    rich, short = (margin_account(venue, name, 10**12) for name in ("rich", "short"))
    venue.place(rich, BUY, 10**8, 1)
    venue.place(short, SELL, 10**8, 1)
    venue.mark(9 * 10**9)
    venue.mark(9 * 10**9, "Y")

    venue.ok(CheckMargins())
    (call,) = venue.happened(MarginCalled)
    refused = venue.place(rich, SELL, 9 * 10**8, 1, symbol="Y", locate=True).refusal

    assert (1 - 2**63, 2**63 - 1) == (call.equity, call.maintenance)
    assert refused is not None and "INSUFFICIENT_BUYING_POWER" == refused.code
    report = verify(MemoryAuditSource(logged(venue)), StoredCodec())
    assert not [one for one in report.violations if one.check in ("margin_calls", "buying_power")]

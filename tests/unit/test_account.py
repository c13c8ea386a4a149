"""An account: cash that balances to the cent, and holds that never exceed what is there."""

import pytest

from application.commands import (
    ChargeFee,
    Deposit,
    OpenAccount,
    SetAccountLimits,
    SetAccountPolicy,
    SetCommissionSchedule,
    Withdraw,
)
from domain.account import Account, AccountTerms
from domain.booking import Booking
from domain.commission import Kind
from domain.decision import Decision
from domain.identifiers import HOUSE, uuid7
from domain.money import MAX_AMOUNT
from domain.risk import MAX_NOTIONAL
from domain.terms import DueAs, Ledger, Side
from tests.model.desk_harness import DeskHarness, cents, code, trading_desk

BUY, SELL = Side.BUY, Side.SELL
ME = uuid7(1, 0, 1, 1)


@pytest.fixture
def venue() -> DeskHarness:
    """One open instrument and two accounts with cash and shares."""
    return trading_desk()


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("fee", [0, 3])
@pytest.mark.parametrize("amount", [499, 500, 501])
def test_the_postings_of_a_trade_sum_to_zero(side, fee, amount):
    """What one owes the house clears, and what it charges it earns; cash waits to be settled.

    The cent by which an account's total rounds otherwise is the house's.
    """
    buys = side == BUY
    made = Booking(amount + fee, 0, 500, fee) if buys else Booking(0, amount - fee, -500, fee)
    postings = made.postings(ME, int(DueAs.PAYABLE if buys else DueAs.RECEIVABLE))
    assert 0 == sum(amount for _, _, amount in postings)
    mine = {ledger: amount for party, ledger, amount in postings if party == ME}
    owed = {Ledger.PAYABLE: -amount - fee} if side == BUY else {Ledger.RECEIVABLE: amount - fee}
    assert owed == mine
    house = {ledger: amount for party, ledger, amount in postings if party == HOUSE}
    cleared = {Ledger.CLEARING: 500 if side == BUY else -500}
    rest = amount - 500 if side == BUY else 500 - amount
    rounding = {Ledger.ROUNDING: rest} if rest else {}
    assert cleared | rounding | ({Ledger.COMMISSION: fee} if fee else {}) == house


def test_only_free_settled_cash_can_leave(venue):
    """Holds and what is owed for trades stay; unsettled proceeds cannot be taken out."""
    account = venue.desk.accounts.by_id[venue.a.int]
    venue.place(venue.a, BUY, 10, 100)
    venue.place(venue.b, SELL, 4, 100)
    assert (cents(-400), cents(600) + 1) == (account.unsettled, account.held)
    free = cents(999_000) - 1
    assert free == account.withdrawable
    assert "INSUFFICIENT_CASH" == code(venue.send(Withdraw(venue.a, free + 1, "1")))
    assert "INSUFFICIENT_CASH" == code(venue.send(ChargeFee(venue.a, free + 1, "2")))
    assert "" == code(venue.send(Withdraw(venue.a, free - cents(1_000), "3")))
    assert "" == code(venue.send(ChargeFee(venue.a, cents(1_000), "4")))
    assert (0, cents(1_000) + 1) == (account.withdrawable, account.cash)
    assert cents(1_000) == venue.ledger[HOUSE, int(Ledger.FEES)]
    seller = venue.desk.accounts.by_id[venue.b.int]
    assert (cents(1_000_000), cents(1_000_000)) == (seller.withdrawable, seller.funds)
    venue.ok(SetAccountPolicy(venue.b, True))
    assert (cents(1_000_000), cents(1_000_400)) == (seller.withdrawable, seller.funds)


@pytest.mark.parametrize("amount", [0, -1, MAX_NOTIONAL + 1, 2**63 - 1, -(2**63)])
def test_an_amount_out_of_range_is_refused_and_recorded(venue, amount):
    """Nothing moves for nothing, for less, or for more than all sums can hold."""
    for kind in (Deposit, Withdraw, ChargeFee):
        assert "INVALID_AMOUNT" == code(venue.send(kind(venue.a, amount, f"k{kind.__name__}")))
        assert ["account.request_refused.v1"] == [event.TOPIC for event in venue.events]


def test_a_balance_has_a_bound(venue):
    """A deposit that would pass it is refused, and the balance stays."""
    account = venue.desk.accounts.by_id[venue.a.int]
    number = 0
    venue.checked = False
    while account.cash + MAX_NOTIONAL < MAX_AMOUNT:
        number += 1
        venue.ok(Deposit(venue.a, MAX_NOTIONAL, f"d{number}"))
    before = account.cash
    assert "BALANCE_LIMIT" == code(venue.send(Deposit(venue.a, MAX_NOTIONAL, "last")))
    assert before == account.cash < MAX_AMOUNT
    venue.check()


def test_opening_again_gives_the_account_that_is_there(venue):
    """The same name and terms are the same account; other terms are refused."""
    again = venue.ok(OpenAccount("a", "", 1))
    assert (str(venue.a), True) == (again.result["account_id"], again.duplicate)
    assert [] == venue.events
    assert "ACCOUNT_EXISTS" == code(venue.send(OpenAccount("a", "somebody else", 1)))
    for wrong in (OpenAccount("", "", 1), OpenAccount("n", "", 9), OpenAccount("n", "", 1, -1)):
        assert "INVALID_FIELD" == code(venue.send(wrong))


def test_a_limit_of_its_own_bounds_every_order_of_the_account(venue):
    """Set, it refuses; set to nothing, it refuses no more."""
    venue.ok(SetAccountLimits(venue.a, cents(500)))
    assert "ORDER_TOO_LARGE" == code(venue.place(venue.a, BUY, 6, 100))
    assert "" == code(venue.place(venue.a, BUY, 5, 100))
    venue.ok(SetAccountLimits(venue.a, 0))
    assert "" == code(venue.place(venue.a, BUY, 6, 100))
    assert "INVALID_FIELD" == code(venue.send(SetAccountLimits(venue.a, -1)))


def test_releasing_more_than_is_held_is_a_fault_not_a_refusal():
    """A broken invariant stops the writer; it is never answered."""
    step = Decision(1, 0, 1, "t", "t", 1)
    account = Account.open(step, ME, AccountTerms("n", "n", 1, 1))
    account.reserve(step, ME, 5)
    with pytest.raises(AssertionError):
        account.release(step, ME, 6)
    account.release(step, ME, 5)
    assert 0 == account.held


def test_an_owner_of_several_accounts_has_one_number(venue):
    """The number of the owner's first account; owners of their own have their own."""
    second = venue.account("a2", owner="a")
    desk = venue.desk
    assert (
        desk.accounts.by_id[venue.a.int].owner_number
        == desk.accounts.by_id[second.int].owner_number
    )
    assert 3 == len({account.number for account in desk.accounts.by_id.values()})
    assert 2 == len({account.owner_number for account in desk.accounts.by_id.values()})


def test_what_was_charged_stands_when_trades_become_free(venue):
    """A schedule holds from now on: later fills of the same order are free, and give none back."""
    venue.ok(SetCommissionSchedule(venue.a, int(Kind.PER_SHARE), ((0, 10**9, 10**9),)))
    venue.place(venue.a, BUY, 10, 100)
    venue.place(venue.b, SELL, 4, 100)
    assert cents(4) == venue.desk.accounts.by_id[venue.a.int].commissions
    venue.ok(SetCommissionSchedule(venue.a, int(Kind.NONE)))
    venue.place(venue.b, SELL, 6, 100)
    assert cents(4) == venue.desk.accounts.by_id[venue.a.int].commissions
    assert cents(-1_004) == venue.desk.accounts.by_id[venue.a.int].unsettled

"""Settlement runs: netting, delivery versus payment, and who fails for what."""

from __future__ import annotations

from uuid import UUID

import pytest

from application.commands import (
    Deposit,
    SetCommissionSchedule,
    Settle,
    TransferPosition,
    Withdraw,
)
from domain.commission import BPS_SCALE, Kind
from domain.events import (
    AccountSettled,
    PositionSettled,
    SettlementFailed,
    SettlementSettled,
)
from domain.identifiers import HOUSE
from domain.terms import AccountKind, Ledger, Side
from tests.model.desk_harness import cents, code, shares
from tests.model.settling_desk import (
    FRIDAY,
    MONDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    SettlingDesk,
    counts,
    settling_desk,
)

MARGIN = AccountKind.MARGIN


@pytest.fixture
def venue() -> SettlingDesk:
    """X, `a` with a thousand shares, `b` with none, both with 100,000 USD."""
    return settling_desk()


def test_settlement_moves_shares_and_cash_on_the_value_date(venue):
    """The worked example: bought on Monday at T+2, paid and received on Wednesday."""
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, venue.a, 100, "50.25")
    assert (cents(100_000), 0, cents(5_025)) == venue.money(venue.b)
    assert (cents(100_000), cents(5_025), 0) == venue.money(venue.a)
    assert (100, 0) == venue.holds(venue.b)
    assert (900, 1000) == venue.holds(venue.a)

    result = venue.run(WEDNESDAY)

    assert {"settled": 2, "failed": 0, "remaining": False, "unsettled": 0, "short": []} == result
    assert (cents(94_975), 0, 0) == venue.money(venue.b)
    assert (cents(105_025), 0, 0) == venue.money(venue.a)
    assert (100, 100) == venue.holds(venue.b)
    assert (900, 900) == venue.holds(venue.a)
    assert {} == venue.desk.accounts.obligations == venue.desk.accounts.pool


def test_settlement_does_nothing_before_the_value_date(venue):
    """What is due on Wednesday is not due on Tuesday."""
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, venue.a, 1, 100)

    assert {"settled": 0, "failed": 0, "remaining": False, "unsettled": 0, "short": []} == (
        venue.run(TUESDAY)
    )
    assert [] == venue.events


def test_settlement_nets_what_one_account_bought_and_sold_on_a_day(venue):
    """Seven bought and three sold again move four shares and the difference in cash."""
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, venue.a, 7, 100)
    venue.trade(venue.a, venue.b, 3, 101)
    assert (shares(4), cents(303 - 700)) == venue.due(venue.b, WEDNESDAY)

    venue.run(WEDNESDAY)

    assert (4, 4) == venue.holds(venue.b)
    assert (cents(100_000 - 397), 0, 0) == venue.money(venue.b)
    [settled] = [e for e in venue.happened(SettlementSettled) if e.account_id == venue.b]
    assert (shares(7), shares(3), cents(700), cents(303)) == (
        settled.bought_qty,
        settled.sold_qty,
        settled.bought_amount,
        settled.sold_amount,
    )


def test_settlement_of_a_round_trip_moves_only_cash(venue):
    """As many sold as bought: no share moves, the profit and the loss do."""
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, venue.a, 5, 100)
    venue.trade(venue.a, venue.b, 5, 102)

    venue.run(WEDNESDAY)

    assert {0} == {event.qty for event in venue.happened(PositionSettled)}
    assert (cents(100_010), 0, 0) == venue.money(venue.b)
    assert (cents(99_990), 0, 0) == venue.money(venue.a)
    assert (1000, 1000) == venue.holds(venue.a)


def test_settlement_keeps_value_dates_and_instruments_apart(venue):
    """Trades of other days and instruments are other obligations."""
    venue.instrument("Y", opened=False)
    venue.hold(venue.a, 10, "Y")
    venue.day(MONDAY, WEDNESDAY, "X", "Y")
    venue.trade(venue.b, venue.a, 1, 100)
    venue.trade(venue.b, venue.a, 2, 100, "Y")
    venue.day(TUESDAY, THURSDAY)
    venue.trade(venue.b, venue.a, 4, 100)

    assert 4 == venue.run(WEDNESDAY)["settled"]

    assert shares(4) == venue.owed(venue.b, THURSDAY).qty
    assert 1 == venue.holds(venue.b)[1]
    assert (2, 2) == venue.holds(venue.b, "Y")
    assert 2 == venue.run(THURSDAY)["settled"]
    assert (5, 5) == venue.holds(venue.b)


def test_settlement_ledger_entries_clear_receivable_and_payable(venue):
    """Each posting set sums to zero, and afterwards nobody owes and nobody is owed."""
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, venue.a, 10, 100)

    venue.run(WEDNESDAY)

    buyer, seller = (
        next(e for e in venue.happened(AccountSettled) if e.originator_id == account)
        for account in (venue.b, venue.a)
    )
    thousand = cents(1000)
    assert (
        (venue.b, int(Ledger.CASH), -thousand),
        (venue.b, int(Ledger.PAYABLE), thousand),
        (venue.b, int(Ledger.RECEIVABLE), 0),
    ) == buyer.postings
    assert (
        (venue.a, int(Ledger.CASH), thousand),
        (venue.a, int(Ledger.PAYABLE), 0),
        (venue.a, int(Ledger.RECEIVABLE), -thousand),
    ) == seller.postings
    for account in (venue.a, venue.b):
        assert 0 == venue.ledger[account, int(Ledger.RECEIVABLE)]
        assert 0 == venue.ledger[account, int(Ledger.PAYABLE)]


def test_settlement_is_delivered_to_the_house_before_it_is_received(venue):
    """Deliverers come first, whoever opened first; the house holds the shares in between."""
    venue.day(MONDAY, WEDNESDAY)
    venue.hold(venue.b, 10)
    venue.trade(venue.a, venue.b, 10, 100)

    first = venue.step(WEDNESDAY, limit=1)

    [settled] = venue.happened(SettlementSettled)
    assert (venue.b, shares(10)) == (settled.account_id, settled.pool_after)
    assert (1, True, 1) == (first["settled"], first["remaining"], first["unsettled"])
    assert shares(10) == venue.desk.accounts.pool[settled.instrument_id]
    assert 1 == venue.step(WEDNESDAY, limit=1)["settled"]
    assert {} == venue.desk.accounts.pool


def test_settlement_events_of_one_obligation_have_one_cause(venue):
    """What happens to account and position names the settlement as its cause."""
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, venue.a, 1, 100)

    venue.run(WEDNESDAY)

    first = len(venue.log) - len(venue.events) + 1
    kinds = [SettlementSettled, AccountSettled, PositionSettled]
    assert kinds * 2 == [type(event) for event in venue.events]
    assert [0, first, first, 0, first + 3, first + 3] == [e.causation_id for e in venue.events]


def test_settlement_fails_for_cash_and_moves_nothing(venue):
    """A cash account that cannot pay receives nothing; the seller is paid all the same."""
    _owe_more_than_there_is(venue)

    result = venue.run(WEDNESDAY)

    assert [("b", "CASH")] == [(row["account"], row["reason"]) for row in result["short"]]
    assert (1, 1, 1) == (result["settled"], result["failed"], result["unsettled"])
    assert (100, 0) == venue.holds(venue.b)
    assert (cents(5_000), 0, cents(5_100)) == venue.money(venue.b)
    assert (cents(105_100), 0, 0) == venue.money(venue.a)
    [failed] = venue.happened(SettlementFailed)
    assert (WEDNESDAY, shares(100), cents(-5_100), 1, "CASH") == (
        failed.run_date,
        failed.qty,
        failed.amount,
        failed.attempts,
        failed.reason,
    )


def _owe_more_than_there_is(venue: SettlingDesk) -> None:
    """Let `b` owe 5,100 and have 5,000: what was free left before the price was corrected."""
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, venue.a, 100, 50)
    venue.ok(Withdraw(venue.b, cents(95_000), "all-that-is-free"))
    assert "" == code(venue.correct_last(51))


def test_settlement_that_failed_for_cash_is_made_when_cash_is_there(venue):
    """The same date again after a deposit: what failed settles, with one attempt more."""
    _owe_more_than_there_is(venue)
    venue.run(WEDNESDAY)
    venue.ok(Deposit(venue.b, cents(100), "late"))

    assert {"settled": 1, "failed": 0, "remaining": False, "unsettled": 0, "short": []} == (
        venue.run(WEDNESDAY)
    )

    [settled] = venue.happened(SettlementSettled)
    assert (2, WEDNESDAY, 0) == (settled.attempts, settled.run_date, settled.pool_after)
    assert (0, 0, 0) == venue.money(venue.b)
    assert (100, 100) == venue.holds(venue.b)


def test_settlement_run_twice_on_a_date_records_no_second_failure(venue):
    """Same date, same reason: no event; and the command comes to an end."""
    _owe_more_than_there_is(venue)
    first = venue.run(WEDNESDAY)

    again = venue.step(WEDNESDAY)

    assert [] == venue.events
    assert {**first, "settled": 0, "failed": 0} == again


def test_settlement_that_failed_is_tried_on_every_later_date(venue):
    """Each date's run records one attempt, until cash is there."""
    _owe_more_than_there_is(venue)
    for attempts, date in enumerate((WEDNESDAY, THURSDAY, FRIDAY), 1):
        assert [("b", "CASH")] == venue.short(date)
        [failed] = venue.happened(SettlementFailed)
        assert (attempts, date) == (failed.attempts, failed.run_date)
        assert 1 == len(venue.desk.accounts.settlements)


def _sell_before_receiving(venue: SettlingDesk) -> UUID:
    """Let `b` deliver to `c` on Wednesday what it receives on Thursday only."""
    c = venue.account("c", 100_000)
    venue.day(MONDAY, THURSDAY)
    venue.trade(venue.b, venue.a, 100, 50)
    venue.day(TUESDAY, WEDNESDAY)
    venue.trade(c, venue.b, 100, 52)
    return c


def test_settlement_fails_for_securities_and_lets_the_receiver_wait(venue):
    """Who has not received cannot deliver, and whoever buys from it keeps cash until then."""
    c = _sell_before_receiving(venue)

    assert [("c", "AWAITING_DELIVERY"), ("b", "SECURITIES")] == venue.short(WEDNESDAY)

    assert (cents(100_000), 0, cents(5_200)) == venue.money(c)
    assert (100, 0) == venue.holds(c)
    assert (0, 0) == venue.holds(venue.b)
    assert {} == venue.desk.accounts.pool


def test_settlement_of_a_chain_follows_the_shares(venue):
    """Once the first delivers, each of the next settles in the same run."""
    c = _sell_before_receiving(venue)
    venue.run(WEDNESDAY)

    assert (4, 0, 0) == counts(venue.run(THURSDAY))

    accounts = [event.account_id for event in venue.happened(SettlementSettled)]
    assert [venue.a, venue.b, venue.b, c] == accounts
    assert (100, 100) == venue.holds(c)
    assert (cents(100_200), 0, 0) == venue.money(venue.b)


def test_settlement_of_who_passes_shares_on_waits_for_nobody(venue):
    """What it receives and delivers settles together when others were served before it."""
    c = venue.account("c", 100_000)
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(c, venue.a, 1, 50)
    venue.day(MONDAY, THURSDAY)
    venue.trade(venue.b, venue.a, 100, 50)
    venue.day(TUESDAY, WEDNESDAY)
    venue.trade(c, venue.b, 100, 52)

    assert (5, 0, 0) == counts(venue.run(THURSDAY))

    settled = venue.happened(SettlementSettled)
    assert [venue.a, venue.a, c, venue.b, venue.b] == [event.account_id for event in settled]
    assert [shares(q) for q in (1, 101, 0, 100, 0)] == [event.pool_after for event in settled]
    assert [1, 1, 1, 2, 2] == [event.together for event in settled]
    assert (101, 101) == venue.holds(c)
    assert (0, 0) == venue.holds(venue.b)
    assert (cents(100_200), 0, 0) == venue.money(venue.b)


def test_settlement_waits_for_the_whole_quantity_and_lets_smaller_ones_pass(venue):
    """Nothing settles in part; what the house holds goes to whoever it suffices for."""
    c, d = venue.account("c", 100_000), venue.account("d", 100_000)
    venue.day(MONDAY, THURSDAY)
    venue.trade(venue.b, venue.a, 100, 50)
    venue.day(TUESDAY, WEDNESDAY)
    venue.trade(c, venue.b, 100, 50)
    venue.trade(c, venue.a, 10, 50)
    venue.trade(d, venue.a, 20, 50)

    result = venue.run(WEDNESDAY)

    assert [("c", "AWAITING_DELIVERY"), ("b", "SECURITIES")] == [
        (row["account"], row["reason"]) for row in result["short"]
    ]
    assert ("110.00000000", "-5500.00") == (result["short"][0]["qty"], result["short"][0]["amount"])
    assert (20, 20) == venue.holds(d)
    assert (110, 0) == venue.holds(c)
    assert [shares(10)] == list(venue.desk.accounts.pool.values())


def test_settlement_records_another_reason_of_the_same_date(venue):
    """What failed for want of shares and then for want of cash says both."""
    c = _sell_before_receiving(venue)
    venue.run(WEDNESDAY)
    venue.ok(TransferPosition(venue.b, "X", shares(100), 0, "found"))
    venue.ok(Withdraw(c, venue.desk.accounts.by_id[c.int].withdrawable, "all-that-is-free"))
    assert "" == code(venue.correct_last(53))

    assert [("c", "CASH")] == venue.short(WEDNESDAY)

    [failed] = venue.happened(SettlementFailed)
    assert (2, "CASH") == (failed.attempts, failed.reason)


def test_settlement_of_a_margin_account_may_go_into_debit(venue):
    """Credit is what a margin account is for: cash goes below zero, the shares arrive."""
    m = venue.account("m", 3_000, kind=MARGIN)
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(m, venue.a, 50, 100)

    assert (2, 0, 0) == counts(venue.run(WEDNESDAY))

    assert (cents(-2_000), 0, 0) == venue.money(m)
    assert (50, 50) == venue.holds(m)


def test_settlement_of_a_short_sale_delivers_borrowed_shares():
    """A margin account that sold short delivers what it borrowed and is paid."""
    venue = settling_desk(shortable=True)
    m = venue.account("m", 10_000, kind=MARGIN)
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, m, 50, 100)

    assert (2, 0, 0) == counts(venue.run(WEDNESDAY))

    assert (-50, -50) == venue.holds(m)
    assert (cents(15_000), 0, 0) == venue.money(m)
    venue.day(THURSDAY, FRIDAY)
    venue.trade(m, venue.b, 50, 90)
    assert (2, 0, 0) == counts(venue.run(FRIDAY))
    assert (0, 0) == venue.holds(m)


def test_settlement_proceeds_of_the_same_day_pay_for_the_purchase():
    """What an account sells and buys with it, due together, settles in one run without cash
    but for the cent that its order must hold.
    """
    venue = settling_desk()
    venue.instrument("Y", opened=False)
    venue.hold(venue.a, 100, "Y")
    c = venue.account("c", "0.01", use_unsettled=True)
    venue.hold(c, 10)
    venue.day(MONDAY, WEDNESDAY, "X", "Y")
    venue.trade(venue.b, c, 10, 100)
    venue.trade(c, venue.a, 10, 100, "Y")

    assert (4, 0, 0) == counts(venue.run(WEDNESDAY))

    assert (1, 0, 0) == venue.money(c)
    assert (10, 10) == venue.holds(c, "Y")


def test_settlement_frees_shares_that_proceeds_had_paid_for():
    """Bought with proceeds: FREE_RIDING until that purchase settles, and then sold like any."""
    venue = settling_desk()
    c = venue.account("c", "0.01", use_unsettled=True)
    venue.hold(c, 10)
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, c, 10, 100)
    venue.day(TUESDAY, THURSDAY)
    venue.trade(c, venue.a, 10, 100)
    assert (shares(10), cents(1_000)) == _unpaid(venue, c)
    assert "FREE_RIDING" == code(venue.place(c, Side.SELL, 10, 100))
    venue.run(WEDNESDAY)
    refused = venue.place(c, Side.SELL, 10, 100).refusal
    assert ("FREE_RIDING", "2026-11-19") == (refused.code, refused.details["until"])

    venue.run(THURSDAY)

    assert (0, 0) == _unpaid(venue, c)
    assert "" == code(venue.place(c, Side.SELL, 10, 100))


def _unpaid(venue: SettlingDesk, account: UUID) -> tuple[int, int]:
    instrument = venue.desk.markets.by_symbol["X"].instrument
    position = venue.desk.accounts.positions[account.int, instrument.id.int]
    return position.unpaid, venue.desk.accounts.by_id[account.int].unpaid


def test_settlement_pays_the_commission_with_the_trade(venue):
    """The buyer pays it on top, the seller out of the proceeds; the house has earned it."""
    ten_bps = 10 * 10**BPS_SCALE
    for account in (venue.a, venue.b):
        venue.ok(SetCommissionSchedule(account, int(Kind.BPS), ((0, ten_bps, ten_bps),)))
    venue.day(MONDAY, WEDNESDAY)
    venue.trade(venue.b, venue.a, 10, 100)

    venue.run(WEDNESDAY)

    assert (cents(100_000 - 1_001), 0, 0) == venue.money(venue.b)
    assert (cents(100_000 + 999), 0, 0) == venue.money(venue.a)
    assert cents(2) == venue.ledger[HOUSE, int(Ledger.COMMISSION)]


def test_settlement_of_a_cycle_of_zero_takes_later_trades_of_the_day_as_well(venue):
    """What trades after a run of its own value date is due at once, in a settlement of its own."""
    venue.day(MONDAY, MONDAY)
    venue.trade(venue.b, venue.a, 10, 100)
    venue.run(MONDAY)
    first = {event.originator_id for event in venue.happened(SettlementSettled)}
    venue.trade(venue.b, venue.a, 5, 100)

    venue.run(MONDAY)

    second = {event.originator_id for event in venue.happened(SettlementSettled)}
    assert set() == first & second
    assert (15, 15) == venue.holds(venue.b)


def test_settlement_goes_in_chunks_and_ends(venue):
    """However few at a time, the same settles in the end, and each reply says if to go on."""
    _sell_before_receiving(venue)

    wednesday = [venue.step(WEDNESDAY, 1) for _ in range(2)]
    thursday = [venue.step(THURSDAY, 1) for _ in range(4)]

    assert [(0, 1, True), (0, 1, False)] == [
        (result["settled"], result["failed"], result["remaining"]) for result in wednesday
    ]
    assert [(1, 0, True)] * 3 + [(1, 0, False)] == [
        (result["settled"], result["failed"], result["remaining"]) for result in thursday
    ]
    assert {} == venue.desk.accounts.obligations


@pytest.mark.parametrize("date", [0, -1, 20261131, 20260229, 2026111, 202611181, 2**62])
def test_settlement_of_no_date_is_refused(venue, date):
    """A run is for a day of the calendar."""
    reply = venue.send(Settle(date))
    assert ("INVALID_FIELD", "run_date") == (code(reply), reply.refusal.details["field"])


@pytest.mark.parametrize("limit", [0, -5, 10**6])
def test_settlement_chunks_are_never_empty_and_never_too_large(venue, limit):
    """At least one and at most two hundred obligations, whatever is asked for."""
    venue.day(MONDAY, WEDNESDAY)
    venue.checked = False
    for number in range(110):
        account = venue.account(f"c{number}", 1_000)
        venue.trade(account, venue.a, 1, 100)
        venue.instrument(f"Y{number}", opened=False)
        venue.hold(venue.a, 1, f"Y{number}")
        venue.day(MONDAY, WEDNESDAY, f"Y{number}")
        venue.trade(account, venue.a, 1, 100, f"Y{number}")

    settled = venue.step(WEDNESDAY, limit)["settled"]

    assert (200 if limit > 200 else 1) == settled
    venue.check()

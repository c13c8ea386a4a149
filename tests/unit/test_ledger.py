"""The double-entry ledger: every event balances, and what it adds up to is what the desk has."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import Any
from uuid import UUID

import pytest

from application.audit.reconcile import Reconciliation
from application.log.ports import Recorded
from domain import events as e
from domain.booking import Booking
from domain.identifiers import HOUSE, uuid7
from domain.ledger import RULES, postings_of
from domain.money import EXACT_CENT, cents
from domain.terms import Ledger
from projections.ledger import LedgerBalances
from tests.model.command_flow import InMemoryVenue, lived

ME, ORDER, TRADE, ACME = (uuid7(1_763_625_600_000_000, 0, number, 0) for number in range(1, 5))
HEADER = (ME, 1, 1_763_625_600_000_000, 0, "somebody", "test", HOUSE, 0)
OF_POSITION = (uuid7(1_763_625_600_000_000, 0, 5, 0), *HEADER[1:], ME, ACME)
SHARES = 10 * 10**8


@cache
def venue() -> InMemoryVenue:
    """A lively flow: fills, busts, corrections, transfers, fees, replaces and cancels."""
    return lived(11, 700)


def made(kind: type[Any], *values: Any) -> Any:
    """An event with these values after its header."""
    return kind(*(OF_POSITION if issubclass(kind, e.PositionEvent) else HEADER), *values)


def amounts(event: e.DomainEvent) -> dict[tuple[UUID, str], int]:
    """The postings of an event by party and ledger."""
    return {(who, Ledger(name).name.lower()): cents for who, name, cents in postings_of(event)}


def added_up() -> dict[tuple[UUID, int], int]:
    """All postings of the flow."""
    sums: defaultdict[tuple[UUID, int], int] = defaultdict(int)
    for event in venue().log.events():
        for party, ledger, amount in postings_of(event):
            sums[party, ledger] += amount
    return sums


def test_every_event_balances() -> None:
    """The postings of each event of a flow sum to zero, busts and corrections among them."""
    seen = set()
    for event in venue().log.events():
        assert 0 == sum(cents for _, _, cents in postings_of(event)), event
        seen.add(type(event))

    assert {e.TradeBooked, e.TradeReversed, e.PositionReversed, e.MarginReleased} <= seen


def test_hold_moves_from_available_to_held_and_back() -> None:
    """Held margin is the account's own money under another name."""
    reserved = made(e.MarginReserved, ORDER, 101_25, 101_25)
    released = made(e.MarginReleased, ORDER, 101_25, 0)

    assert {(ME, "held"): 101_25, (ME, "available"): -101_25} == amounts(reserved)
    assert {(ME, "held"): -101_25, (ME, "available"): 101_25} == amounts(released)


def test_purchase_moves_hold_payable_and_cost_and_settles_in_cash() -> None:
    """The example of the documentation: ten shares at 100.00, 0.35 commission, 1,012.50 held."""
    booked = made(
        e.TradeBooked, ACME, ORDER, TRADE, 1, SHARES, 100_0000, 4, 1_000_00, 35, 20251120,
        20251124, 0, -1_000_35, 0, Booking(1_000_35, 0, 1_000_00, 35).postings(ME, 1),
        0, 0, 1_012_50,
    )  # fmt: skip
    bought = made(
        e.PositionTraded, ORDER, TRADE, 1, SHARES, 100_0000, 4, 0, SHARES, 0, 0, 1_000_00, 0
    )
    settled = made(
        e.AccountSettled, ORDER, ACME, 20251124, -1_000_35, 0, 0, 0, 0,
        ((ME, 1, -1_000_35), (ME, 6, 1_000_35)),
    )  # fmt: skip

    assert {
        (ME, "payable"): -1_000_35,
        (HOUSE, "clearing"): 1_000_00,
        (HOUSE, "commission"): 35,
        (ME, "held"): -1_012_50,
        (ME, "available"): 1_012_50,
    } == amounts(booked)
    assert {(ME, "securities"): 1_000_00, (HOUSE, "securities"): -1_000_00} == amounts(bought)
    assert {(ME, "cash"): -1_000_35, (ME, "payable"): 1_000_35} == amounts(settled)


def test_sale_realizes_what_it_brings_above_its_cost() -> None:
    """Ten shares that cost 900.00, sold for 1,000.00: the cost leaves, 100.00 is income."""
    sold = made(e.PositionTraded, ORDER, TRADE, 2, SHARES, 100_0000, 4, 100_00, 0, 0, 0, 0, 100_00)

    assert {
        (ME, "securities"): -900_00,
        (ME, "realized"): -100_00,
        (HOUSE, "securities"): 1_000_00,
    } == amounts(sold)


@pytest.mark.parametrize(
    ("side", "paid"), [pytest.param(1, -1_000_00, id="buy"), pytest.param(2, 1_000_00, id="sell")]
)
def test_reversal_takes_the_cost_back_whole(side: int, paid: int) -> None:
    """The account's reversal undoes what was paid, the position's what was realized by it."""
    undone = made(
        e.TradeReversed, ACME, ORDER, TRADE, "bust", side, SHARES, 100_0000, 4, 1_000_00, 0, 0, 0,
        (),
    )  # fmt: skip
    held = made(e.PositionReversed, ORDER, TRADE, "bust", side, SHARES, -7_00, 0, 0, 0, 0)

    assert {(ME, "securities"): paid, (HOUSE, "securities"): -paid} == amounts(undone)
    assert {(ME, "securities"): -7_00, (ME, "realized"): 7_00} == amounts(held)


def test_transfer_brings_its_cost_from_outside() -> None:
    """Shares that come in without a trade stand against the house's funding."""
    moved = made(
        e.PositionTransferred, "key", b"", SHARES, 900_00, SHARES, SHARES, 900_00, "from elsewhere"
    )

    assert {(ME, "securities"): 900_00, (HOUSE, "funding"): -900_00} == amounts(moved)


def test_event_without_money_posts_nothing() -> None:
    """An order's own events move no money; what they lead to says so itself."""
    assert not [kind for kind in RULES if issubclass(kind, e.OrderEvent | e.GroupEvent)]
    assert () == postings_of(made(e.AccountPolicySet, True))


def test_ledger_of_each_account_is_what_the_desk_has() -> None:
    """Cash, receivable, payable, held, cost and profit: the sums and the desk say the same."""
    sums, desk = added_up(), venue().writer.desk

    for account in desk.accounts.by_id.values():
        positions = desk.accounts.positions_of(account.id)
        has = {
            Ledger.CASH: account.cash,
            Ledger.RECEIVABLE: account.receivable,
            Ledger.PAYABLE: -account.payable,
            Ledger.HELD: account.held,
            Ledger.AVAILABLE: -account.held,
            Ledger.SECURITIES: sum(position.cost for position in positions),
            Ledger.REALIZED: -sum(position.realized for position in positions),
        }
        assert has == {ledger: sums[account.id, ledger] for ledger in has}


def test_ledger_of_the_house_is_flat_in_what_passes_through_it() -> None:
    """Both sides of every trade cancel out: the house clears, and holds nothing but what was
    rounded off costs and profits, and off what accounts were posted.
    """
    sums, accounts = added_up(), venue().writer.desk.accounts

    assert 0 == sums[HOUSE, Ledger.CLEARING] == sum(sums.values())
    rests = sum(one.cost_rest - one.realized_rest for one in accounts.positions.values())
    assert rests == sums[HOUSE, Ledger.SECURITIES] * EXACT_CENT
    traded = sum(cents(account.traded_value) for account in accounts.by_id.values())
    assert -traded == sums[HOUSE, Ledger.ROUNDING]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_ledger_of_the_view_is_that_of_the_postings(size: int) -> None:
    """However the log is cut into batches, the view adds up to the same amounts."""
    view = LedgerBalances()
    found: defaultdict[tuple[UUID, int], int] = defaultdict(int)
    events = [Recorded(n, event) for n, event in enumerate(venue().log.events(), 1)]

    for start in range(0, len(events), size):
        view.fold(events[start : start + size])
        for row in view.balances.puts.values():
            found[row["party"], row["ledger"]] += row["amount"]

    assert added_up() == found


def test_ledger_totals_name_every_ledger_and_a_view_that_differs() -> None:
    """The view is compared where it stands, and a cent too much is told by ledger and count."""
    events = [Recorded(n, event) for n, event in enumerate(venue().log.events(), 1)]
    half = len(events) // 2
    first = Reconciliation()
    first.add(events[:half])
    then: dict[tuple[UUID, int], int] = {
        (row.party, Ledger[row.ledger.upper()]): row.amount for row in first.balances()
    }
    account = next(iter(venue().writer.desk.accounts.by_id.values())).id

    sound = Reconciliation((half, then))
    sound.add(events)
    off = Reconciliation((half, {**then, (account, Ledger.CASH): 1}))
    off.add(events)

    assert sound.ok and not off.ok
    assert [ledger.name.lower() for ledger in Ledger] == [row.ledger for row in sound.totals()]
    assert ["cash"] == [row.ledger for row in off.totals() if row.differing]

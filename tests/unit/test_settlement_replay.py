"""Settlement and restarts: every desk decides the same, whatever memory it was built from."""

from __future__ import annotations

from random import Random
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from application.audit.verify import verify
from application.commands import Deposit, Settle, Withdraw
from application.desk.state import dump, load, state_hash
from application.log.ports import Recorded
from domain.events import DomainEvent, SettlementFailed, SettlementSettled
from domain.terms import AccountKind, Ledger, Side
from infrastructure.log.audit_source import StoredCodec
from infrastructure.log.memory import MemoryLog
from tests.model.desk_harness import SESSION, cents, shares
from tests.model.memory_audit import MemoryAuditSource
from tests.model.settling_desk import FRIDAY, MONDAY, THURSDAY, TUESDAY, WEDNESDAY, SettlingDesk

DAYS = ((MONDAY, THURSDAY), (TUESDAY, WEDNESDAY), (WEDNESDAY, FRIDAY), (THURSDAY, THURSDAY))
RUNS = (WEDNESDAY, THURSDAY, FRIDAY, FRIDAY, SESSION)


def traded(seed: int) -> SettlingDesk:
    """Days of random trades in two instruments between cash and margin accounts.

    Later trades settle before earlier ones at times, prices are corrected after the cash is
    gone, and settled trades are undone: all that makes settlement fail.
    """
    chance = Random(seed)
    desk = SettlingDesk(checked=False)
    for symbol in ("X", "Y"):
        desk.instrument(symbol, opened=False, shortable=True)
    accounts = [
        desk.account(
            f"a{number}",
            2_000,
            kind=AccountKind.MARGIN if number % 3 == 2 else AccountKind.CASH,
            use_unsettled=number % 2 == 1,
        )
        for number in range(6)
    ]
    for account in accounts[:3]:
        for symbol in ("X", "Y"):
            desk.hold(account, 20, symbol)
    for session_date, value_date in DAYS:
        desk.day(session_date, value_date, "X", "Y")
        for _ in range(14):
            _try_to_trade(desk, chance, *chance.sample(accounts, 2))
        for account in chance.sample(accounts, 4):
            found = desk.desk.accounts.by_id[account.int]
            if found.withdrawable and not found.is_margin:
                desk.ok(Withdraw(account, found.withdrawable, f"w{desk.number}"))
        desk.correct_last(chance.randint(100, 130))
    return desk


def _try_to_trade(desk: SettlingDesk, chance: Random, seller: UUID, buyer: UUID) -> None:
    qty, price, symbol = chance.randint(4, 16), chance.randint(80, 120), chance.choice("XY")
    sold = desk.place(seller, Side.SELL, qty, price, symbol=symbol)
    bought = desk.place(buyer, Side.BUY, qty, price, symbol=symbol)
    if desk.trades() and chance.random() < 0.2:
        if chance.random() < 0.5:
            desk.bust_last()
        else:
            desk.correct_last(chance.randint(80, 120))
    for account, reply in ((seller, sold), (buyer, bought)):
        if reply.order is not None and reply.order.order_id.int in desk.desk.orders.working:
            desk.cancel(account, reply.order.order_id)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**9), limit=st.integers(1, 7))
def test_settlement_decides_the_same_after_a_restart_between_any_two_commands(
    seed: int, limit: int
) -> None:
    """One desk lives on, the other is written down and read back before each command."""
    lives, restarts = traded(seed), traded(seed)
    assert lives.log == restarts.log
    before = len(lives.log)
    for date in RUNS:
        remaining = True
        while remaining:
            restarts.desk = load(dump(restarts.desk))
            results = [desk.step(date, limit) for desk in (lives, restarts)]
            assert results[0] == results[1]
            remaining = results[0]["remaining"]
        for account in [one.id for one in lives.desk.accounts.by_id.values()][:1]:
            for desk in (lives, restarts):
                desk.ok(Deposit(account, cents(300), f"d{desk.number}"))
    assert lives.log == restarts.log
    assert len(lives.log) > before
    for desk in (lives, restarts):
        desk.check()


@settings(max_examples=40)
@given(seed=st.integers(0, 10**9), limit=st.integers(1, 200))
def test_settlement_runs_end_and_run_again_change_nothing(seed: int, limit: int) -> None:
    """Any run ends; the same run right after it has nothing left to say."""
    desk = traded(seed)
    for date in RUNS:
        due = [key for key in desk.desk.accounts.obligations if key.value_date <= date]
        result = desk.run(date, limit)
        desk.check()
        assert len(due) == result["settled"] + result["unsettled"]
        assert len(result["short"]) == result["unsettled"]
        before = state_hash(desk.desk)
        again = desk.step(date, limit)
        assert (0, 0, False) == (again["settled"], again["failed"], again["remaining"])
        assert [] == desk.events
        assert before == state_hash(desk.desk)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**9))
def test_settlement_settles_everything_once_nobody_is_short(seed: int) -> None:
    """With cash and shares brought in, every obligation settles and nobody owes anything."""
    desk = traded(seed)
    desk.run(WEDNESDAY)
    for account in [one.id for one in desk.desk.accounts.by_id.values()]:
        desk.ok(Deposit(account, cents(100_000), f"rich-{desk.number}"))
        for symbol in ("X", "Y"):
            desk.hold(account, 1_000, symbol)

    result = desk.run(SESSION)

    assert 0 == result["unsettled"]
    assert (
        {}
        == desk.desk.accounts.obligations
        == desk.desk.accounts.settlements
        == desk.desk.accounts.pool
    )
    for account in desk.desk.accounts.by_id.values():
        assert (0, 0, 0) == (account.unsettled, account.receivable, account.unpaid)
        for ledger in (Ledger.RECEIVABLE, Ledger.PAYABLE):
            assert 0 == desk.ledger[account.id, int(ledger)]
    for position in desk.desk.accounts.positions.values():
        assert (position.qty, 0) == (position.settled, position.unpaid)
    desk.check()


def test_settlement_of_random_days_fails_for_every_reason_there_is() -> None:
    """The days above are no easy ones: each kind of failure, and settlements, happen in them."""
    reasons: set[str] = set()
    settled = 0
    for seed in range(12):
        desk = traded(seed)
        for date in RUNS[:3]:
            desk.run(date)
        reasons |= {e.reason for e in desk.log if isinstance(e, SettlementFailed)}
        settled += sum(isinstance(e, SettlementSettled) for e in desk.log)
    assert {"CASH", "SECURITIES", "AWAITING_DELIVERY"} == reasons
    assert settled > 100


def test_settlement_commands_that_are_decided_again_make_the_same_events() -> None:
    """The recorded commands of a run, on a desk built from the events before it."""
    one, other = traded(7), traded(7)
    for _ in range(4):
        for desk in (one, other):
            desk.send(Settle(FRIDAY, 3))
    assert one.log == other.log
    assert state_hash(one.desk) == state_hash(other.follower)
    assert shares(0) == sum(e.qty for e in one.log if isinstance(e, SettlementSettled)) + sum(
        one.desk.accounts.pool.values()
    )


def found_by_audit(log: list[DomainEvent]) -> list[str]:
    """What the second bookkeeper says of the settlements in a log."""
    stored = MemoryLog()
    stored.load([Recorded(position, event) for position, event in enumerate(log, 1)], [])
    report = verify(MemoryAuditSource(stored), StoredCodec())
    checks = {"settlements", "obligations", "pool", "quantities"}
    assert checks <= {check.name for check in report.checks if check.looked}
    return [found.message for found in report.violations if found.check in checks]


def test_settlement_of_random_days_stands_before_the_audit() -> None:
    """Who settled could, also where several value dates settled as one; who failed could not."""
    as_one = 0
    for seed in range(20):
        desk = traded(seed)
        for date in RUNS:
            desk.run(date, 3)
        assert [] == found_by_audit(desk.log)
        as_one += sum(e.together > 1 for e in desk.log if isinstance(e, SettlementSettled))
    assert as_one > 0


def test_settlement_that_says_it_was_alone_and_was_short_is_found_by_the_audit() -> None:
    """What settles only as one may not pass for what settles alone."""
    for seed in range(20):
        desk = traded(seed)
        for date in RUNS:
            desk.run(date, 3)
        if any(isinstance(e, SettlementSettled) and e.together > 1 for e in desk.log):
            break
    for number, event in enumerate(desk.log):
        if isinstance(event, SettlementSettled):
            desk.log[number] = msgspec.structs.replace(event, together=1)
    assert any("settled in want of" in message for message in found_by_audit(desk.log))

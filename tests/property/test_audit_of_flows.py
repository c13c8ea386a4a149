"""Two bookkeepers, one that decides and one that only reads, agree on every random flow."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from application.audit.reconcile import Reconciliation
from application.audit.verify import verify
from application.log.ports import Recorded
from application.rehearsal.simulated_day.day import Day, DayClock
from application.writer.sequencer import Sequencer
from infrastructure.log.audit_source import StoredCodec
from infrastructure.log.memory import MemoryLog, MemorySnapshots
from tests.model.audited_flow import audited
from tests.model.command_flow import lived
from tests.model.memory_audit import MemoryAuditSource


@given(st.integers(0, 2**20))
@settings(max_examples=25)
def test_audit_finds_nothing_in_what_the_writer_decides(seed: int) -> None:
    """Orders, groups, auctions, halts, stops, replaces, busts, commissions, settlements: every
    rule of the books holds at each command, and the ledger of all parties is zero.
    """
    log = audited(seed, 200).log

    report = verify(MemoryAuditSource(log), StoredCodec())

    assert () == report.violations
    ledger = Reconciliation()
    ledger.add(
        Recorded(row.position, event) for row, event in zip(log.rows, log.events(), strict=True)
    )
    assert ledger.ok


@given(st.integers(0, 2**20))
@settings(max_examples=10)
def test_desk_of_the_writer_has_the_balances_of_the_audit(seed: int) -> None:
    """Cash, receivable, payable and held of every account, as the postings add up to them."""
    venue = lived(seed, 300)
    ledger = Reconciliation()
    ledger.add(Recorded(n, event) for n, event in enumerate(venue.log.events(), 1))

    posted = {(row.party, row.ledger): row.amount for row in ledger.balances()}

    for account in venue.writer.desk.accounts.by_id.values():
        assert account.cash == posted.get((account.id, "cash"), 0)
        assert account.receivable == posted.get((account.id, "receivable"), 0)
        assert -account.payable == posted.get((account.id, "payable"), 0)
        assert account.held == posted.get((account.id, "held"), 0)


async def simulated(trades: int, seed: int) -> MemoryLog:
    """A whole trading day with its settlement, on a log in memory."""
    log, clock = MemoryLog(), DayClock()
    writer = Sequencer(log, MemorySnapshots(), clock)
    running = asyncio.create_task(writer.run())
    await writer.ready.wait()
    day = Day(writer.submit, log, clock, trades=trades, seed=seed)
    await day.trade()
    await day.settle()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return log


@given(st.integers(0, 2**20))
@settings(max_examples=3, deadline=None)
def test_audit_finds_nothing_in_a_simulated_day(seed: int) -> None:
    """Two dozen accounts of both kinds under every schedule, from the auction until all that
    is due has settled and settled trades were undone.
    """
    report = verify(MemoryAuditSource(asyncio.run(simulated(300, seed))), StoredCodec())

    assert () == report.violations
    looked = {check.name: check.looked for check in report.checks}
    assert all(looked[name] for name in ("groups", "settlements", "commissions", "hold_sizes"))

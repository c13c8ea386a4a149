"""Whole made-up days on a writer in memory, held against the bookkeeper of raw trades."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import msgspec
import pytest

from application.audit.reconcile import Reconciliation
from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.state import state_hash
from application.log.ports import Recorded
from application.rehearsal.simulated_day.cast import ROLES, SESSION_DATE
from application.rehearsal.simulated_day.day import Day, DayClock
from application.rehearsal.simulated_day.exact_books import ExactBooks
from application.rehearsal.simulated_day.seen import Seen
from application.rehearsal.simulated_day.statements import compare, desk_statement
from application.writer.sequencer import Sequencer
from domain.events import (
    AccountDayClosed,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    PositionMarked,
)
from infrastructure.log.memory import MemoryLog, MemorySnapshots

TRADES = 150


class Lived(NamedTuple):
    """A day that is over."""

    seen: Seen
    desk: Desk
    log: MemoryLog


async def _live(seed: int, trades: int) -> Lived:
    log, clock, said = MemoryLog(), DayClock(), list[str]()
    writer = Sequencer(log, MemorySnapshots(), clock, say=said.append)
    writing = asyncio.create_task(writer.run())
    try:
        await writer.ready.wait()
        day = Day(writer.submit, log, clock, trades=trades, seed=seed)
        await day.trade()
        await day.settle()
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    assert said == []
    return Lived(day.seen, writer.desk, log)


def lived(seed: int, trades: int = TRADES) -> Lived:
    """A day from its auction to the last settlement."""
    return asyncio.run(_live(seed, trades))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_day_agrees_to_the_penny_with_raw_trades(seed: int) -> None:
    """The writer's books are what trades in fractions add up to, the ledger is zero at every
    event, everything is settled and nothing is held that no order holds.
    """
    day = lived(seed)
    exact, ledger = ExactBooks(), Reconciliation()
    recorded = asyncio.run(day.log.read(0, len(day.log.rows)))
    exact.take(recorded)
    ledger.add(recorded)

    lines, differences = compare([desk_statement(day.desk), exact.statement()])

    assert [] == [str(difference) for difference in differences]
    assert lines > 4 * len(ROLES)
    assert (0, []) == (ledger.total, ledger.unbalanced)
    assert not day.desk.accounts.obligations and not any(day.desk.accounts.pool.values())
    for account in day.desk.accounts.by_id.values():
        held = sum(order.hold for order in day.desk.orders.of_account(account.id))
        assert (0, 0, held) == (account.receivable, account.payable, account.held)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_day_leaves_no_orphan_exit_and_no_group_overfilled(seed: int) -> None:
    """After close and expiry exits work only with a live group, as events and desk say."""
    day = lived(seed)

    assert TRADES <= day.seen.counts["trades"]
    assert 0 < day.seen.counts["groups"]
    assert (0, 0) == (day.seen.orphans, day.seen.overfilled)
    live = {name for name, group in day.seen.groups.items() if not group.ended}
    assert live == {group.id for group in day.desk.orders.groups.values()}
    assert set(day.seen.working) == {one.id for one in day.desk.orders.working.values()}


def test_day_closed_for_everybody_after_the_last_expiry() -> None:
    """Every account's day has an end, once, and all that was held then a mark of that session."""
    day = lived(1)
    events = [row.event for row in asyncio.run(day.log.read(0, len(day.log.rows)))]
    ended = [event for event in events if isinstance(event, AccountDayClosed)]
    marks = [event for event in events if isinstance(event, PositionMarked)]

    assert {event.originator_id for event in ended} == set(day.seen.account_named.values())
    assert len(ended) == len(ROLES)
    assert {(SESSION_DATE, True)} == {(event.session_date, event.qty != 0) for event in marks}
    assert len(marks) == len({event.originator_id for event in marks}) > len(ROLES) // 2


def test_stop_remainder_of_no_day_leaves_a_position_bare() -> None:
    """Books are thin, stops are triggered and find too little, and what they leave trades on."""
    days = [lived(seed, 300).seen for seed in (1, 2, 3)]

    assert [0, 0, 0] == [seen.bare for seen in days]
    assert 20 < sum(seen.counts["stops_elected"] for seen in days)
    assert 3 < sum(seen.counts["remainders_traded"] for seen in days)


def test_day_replays_to_the_same_decimal_state() -> None:
    """The log alone gives the writer's state, and the same seed the same day, byte for byte."""
    day, again, other = lived(5), lived(5), lived(6)
    desk = Desk()
    follow(desk, asyncio.run(day.log.read(0, len(day.log.rows))))

    assert state_hash(day.desk) == state_hash(desk)
    assert [row.state for row in day.log.rows] == [row.state for row in again.log.rows]
    assert state_hash(day.desk) != state_hash(other.desk)


def test_penny_that_is_moved_in_one_book_is_found() -> None:
    """A cent more in an account, or one trade at another price, does not go unnoticed."""
    day = lived(4)
    recorded = list(asyncio.run(day.log.read(0, len(day.log.rows))))
    exact = ExactBooks()
    exact.take(recorded)
    someone = next(iter(day.desk.accounts.by_id.values()))
    someone.cash += 1

    _, differences = compare([desk_statement(day.desk), exact.statement()])

    assert [(someone.id, "cash")] == [(d.line.party, d.line.what) for d in differences]

    someone.cash -= 1
    revisions = OrderFillBusted | OrderFillCorrected
    revised = {row.event.trade_id for row in recorded if isinstance(row.event, revisions)}
    number, fill = next(
        (n, row.event)
        for n, row in enumerate(recorded)
        if isinstance(row.event, OrderFilled) and row.event.trade_id not in revised
    )
    dearer = msgspec.structs.replace(fill, price=2 * fill.price)
    recorded[number] = Recorded(recorded[number].position, dearer)
    misled = ExactBooks()
    misled.take(recorded)

    _, differences = compare([desk_statement(day.desk), misled.statement()])

    assert (fill.account_id, "cash") in [(d.line.party, d.line.what) for d in differences]

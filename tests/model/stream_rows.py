"""What a made-up stream records when an account is restricted, and when a day is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from domain import events as ev
from domain.money import SHARE_PRICE_SCALE, notional
from tests.model.stream_states import AccountState

MARK = 1_010_000
DAY = 20251120
Row = tuple[type[ev.DomainEvent], UUID, tuple[Any, ...]]
"""A kind of event, whose it is, and its values."""

RESTRICTIONS: tuple[tuple[type[ev.DomainEvent], tuple[Any, ...]], ...] = (
    (ev.AccountStatusChanged, (1, "watched")),
    (ev.AccountLimitsSet, (5_000_000, 100)),
    (ev.AccountPolicySet, (True,)),
    (ev.CommissionScheduleSet, (1, ((0, 3_500_000, 5_000_000),), 35, 100)),
    (ev.AccountConfigured, (True, True, False, 1)),
    (ev.AccountKillSwitched, (True, "a runaway")),
    (ev.AccountKillSwitched, (False, "all is well")),
    (ev.MarginCalled, (1_000, 2_000)),
    (ev.MarginCallMet, (3_000, 2_000)),
)
"""What befalls an account that is watched, one command each."""


def day_end_of(account: AccountState, instrument_id: UUID) -> Iterator[Row]:
    """The mark of what an account holds of one instrument, and the end of its day."""
    position = account.positions.get(instrument_id)
    value = 0
    if position is not None and position.qty:
        value = notional(MARK, position.qty, SHARE_PRICE_SCALE)
        profit = value - position.cost
        mark = (DAY, MARK, SHARE_PRICE_SCALE, position.qty, value, profit, 7)
        carried = str(profit * 10**22)
        yield ev.PositionMarked, position.id, (account.id, instrument_id, *mark, carried)
    worth = (account.cash + value, account.cash, 0, max(0, value), max(0, -value))
    yield ev.AccountDayClosed, account.id, (DAY, *worth)

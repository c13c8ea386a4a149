"""Reports of single events, over the lives of orders: live, behind, and asked for again."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from api.fix.application.multileg_reports import (
    Told,
    is_asked,
    strategy_report,
    strategy_status,
)
from api.fix.application.reports import (
    Stood,
    cancel_reject_of,
    is_answer,
    is_reported,
    ord_status,
    report_of,
)
from api.fix.application.terms import SessionTerms
from api.fix.ports import Body, Report, Source
from api.order_lives import OrderLives
from api.strategy_lives import StrategyLives
from application.log.ports import Recorded, ReportsLog
from application.turns import Turn
from domain.events import DomainEvent, MultiLegEvent, OrderEvent, RequestRefused

READ_AT_ONCE = 1_000


class Owed:
    """A session as the log knows it: by its door, and what it may be told."""

    def __init__(self, door: str, terms: SessionTerms) -> None:
        self.door = door
        self.terms = terms
        self._labels = {account.int: label for label, account in terms.accounts.items()}

    def label_of(self, account_id: UUID) -> str:
        """What the session calls an account; empty for another's."""
        return self._labels.get(account_id.int, "")

    def is_told(self, event: OrderEvent | MultiLegEvent, gateway: str) -> bool:
        """Whether it is told of an event of an order that came through a gateway."""
        if gateway == self.door or self.terms.drop_copy:
            return True
        if isinstance(event, MultiLegEvent):
            return is_asked(event, self.door)
        return is_answer(event, self.door)


class Reports:
    """Makes the reports of events that are read in log order."""

    def __init__(self, log: ReportsLog, remembered: int) -> None:
        self._log = log
        self.lives = OrderLives(log, remembered)
        self.strategies = StrategyLives(log, remembered)

    def forget(self) -> None:
        """Let go of what is remembered of orders."""
        self.lives.forget()
        self.strategies.forget()

    async def look_ahead(self, events: Sequence[OrderEvent]) -> None:
        """Learn whose the orders are that events are about to be asked of, in one question."""
        await self.lives.learn_gateways(self._log, events)

    async def of(self, recorded: Recorded, sessions: Sequence[Owed]) -> list[Report | None]:
        """What each session is owed because of an event, where it is owed anything."""
        position, event = recorded
        if isinstance(event, OrderEvent):
            return await self._of_order(position, event, sessions)
        if isinstance(event, MultiLegEvent):
            return await self._of_strategy(position, event, sessions)
        if isinstance(event, RequestRefused) and is_reported(event):
            return await self._of_refusal(position, event, sessions)
        return [None] * len(sessions)

    async def _of_order(
        self, position: int, event: OrderEvent, sessions: Sequence[Owed]
    ) -> list[Report | None]:
        gateway = self.lives.gateway_known(event.originator_id)
        if gateway is not None and not any(one.is_told(event, gateway) for one in sessions):
            # An order of others, of which nobody here asked this: how it stands is not needed.
            return [None] * len(sessions)
        step = await self.lives.follow(event)
        return [
            Report(
                Source(position),
                report_of(position, event, step, one.label_of(event.account_id), one.door),
            )
            if one.is_told(event, step.gateway)
            else None
            for one in sessions
        ]

    async def _of_strategy(
        self, position: int, event: MultiLegEvent, sessions: Sequence[Owed]
    ) -> list[Report | None]:
        step = await self.strategies.follow(event)
        return [
            Report(
                Source(position),
                strategy_report(
                    position, event, step, Told(one.door, one.label_of(event.account_id))
                ),
            )
            if one.is_told(event, step.gateway)
            else None
            for one in sessions
        ]

    async def _stood(self, order_id: UUID, position: int) -> Stood | None:
        """An order of either kind as it stood before a position."""
        order = await self.lives.before(order_id, position)
        if order is not None:
            return Stood(order.id, ord_status(order))
        view = await self.strategies.before(order_id, position)
        return None if view is None else Stood(view.order_id, strategy_status(view))

    async def _of_refusal(
        self, position: int, event: RequestRefused, sessions: Sequence[Owed]
    ) -> list[Report | None]:
        told = [one.terms.drop_copy or event.gateway == one.door for one in sessions]
        if not any(told):
            return [None] * len(sessions)
        order = None
        if event.order_id.int:
            order = await self._stood(event.order_id, position)
        return [
            Report(
                Source(position),
                cancel_reject_of(event, order, one.label_of(event.originator_id)),
            )
            if is_told
            else None
            for one, is_told in zip(sessions, told, strict=True)
        ]


async def rendered(
    log: ReportsLog, reports: Reports, session: Owed, sources: Sequence[Source]
) -> list[Body]:
    """The messages of events that a session was told of, in the order in which they are asked for.

    Whatever else is true of the session by now, these it was owed.
    """
    found: dict[int, Body] = {}
    owed = Owed(session.door, session.terms._replace(drop_copy=True))
    wanted = sorted({source.position for source in sources})
    turn = Turn()
    for start in range(0, len(wanted), READ_AT_ONCE):
        for recorded in await log.read_at(wanted[start : start + READ_AT_ONCE]):
            (report,) = await reports.of(recorded, [owed])
            assert report is not None, f"no report is made of position {recorded.position}"
            found[recorded.position] = report.body
            # Whoever asks for much again is one of many sessions.
            await turn.is_over()
    return [found[source.position] for source in sources]


def account_of(event: DomainEvent) -> int:
    """Whose event it is, as the integer of the account's id."""
    if isinstance(event, OrderEvent | MultiLegEvent):
        return event.account_id.int
    return event.originator_id.int

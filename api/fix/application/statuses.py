"""Status instead of history: how the open orders stand of a session that was away for long."""

from __future__ import annotations

from api.fix.application import answers
from api.fix.application.behind import Behind
from api.fix.application.multileg_reports import strategy_as_it_is
from api.fix.application.rendering import Owed
from api.fix.ports import Link

MICROSECONDS = 1_000_000


class Statuses:
    """Tells sessions that wish so how their orders stand, and not what they went through."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    async def instead(self, link: Link, owed: Owed, told: int) -> int:
        """Where a session is told on from: where it was, or the end of the log as it is now, after
        one report for each of its open orders. What came before is passed over.
        """
        behind = self._behind
        after = owed.terms.status_after_seconds
        if after is None:
            return told
        missed = await behind.log.read(told, 1)
        now = behind.clock.now()
        if not missed or now - missed[0].event.at < after * MICROSECONDS:
            return told
        end = await behind.log.last_position()
        bodies = []
        for account_id in owed.terms.accounts.values():
            label = owed.terms.label_of(account_id)
            for strategy_id in await behind.views.working_strategies(account_id):
                strategy = await behind.strategy(strategy_id)
                if strategy is None or strategy.ended_at or not strategy.leaves:
                    continue
                if owed.terms.drop_copy or await behind.owner(strategy_id) == owed.door:
                    bodies.append(strategy_as_it_is(strategy, label, [], now))
            for order_id in await behind.views.working_orders(account_id):
                order = await behind.order(order_id)
                if order is None or not order.is_working:
                    continue
                if owed.terms.drop_copy or await behind.owner(order_id) == owed.door:
                    bodies.append(answers.order_status(order, label, [], now))
        await link.deliver((), end)
        for body in bodies:
            link.answer(body)
        return end

"""What the log says of orders that belong together when they were placed, which never changes."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple
from uuid import UUID

from application.log.ports import EventStreams
from domain.events import GroupPlaced, MultiLegPlaced
from domain.terms import Leg, OrderClass

REMEMBERED_GROUPS = 50_000
_FIRST = int(Leg.FIRST)
_MLEG = int(OrderClass.MLEG)


class LegShare(NamedTuple):
    """What of a unit of a multi-leg order one of its legs is, and what it is meant to do."""

    ratio: int = 0
    position_intent: int = 0


class GroupTerms(NamedTuple):
    """What a group of linked orders, or a multi-leg order, was placed as."""

    order_class: int = 0
    legs: tuple[LegShare, ...] = ()

    def share(self, leg: int) -> LegShare:
        """What a leg of a multi-leg order is of it; nothing of any other order."""
        place = leg - _FIRST
        return self.legs[place] if 0 <= place < len(self.legs) else NO_SHARE


NO_SHARE = LegShare()
ALONE = GroupTerms()
"""What an order is placed as that belongs to no others."""


def terms_of_strategy(placed: MultiLegPlaced) -> GroupTerms:
    """What a multi-leg order was placed as."""
    return GroupTerms(
        _MLEG,
        tuple(LegShare(ratio, intent) for _, _, _, _, ratio, intent in placed.legs),
    )


class Groups:
    """What each group was placed as, looked up once: orders carry only their group's id."""

    def __init__(self, log: EventStreams) -> None:
        self._log = log
        self._known: OrderedDict[UUID, GroupTerms] = OrderedDict()

    def asking(self, log: EventStreams) -> Groups:
        """The same knowledge, with another log to ask for what it lacks."""
        other = Groups(log)
        other._known = self._known
        return other

    def remember(self, group_id: UUID, terms: GroupTerms) -> None:
        """Note what a group was placed as."""
        self._known[group_id] = terms
        self._known.move_to_end(group_id)
        while len(self._known) > REMEMBERED_GROUPS:
            self._known.popitem(last=False)

    async def of(self, group_id: UUID) -> GroupTerms:
        """What the group was placed as; `ALONE` for an order that is in none."""
        if not group_id.int:
            return ALONE
        known = self._known.get(group_id)
        if known is None:
            first = await self._log.stream(group_id, 0, 1)
            assert first, f"the log lacks the beginning of group {group_id}"
            placed = first[0].event
            assert isinstance(placed, GroupPlaced | MultiLegPlaced)
            if isinstance(placed, GroupPlaced):
                known = GroupTerms(placed.order_class)
            else:
                known = terms_of_strategy(placed)
            self.remember(group_id, known)
        return known

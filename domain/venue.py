"""The venue as a whole: the kill switch that stops every account, and pairs of instruments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision
from domain.events import PairMarginSet, VenueKillSwitched
from domain.identifiers import uuid_of


class Venue(Aggregate):
    """There is one, under `domain.identifiers.VENUE`."""

    KIND = "venue"

    killed: bool = False
    pairs: Any = ()
    """Rows of two instruments that hedge each other and a rate, by their ids."""

    def switch(self, decision: Decision, engaged: bool, reason: str) -> None:
        """Engage or release the kill switch."""
        # It is there before its first event, but begins with it.
        known = self if self.version else None
        event = VenueKillSwitched(*decision.next_of(self), engaged=engaged, reason=reason)
        decision.record(event, known)

    def pair(self, decision: Decision, first: UUID, second: UUID, bps: int) -> None:
        """Let two instruments hedge each other at a rate, or no more at 0."""
        one, other = sorted((first, second))
        pairs = {(row[0], row[1]): row[2] for row in self.pairs}
        pairs.pop((one, other), None)
        if bps:
            pairs[one, other] = bps
        known = self if self.version else None
        event = PairMarginSet(
            *decision.next_of(self),
            pair=(one, other, bps),
            pairs_after=tuple((*ids, pairs[ids]) for ids in sorted(pairs)),
        )
        decision.record(event, known)

    def paired(self, first: UUID, second: UUID) -> int:
        """The rate at which two instruments hedge each other; 0 where they do not."""
        both = tuple(sorted((first, second)))
        return next((row[2] for row in self.pairs if (row[0], row[1]) == both), 0)

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> Self:
        """The one whose `state` this is; ids and rows come back as bytes and lists."""
        self = super().from_state(state)
        self.pairs = tuple((uuid_of(one), uuid_of(other), bps) for one, other, bps in self.pairs)
        return self


aggregate(Venue)

"""The venue as a whole: the kill switch that stops every account."""

from __future__ import annotations

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision
from domain.events import VenueKillSwitched


class Venue(Aggregate):
    """There is one, under `domain.identifiers.VENUE`."""

    KIND = "venue"

    killed: bool = False

    def switch(self, decision: Decision, engaged: bool, reason: str) -> None:
        """Engage or release the kill switch."""
        # It is there before its first event, but begins with it.
        known = self if self.version else None
        event = VenueKillSwitched(*decision.next_of(self), engaged=engaged, reason=reason)
        decision.record(event, known)


aggregate(Venue)

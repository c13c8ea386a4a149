"""The venue as a whole: the kill switch that stops every account."""

from __future__ import annotations

from typing import Any, ClassVar

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision
from domain.events import VenueKillSwitched


class Venue(Aggregate):
    """There is one, under `domain.identifiers.VENUE`."""

    KIND = "venue"
    FIELDS: ClassVar[dict[str, Any]] = {"killed": False}

    killed: bool

    def switch(self, decision: Decision, engaged: bool, reason: str) -> None:
        """Engage or release the kill switch."""
        if self.version:
            self.trigger(VenueKillSwitched, decision, engaged, reason)
        else:
            # It is there before its first event, but begins with it.
            self.begin(VenueKillSwitched, decision, self.id, engaged, reason)


aggregate(Venue)

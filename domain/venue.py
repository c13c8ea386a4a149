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
        if not self.version:
            # It is there before its first event, but begins with it.
            self.created_at = decision.at
        self.trigger(VenueKillSwitched, decision, engaged, reason)


aggregate(Venue)

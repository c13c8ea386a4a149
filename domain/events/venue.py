"""Events of the venue as a whole."""

from __future__ import annotations

from typing import Any

from domain.events.base import DomainEvent, topic


class VenueEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of the venue; the originator is `domain.identifiers.VENUE`."""

    AGGREGATE = "venue"


@topic
class VenueKillSwitched(VenueEvent, frozen=True, array_like=True, gc=False):
    """The kill switch of all accounts was engaged or released."""

    TOPIC = "venue.kill_switched.v1"
    engaged: bool
    reason: str

    def apply(self, aggregate: Any) -> None:
        aggregate.killed = self.engaged

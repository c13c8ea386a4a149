"""Events of the venue as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.events.base import DomainEvent, topic
from domain.units import Flag, Unit


class VenueEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of the venue; the originator is `domain.identifiers.VENUE`."""

    AGGREGATE = "venue"
    SETS: ClassVar[Mapping[str, Unit]] = {"killed": Flag()}


@topic
class VenueKillSwitched(VenueEvent, frozen=True, array_like=True, gc=False):
    """The kill switch of all accounts was engaged or released."""

    TOPIC = "venue.kill_switched.v1"
    engaged: bool
    reason: str

    def apply(self, aggregate: Any) -> None:
        aggregate.killed = self.engaged

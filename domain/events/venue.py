"""Events of the venue as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from domain.events.base import DomainEvent, topic
from domain.identifiers import InstrumentId
from domain.units import Bps, Columns, Flag, Unit, unit_of

PairRow = Annotated[
    tuple[InstrumentId, InstrumentId, Bps], Columns(("instrument_id", "other_id", "bps"))
]
"""Two instruments that hedge each other, the smaller id first, and the rate of what does."""


class VenueEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of the venue; the originator is `domain.identifiers.VENUE`."""

    AGGREGATE = "venue"
    SETS: ClassVar[Mapping[str, Unit]] = {
        "killed": Flag(),
        "pairs": unit_of(tuple[PairRow, ...], "pairs"),
    }


@topic
class VenueKillSwitched(VenueEvent, frozen=True, array_like=True, gc=False):
    """The kill switch of all accounts was engaged or released."""

    TOPIC = "venue.kill_switched.v1"
    engaged: bool
    reason: str

    def apply(self, aggregate: Any) -> None:
        aggregate.killed = self.engaged


@topic
class PairMarginSet(VenueEvent, frozen=True, array_like=True, gc=False):
    """Two instruments hedge each other from now on at a rate of what does; at 0 no more."""

    TOPIC = "venue.pair_margin_set.v1"
    pair: PairRow
    pairs_after: tuple[PairRow, ...]

    def apply(self, aggregate: Any) -> None:
        aggregate.pairs = self.pairs_after

"""The books of pairs of instruments that hedge each other, and of what that saves."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple
from uuid import UUID

from application.audit.second_books.findings import Findings
from application.audit.second_books.instruments import InstrumentBooks
from domain.events import PairMarginSet

CHECK = "margin_calls"
_NONE = Fraction(0)


class Hedged(NamedTuple):
    """Shares at their mark in dollars, negative when short, and both rates that they bind."""

    worth: Fraction
    initial: Fraction
    maintenance: Fraction


class Spared(NamedTuple):
    """Dollars of both requirements that pairs spare."""

    initial: Fraction
    maintenance: Fraction


class PairBooks:
    """Pairs by the ids of both, the smaller first."""

    def __init__(self, findings: Findings, instruments: InstrumentBooks) -> None:
        self._findings = findings
        self._instruments = instruments
        self._rates: dict[tuple[UUID, UUID], int] = {}

    def paired(self, position: int, event: PairMarginSet) -> None:
        """Judge a pair: two shares in the order of their ids, at a rate or no more."""
        *ids, bps = event.pair
        both = (ids[0], ids[1])
        self._rates.pop(both, None)
        if bps:
            self._rates[both] = bps
        due = tuple((*ids, self._rates[ids]) for ids in sorted(self._rates))
        said = tuple(tuple(row) for row in event.pairs_after)
        self._findings.chain(CHECK, position, "all pairs", said, due)
        options = any(self._instruments.of(one).expiry for one in both)
        if both[0] >= both[1] or options or not 0 <= bps <= 10_000:
            self._findings.fail(CHECK, position, f"{both} are no pair at {bps}")

    def spared(self, held: Mapping[UUID, Hedged]) -> Spared:
        """What pairs spare of what is held: the cheapest first, each share once."""
        rest = {one: hedged.worth for one, hedged in held.items()}
        initial = maintenance = _NONE
        for bps, one, other in sorted((bps, *both) for both, bps in self._rates.items()):
            if rest.get(one, _NONE) * rest.get(other, _NONE) >= 0:
                continue
            worth, rate = min(abs(rest[one]), abs(rest[other])), Fraction(bps, 10_000)
            for instrument_id in (one, other):
                hedged = held[instrument_id]
                initial += worth * max(_NONE, hedged.initial - rate)
                maintenance += worth * max(_NONE, hedged.maintenance - rate)
                rest[instrument_id] -= worth if rest[instrument_id] > 0 else -worth
        return Spared(initial, maintenance)

    @property
    def declared(self) -> bool:
        """Whether there is a pair."""
        return bool(self._rates)

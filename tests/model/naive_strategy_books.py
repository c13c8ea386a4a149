"""Legs in books of their own, as the planner takes them and as its naive twin does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from domain.identifiers import HOUSE
from domain.instrument import Instrument
from domain.matching.engine import Market
from domain.matching.strategy import LegAsk
from domain.money import QTY_UNIT
from tests.model.naive_strategy import BUY, NaiveLeg, Offered


@dataclass(frozen=True)
class LegTerms:
    """A leg and what its instrument is like; a bound is in ticks, 0 is none."""

    side: int
    ratio: int = 1
    multiplier: int = 1
    decimals: int = 2
    tick: int = 1
    lot: int = QTY_UNIT
    bound: int = 0
    reference: int = 0
    collar_bps: int = 9_999


Resting = tuple[int, int, int]
"""An order of a book: ticks, lots, owner."""


def market_of(
    terms: LegTerms, offered: Sequence[Resting], wanted: Sequence[Resting] = ()
) -> Market:
    """A market where orders stand that the leg would meet, with others on its own side."""
    instrument = Instrument.blank(HOUSE, 0)
    instrument.price_decimals, instrument.tick = terms.decimals, terms.tick
    instrument.lot, instrument.collar_bps = terms.lot, terms.collar_bps
    instrument.reference_price = terms.reference * terms.tick
    market = Market(instrument)
    for at, (ticks, lots, owner) in enumerate(offered):
        market.book.add(at + 1, 3 - terms.side, ticks, lots, owner)
    for at, (ticks, lots, owner) in enumerate(wanted):
        market.book.add(1_000 + at, terms.side, ticks, lots, owner)
    return market


def asked(terms: LegTerms, market: Market) -> LegAsk:
    """A leg as the planner takes it."""
    bound = terms.bound * terms.tick
    return LegAsk(market, terms.side, terms.ratio, bound, terms.multiplier)


def price_of(terms: LegTerms, ticks: int) -> Fraction:
    """A price in dollars."""
    return Fraction(ticks * terms.tick, 10**terms.decimals)


def told(terms: LegTerms, offered: Sequence[Resting]) -> NaiveLeg:
    """The same leg as the naive twin takes it."""
    found = [
        Offered(at + 1, Fraction(lots * terms.lot, QTY_UNIT), price_of(terms, ticks), owner)
        for at, (ticks, lots, owner) in enumerate(offered)
    ]
    found.sort(key=lambda one: one.price if terms.side == BUY else -one.price)
    bound = price_of(terms, terms.bound) if terms.bound else None
    return NaiveLeg(terms.side, terms.ratio, terms.multiplier, bound, found)

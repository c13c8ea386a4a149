"""Prices from outside as another source of the same ring.

They are told and not kept: a price that marks an instrument or elects a stop is sent to the venue
as a command, and so is an event and comes back as a mark. `Critical` is not promised of them.
"""

from __future__ import annotations

from application.ports import Clock
from application.reference_prices import Received, ReferencePrice, ReferencePrices
from domain.money import WIRE_PRICE_SCALE, divide_half_even
from projections.market_data.depth import MarketData
from projections.market_data.fanout import Fanout
from projections.market_data.freshness import Freshness
from projections.market_data.records import LOG, Kind, Record

_REFERENCE = int(Kind.REFERENCE)


class ReferenceCounts:
    """Counts the prices from outside of each instrument, whichever source they are of.

    They are counted on from the time of day at which this was made, so that a count does not fall
    when the feed begins anew.
    """

    def __init__(self, clock: Clock) -> None:
        self._begun = clock.now()
        self._told: dict[int, int] = {}

    def following(self, index: int) -> int:
        """The next count of an instrument."""
        told = self._told[index] = self._told.get(index, self._begun) + 1
        return told


class References:
    """Publishes what one source says of instruments that are listed, by their symbol of today.

    Prices are rounded half to even to the instrument's places. `clock` tells the time of day, by
    which a price that says when it was quoted has its age. Where there are several sources they
    share the counts, as an instrument has one row for all of them.
    """

    def __init__(
        self,
        source: int,
        data: MarketData,
        fanout: Fanout,
        freshness: Freshness,
        clock: Clock,
        counts: ReferenceCounts | None = None,
    ) -> None:
        if source <= LOG:
            raise ValueError(f"source is {source}, and a source from outside is above {LOG}")
        self.unknown = 0
        """How many prices were of symbols that nothing has that is listed."""
        self._source = source
        self._data = data
        self._fanout = fanout
        self._freshness = freshness
        self._clock = clock
        self._counts = ReferenceCounts(clock) if counts is None else counts

    def publish(self, received: Received) -> None:
        """Tell of prices that came together."""
        now = self._clock.now()
        records = [
            record for price in received.prices if (record := self._record(price, now)) is not None
        ]
        self._fanout.publish_all(records)
        said = [one.quoted_at for one in received.prices if one.quoted_at]
        said += [received.known_at] if received.known_at else []
        ages = [max(0, now - one) for one in said]
        if ages or received.new:
            age = min(ages, default=0)
            self._freshness.confirm(self._source, self._freshness.clock.now() - age)

    def _record(self, price: ReferencePrice, now: int) -> Record | None:
        market = self._data.floor.markets.listed_as(price.symbol)
        if market is None:
            self.unknown += 1
            return None
        index = self._data.index_of(market.instrument.id)
        unit = 10 ** (WIRE_PRICE_SCALE - market.instrument.price_decimals)
        return Record(
            self._source,
            index,
            _REFERENCE,
            0,
            self._counts.following(index),
            now,
            0,
            price=divide_half_even(price.price, unit),
            first=divide_half_even(price.bid, unit),
            second=divide_half_even(price.ask, unit),
            third=price.quoted_at,
        )


async def follow_prices(prices: ReferencePrices, references: References) -> None:
    """Tell of whatever a source gives, for ever."""
    while True:
        references.publish(await prices.receive())

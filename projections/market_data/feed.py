"""Market data as a door asks for it: snapshots of a symbol, and symbols to follow.

`Feed` is the port. Where the feed is followed out of the log it is a `LocalFeed`; elsewhere it is
a mirror of what that process tells, with a ring, books and ages of its own. A door asks `follow`
for an instrument's row, makes a subscriber of `fanout` with it (`projections.market_data.
subscribers`), adds that to `waker`, and gives the row back with `leave`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from domain.instrument import Instrument
from projections.market_data.depth import ALL_LEVELS, BookChanges, Books, MarketData
from projections.market_data.fanout import Fanout
from projections.market_data.freshness import Freshness
from projections.market_data.records import LOG, Kind, Record
from projections.market_data.waking import Waker

LATEST_KINDS = tuple(int(kind) for kind in Kind if kind != Kind.LEVEL)
"""The kinds of which a snapshot has the latest record; of a book it has all levels."""


class FeedAway(Exception):
    """The process of the feed cannot be asked now."""


class NotListed(Exception):
    """No instrument has this symbol."""

    def __init__(self, symbol: str) -> None:
        super().__init__(f"there is no instrument {symbol}")
        self.symbol = symbol


class Listed(NamedTuple):
    """What a reader of records must know of their instrument."""

    instrument_id: UUID
    symbol: str
    asset_class: str
    price_decimals: int
    tick: int
    lot: int


class Snapshot(NamedTuple):
    """All that stands of an instrument after a command.

    `book` is whole, or its best levels: its records are the levels, bids and then asks, best
    first. `checksum` is that of the book. `latest` has the newest record of each other kind that
    there was any of. `as_of` is when the feed last knew itself at the log's head, by the machine's
    steady clock in microseconds, which all of its processes share; None before it ever was.
    `position` is the feed's in the log.
    """

    instrument: Listed
    book: BookChanges
    checksum: int
    latest: Sequence[Record]
    as_of: int | None
    position: int


class Followed(NamedTuple):
    """An instrument that is followed: its row in `Feed.fanout` and `Feed.books`."""

    row: int
    instrument: Listed


class Feed(Protocol):
    """Market data in a process. `freshness` holds the age of what is followed and of marks."""

    @property
    def fanout(self) -> Fanout:
        """The ring of what is followed."""
        ...

    @property
    def waker(self) -> Waker:
        """Who tells subscribers; each is added to it."""
        ...

    @property
    def books(self) -> Books:
        """The books of what is followed, for conflating subscribers."""
        ...

    @property
    def freshness(self) -> Freshness:
        """How old what was told is."""
        ...

    @property
    def away(self) -> bool:
        """Whether nobody tells anything now: the process of the feed cannot be reached."""
        ...

    @property
    def position(self) -> int:
        """The position of the log up to which everything has been told here."""
        ...

    async def snapshot(self, symbol: str, levels: int = ALL_LEVELS) -> Snapshot:
        """All that stands of what a symbol leads to, asked anew, with so many levels of each side
        of its book. Raises NotListed or FeedAway.
        """
        ...

    async def follow(self, symbol: str) -> Followed:
        """Have an instrument kept here, with all that stands of it told already; as often as it is
        asked for it must be left. Raises NotListed or FeedAway.
        """
        ...

    def leave(self, row: int) -> None:
        """Be done with what was followed once."""
        ...

    def mark(self, instrument_id: UUID) -> Record | None:
        """The latest mark of any instrument, followed or not; None where there is none.

        Its age is that of the log's source.
        """
        ...

    def valued_at(self, instrument_id: UUID) -> int | None:
        """The price at which the writer values a holding, of any instrument, followed or not: the
        mark where it moves stops, else the last trade, the mark, the reference. 0 where there is
        no price yet, None where there is no such instrument. It is of `position`, and its age is
        that of the log's source.
        """
        ...


class LocalFeed:
    """The feed in the process that follows the log: everything is there already."""

    def __init__(
        self, data: MarketData, fanout: Fanout, waker: Waker, freshness: Freshness
    ) -> None:
        self.data = data
        self.fanout = fanout
        self.waker = waker
        self.freshness = freshness

    @property
    def books(self) -> Books:
        """The books by the log."""
        return self.data

    @property
    def away(self) -> bool:
        """Never: it is here."""
        return False

    @property
    def position(self) -> int:
        """Where the books stand in the log."""
        return self.data.position

    async def snapshot(self, symbol: str, levels: int = ALL_LEVELS) -> Snapshot:
        """All that stands of a symbol. Raises NotListed."""
        return self.snapshot_of(self.find(symbol), levels)

    async def follow(self, symbol: str) -> Followed:
        """The instrument, which is there anyhow. Raises NotListed."""
        row = self.find(symbol)
        return Followed(row, listed(self.data.instrument(row)))

    def leave(self, row: int) -> None:
        """Nothing is given up."""

    def mark(self, instrument_id: UUID) -> Record | None:
        """The latest mark of an instrument."""
        try:
            index = self.data.index_of(instrument_id)
        except KeyError:
            return None
        return self.fanout.latest(index, int(Kind.MARK))

    def valued_at(self, instrument_id: UUID) -> int | None:
        """The price at which the writer values an instrument."""
        return self.data.mark(instrument_id)

    def find(self, symbol: str) -> int:
        """The index of the instrument that a symbol leads to. Raises NotListed."""
        market = self.data.floor.markets.by_symbol.get(symbol)
        if market is None:
            raise NotListed(symbol)
        return self.data.index_of(market.instrument.id)

    def snapshot_of(self, index: int, levels: int = ALL_LEVELS) -> Snapshot:
        """All that stands of an instrument, with so many levels of each side of its book."""
        latest = (self.fanout.latest(index, kind) for kind in LATEST_KINDS)
        return Snapshot(
            listed(self.data.instrument(index)),
            self.data.best(index, levels),
            self.data.levels(index).checksum,
            [record for record in latest if record is not None],
            self.freshness.at(LOG),
            self.data.position,
        )


def listed(instrument: Instrument) -> Listed:
    """What is told of an instrument."""
    return Listed(
        instrument.id,
        instrument.symbol,
        instrument.asset_class,
        instrument.price_decimals,
        instrument.tick,
        instrument.lot,
    )

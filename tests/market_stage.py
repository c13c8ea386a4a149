"""A desk whose market data is told to a feed of this process, by a clock that tests set."""

from __future__ import annotations

import asyncio
from typing import Any

from application.log.ports import Recorded
from domain.terms import Side
from projections.market_data.depth import MarketData
from projections.market_data.fanout import Fanout
from projections.market_data.feed import LocalFeed
from projections.market_data.freshness import Freshness
from projections.market_data.records import LOG
from projections.market_data.waking import Waker
from tests.model.desk_harness import DeskHarness


class SetClock:
    """A clock that a test sets, in microseconds."""

    def __init__(self, at: int = 1_000_000_000) -> None:
        self.at = at

    def now(self) -> int:
        """The moment that was set."""
        return self.at


class MarketStage:
    """Two traders and one instrument; made in the loop in which the feed is used."""

    def __init__(self, clock: Any = None, **terms: Any) -> None:
        self.clock = clock or SetClock()
        self.venue = DeskHarness(checked=False)
        self.data = MarketData()
        self.fanout = Fanout(records=1_024, instruments=16, subscribers=16)
        waker = Waker(self.fanout, self.clock, asyncio.get_running_loop())
        self.freshness = Freshness(self.clock)
        self.feed = LocalFeed(self.data, self.fanout, waker, self.freshness)
        self.venue.instrument(**terms)
        self.anna = self.venue.account("anna")
        self.bert = self.venue.account("bert")
        self.venue.hold(self.bert, 100_000)
        self.tell()

    @property
    def symbol(self) -> str:
        """What is traded."""
        return self.data.instrument(0).symbol

    def tell(self) -> None:
        """Have the feed told of all that was decided, and know it."""
        events = [Recorded(n, event) for n, event in enumerate(self.venue.log, 1)]
        for records in self.data.commands(events):
            self.fanout.publish_all(records)
        self.confirm()

    def confirm(self) -> None:
        """Let the feed know itself at the log's head."""
        self.freshness.confirm(LOG, self.clock.now())

    def buy(self, qty: int, limit: int | None = None, **terms: Any) -> None:
        """Anna buys, and it is told."""
        self.venue.place(self.anna, Side.BUY, qty, limit, **terms)
        self.tell()

    def sell(self, qty: int, limit: int | None = None, **terms: Any) -> None:
        """Bert sells, and it is told."""
        self.venue.place(self.bert, Side.SELL, qty, limit, **terms)
        self.tell()

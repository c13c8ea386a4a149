"""Prices from outside beside the venue's own: every source that the settings name is followed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from api.market_data.marking import Marking, MarkLimits
from application.ports import Clock, CommandBus
from application.reference_prices import ReferencePrices
from infrastructure.price_sources import PriceSource
from infrastructure.reference_prices import FilePrices
from infrastructure.websocket_prices import WebSocketPrices
from projections.market_data.feed import LocalFeed
from projections.market_data.records import LOG
from projections.market_data.references import ReferenceCounts, References

FIRST_BACKOFF, LAST_BACKOFF = 0.1, 10.0
Say = Callable[[str], object]


class Outside(NamedTuple):
    """What sources from outside are followed with; the first has the number after the log's."""

    feed: LocalFeed
    bus: CommandBus
    clock: Clock
    say: Say


async def follow_outside(sources: Sequence[PriceSource], outside: Outside) -> None:
    """Publish what every source says, and mark where one may, until cancelled."""
    counts = ReferenceCounts(outside.clock)
    async with asyncio.TaskGroup() as group:
        for number, source in enumerate(sources, LOG + 1):
            following = _follow(number, source, outside, counts)
            group.create_task(following, name=f"prices {number}")


async def _follow(
    number: int, source: PriceSource, outside: Outside, counts: ReferenceCounts
) -> None:
    feed, clock, say = outside.feed, outside.clock, outside.say
    references = References(number, feed.data, feed.fanout, feed.freshness, clock, counts)
    if not source.marks:
        await _tell(source, references, None, say)
        return
    marking = Marking(
        feed.data,
        outside.bus,
        clock,
        feed.freshness.clock,
        limits=MarkLimits(source.mark_ms * 1_000, source.mark_bps),
        say=say,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(marking.run(), name=f"marks {number}")
        group.create_task(_tell(source, references, marking, say), name=f"told {number}")


async def _tell(
    source: PriceSource, references: References, marking: Marking | None, say: Say
) -> None:
    """Tell of whatever a source gives; what fails of it is said, and begun anew."""
    backoff = FIRST_BACKOFF
    while True:
        prices = opened(source, say)
        try:
            while True:
                received = await prices.receive()
                references.publish(received)
                if marking is not None:
                    marking.take(received)
                backoff = FIRST_BACKOFF
                # Others have their turn also while a source has more.
                await asyncio.sleep(0)
        except Exception as error:
            say(f"prices from outside fail, and begin anew: {error!r}")
        finally:
            if isinstance(prices, WebSocketPrices):
                await prices.close()
        await asyncio.sleep(backoff)
        backoff = min(2 * backoff, LAST_BACKOFF)


def opened(source: PriceSource, say: Say) -> ReferencePrices:
    """The prices of a source, which is read from now on."""
    if source.is_websocket:
        return WebSocketPrices(source.place, say=say)
    return FilePrices(Path(source.place), say=say)

"""Keeps market data from the log and publishes it: what the process of the feed runs.

Put together it is

    data = await warmed(log, floor)                # `SnapshotFloors` gives the floor
    fanout = Fanout(records=…, instruments=…, subscribers=…)
    waker = Waker(fanout, steady_clock, loop)      # tells subscribers
    freshness = Freshness(steady_clock)            # says how old what was told is
    await follow_log(source, data, fanout, freshness)

A client is a subscriber: made with the fanout, added to the waker, and read in a task of its own
(`await subscriber.wait()`, then `take`). Prices from outside are published by
`projections.market_data.references` into the same ring. A cache in front of this asks
`Freshness.age(LOG)` for the age of its answers.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from application.desk.following import DeskDiverged
from application.desk.state import FloorAt
from application.log.ports import EventRanges, EventSource
from application.log.whole_commands import PAGE, read_commands
from projections.market_data.depth import MarketData
from projections.market_data.fanout import Fanout
from projections.market_data.freshness import Freshness
from projections.market_data.records import LOG

WARM_PAGE = 10_000
CONFIRM_SECONDS = 0.03
"""How long at most until a quiet log is asked again, so that its silence is known to be one."""


class FollowedLog(EventSource, EventRanges, Protocol):
    """The log as who warms up reads it, and then follows it."""


async def warmed(log: EventRanges, begun: FloorAt) -> MarketData:
    """Market data at the head of the log, from a floor that stands below it.

    What came between is told to nobody, and so it is only the floor that moves: levels and records
    are made of what stands in the end. All is counted from there. Raises DeskDiverged.
    """
    floor, position, at = begun
    while position < (end := await log.last_position()):
        while position < end:
            up_to = min(end, position + WARM_PAGE)
            page = await log.read_range(position, up_to)
            if len(page) != up_to - position:
                raise DeskDiverged(f"not every position from {position + 1} to {up_to} is there")
            for number, event in page:
                try:
                    floor.apply(event)
                except (AssertionError, LookupError, ValueError) as error:
                    raise DeskDiverged(f"event {number} {event.TOPIC}: {error!r}") from error
                at = event.at
            position = up_to
    data = MarketData(floor, position, at)
    data.count_from_here()
    return data


async def follow_log(
    source: EventSource,
    data: MarketData,
    fanout: Fanout,
    freshness: Freshness,
    *,
    wait_seconds: float = CONFIRM_SECONDS,
) -> None:
    """Follow the log above where the floor stands, for ever, a command at once; the phases, marks
    and best prices that stand there are told first.

    Raises DeskDiverged, or what the source raises: begin anew then, from a floor that is whole.
    """
    fanout.make_room(max(1, len(data)))
    fanout.begin(data.position)
    fanout.publish_all(data.standing())
    while True:
        # What is read afterwards holds all that was committed before this.
        asked = freshness.clock.now()
        events, caught_up = await read_commands(source, data.position, PAGE)
        for records in data.commands(events):
            if len(data) > fanout.instruments:
                fanout.make_room(2 * len(data))
            fanout.publish_all(records)
        if caught_up:
            freshness.confirm(LOG, asked)
        if events:
            # Subscribers have their turn between two pages.
            await asyncio.sleep(0)
        elif caught_up:
            await source.wait(wait_seconds)

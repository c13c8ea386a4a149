"""All who are told of market data in this process: their paces, their tapes, and the feed's age."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from api.ws.market_data.counts import ChannelCounts
from api.ws.market_data.paces import Pace
from api.ws.market_data.tapes import BookTape, Note, QuoteTape, Tape, TradeTape
from application.ports import Clock
from projections.market_data.feed import Feed, Followed
from projections.market_data.records import LOG

BEAT_SECONDS = 0.25
"""How often is looked whose heartbeat is due, who is slow, and how old the feed is."""
_MICROS = 1_000

log = logging.getLogger("nexus.market_data")


class Channel(NamedTuple):
    """What is told at one path: of each symbol its phase, and one kind more."""

    name: str
    tape: type[Tape]

    @property
    def path(self) -> str:
        """Where it is."""
        return f"/v2/{self.name}"


BOOK = Channel("book", BookTape)
TRADES = Channel("trades", TradeTape)
QUOTES = Channel("quotes", QuoteTape)
CHANNELS = (BOOK, TRADES, QUOTES)


class Manners(NamedTuple):
    """How clients are told unless they ask for something else, and what is borne of them."""

    throttle_ms: int = 100
    heartbeat_ms: int = 15_000
    stale_ms: int = 1_000
    slow_ms: int = 10_000


class Client(Protocol):
    """Somebody whom the hub looks after."""

    def beat(self, now: int) -> None:
        """Do what is due at a moment."""
        ...

    def feed_turned(self, stale: bool) -> None:
        """Hear that the feed is stale now, or that it is back."""
        ...


class _Kept:
    """A tape, and by how many clients it is asked for."""

    __slots__ = ("asked", "tape")

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.asked = 0


class Hub:
    """Shared by all connections of the channels; made in the loop that serves them."""

    def __init__(
        self, feed: Feed, clock: Clock, wall: Clock, manners: Manners | None = None
    ) -> None:
        """`clock` is one that never goes back, `wall` tells the time of day."""
        self.feed = feed
        self.clock = clock
        self.wall = wall
        self.manners = manners or Manners()
        self.counts = ChannelCounts()
        self.stale = True
        self.note: Note | None = None
        """What is added to messages while the feed is stale, the same for all until a beat."""
        self._clients: dict[Client, None] = {}
        self._tapes: dict[tuple[int, type[Tape], str], _Kept] = {}
        self._paces: dict[int, tuple[Pace, asyncio.Task[None]]] = {}
        self._beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look after clients from now on."""
        self.look_at_feed()
        self._beating = asyncio.create_task(self._beat(), name="market data channels")
        self._beating.add_done_callback(_ended)

    async def stop(self) -> None:
        """Tell nobody any more."""
        tasks = [task for _, task in self._paces.values()]
        for pace, _ in self._paces.values():
            self.feed.waker.remove(pace)
        self._paces.clear()
        if self._beating is not None:
            tasks.append(self._beating)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Clients

    def enter(self, client: Client) -> None:
        """Look after a client."""
        self._clients[client] = None
        self.counts.clients += 1
        self.counts.opened += 1

    def leave(self, client: Client) -> None:
        """Be done with a client."""
        if self._clients.pop(client, self) is None:
            self.counts.clients -= 1

    def pace(self, throttle_ms: int) -> Pace:
        """The pace of an interval."""
        found = self._paces.get(throttle_ms)
        if found is None:
            pace = Pace(self.feed, self.clock, throttle_ms)
            self.feed.waker.add(pace)
            task = asyncio.create_task(pace.run(), name=f"pace of {throttle_ms} ms")
            task.add_done_callback(_ended)
            found = self._paces[throttle_ms] = pace, task
        return found[0]

    # Tapes

    def take(self, kind: type[Tape], followed: Followed, symbol: str) -> Tape:
        """A tape for one more client; give it back with `give_back`."""
        key = followed.row, kind, symbol
        kept = self._tapes.get(key)
        if kept is None:
            kept = self._tapes[key] = _Kept(kind(self.feed, self.counts, followed, symbol))
        kept.asked += 1
        return kept.tape

    def give_back(self, tape: Tape) -> None:
        """Be done with a tape that was taken."""
        key = tape.row[0], type(tape), tape.told.symbol
        kept = self._tapes[key]
        kept.asked -= 1
        if not kept.asked:
            del self._tapes[key]

    # The feed's age

    @property
    def age_ms(self) -> int | None:
        """How old what is told may be; None where nobody can say."""
        age = self.feed.freshness.age(LOG)
        return None if age is None else age // _MICROS

    def age(self) -> Mapping[str, Any]:
        """The age and the source of what is told."""
        return {"source": "log", "age_ms": self.age_ms}

    def look_at_feed(self) -> None:
        """See how old the feed is now; all are told when it has become stale, or is back."""
        age = self.age_ms
        stale = age is None or age > self.manners.stale_ms
        self.note = self.age() if stale else None
        if stale == self.stale:
            return
        self.stale = stale
        self.counts.stale += stale
        for client in [*self._clients]:
            client.feed_turned(stale)

    async def _beat(self) -> None:
        while True:
            self.look_at_feed()
            now = self.clock.now()
            for client in [*self._clients]:
                client.beat(now)
            await asyncio.sleep(BEAT_SECONDS)


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s ended", task.get_name(), exc_info=error)

"""The feed in a process that does not follow the log itself: a mirror of what it is told.

One connection to the market-data process, which is opened again whenever it is gone; then all that
is followed is renewed with snapshots, and subscribers read on where they were.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from api.market_data.mirrored import Mirrored, OutOfStep
from api.market_data.wire import (
    VERSION,
    Answer,
    Ask,
    Confirmed,
    FeedMetrics,
    Follow,
    Hello,
    Instruments,
    Leave,
    Message,
    Refused,
    Said,
    Told,
    Valued,
    encode,
    said_in,
    unpacked,
    unpacked_prices,
    unpacked_snapshot,
)
from application.ports import Clock
from infrastructure.framing import Framed
from projections.market_data.depth import ALL_LEVELS, Books
from projections.market_data.fanout import Fanout
from projections.market_data.feed import FeedAway, Followed, NotListed, Snapshot
from projections.market_data.freshness import Freshness
from projections.market_data.records import Kind, Record
from projections.market_data.waking import Waker

log = logging.getLogger(__name__)

ANSWER_SECONDS = 1.0
"""How long an answer may take until its process counts as away."""
SILENT_SECONDS = 1.0
"""After how long a process that says nothing is left, and connected to again."""
LOOKS = 2
FIRST_BACKOFF = 0.01
LAST_BACKOFF = 0.25
RECORDS = 16_384
SUBSCRIBERS = 4_096
INSTRUMENTS = 256
_MARK = int(Kind.MARK)


class _Answered(NamedTuple):
    """An answer, and the row that its instrument has here."""

    answer: Answer
    row: int


class _Request(NamedTuple):
    """What has been asked: by whom, if not by the mirror itself, and whether it is to be kept."""

    future: asyncio.Future[_Answered | None] | None
    follows: bool


@dataclass(slots=True)
class _Kept:
    """An instrument that is kept here for those who follow it."""

    instrument_id: UUID
    index: int | None = None
    """Its index in the process that is told of it; None before that has answered."""
    count: int = 0


class _Connection(Framed):
    """The mirror's end of one connection."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__()
        self._mirror = mirror
        self.is_there = False
        """Whether anything has been said."""
        self._heard = True
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self._lost.done():
            self._lost.set_result(None)

    def frame(self, frame: memoryview) -> None:
        self.is_there = self._heard = True
        try:
            for said in said_in(frame):
                self._mirror.hear(said)
        except (OutOfStep, ValueError) as error:
            # The snapshots that the next connection begins with heal it, whatever it was.
            log.warning("market data is asked for anew: %s", error)
            self.abort()

    def say(self, message: Message) -> None:
        """Send a message."""
        self.write_frame(encode([message]))

    async def until_lost(self) -> None:
        """Return when the connection is gone, or nothing has been said for a while.

        It is looked twice: in a process that was busy itself, what was said is still to be read.
        """
        silent = 0
        while silent < LOOKS and not self._lost.done():
            self._heard = False
            await asyncio.wait([self._lost], timeout=SILENT_SECONDS / LOOKS)
            silent = 0 if self._heard else silent + 1


class Mirror:
    """Market data as the process of the feed tells it (`projections.market_data.feed.Feed`).

    `start` it in the loop that uses it. Only what somebody follows is told here, and the marks and
    values of all instruments.
    """

    def __init__(self, path: Path, clock: Clock, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self.fanout = Fanout(records=RECORDS, instruments=INSTRUMENTS, subscribers=SUBSCRIBERS)
        self.waker = Waker(self.fanout, clock, asyncio.get_running_loop())
        self.freshness = Freshness(clock)
        self.position = 0
        self.metrics = FeedMetrics()
        """How the process stood when it last said so."""
        self.connections = 0
        """How often it has been connected."""
        self._path = path
        self._answer_seconds = answer_seconds
        self._mirrored = Mirrored(self.fanout)
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._number = 0
        self._asked: dict[int, _Request] = {}
        self._renewing = 0
        """How many instruments that are kept are to be told again."""
        self._kept: dict[int, _Kept] = {}
        self._coming = 0
        """How many ask to follow now: until all have what they want nothing is left."""

    # Questions (`Feed`)

    @property
    def books(self) -> Books:
        """The books of what is followed."""
        return self._mirrored

    @property
    def away(self) -> bool:
        """Whether nobody is there who tells."""
        return self._connection is None or not self._connection.is_there

    @property
    def renewing(self) -> int:
        """How many instruments that are followed have not been told again yet."""
        return self._renewing

    def mark(self, instrument_id: UUID) -> Record | None:
        """The latest mark of an instrument."""
        row = self._mirrored.row(instrument_id)
        return None if row is None else self.fanout.latest(row, _MARK)

    def valued_at(self, instrument_id: UUID) -> int | None:
        """The price at which the venue values an instrument."""
        return self._mirrored.valued_at(instrument_id)

    async def snapshot(self, symbol: str, levels: int = ALL_LEVELS) -> Snapshot:
        """All that stands of a symbol. Raises NotListed or FeedAway."""
        answer, row = await self._ask(symbol, Ask(self._next(), symbol, levels))
        assert answer.stands is not None
        return unpacked_snapshot(answer.instrument, row, answer.stands)

    async def follow(self, symbol: str) -> Followed:
        """Have an instrument kept here. Raises NotListed or FeedAway."""
        self._coming += 1
        try:
            answer, row = await self._ask(symbol, Follow(self._next(), symbol))
            self._kept[row].count += 1
            return Followed(row, answer.instrument)
        finally:
            self._coming -= 1
            self._let_go()

    def leave(self, row: int) -> None:
        """Be done with what was followed once."""
        kept = self._kept[row]
        assert kept.count > 0
        kept.count -= 1
        if not kept.count:
            self._let_go()

    # Asking

    async def _ask(self, symbol: str, request: Ask | Follow) -> _Answered:
        if self._connection is None:
            raise FeedAway("the market-data process is away")
        future: asyncio.Future[_Answered | None] = asyncio.get_running_loop().create_future()
        self._say(request, future)
        try:
            async with asyncio.timeout(self._answer_seconds):
                answered = await future
        except TimeoutError:
            raise FeedAway("the market-data process does not answer in time") from None
        if answered is None:
            raise NotListed(symbol)
        return answered

    def _say(
        self, request: Ask | Follow, future: asyncio.Future[_Answered | None] | None = None
    ) -> None:
        assert self._connection is not None
        self._asked[request.number] = _Request(future, isinstance(request, Follow))
        self._connection.say(request)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _let_go(self) -> None:
        """Leave what nobody follows any more. While somebody asks, what he is about to be told of
        may be among it.
        """
        if self._coming or self._renewing:
            return
        for row, kept in list(self._kept.items()):
            if not kept.count:
                del self._kept[row]
                self._mirrored.leave(row)
                if self._connection is not None and kept.index is not None:
                    self._connection.say(Leave(kept.index))

    # Being told

    def hear(self, said: Said) -> None:
        """Take in what the process says. Raises OutOfStep, or ValueError."""
        match said:
            case Told():
                self._mirrored.told(unpacked(said.records))
            case Confirmed():
                self._confirm(said)
            case Valued():
                self._mirrored.valued(unpacked_prices(said.prices))
            case Instruments():
                self._mirrored.listed(said.first, said.ids)
            case Answer():
                self._answered(said.number, _Answered(said, self._mirrored.row_of(said.index)))
            case Refused():
                self._answered(said.number, None)
            case FeedMetrics():
                self.metrics = said

    def _confirm(self, said: Confirmed) -> None:
        # Until all that is followed is here again, what is here is as old as it was.
        if self._renewing:
            return
        self.position = said.position
        for source, at in said.at.items():
            self.freshness.confirm(source, at)

    def _answered(self, number: int, answered: _Answered | None) -> None:
        request = self._asked.pop(number, None)
        if request is None:
            raise OutOfStep(f"nobody has asked {number}")
        if request.future is None:
            self._renewing -= 1
            if answered is None:
                log.warning("an instrument that is followed is not known to the feed any more")
        if answered is not None and request.follows:
            self._keep(answered)
        if request.future is not None and not request.future.done():
            request.future.set_result(answered)
        self._let_go()

    def _keep(self, answered: _Answered) -> None:
        answer, row = answered
        if answer.stands is not None:
            self._mirrored.follow(row, answer.stands)
            kept = self._kept.setdefault(row, _Kept(answer.instrument.instrument_id))
            kept.index = answer.index

    # The connection

    def start(self) -> None:
        """Keep a connection from now on."""
        self._connecting = asyncio.create_task(self._keep_connected(), name="market data")

    async def stop(self) -> None:
        """Leave the process, and tell nobody any more."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        self.waker.close()

    async def _keep_connected(self) -> None:
        backoff = FIRST_BACKOFF
        while True:
            try:
                _, connection = await asyncio.get_running_loop().create_unix_connection(
                    lambda: _Connection(self), str(self._path)
                )
            except OSError:
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, LAST_BACKOFF)
                continue
            try:
                self._begin(connection)
                await connection.until_lost()
            finally:
                connection.abort()
                self._end()
            backoff = FIRST_BACKOFF if connection.is_there else min(2 * backoff, LAST_BACKOFF)
            await asyncio.sleep(backoff)

    def _begin(self, connection: _Connection) -> None:
        """Ask for everything that is followed anew."""
        self._connection = connection
        self.connections += 1
        self._mirrored.begin()
        connection.say(Hello(VERSION))
        for kept in self._kept.values():
            self._renewing += 1
            self._say(Follow(self._next(), instrument_id=kept.instrument_id))

    def _end(self) -> None:
        """Have everybody know who waits for an answer that none will come."""
        self._connection = None
        asked, self._asked, self._renewing = self._asked, {}, 0
        for kept in self._kept.values():
            kept.index = None
        for request in asked.values():
            if request.future is not None and not request.future.done():
                request.future.set_exception(FeedAway("the market-data process went away"))
        self._let_go()

"""The market-data process's end of the socket: tells each gateway what it follows.

A gateway is a subscriber of the ring, which is its buffer too: while it reads slowly nothing is
taken out for it, and when the ring has gone past it its connection ends, and it begins anew with
snapshots. The process waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

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
    Request,
    Told,
    Valued,
    encode,
    packed,
    packed_prices,
    packed_snapshot,
    requests_in,
)
from infrastructure.framing import Framed, SocketListener
from projections.market_data.feed import LocalFeed, NotListed, listed
from projections.market_data.records import LOG, Kind, Record
from projections.market_data.subscribers import Lossy

MOST_REQUEST = 64 * 1024
"""The longest frame that a gateway may send."""
MOST_WAITING = 10_000
"""How many of its requests may wait while it does not read."""
UNSENT = 1024 * 1024
"""How many bytes are written ahead of a gateway that does not read."""
RECORDS = 2_048
"""How many records go into a frame, about."""
BEAT_SECONDS = 0.2
"""How often a gateway is told something at least, so that it knows of a process that hangs."""
METRICS_SECONDS = 1.0
_MARK = int(Kind.MARK)
_KINDS = tuple(int(kind) for kind in Kind)


class Counts:
    """What the process has done since it started, whatever it began anew."""

    def __init__(self) -> None:
        self.snapshots = 0
        self.begun_anew = 0
        self.dropped = 0
        self.refused = 0


class _Told(Lossy):
    """A gateway's place in the ring; it is served at once when there is something to read."""

    def __init__(self, gateway: _Gateway) -> None:
        super().__init__(gateway.feed.fanout)
        self._gateway = gateway

    def ready(self) -> None:
        self._gateway.tell()

    @property
    def is_past(self) -> bool:
        """Whether the ring has gone past what was not read."""
        return bool(self.cursor < self.fanout.tail)

    @property
    def is_told(self) -> bool:
        """Whether it was told all there is."""
        return bool(self.cursor == self.fanout.head)


class _Gateway(Framed):
    """One gateway's connection."""

    most = MOST_REQUEST

    def __init__(self, server: FeedServer) -> None:
        super().__init__()
        self.feed = server.feed
        self.followed: set[int] = set()
        self._server = server
        self._counts = server.counts
        self._told: _Told | None = None
        self._waiting: deque[Request] = deque()
        self._paused = False
        self._announced = 0
        self._prices: list[int] = []

    @property
    def unsent(self) -> int:
        """How many bytes are written ahead of it."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self._transport is not None
        self._transport.set_write_buffer_limits(high=self._server.unsent)
        self._server.gateways.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.gateways.discard(self)
        if self._told is not None:
            self.feed.waker.remove(self._told)
            self._told = None

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._answer_waiting()
        self.tell()

    def frame(self, frame: memoryview) -> None:
        self._waiting.extend(requests_in(frame))
        self._answer_waiting()
        if len(self._waiting) > MOST_WAITING:
            self.makes_no_sense()

    def makes_no_sense(self) -> None:
        if self.is_open:
            self._counts.refused += 1
            self._waiting.clear()
            self.abort()

    def _say(self, *messages: Message) -> None:
        self.write_frame(encode(messages))

    # What it asks

    def _answer_waiting(self) -> None:
        """Answer its requests in their order, for as long as it reads the answers."""
        while self._waiting and not self._paused and self.is_open:
            self._answer(self._waiting.popleft())

    def _answer(self, request: Request) -> None:
        if isinstance(request, Hello):
            self._begin(request)
        elif self._told is None:
            self.makes_no_sense()
        elif isinstance(request, Leave):
            self._leave(request.index)
        else:
            try:
                index = self._index(request)
            except NotListed:
                self._say(Refused(request.number))
            else:
                self._give(request, index)

    def _begin(self, hello: Hello) -> None:
        if hello.version != VERSION or self._told is not None:
            self.makes_no_sense()
            return
        try:
            self._told = _Told(self)
        except OverflowError:
            # As many gateways as there is room for are there.
            self.makes_no_sense()
            return
        self.feed.waker.add(self._told)
        self.tell()
        self.confirm()

    def _index(self, request: Ask | Follow) -> int:
        """The index of what is asked for. Raises NotListed."""
        if isinstance(request, Follow) and request.instrument_id is not None:
            try:
                return self.feed.data.index_of(request.instrument_id)
            except KeyError:
                raise NotListed(str(request.instrument_id)) from None
        return self.feed.find(request.symbol)

    def _give(self, request: Ask | Follow, index: int) -> None:
        # Of an instrument nobody was told yet nothing could be understood.
        self._announce()
        instrument = listed(self.feed.data.instrument(index))
        if isinstance(request, Follow) and index in self.followed:
            self._say(Answer(request.number, index, instrument, None))
            return
        levels = [request.levels] if isinstance(request, Ask) else []
        stands = packed_snapshot(
            self.feed.snapshot_of(index, *levels), self.feed.data.stamp_of(index)
        )
        self._say(Answer(request.number, index, instrument, stands))
        self._counts.snapshots += 1
        if isinstance(request, Follow):
            self._follow(index)

    def _follow(self, index: int) -> None:
        assert self._told is not None
        self.followed.add(index)
        for kind in _KINDS:
            self._told.subscribe(index, kind)

    def _leave(self, index: int) -> None:
        if index not in self.followed:
            self.makes_no_sense()
            return
        assert self._told is not None
        self.followed.discard(index)
        for kind in _KINDS:
            if kind != _MARK:
                self._told.unsubscribe(index, kind)

    # What it is told

    def tell(self) -> None:
        """Tell what is new, for as long as it reads."""
        told = self._told
        if told is None or not self.is_open:
            return
        if told.is_past:
            self._counts.dropped += 1
            self.abort()
            return
        self._announce()
        while not self._paused and self.is_open and (records := told.take(RECORDS)):
            self._say(Told(packed(records)))

    def confirm(self, *more: Message) -> None:
        """Say that all has been told, where it has."""
        if self._told is None or not self._told.is_told or self._paused:
            return
        prices = self._new_prices()
        valued = (Valued(packed_prices(prices)),) if prices else ()
        freshness = self.feed.freshness
        confirmed = Confirmed(self.feed.data.position, dict(freshness.confirmations()))
        self._say(*valued, confirmed, *more)

    def _announce(self) -> None:
        """Say which instruments are new, and at which marks they stand."""
        assert self._told is not None
        first, data = self._announced, self.feed.data
        if first == len(data):
            return
        self._announced = len(data)
        ids: list[UUID] = []
        marks: list[Record] = []
        for index in range(first, len(data)):
            ids.append(data.instrument(index).id)
            self._told.subscribe(index, _MARK)
            if (mark := self.feed.fanout.latest(index, _MARK)) is not None:
                marks.append(mark)
        self._say(Instruments(first, ids), Told(packed(marks)))

    def _new_prices(self) -> Sequence[tuple[int, int]]:
        """What instruments are valued at now, of those of which that is another price."""
        now = self._server.prices()
        if now == self._prices:
            return ()
        known = self._prices
        self._prices = now
        return [
            (index, price)
            for index, price in enumerate(now)
            if index >= len(known) or known[index] != price
        ]


class FeedServer:
    """Tells gateways of one feed until it is closed."""

    def __init__(
        self, path: Path, feed: LocalFeed, counts: Counts, *, unsent: int = UNSENT
    ) -> None:
        self.feed = feed
        self.unsent = unsent
        self.counts = counts
        self.gateways: set[_Gateway] = set()
        self._listener = SocketListener(path, lambda: _Gateway(self))
        self._telling: asyncio.Task[None] | None = None
        self._prices: list[int] = []
        self._prices_at = -1

    async def open(self) -> None:
        """Take gateways in from now on."""
        await self._listener.open()
        self._telling = asyncio.create_task(self._keep_confirming(), name="confirming")

    async def close(self) -> None:
        """End every connection, and take none in any more."""
        self._listener.close()
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
        for gateway in list(self.gateways):
            gateway.abort()

    def metrics(self) -> FeedMetrics:
        """How the process stands."""
        return FeedMetrics(
            position=self.feed.data.position,
            age=self.feed.freshness.age(LOG),
            records=self.feed.fanout.head,
            gateways=len(self.gateways),
            followed=sum(len(gateway.followed) for gateway in self.gateways),
            unsent=sum(gateway.unsent for gateway in self.gateways),
            snapshots=self.counts.snapshots,
            begun_anew=self.counts.begun_anew,
            dropped=self.counts.dropped,
            refused=self.counts.refused,
        )

    def prices(self) -> list[int]:
        """What every instrument is valued at where the feed stands, in the order of their index."""
        data = self.feed.data
        if self._prices_at != data.position:
            self._prices_at = data.position
            self._prices = data.values()
        return self._prices

    async def _keep_confirming(self) -> None:
        """Tell every gateway when the feed knows itself at the head of the log, and now and then
        that this process is there.
        """
        loop = asyncio.get_running_loop()
        counted = loop.time()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await self.feed.freshness.confirmed()
            more: tuple[Message, ...] = ()
            if loop.time() >= counted:
                counted = loop.time() + METRICS_SECONDS
                more = (self.metrics(),)
            for gateway in list(self.gateways):
                gateway.tell()
                gateway.confirm(*more)

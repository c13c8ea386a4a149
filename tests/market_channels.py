"""Market data channels without a network: a feed of a venue's day, and sockets in memory."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from itertools import groupby
from typing import Any
from uuid import UUID

from api.auth import Principal
from api.decimals import decode_json
from api.refusals import NotAuthorized
from api.ws.market_data.client import ChannelClient
from api.ws.market_data.hub import Channel, Hub, Manners
from application.log.ports import Recorded
from domain.matching.engine import Market
from infrastructure.clock import SystemClock
from projections.market_data.depth import MarketData
from projections.market_data.fanout import Fanout
from projections.market_data.feed import FeedAway, Followed, LocalFeed
from projections.market_data.freshness import Freshness
from projections.market_data.records import LOG, Kind
from projections.market_data.waking import Waker
from tests.model.command_flow import lived

AUTH = {"action": "auth", "key": "trader", "secret": "s"}
QUICK = Manners(throttle_ms=10, heartbeat_ms=60_000, stale_ms=1_000, slow_ms=60_000)
SECONDS = 30


class LoopClock:
    """The loop's own clock, in microseconds."""

    def now(self) -> int:
        """The present moment."""
        return int(asyncio.get_running_loop().time() * 1_000_000)


class FewKeys:
    """Keys that are known, whatever the secret, until they are revoked."""

    def __init__(self, *, traders: Iterable[str] = ("trader",), admins: Iterable[str] = ()) -> None:
        self.traders = set(traders)
        self.admins = set(admins)
        self._changed = asyncio.Event()

    async def principal(self, key_id: str | None, secret: str | None) -> Principal:
        """Who holds a key."""
        if key_id in self.traders and secret == "s":
            return Principal(key_id, UUID(int=1), "trader", ("read", "trade"))
        if key_id in self.admins and secret == "s":
            return Principal(key_id, None, "admin", ("read", "admin"))
        raise NotAuthorized

    async def until_ended(self, key_id: str, secret: str) -> None:
        """Return when a key lets nobody in any more."""
        while key_id in self.traders and secret == "s":
            await self._changed.wait()

    def revoke(self, key_id: str) -> None:
        """Let a key in no more."""
        self.traders.discard(key_id)
        self._changed.set()


class MemorySocket:
    """A WebSocket whose other end is the test."""

    def __init__(self) -> None:
        self.room = asyncio.Event()
        self.room.set()
        self.closed: asyncio.Future[tuple[int, str | None]] = (
            asyncio.get_running_loop().create_future()
        )
        self.modes: list[str] = []
        self._to_venue: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._messages: asyncio.Queue[Any] = asyncio.Queue()

    # The venue's end

    async def receive_exact(self) -> tuple[Any, bool]:
        """The next message."""
        data = await self._to_venue.get()
        return decode_json(data), isinstance(data, bytes)

    async def send_data(self, data: str | bytes, mode: str) -> None:
        """Take a frame, when there is room."""
        await self.room.wait()
        self.modes.append(mode)
        frame = json.loads(data)
        assert isinstance(frame, list) and frame
        for message in frame:
            self._messages.put_nowait(message)

    async def close(self, code: int, reason: str | None = None) -> None:
        """Be closed."""
        await self.room.wait()
        self.closed.set_result((code, reason))

    # The client's end

    def say(self, message: Any) -> None:
        """Send a message: text and bytes as they are, all else as JSON."""
        text = message if isinstance(message, str | bytes) else json.dumps(message)
        self._to_venue.put_nowait(text)

    async def hear(self, *kinds: str) -> Any:
        """The next message, of some kinds only."""
        while True:
            message = await self._messages.get()
            if not kinds or message["T"] in kinds:
                return message

    async def ask(self, message: Any, *kinds: str) -> Any:
        """Say something and hear the next message."""
        self.say(message)
        return await self.hear(*kinds)

    def heard(self) -> list[Any]:
        """All that was sent and not heard yet."""
        return [self._messages.get_nowait() for _ in range(self._messages.qsize())]


@cache
def day(seed: int, commands: int = 300) -> Sequence[Sequence[Recorded]]:
    """A venue's lively day, command by command; ask for it before a loop runs."""
    events = [Recorded(n, event) for n, event in enumerate(lived(seed, commands).log.events(), 1)]
    return [list(group) for _, group in groupby(events, key=lambda one: one.event.correlation_id)]


class LeavableFeed(LocalFeed):
    """A feed that can be away, and knows who follows what."""

    gone = False
    refused = 0

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.followed: Counter[int] = Counter()

    async def follow(self, symbol: str) -> Followed:
        """An instrument, while it is there."""
        if self.gone:
            self.refused += 1
            raise FeedAway
        found = await super().follow(symbol)
        self.followed[found.row] += 1
        return found

    def leave(self, row: int) -> None:
        """Count who leaves."""
        self.followed[row] -= 1
        assert self.followed[row] >= 0


class Scene:
    """A feed that follows a day, a hub on it, and whoever came."""

    def __init__(self, seed: int = 0, manners: Manners = QUICK, *, records: int = 4_096) -> None:
        clock = LoopClock()
        self.data = MarketData()
        self.fanout = Fanout(records=records, instruments=16, subscribers=32)
        self.freshness = Freshness(clock)
        waker = Waker(self.fanout, clock, asyncio.get_running_loop())
        self.feed = LeavableFeed(self.data, self.fanout, waker, self.freshness)
        self.keys = FewKeys(admins=["admin"])
        self.hub = Hub(self.feed, clock, SystemClock(), manners)
        self.commands = list(day(seed))
        self.tasks: list[asyncio.Task[None]] = []
        self.confirming = True
        self.confirm()

    def confirm(self) -> None:
        """Have the feed know itself at the log's head, while it does."""
        if self.confirming:
            self.freshness.confirm(LOG, self.freshness.clock.now())

    def step(self, count: int = 1) -> int:
        """Follow some commands; how many there were."""
        now, self.commands = self.commands[:count], self.commands[count:]
        for command in now:
            self.fanout.publish_all(self.data.apply(command))
        self.confirm()
        return len(now)

    async def stay_at_the_head(self) -> None:
        """Confirm again and again, as the follower of a quiet log does."""
        while True:
            self.confirm()
            await asyncio.sleep(0.01)

    def begin_anew(self) -> None:
        """Have the feed begin again where it stands, as its process does after a restart."""
        self.data = self.feed.data = MarketData(self.data.floor, self.data.position)
        self.fanout.publish_all(self.data.standing())
        self.confirm()

    def step_until(self, holds: Callable[[], bool]) -> None:
        """Follow commands until something holds."""
        while not holds():
            assert self.step(), "it never does"

    def step_until_moved(self, index: int = 0) -> None:
        """Follow commands until best prices, and so the book, of an instrument are others."""
        count = self.fanout.count(index, Kind.QUOTE)
        self.step_until(lambda: self.fanout.count(index, Kind.QUOTE) > count)

    def symbol(self, index: int = 0) -> str:
        """The symbol of an instrument, once it is listed."""
        self.step_until(lambda: len(self.data) > index)
        return self.data.instrument(index).symbol

    def market(self, index: int = 0) -> Market:
        """The market of an instrument."""
        return self.data.floor.markets.by_id[self.data.instrument(index).id.int]

    def connect(self, channel: Channel, given: Any = None) -> MemorySocket:
        """A client that has connected."""
        socket = MemorySocket()
        client = ChannelClient(socket, self.keys, self.hub, channel)
        self.tasks.append(asyncio.create_task(client.run(given)))
        return socket

    async def trader(self, channel: Channel, *symbols: str, **asked: Any) -> MemorySocket:
        """A client that has said who it is, and subscribed; the reply was heard."""
        socket = self.connect(channel)
        assert "authenticated" == (await socket.ask(AUTH))["msg"] or await socket.hear()
        if symbols or asked:
            said = {"action": "subscribe", "symbols": symbols, **asked}
            assert [*sorted(symbols)] == (await socket.ask(said, "subscription"))["symbols"]
        return socket


@asynccontextmanager
async def scene(
    seed: int = 0, manners: Manners = QUICK, *, records: int = 4_096
) -> AsyncIterator[Scene]:
    """A scene that must not take long; nobody's connection may have failed."""
    async with asyncio.timeout(SECONDS):
        played = Scene(seed, manners, records=records)
        played.hub.start()
        following = asyncio.create_task(played.stay_at_the_head())
        try:
            yield played
        finally:
            for task in (*played.tasks, following):
                task.cancel()
            ended = await asyncio.gather(*played.tasks, return_exceptions=True)
            await played.hub.stop()
            played.feed.waker.close()
        assert not [one for one in ended if isinstance(one, Exception)]
        assert 0 == played.hub.counts.clients == played.feed.followed.total()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    while not holds():
        await asyncio.sleep(0.001)


def play_scene(
    play: Callable[[Scene], Awaitable[None]],
    seed: int = 0,
    *,
    manners: Manners = QUICK,
    records: int = 4_096,
) -> None:
    """Play a scene."""

    async def main() -> None:
        async with scene(seed, manners, records=records) as played:
            await play(played)

    day(seed)
    asyncio.run(main())


def code_and_reason(message: dict[str, Any]) -> tuple[int, str]:
    """The code and the reason of an error."""
    assert "error" == message["T"]
    return message["code"], message["reason"]

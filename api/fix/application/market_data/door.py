"""MarketDataRequests of all sessions of a process: taken, refused, served until they end.

What is new is told at a session's own pace, and only while its client takes what it is sent: until
then it is conflated, and nothing of it waits before a report.
"""

from __future__ import annotations

import asyncio
import logging

from api.fix.application.behind import Client
from api.fix.application.market_data import messages
from api.fix.application.market_data.requests import (
    MOST_LEVELS,
    NoMarketData,
    Wanted,
    ends_a_subscription,
    request_id_in,
    wanted_in,
)
from api.fix.application.market_data.subscription import Pace, Subscription, Writer
from api.fix.application.vocabulary import MDReqRejReason
from api.fix.ports import Link, Received, SessionEnded
from projections.market_data.feed import Feed, FeedAway, Followed, NotListed

AGAIN_SECONDS = 0.02
"""How soon it is looked again whether a client took what it was sent."""
AWAY = "market data cannot be asked now: ask again later"

log = logging.getLogger("nexus.fix")


class _Request:
    """A request that is being served."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.ended = False
        self.rows: list[int] = []
        self.subscription: Subscription | None = None


class _Session:
    """What one session asked for, and the task that tells it what is new."""

    def __init__(self, client: Client, feed: Feed) -> None:
        self.client = client
        self.feed = feed
        self.requests: dict[bytes, _Request] = {}
        self.awake = asyncio.Event()
        self.pace = Pace(client.terms.market_data.rate)
        self._task: asyncio.Task[None] | None = None

    # Requests

    def enter(self, wanted: Wanted) -> _Request:
        """Take a request on. Raises NoMarketData."""
        if wanted.request_id in self.requests:
            raise NoMarketData(MDReqRejReason.DUPLICATE_ID, "this MDReqID(262) is in use")
        most = self.client.terms.market_data.instruments
        if not most:
            said = "this session is told no market data"
            raise NoMarketData(MDReqRejReason.PERMISSION, said)
        asked = sum(len(one.wanted.symbols) for one in self.requests.values())
        if asked + len(wanted.symbols) > most:
            said = f"a session is told of at most {most} instruments at a time"
            raise NoMarketData(MDReqRejReason.BANDWIDTH, said)
        request = self.requests[wanted.request_id] = _Request(wanted)
        return request

    def leave(self, request: _Request) -> None:
        """Be done with a request."""
        if request.ended:
            return
        request.ended = True
        del self.requests[request.wanted.request_id]
        if request.subscription is not None:
            request.subscription.close()
        for row in request.rows:
            self.feed.leave(row)

    def end(self) -> None:
        """Be done with all of them."""
        if self._task is not None:
            self._task.cancel()
        for request in tuple(self.requests.values()):
            self.leave(request)

    # Serving

    async def snapshots(self, request: _Request) -> None:
        """Tell each instrument once, as fast as the client takes it. Raises NoMarketData."""
        writer = self._writer(request)
        for symbol in request.wanted.symbols:
            await self._clear(request)
            if request.ended:
                return
            # One level more than a message has, so that it is seen that there are.
            levels = request.wanted.depth or MOST_LEVELS + 1
            body = writer.snapshot_of(await self.feed.snapshot(symbol, levels))
            if request.ended:
                return
            self.client.link.answer(body)

    async def follow(self, request: _Request) -> None:
        """Have instruments followed, all of them, and told from now on. Raises NoMarketData."""
        followed: list[Followed] = []
        for symbol in request.wanted.symbols:
            one = await self.feed.follow(symbol)
            if request.ended:
                self.feed.leave(one.row)
                return
            request.rows.append(one.row)
            followed.append(one)
        try:
            writer = self._writer(request)
            subscription = Subscription(writer, self.feed, self.pace, self.awake)
        except OverflowError:
            said = "there are as many subscriptions as the venue serves"
            raise NoMarketData(MDReqRejReason.BANDWIDTH, said) from None
        request.subscription = subscription
        for one in followed:
            subscription.watch(one)
        if self._task is None:
            name = f"fix-market-data {self.client.link.session_id}"
            self._task = asyncio.create_task(self._tell(), name=name)

    def _writer(self, request: _Request) -> Writer:
        return Writer(request.wanted, rpt_seq=self.client.terms.market_data.rpt_seq)

    async def _clear(self, request: _Request | None = None) -> None:
        """Return when the client took what it was sent, or a request has ended."""
        while not self.client.link.clear() and not (request is not None and request.ended):
            await asyncio.sleep(AGAIN_SECONDS)

    # Telling

    async def _tell(self) -> None:
        clock = self.feed.freshness.clock
        while True:
            await self.awake.wait()
            await self._clear()
            now = clock.now()
            if wait := self.pace.wait(now):
                await asyncio.sleep(wait / 1_000_000)
                continue
            self.awake.clear()
            for request in tuple(self.requests.values()):
                if request.subscription is not None:
                    await self._tell_of(request, request.subscription, now)
            self.pace.told(now)

    async def _tell_of(self, request: _Request, subscription: Subscription, now: int) -> None:
        try:
            for body in subscription.take(now):
                await self._clear(request)
                if request.ended:
                    return
                self.client.link.answer(body)
                # Others have their turn while there is more.
                await asyncio.sleep(0)
        except NoMarketData as why:
            self._give_up(request, why.reason, str(why))
        except Exception:
            log.exception("%s: market data failed", self.client.link.session_id)
            self._give_up(request, b"", "market data failed for a reason of the venue's own")

    def _give_up(self, request: _Request, reason: bytes, said: str) -> None:
        self.client.link.answer(messages.rejected(request.wanted.request_id, reason, said))
        self.leave(request)


class MarketDataDoor:
    """Market data for the sessions of a process, out of its feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._sessions: dict[Link, _Session] = {}

    def came(self, client: Client) -> None:
        """Serve a session from now on."""
        self._sessions[client.link] = _Session(client, self._feed)

    async def asked(self, client: Client, message: Received) -> None:
        """Answer a MarketDataRequest; raises what is wrong with a field, or SessionEnded."""
        request_id = request_id_in(message)
        session = self._sessions.get(client.link)
        if session is None:
            raise SessionEnded(str(client.link.session_id))
        try:
            if ends_a_subscription(message):
                self._unsubscribe(session, request_id)
                return
            await _serve(session, wanted_in(message))
        except NoMarketData as why:
            client.link.answer(messages.rejected(request_id, why.reason, str(why)))

    def left(self, link: Link) -> None:
        """End all that a session asked for: it is gone."""
        session = self._sessions.pop(link, None)
        if session is not None:
            session.end()

    @staticmethod
    def _unsubscribe(session: _Session, request_id: bytes) -> None:
        request = session.requests.get(request_id)
        if request is None:
            raise NoMarketData(b"", "no request of this session has this MDReqID(262)")
        session.leave(request)


async def _serve(session: _Session, wanted: Wanted) -> None:
    request = session.enter(wanted)
    try:
        if wanted.subscribes:
            await session.follow(request)
        else:
            await session.snapshots(request)
            session.leave(request)
    except NotListed as unknown:
        session.leave(request)
        raise NoMarketData(MDReqRejReason.UNKNOWN_SYMBOL, str(unknown)) from None
    except FeedAway:
        session.leave(request)
        raise NoMarketData(b"", AWAY) from None
    except BaseException:
        session.leave(request)
        raise

"""Who listens to trade updates, and up to where each was told.

One task follows the log for all who have been told of everything up to where it stands. Whoever
has not, because it resumes, is slow or an error came between, reads on from the log by itself
until it has. Nobody waits for another, and what a listener was told of is a position of its own:
whatever is tried again, each update is told once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import psycopg

from api.asset_classes import AssetClasses
from api.door.together import Together
from api.groups import Groups
from api.symbols import Symbols
from api.ws.trade_updates import TOLD, TOPICS, TradeUpdates, holdings_in
from application.log.ports import (
    AccountPages,
    EventSource,
    Recorded,
    UnreadableEvent,
)
from application.log.whole_commands import WAIT_SECONDS, read_commands, read_stretch
from domain.errors import InvalidField

READ_AT_ONCE = 2_000
CATCH_UP_AT_ONCE = 200
TOLD_AT_ONCE = 16
"""So many listeners of one account are told in one turn of the loop."""
REMEMBERED_ALONE = 500
CATCHING_UP = 2
"""How many listeners read the log at a time, so that who asks for orders finds connections."""
FIRST_BACKOFF, LAST_BACKOFF = 0.05, 2.0

AWAY = (psycopg.Error, OSError)
"""Whatever the store answers instead of events: it is asked again for as long as it takes."""

log = logging.getLogger("nexus.stream")


class Listener(Protocol):
    """Somebody who is told of an account's updates and never makes others wait."""

    def tell(self, updates: Sequence[dict[str, Any]]) -> bool:
        """Take updates that belong together; false when there is no room for them now."""
        ...

    async def room(self) -> None:
        """Return when there is room again."""
        ...

    def end(self) -> None:
        """Take no more: there will be none."""
        ...


class Since(NamedTuple):
    """The last update that a listener has: its position, and its event where that has several."""

    position: int
    event: str = ""


class Subscription:
    """One listener: `told` of everything up to a position, after which comes its next update."""

    def __init__(self, account_id: UUID, listener: Listener, since: Since) -> None:
        self.account_id = account_id
        self.listener = listener
        self.told = since.position
        self.left_behind = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._since = since
        if since.event:
            # What else that position tells comes first.
            self.told -= 1

    def tell(self, position: int, updates: Sequence[dict[str, Any]]) -> bool:
        """Tell of what is at a position, unless that was told; false when there is no room."""
        if position <= self.told:
            return True
        if position == self._since.position:
            updates = _after(updates, self._since.event)
        if not self.listener.tell(updates):
            return False
        self.told = position
        return True


def _after(updates: Sequence[dict[str, Any]], event: str) -> Sequence[dict[str, Any]]:
    for place, update in enumerate(updates, 1):
        if event in (update["event"], update["exact_event"]):
            return updates[place:]
    return ()


class Subscriptions:
    """All who listen in this process."""

    def __init__(
        self,
        source: EventSource,
        log: AccountPages,
        asset_classes: AssetClasses,
        groups: Groups,
        symbols: Symbols | None = None,
    ) -> None:
        self._source = source
        self._log = log
        self._asset_classes = asset_classes
        self._groups = groups
        # Its own log waits for the store however long that is away.
        self._symbols = symbols or Symbols()
        self._together = TradeUpdates(
            source, asset_classes.asking(source), groups.asking(source), self._symbols
        )
        self._all: dict[Listener, Subscription] = {}
        self._live: dict[UUID, set[Subscription]] = {}
        self._reached = 0
        self._follower: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._places = asyncio.Semaphore(CATCHING_UP)
        self._ends: Together[None, int] = Together(self._ask_end)

    async def listen(self, account_id: UUID, listener: Listener, since: Since | None = None) -> int:
        """Tell the listener of everything after a position, or of what is committed from now on;
        returns the position. Nothing is told before the caller next waits for something.

        Raises InvalidField, or VenueUnavailable when the store is away.
        """
        end = await self._ends.find_anew(None) or 0
        if since is not None and since.position > end:
            raise InvalidField(
                "data.since_position", f"is beyond the end of the log, which stands at {end}"
            )
        await self.leave(listener)
        subscription = Subscription(account_id, listener, since or Since(end))
        self._all[listener] = subscription
        async with self._starting:
            if self._follower is None or self._follower.done():
                await self._symbols.learn(self._source, end)
                self._reached = end
                self._follower = asyncio.create_task(self._follow(), name="trade-updates")
        subscription.task = asyncio.create_task(self._serve(subscription), name="listener")
        return (since or Since(end)).position

    async def _ask_end(self, _: tuple[None, ...]) -> dict[None, int]:
        return {None: await self._log.last_position()}

    async def leave(self, listener: Listener) -> None:
        """Tell the listener nothing more; without any, the log is followed no further."""
        subscription = self._all.pop(listener, None)
        if subscription is not None:
            self._let_go(subscription)
            await _ended(subscription.task)
        async with self._starting:
            if not self._all:
                follower, self._follower = self._follower, None
                await _ended(follower)
                self._together.forget()

    async def stop(self) -> None:
        """Follow no further."""
        for listener in tuple(self._all):
            await self.leave(listener)

    # All who have been told everything

    async def _follow(self) -> None:
        """Tell of what is committed, for as long as anybody listens."""
        backoff = FIRST_BACKOFF
        while True:
            try:
                await self._tell_next()
                backoff = FIRST_BACKOFF
            except UnreadableEvent as error:
                # Later updates rest on it: better none than wrong ones.
                log.error("no more trade updates: %s", error)
                for subscription in tuple(self._all.values()):
                    subscription.listener.end()
                return
            except Exception as error:
                log.warning("trade updates cannot be read, trying again: %r", error)
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, LAST_BACKOFF)

    async def _tell_next(self) -> None:
        # Asked first: what is read afterwards holds all up to there that is of these topics.
        end = await self._source.last_position()
        events, caught_up = await read_commands(
            self._source, self._reached, READ_AT_ONCE, topics=TOPICS
        )
        holdings = holdings_in(events)
        for recorded in events:
            event = recorded.event
            self._symbols.note(event)
            if isinstance(event, TOLD) and event.account_id in self._live:
                await self._tell_live(event.account_id, recorded, holdings)
            self._reached = recorded.position
        if caught_up:
            self._reached = max(self._reached, end)
            if not events:
                await self._source.wait(WAIT_SECONDS)

    async def _tell_live(
        self, account_id: UUID, recorded: Recorded, holdings: dict[tuple[UUID, UUID], int]
    ) -> None:
        try:
            updates = await self._together.of(recorded, holdings)
        except Exception as error:
            # Nobody else waits for what is wrong with one account's orders.
            log.warning("listeners of %s read on by themselves: %r", account_id, error)
            for subscription in tuple(self._live.get(account_id, ())):
                self._let_go(subscription)
            return
        # Until nobody is left: one may have come to where all are meanwhile.
        while untold := self._untold(account_id, recorded.position):
            for place, subscription in enumerate(untold, 1):
                if not self._is_told_with_others(subscription):
                    continue
                if not subscription.tell(recorded.position, updates):
                    self._let_go(subscription)
                if place % TOLD_AT_ONCE == 0:
                    # Each of them sends: others of this process have their turn first.
                    await asyncio.sleep(0)

    def _untold(self, account_id: UUID, position: int) -> list[Subscription]:
        """Who listens to an account with all others and has yet to be told of a position."""
        return [one for one in self._live.get(account_id, ()) if one.told < position]

    def _is_told_with_others(self, subscription: Subscription) -> bool:
        return subscription in self._live.get(subscription.account_id, ())

    def _let_go(self, subscription: Subscription) -> None:
        """Tell it no more with the others: it reads on by itself."""
        live = self._live.get(subscription.account_id)
        if live is not None:
            live.discard(subscription)
            if not live:
                del self._live[subscription.account_id]
        subscription.left_behind.set()

    # One who has not

    async def _serve(self, subscription: Subscription) -> None:
        """Bring a listener to where all are, again whenever it is left behind."""
        backoff = FIRST_BACKOFF
        while True:
            try:
                await self._catch_up(subscription)
                backoff = FIRST_BACKOFF
            except AWAY as error:
                log.warning("a listener waits for the store: %r", error)
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, LAST_BACKOFF)
                continue
            except Exception as error:
                log.error("no more trade updates for one listener", exc_info=error)
                subscription.listener.end()
                return
            await subscription.left_behind.wait()

    async def _catch_up(self, subscription: Subscription) -> None:
        """Read on for one listener until it can be told with the others."""
        # Not the others' memory of orders: theirs are ahead.
        alone = TradeUpdates(
            self._log, self._asset_classes, self._groups, self._symbols, REMEMBERED_ALONE
        )
        while True:
            await subscription.listener.room()
            if subscription.told >= self._reached:
                subscription.left_behind.clear()
                self._live.setdefault(subscription.account_id, set()).add(subscription)
                return
            async with self._places:
                end = await self._log.last_position()
                wanted = range(subscription.told + 1, end + 1)
                events, reached = await read_stretch(
                    self._log, subscription.account_id, wanted, CATCH_UP_AT_ONCE, TOPICS
                )
            holdings = holdings_in(events)
            for recorded in events:
                if isinstance(recorded.event, TOLD):
                    updates = await alone.of(recorded, holdings)
                    while not subscription.tell(recorded.position, updates):
                        await subscription.listener.room()
            subscription.told = max(subscription.told, reached)


async def _ended(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

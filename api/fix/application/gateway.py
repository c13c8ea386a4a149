"""The application behind FIX sessions: takes their messages, and tells them what the log says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from api.fix.application import back_office, lists, mass, securities, status, trading
from api.fix.application.behind import Behind, Client
from api.fix.application.fields import MissingField, NotServed, WrongValue
from api.fix.application.follower import Follower
from api.fix.application.leaving import cancel_what_works
from api.fix.application.market_data.door import MarketDataDoor
from api.fix.application.rendering import Owed, Reports, rendered
from api.fix.application.repeats import Arrival, RecentNames
from api.fix.application.statuses import Statuses
from api.fix.application.terms import SessionTerms, actor_of, door_of
from api.fix.application.vocabulary import BusinessReason, OrdRejReason, SessionReason
from api.fix.ports import Body, Link, Received, SessionEnded, SessionId, Source
from api.patience import AWAY
from api.refusals import SAYS, ProjectionBehind
from application.commands import Reply
from application.log.ports import EventSource
from application.requests import Command
from domain.errors import VenueUnavailable

MOST_UNDER_WAY = 1_000
"""A session that has more under way is not read until half of it is done."""
REMEMBERED_RESENDING = 20_000
OVER_RATE = "more messages than this session may send: send it again later"

log = logging.getLogger("nexus.fix")

UnderWay = dict[asyncio.Future[Any], int]
"""What is to be decided or answered, and the number of the message that asked for it."""
Handler = Callable[[Behind, Client, Received], Awaitable[None]]
_HANDLERS: dict[bytes, Handler] = {
    b"H": status.order_status,
    b"AF": status.mass_status,
    b"q": mass.mass_cancel,
    b"x": securities.security_list,
    b"AD": back_office.trades,
}
NEW_LIST = b"E"
MARKET_DATA = b"V"
KEYED = frozenset({*trading.NAMES, NEW_LIST})
"""What is done once, however often it is sent."""
MESSAGES = KEYED | frozenset(_HANDLERS) | {MARKET_DATA}
"""What is taken; of all else FIX has BusinessRejectReason(380) 3."""


class FixApplication:
    """What stands behind all sessions of a process (`api.fix.ports.Application`).

    `terms` says what a session may do now; it is asked at each logon.
    """

    def __init__(
        self, terms: Callable[[SessionId], SessionTerms], behind: Behind, source: EventSource
    ) -> None:
        self._terms = terms
        self._behind = behind
        self._follower = Follower(source, behind.log, Statuses(behind))
        self._market = None if behind.market is None else MarketDataDoor(behind.market)
        self._clients: dict[Link, Client] = {}
        self._names: dict[Link, RecentNames] = {}
        self._resending: dict[SessionId, Reports] = {}
        self._under_way: dict[Link, UnderWay] = {}
        self._starting: set[Link] = set()
        """Sessions of which something that was taken in this turn has not begun yet."""
        self._held: set[Link] = set()
        self._leaving: set[asyncio.Task[None]] = set()

    # Sessions

    async def logged_on(self, link: Link, told: int, uncertain: Sequence[Source]) -> None:
        """Begin to report: what follows a log position, and first what may not have arrived."""
        terms = self._terms(link.session_id)
        door = door_of(link.session_id)
        client = self._clients[link] = Client(link, terms, door, actor_of(link.session_id, terms))
        if self._market is not None:
            self._market.came(client)
        self._names[link] = RecentNames()
        await self._follower.begin(link, Owed(door, terms), told, uncertain)

    async def logged_off(self, link: Link) -> None:
        """Report no further; cancel the session's orders where its template says so."""
        client = self._clients.pop(link, None)
        self._names.pop(link, None)
        under_way = self._under_way.get(link, {})
        self._resending.pop(link.session_id, None)
        if self._market is not None:
            self._market.left(link)
        await self._follower.end(link)
        if client is not None and client.terms.cancel_on_disconnect:
            is_back = partial(self._is_back, link.session_id)
            work = cancel_what_works(self._behind, client, tuple(under_way), is_back)
            task = asyncio.create_task(work, name="fix-cancel-on-disconnect")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _is_back(self, session_id: SessionId) -> bool:
        return any(link.session_id == session_id for link in self._clients)

    def undecided(self, link: Link) -> int:
        """The lowest number of a message that is not decided or answered yet; 0 when all are."""
        return min(self._under_way.get(link, {}).values(), default=0)

    async def stop(self) -> None:
        """Report to nobody any more, and finish what was begun."""
        await self._follower.stop()
        while work := [*self._leaving, *(one for some in self._under_way.values() for one in some)]:
            await asyncio.gather(*work, return_exceptions=True)

    async def left(self) -> None:
        """Return when what was to be canceled of sessions that are gone is."""
        while self._leaving:
            await asyncio.wait(self._leaving)

    async def settled(self) -> None:
        """Return when all that came is answered."""
        while tasks := [task for tasks in self._under_way.values() for task in tasks]:
            await asyncio.wait(tasks)

    # Messages

    def received(self, link: Link, message: Received) -> None:
        """Take an application message that was validated and is in its turn; never waits."""
        client = self._clients.get(link)
        kind = message.msg_type
        if kind not in MESSAGES:
            said = "this message type is not served here"
            link.refuse(message, BusinessReason.UNSUPPORTED_MESSAGE, said)
        elif client is None:
            link.refuse(message, BusinessReason.NOT_AVAILABLE, "the session is being set up")
        elif client.terms.drop_copy:
            link.refuse(message, BusinessReason.NOT_AUTHORIZED, "a drop copy session is told only")
        elif kind in trading.NAMES:
            command = trading.read(self._behind, client, message)
            if command is not None:
                request = trading.Request(command, self._arrival(client, command))
                self._ask(client, message, request)
        elif kind == NEW_LIST:
            arrives = partial(self._arrival, client)
            self._start(client, message, lists.new_list(self._behind, client, message, arrives))
        elif kind == MARKET_DATA:
            self._market_data(client, message)
        else:
            self._start(client, message, _HANDLERS[kind](self._behind, client, message))

    def _market_data(self, client: Client, message: Received) -> None:
        if self._market is None:
            said = "market data is not served here"
            link = client.link
            link.refuse(message, BusinessReason.NOT_AVAILABLE, said)
        else:
            self._start(client, message, self._market.asked(client, message))

    def _arrival(self, client: Client, command: Command) -> Arrival:
        """How a request came, as its session stands now."""
        is_new = self._names[client.link].is_new(command)
        return Arrival(self._follower.told(client.link), is_new)

    def over_rate(self, link: Link, message: Received) -> None:
        """Answer a message over the session's rate by a report; never waits."""
        client = self._clients.get(link)
        if client is not None and message.msg_type in trading.NAMES:
            trading.refuse(self._behind, client, message, OrdRejReason.OTHER, OVER_RATE)
        else:
            link.refuse(message, BusinessReason.OTHER, OVER_RATE)

    # What is asked of the writer goes out in the order of the messages.

    def _ask(self, client: Client, message: Received, request: trading.Request) -> None:
        """Have a command decided; most leave events, and nothing to be answered."""
        if client.link in self._starting:
            # Behind a message that was before it and has asked nothing yet.
            decided: Awaitable[Reply] = self._behind.send(client, request.command)
            work = trading.answer(self._behind, client, message, request, decided)
            self._start(client, message, work)
            return
        under_way = self._under_way.setdefault(client.link, {})
        asked = self._behind.ask(client, request.command)
        under_way[asked] = message.seq_num
        asked.add_done_callback(partial(self._decided, client, message, request))
        self._hold(client.link)

    def _decided(
        self,
        client: Client,
        message: Received,
        request: trading.Request,
        asked: asyncio.Future[Reply],
    ) -> None:
        """Answer what no event tells of a command that was decided, or was not."""
        told = asked.cancelled() or (
            asked.exception() is None and trading.is_told_by_log(asked.result())
        )
        if not told:
            work = trading.answer(self._behind, client, message, request, asked)
            self._work_on(client.link, message, work)
        self._done(client.link, asked)

    def _work_on(self, link: Link, message: Received, work: Awaitable[None]) -> None:
        task = asyncio.create_task(_answered(link, message, work))
        self._under_way.setdefault(link, {})[task] = message.seq_num
        task.add_done_callback(partial(self._done, link))
        self._hold(link)

    def _hold(self, link: Link) -> None:
        if len(self._under_way[link]) > MOST_UNDER_WAY and link not in self._held:
            self._held.add(link)
            link.hold(True)

    def _done(self, link: Link, work: asyncio.Future[Any]) -> None:
        under_way = self._under_way[link]
        del under_way[work]
        if link in self._held and len(under_way) <= MOST_UNDER_WAY // 2:
            self._held.discard(link)
            link.hold(False)
        if not under_way and link not in self._clients:
            del self._under_way[link]

    def _start(self, client: Client, message: Received, work: Awaitable[None]) -> None:
        """Begin to answer in the next turn of the loop."""
        link = client.link
        self._work_on(link, message, work)
        if link not in self._starting:
            self._starting.add(link)
            # Called behind the beginning of what was started in this turn.
            asyncio.get_running_loop().call_soon(self._started, link)

    def _started(self, link: Link) -> None:
        self._starting.discard(link)

    # Resends

    async def render(self, session_id: SessionId, sources: Sequence[Source]) -> Sequence[Body]:
        """The messages that these events made, byte for byte as they were sent first."""
        reports = self._resending.get(session_id)
        if reports is None:
            reports = self._resending[session_id] = Reports(self._behind.log, REMEMBERED_RESENDING)
        owed = Owed(door_of(session_id), self._terms(session_id))
        return await rendered(self._behind.log, reports, owed, sources)


async def _answered(link: Link, message: Received, work: Awaitable[None]) -> None:
    """Answer a message; whatever goes wrong with it is said, and ends no session."""
    try:
        await work
    except WrongValue as wrong:
        link.reject(message, SessionReason.VALUE_INCORRECT, str(wrong), tag=wrong.tag)
    except MissingField as missing:
        link.refuse(message, BusinessReason.FIELD_MISSING, str(missing), tag=missing.tag)
    except NotServed as wanted:
        another = wanted.reason == OrdRejReason.UNKNOWN_ACCOUNT
        reason = BusinessReason.NOT_AUTHORIZED if another else BusinessReason.OTHER
        link.refuse(message, reason, str(wanted), tag=wanted.tag)
    except VenueUnavailable as error:
        said = error.message
        if message.msg_type in KEYED:
            said += "; send it again with PossResend(97) Y"
        link.refuse(message, SAYS[error.code].business_reason, said)
    except ProjectionBehind as error:
        link.refuse(message, SAYS[error.code].business_reason, error.message)
    except AWAY as error:
        log.warning("%s over FIX: the store is away: %r", message.msg_type, error)
        link.refuse(message, BusinessReason.NOT_AVAILABLE, "the store does not answer")
    except SessionEnded:
        pass
    except Exception as error:
        log.error("%s over FIX failed", message.msg_type, exc_info=error)
        said = "the request failed for a reason of the venue's own"
        link.refuse(message, BusinessReason.OTHER, said)

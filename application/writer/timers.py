"""What time asks of the venue, as commands: close, expire, settle, the day's end, open, calls.

The writer's own process runs the timers on its own desk. Nothing is remembered that is not
in the log: after a restart, or a jump of the clock, one look at the desk says what is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from application.commands import (
    CheckMargins,
    CloseDay,
    CloseInstrument,
    ExpireOption,
    ExpireOrders,
    OpenInstrument,
    PassTurns,
    Reply,
    Settle,
)
from application.deciding.day_end import DayEnd
from application.deciding.expiring import is_unfinished
from application.deciding.limits import call_changes
from application.desk.desk import Desk
from application.ports import Clock, Session, SessionCalendar, UnknownCalendar
from application.requests import Command
from domain.errors import QueueFull, VenueUnavailable
from domain.identifiers import Instant
from domain.instrument import ENDED
from domain.matching.engine import Market
from domain.terms import Phase

LOOK_SECONDS = 0.5
"""How often the desk is looked over; a session opens and closes this late at most."""
AT_A_TIME = 200
"""How many instruments, or accounts, are looked at before others may go on."""
ASK_AGAIN = 3_600_000_000
"""How long a calendar that was not known is left alone, in microseconds."""
TRY_AGAIN = (QueueFull.code, VenueUnavailable.code)
"""Refusals of a writer that is busy or recovers: the next look asks again."""

Send = Callable[[Command], Awaitable[Reply]]


class Timers:
    """Sends what is due, each thing once, in the order close, expire, settle, expiry of options,
    day's end, open.

    A settlement run goes before the first opening of each date that settles, for that date,
    and after the close of an instrument whose trades settle on the same day. It takes in all
    that is due, also of instruments that are opened by hand.

    Nothing is opened before the days that are over are closed, so that nobody trades on the next
    between the end of one and its record.

    The present is never earlier than the newest event: a clock that goes back stands still
    here until it has caught up, and one that jumps far ahead closes what is over and opens
    the session under way then, not those it skipped.
    """

    def __init__(
        self,
        desk: Callable[[], Desk],
        send: Send,
        calendar: SessionCalendar,
        clock: Clock,
        *,
        say: Callable[[str], object] = print,
    ) -> None:
        self._desk = desk
        self._send = send
        self._calendar = calendar
        self._clock = clock
        self._say = say
        self._sessions: dict[str, tuple[Instant, Session]] = {}
        self._unknown: dict[str, Instant] = {}
        self._expired_after: dict[UUID, int] = {}
        self._gtd_due: set[UUID] = set()
        self._settled_for = 0
        self._margins_at = -1
        self._days_closed: dict[UUID, int] = {}
        self._options_over: set[UUID] = set()

    async def run(self) -> None:
        """Look over the desk again and again, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Send everything that is due now and wait until it is committed.

        Before that, books that are nearly full grow: no order waits for it then.
        """
        self._desk().markets.make_room()
        self._note_gtd(self.now())
        await self._pass_turns()
        ids = [market.instrument.id for market in self._desk().markets.by_id.values()]
        ended = []
        for number, instrument_id in enumerate(ids, 1):
            if await self._end(instrument_id):
                ended.append(instrument_id)
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)
        if await self._expire_options() and await self._close_days():
            for number, instrument_id in enumerate(ended, 1):
                await self._open(instrument_id)
                if number % AT_A_TIME == 0:
                    await asyncio.sleep(0)
        await self._check_margins()

    def now(self) -> Instant:
        """The clock's instant, never before the newest event."""
        return max(self._clock.now(), self._desk().last_at)

    async def _pass_turns(self) -> None:
        """Have legs that had their time looked at, those longest over first."""
        due = [parent.id for parent in self._desk().strategies.due(self.now())]
        for first in range(0, len(due), AT_A_TIME):
            if not await self._done(PassTurns(tuple(due[first : first + AT_A_TIME]))):
                return

    def _note_gtd(self, now: Instant) -> None:
        """Note the instruments with orders whose date has come."""
        due = self._desk().orders.expiring(now)
        self._gtd_due.update(order.instrument_id for order in due)

    async def _end(self, instrument_id: UUID) -> bool:
        """End a session that is over, and what ends with it; true when that is complete."""
        market = self._desk().markets.by_id[instrument_id.int]
        instrument = market.instrument
        timed = not instrument.is_by_hand
        over = instrument.phase not in ENDED and self.now() >= instrument.closes_at > 0
        if timed and over and not await self._done(CloseInstrument(instrument.symbol)):
            return False
        if not await self._expire(instrument_id):
            return False
        if timed and over and instrument.value_date == instrument.session_date:
            await self._settle(instrument.session_date)
        return True

    async def _expire_options(self) -> bool:
        """Let the options end whose last day is over; false when it is to be tried again.

        What is exercised is held, and owed, before the day of its holder is closed.
        """
        for number, instrument_id in enumerate(list(self._desk().markets.options), 1):
            if instrument_id in self._options_over:
                continue
            option = self._market(instrument_id).instrument
            while is_unfinished(self._desk(), option, self.now()):
                reply = await self._send(ExpireOption(option.symbol))
                option = self._market(instrument_id).instrument
                if reply.refusal is not None:
                    if reply.refusal.code in TRY_AGAIN:
                        return False
                    self._say(f"timers: the expiry of {option.symbol}: {reply.refusal.message}")
                    break
            if option.phase == Phase.EXPIRED:
                self._options_over.add(instrument_id)
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)
        return True

    async def _close_days(self) -> bool:
        """Have the days closed that ended with a session; false when it is to be tried again.

        All accounts are looked over once for every session that has ended, and once more by a
        process that has just started.
        """
        desk, until = self._desk(), self.now()
        over = {
            market.instrument.id: market.instrument.session_date
            for market in desk.markets.by_id.values()
            if market.instrument.is_over(until)
        }
        if over.items() <= self._days_closed.items():
            return True
        accounts = list(desk.accounts.by_id.values())
        day_end = DayEnd(desk, until)
        for first in range(0, len(accounts), AT_A_TIME):
            some = accounts[first : first + AT_A_TIME]
            due = tuple(account.id for account in some if day_end.is_due(account))
            if due and not await self._close_day(until, due):
                return False
            await asyncio.sleep(0)
            if self._desk() is not desk:
                return False
        self._days_closed |= over
        return True

    async def _close_day(self, until: Instant, due: tuple[UUID, ...]) -> bool:
        """Close the day of some accounts to its end; false when it is to be tried again."""
        remaining = True
        while remaining:
            reply = await self._send(CloseDay(until, due))
            if reply.refusal is not None:
                if reply.refusal.code in TRY_AGAIN:
                    return False
                # Trading does not wait for a day that cannot be closed.
                self._say(f"timers: the end of the day: {reply.refusal.message}")
                return True
            remaining = (reply.result or {})["remaining"]
        return True

    def _market(self, instrument_id: UUID) -> Market:
        # Asked for anew after every wait: a recovery replaces the desk.
        return self._desk().markets.by_id[instrument_id.int]

    async def _expire(self, instrument_id: UUID) -> bool:
        """Expire what is due, of ended sessions and of gtd orders; true when nothing is left."""
        while True:
            instrument = self._market(instrument_id).instrument
            closed_after = instrument.closed_after
            known = self._expired_after.get(instrument_id, 0)
            if closed_after == known and instrument_id not in self._gtd_due:
                return True
            if not self._desk().orders.of_instrument(instrument_id):
                self._gtd_due.discard(instrument_id)
                self._expired_after[instrument_id] = closed_after
                return True
            self._gtd_due.discard(instrument_id)
            result = await self._outcome(ExpireOrders(instrument.symbol))
            if result is None:
                self._gtd_due.add(instrument_id)
                return False
            if result.get("remaining", True):
                self._gtd_due.add(instrument_id)
            else:
                self._expired_after[instrument_id] = closed_after

    async def _open(self, instrument_id: UUID) -> None:
        """Open the session under way, unless it has been open already."""
        instrument = self._market(instrument_id).instrument
        if instrument.is_by_hand or instrument.phase != Phase.CLOSED:
            return
        session = await self._session(instrument.calendar)
        if session is None or (instrument.is_option and session.session_date > instrument.expiry):
            return
        now = self.now()
        if not session.opens_at <= now < session.closes_at:
            return
        if session.settles and session.session_date > self._settled_for:
            if not await self._settle(session.session_date):
                return
            self._settled_for = session.session_date
        # Asked for again: all of this may have taken a while.
        instrument = self._market(instrument_id).instrument
        if instrument.phase == Phase.CLOSED and session.session_date > instrument.session_date:
            await self._done(
                OpenInstrument(
                    instrument.symbol,
                    session.session_date,
                    session.value_dates[instrument.settlement_cycle],
                    session.opens_at,
                    session.closes_at,
                )
            )

    async def _settle(self, date: int) -> bool:
        """Run the settlement of a date to its end; false when it is to be tried again."""
        remaining = any(key.value_date <= date for key in self._desk().accounts.obligations)
        while remaining:
            reply = await self._send(Settle(date))
            if reply.refusal is not None:
                if reply.refusal.code in TRY_AGAIN:
                    return False
                # Trading does not wait for a run that cannot be made.
                self._say(f"timers: settlement of {date}: {reply.refusal.message}")
                return True
            remaining = (reply.result or {})["remaining"]
        return True

    async def _check_margins(self) -> None:
        """Have margin calls made and cleared, when anything happened since the last look."""
        desk = self._desk()
        if desk.position == self._margins_at:
            return
        position = desk.position
        for first in range(0, len(desk.accounts.on_margin), AT_A_TIME):
            some = desk.accounts.on_margin[first : first + AT_A_TIME]
            changed = tuple(account.id for account in some if call_changes(desk, account))
            if changed and not await self._done(CheckMargins(account_ids=changed)):
                return
            await asyncio.sleep(0)
            if self._desk() is not desk:
                return
        self._margins_at = position

    async def _session(self, calendar: str) -> Session | None:
        """The session under way or next; None when the calendar cannot say."""
        now = self.now()
        asked_at, session = self._sessions.get(calendar, (0, None))
        if session is not None and asked_at <= now < session.closes_at:
            return session
        if now < self._unknown.get(calendar, 0):
            return None
        try:
            # A calendar may have to be read from somewhere first.
            found = await asyncio.to_thread(self._calendar.session_at_or_after, calendar, now)
        except UnknownCalendar as error:
            self._unknown[calendar] = now + ASK_AGAIN
            self._say(f"timers: {error}; only operators open and close its instruments")
            return None
        self._sessions[calendar] = now, found
        return found

    async def _done(self, command: Command) -> bool:
        return await self._outcome(command) is not None

    async def _outcome(self, command: Command) -> dict[str, Any] | None:
        """What a command came to; None when it was refused, and the next look tries again."""
        reply = await self._send(command)
        return None if reply.refusal is not None else reply.result or {}

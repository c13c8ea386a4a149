"""What one gateway process holds: the way to the writer, the views, the keys, the streams."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from uuid import UUID

import psycopg
from msgspec.structs import replace

from api.asset_classes import AssetClasses
from api.auth import KeyRing, Principal, when_not_held
from api.door.fairness import Bounds, Fairness
from api.door.together import Together
from api.groups import Groups
from api.market_snapshots import MarketSnapshots
from api.marks import Habits, Marks
from api.metrics import GatewayMetrics
from api.patience import AWAY
from api.processes.heart import Heart
from api.refusals import POSITION, ProjectionBehind, Refused, in_words_of
from api.sessions import Sessions
from api.subjects import Subjects
from api.symbols import Symbols
from api.view_progress import ViewProgress
from api.ws.market_data.hub import Hub
from api.ws.subscriptions import Subscriptions
from application.commands import Refusal, Reply
from application.log.ports import EventSource
from application.market_data.hot_symbols import HotLimits
from application.market_data.tiers import Tiers
from application.ports import CommandBus, TradingCalendar
from application.requests import Command
from domain.errors import InvalidField, MarketClosed
from domain.identifiers import NO_ID, Instant, iso
from infrastructure.clock import SteadyClock, VenueClock
from infrastructure.log.pool import StorePool
from infrastructure.log.reads import PooledLog
from infrastructure.log.stores import StoreState
from infrastructure.settings import Settings
from projections.instruments import (
    PresentSymbols,
    get_instrument,
    list_calendars,
    present_symbols,
)
from projections.market_data.feed import Feed

log = logging.getLogger(__name__)

NAMED_ALIKE: Mapping[str, str] = {}
"""What a client spells as the command does."""


class Gateway:
    """Shared by every request of the process; knows of each account its last write."""

    def __init__(
        self,
        settings: Settings,
        bus: CommandBus,
        pool: StorePool,
        log: PooledLog,
        source: EventSource,
        progress: ViewProgress,
        clock: VenueClock,
        calendar: TradingCalendar,
        *,
        market: Feed,
        key_pool: StorePool | None = None,
    ) -> None:
        """`market` is what the market-data process tells; no order waits for it. `key_pool` is for
        looking keys up, which then waits behind no other question.
        """
        self.settings = settings
        self.bus = bus
        self.pool = pool
        self.log = log
        self.source = source
        self.progress = progress
        self.clock = clock
        self.sessions = Sessions(calendar)
        self.fairness = Fairness(bounds_of(settings))
        self.keys = KeyRing(key_pool or pool, now=clock.now)
        self.subjects = Subjects(pool, when_not_held)
        self.heart = Heart(bus, progress, clock)
        self.groups = Groups(log)
        self.asset_classes = AssetClasses(log)
        symbols = Symbols(self._present_symbols)
        self.updates = Subscriptions(source, log, self.asset_classes, self.groups, symbols)
        self.market = market
        steady = SteadyClock()
        self.snapshots = MarketSnapshots(
            *(market, self.next_open, steady, clock),
            tiers=Tiers(symbols=settings.market_data_tiers),
            hot=HotLimits(rates=settings.market_data_hot_rates),
        )
        self.marks = Marks(market, log, progress, steady, habits_of(settings))
        self.metrics = GatewayMetrics(self.snapshots, self.marks.counts, market)
        self.channels: Hub | None = None
        """Who is told of market data; None where there is no feed."""
        self.when_moved: list[Callable[[], Awaitable[object]]] = []
        """What else is to be done when the log has moved to another store."""
        self._last_write: dict[UUID, int] = {}
        self._before: int | None = None
        self._end = 0
        self._ends: Together[None, int] = Together(self._ask_end)

    async def moved(self, _: StoreState) -> None:
        """Read in the store that is the truth now, and leave the one that was."""
        leaving = (self.pool.moved, self.progress.moved, *self.when_moved)
        told = await asyncio.gather(*(leave() for leave in leaving), return_exceptions=True)
        for error in told:
            if isinstance(error, Exception):
                log.warning("not all is at the other store yet: %r", error)

    async def send(
        self,
        command: Command,
        principal: Principal,
        door: str = "http",
        *,
        path_fields: tuple[str, ...] = (),
        named: Mapping[str, str] = NAMED_ALIKE,
        account_id: UUID | None = None,
    ) -> Reply:
        """Have a command decided and committed; raises Refused with the writer's refusal.

        `named` is how the client spelled fields of the command in this request.
        """
        reply = await self.bus.send(command, principal.actor, door)
        self.wrote(principal.account_id or NO_ID, reply.position)
        if account_id is not None:
            self.wrote(account_id, reply.position)
        if reply.refusal is not None:
            if reply.refusal.code == MarketClosed.code:
                told = await self._with_opening(reply.refusal, reply.position)
                reply = replace(reply, refusal=told)
            assert reply.refusal is not None
            reply = replace(reply, refusal=in_words_of(reply.refusal, named))
            raise Refused(reply, path_fields)
        return reply

    async def _with_opening(self, refusal: Refusal, position: int) -> Refusal:
        """The refusal of a closed instrument, with the instant at which its calendar opens it.

        The views are read as the writer decided: the instrument may just have been listed, or
        closed. It was decided already, and so is shown without when the views cannot tell.
        """
        until = None
        with suppress(psycopg.OperationalError, psycopg.ProgrammingError, ProjectionBehind):
            await self.catch_up(None, position, "instruments")
            async with self.pool.connection() as conn:
                row = await get_instrument(conn, str(refusal.details["symbol"]))
            if row is not None:
                now = self.clock.now()
                until = await self.sessions.trades_again(row.calendar, row.session_date, now)
        if until is None:
            return refusal
        message = f"{refusal.message}, at {iso(until)}"
        return replace(refusal, message=message, details={**refusal.details, "until": iso(until)})

    def wrote(self, account_id: UUID, position: int) -> None:
        """Remember that the account has seen this position."""
        self._end = max(self._end, position)
        if position > self._last_write.get(account_id, 0):
            self._last_write[account_id] = position

    async def catch_up(self, account_id: UUID | None, at_least: int | None, *views: str) -> int:
        """Wait until these views hold the account's last write, and say where that is; raises
        ProjectionBehind, or InvalidField of a position that the log does not have.

        Without an account it is the last write of the venue's operators, whose instruments
        everybody trades. What a former gateway acknowledged lies before the log's end as this
        one first finds it.
        """
        if self._before is None:
            self._before = await self.log.last_position()
        if at_least is not None and at_least > self._end:
            await self._check_there_is(at_least)
        last = self._last_write.get(account_id or NO_ID, 0)
        wanted = max(at_least or 0, self._before, last)
        if wanted:
            await self.progress.wait_for(wanted, views, self.settings.read_wait_ms / 1000)
        return wanted

    async def _check_there_is(self, position: int) -> None:
        """Refuse a position beyond the log's end, as asked for after it was named: another
        gateway may just have acknowledged it.
        """
        end = await self._ends.find_anew(None) or 0
        self._end = max(self._end, end)
        if position > self._end:
            raise InvalidField(POSITION, f"is beyond the log's end at {self._end}", limit=self._end)

    async def _ask_end(self, _: tuple[None, ...]) -> dict[None, int]:
        return {None: await self.log.last_position()}

    async def catch_up_to_end(self, *views: str) -> None:
        """Wait until these views hold all that is committed now; raises ProjectionBehind."""
        await self.catch_up(None, await self.log.last_position(), *views)

    async def asset_class(self, instrument_id: UUID) -> str | None:
        """The class of an instrument, which never changes, as its first event says.

        None when the store does not answer: what is rendered here has been committed, and
        must be shown.
        """
        try:
            return await self.asset_classes.of(instrument_id)
        except AWAY:
            return None

    async def next_open(self, after: Instant) -> Instant | None:
        """When an instrument's calendar opens next after an instant; None while nobody can say."""
        try:
            async with self.pool.connection() as conn:
                calendars = await list_calendars(conn)
            session = await self.sessions.next_session(calendars, after)
        except Exception as error:
            log.warning("when the market opens next cannot be told: %r", error)
            return None
        return session.opens_at if session is not None else None

    async def _present_symbols(self) -> PresentSymbols:
        async with self.pool.connection() as conn:
            return await present_symbols(conn)


def bounds_of(settings: Settings) -> Bounds:
    """What each key may have of a gateway."""
    return Bounds(
        settings.key_requests_per_second,
        settings.key_requests_under_way,
        settings.key_sockets,
        settings.queue_age_ms / 1000,
    )


def habits_of(settings: Settings) -> Habits:
    """How holdings are valued for clients that ask for nothing else."""
    return Habits(
        settings.marks_max_age_ms,
        settings.marks_when_old,
        settings.marks_when_away,
        settings.read_wait_ms / 1000,
    )


def new_key() -> str:
    """A request key for a client that gave none, so that a resend cannot act twice."""
    return uuid.uuid4().hex

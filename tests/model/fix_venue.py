"""A venue in memory behind FIX sessions: a real writer, a real application, links that note."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from api.fix.application import follower
from api.fix.application.behind import Behind
from api.fix.application.gateway import FixApplication
from api.fix.application.terms import SessionTerms
from api.fix.codec import Message
from api.fix.ports import Body, Received, Report, SessionEnded, SessionId, Source
from api.fix.validation import validate
from application.commands import (
    Deposit,
    Envelope,
    ListInstrument,
    OpenAccount,
    OpenInstrument,
    Reply,
    TransferPosition,
    encode_command,
)
from application.log.ports import Batch, Recorded
from application.requests import Command
from application.writer.sequencer import Sequencer
from domain.events import OrderFillBusted, OrderFillCorrected, OrderFilled
from domain.terms import AccountKind
from infrastructure.command_bus import InProcessBus
from infrastructure.log.memory import MemoryLog, MemorySnapshots
from projections.activities import BUSTED, CORRECTED, FILLED, ActivityRow
from projections.instruments import InstrumentRow
from projections.market_data.feed import Feed
from tests.model.desk_harness import NOON, SESSION, VALUE_DATE, shares, wire

Field = tuple[int, bytes]
SESSION_ID = SessionId("NEXUS", "CLIENT")
PATIENCE = 10.0


class NewsLog(MemoryLog):
    """A log in memory that wakes who waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()
        self.lives_read = self.firsts_read = 0
        """How often somebody asked for an aggregate's events, or for the first ones of several."""

    async def append(self, batch: Batch) -> None:
        """Keep one batch whole."""
        await super().append(batch)
        self._news.set()

    async def stream(self, *asked: Any) -> Sequence[Recorded]:
        """The events of an aggregate; it is counted."""
        self.lives_read += 1
        return await super().stream(*asked)

    async def first_events(self, originator_ids: Sequence[UUID]) -> Sequence[Recorded]:
        """How aggregates began; it is counted."""
        self.firsts_read += 1
        return await super().first_events(originator_ids)

    async def wait(self, timeout: float) -> None:
        """Return when something was committed, or after a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._news.wait()
                self._news.clear()


class TickingClock:
    """A clock that goes on by a millisecond whenever it is read."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> int:
        """The next instant."""
        self.at += 1_000
        return self.at


class DoublingBus:
    """A bus that may have a command decided twice, as one does whose writer gave way."""

    def __init__(self, bus: InProcessBus) -> None:
        self._bus = bus
        self.doubles = False

    def ask(self, command: Command, actor: str, gateway: str) -> asyncio.Future[Reply]:
        """Have a command decided; the answer is that of the last time."""
        if self.doubles and command.key() is not None:
            self._bus.ask(command, actor, gateway)
        return self._bus.ask(command, actor, gateway)

    async def send(self, command: Command, actor: str, gateway: str) -> Reply:
        """Have a command decided; the answer is that of the last time."""
        if self.doubles and command.key() is not None:
            await self._bus.send(command, actor, gateway)
        return await self._bus.send(command, actor, gateway)


class RecordingLink:
    """A session that is logged on: notes what it is told, as a client would have it."""

    def __init__(self, session_id: SessionId = SESSION_ID) -> None:
        self.session_id = session_id
        self.reports: list[Report] = []
        self.again: list[Report] = []
        self.answers: list[Body] = []
        self.refused: list[tuple[int, str, int]] = []
        self.rejected: list[tuple[int, str, int]] = []
        self.held: list[bool] = []
        self.told = -1
        self.is_over = False
        self.reads = asyncio.Event()
        self.reads.set()

    def answer(self, body: Body) -> None:
        """Note what is no event."""
        self.answers.append(body)

    def clear(self) -> bool:
        """Whether the client reads."""
        return self.reads.is_set()

    def hold(self, held: bool) -> None:
        """Note that it is read no more, or again."""
        self.held.append(held)

    def refuse(self, message: Received, reason: int, text: str, *, tag: int = 0) -> None:
        """Note a BusinessMessageReject."""
        self.refused.append((reason, text, tag))

    def reject(self, message: Received, reason: int, text: str, *, tag: int = 0) -> None:
        """Note a Reject."""
        self.rejected.append((reason, text, tag))

    async def deliver(self, reports: Sequence[Report], up_to: int, *, resent: bool = False) -> None:
        """Note reports, when the client reads."""
        await self.reads.wait()
        if self.is_over:
            raise SessionEnded
        assert resent or up_to >= self.told, "told of less than before"
        (self.again if resent else self.reports).extend(reports)
        self.told = up_to

    @property
    def bodies(self) -> list[Body]:
        """The reports in the order in which they came."""
        return [report.body for report in self.reports]


class DeskViews:
    """Lists as the views would give them, from the desk and the log of a writer in memory."""

    def __init__(self, writer: Sequencer, log: MemoryLog) -> None:
        self._writer = writer
        self._log = log

    async def working_orders(self, account_id: UUID) -> Sequence[UUID]:
        """The working orders of an account."""
        return [order.id for order in self._writer.desk.orders.of_account(account_id)]

    async def working_strategies(self, account_id: UUID) -> Sequence[UUID]:
        """The working multi-leg orders of an account."""
        return [one.id for one in self._writer.desk.strategies.of_account(account_id)]

    async def instruments(self) -> Sequence[InstrumentRow]:
        """Everything that is listed, of what is looked at here."""
        rows = []
        for market in self._writer.desk.markets.by_id.values():
            state = market.instrument
            values: dict[str, Any] = dict.fromkeys(InstrumentRow.__struct_fields__, 0)
            for name in values:
                values[name] = getattr(state, name, 0)
            values |= {"instrument_id": state.id, "right_code": state.right}
            rows.append(InstrumentRow(**values))
        return rows

    async def activities(self, account_id: UUID, since: int) -> Sequence[ActivityRow]:
        """The fills of an account, their busts and corrections."""
        rows = []
        for position, event in enumerate(self._log.events(), 1):
            if not isinstance(event, OrderFilled | OrderFillBusted | OrderFillCorrected):
                continue
            if event.account_id != account_id:
                continue
            corrected = isinstance(event, OrderFillCorrected)
            kind = FILLED if isinstance(event, OrderFilled) else CORRECTED if corrected else BUSTED
            price = event.old_price if isinstance(event, OrderFillCorrected) else event.price
            rows.append(
                ActivityRow(
                    event.at, position, kind, event.trade_id, event.originator_id, "", event.qty,
                    price, event.price if corrected else None, 0, 0, 0, event.side,
                    event.price_decimals, False,
                )
            )  # fmt: skip
        return rows


class FixVenue:
    """A writer in memory, an open instrument X, and accounts a and b with money and shares."""

    def __init__(self) -> None:
        self.log = NewsLog()
        self.clock = TickingClock()
        self.writer = Sequencer(
            self.log, MemorySnapshots(), self.clock, say=lambda _: None, elapsed=lambda: 0
        )
        self.bus = DoublingBus(InProcessBus(self.writer.submit))
        self.views = DeskViews(self.writer, self.log)
        self.terms: dict[SessionId, SessionTerms] = {}
        self.a = self.b = UUID(int=0)
        self.market: Feed | None = None
        self.application = self.started()
        self._seq_num = 0

    def started(self) -> FixApplication:
        """An application that has just been started: it remembers nothing."""
        behind = Behind(self.bus, self.log, self.views, self.clock, self.market)
        return FixApplication(self.terms.__getitem__, behind, self.log)

    async def restart(self) -> None:
        """Put a new application in the place of the one that was."""
        await self.application.stop()
        self.application = self.started()

    async def ask(self, command: Command, door: str = "http") -> Reply:
        """Have a command decided that comes through another door."""
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        body = msgspec.Raw(encode_command(command))
        self.writer.submit(Envelope("somebody", door, body), answered.set_result)
        return await asyncio.wait_for(answered, PATIENCE)

    async def furnish(self) -> None:
        """Accounts and an instrument in session."""
        found = []
        for name in ("a", "b"):
            reply = await self.ask(OpenAccount(name, "", int(AccountKind.CASH)))
            assert reply.result is not None
            found.append(UUID(reply.result["account_id"]))
        self.a, self.b = found
        await self.ask(
            ListInstrument(
                "X", "X", "us_equity", "24/7", 4, wire("0.01"), shares(1),
                reference_price=wire(100), collar_bps=5_000, protection_bps=5_000,
            )
        )  # fmt: skip
        await self.ask(OpenInstrument("X", SESSION, VALUE_DATE, NOON, NOON + 10**12))
        for account in (self.a, self.b):
            await self.ask(Deposit(account, 100_000_000, f"cash-{account}"))
            await self.ask(TransferPosition(account, "X", shares(1000), 0, f"held-{account}"))
        self.terms[SESSION_ID] = SessionTerms({"A": self.a})

    async def log_on(
        self, link: RecordingLink, told: int | None = None, uncertain: Sequence[Source] = ()
    ) -> None:
        """Log a session on, told of everything so far or up to a position."""
        begins = await self.log.last_position() if told is None else told
        link.told = begins
        await self.application.logged_on(link, begins, uncertain)

    def send(self, link: RecordingLink, kind: str, *fields: tuple[int, str]) -> None:
        """Have a message of a session come."""
        self._seq_num += 1
        self.application.received(link, message(kind, *fields, seq_num=self._seq_num))

    async def told(self, *links: RecordingLink) -> None:
        """Wait until all that was sent is answered, and links are told all that is committed."""
        async with asyncio.timeout(PATIENCE):
            await self.application.settled()
            for link in links:
                while link.told < len(self.log.rows):
                    await asyncio.sleep(0)

    def recorded(self) -> list[Recorded]:
        """The whole log."""
        return [Recorded(n, event) for n, event in enumerate(self.log.events(), 1)]


def message(kind: str, *fields: tuple[int, str], seq_num: int = 1) -> Message:
    """A message as the codec gives it."""
    head: list[Field] = [(35, kind.encode()), (49, b"CLIENT"), (56, b"NEXUS")]
    head += [(34, b"%d" % seq_num), (52, b"20261121-12:00:00")]
    whole = [*head, *((tag, value.encode()) for tag, value in fields)]
    return Message(b"FIX.4.4", [tag for tag, _ in whole], [value for _, value in whole])


class Strictly(NamedTuple):
    """What a client takes that goes by FIX 4.4's own dictionary and by nothing else."""

    user_defined: bool = False
    unknown: bool = False
    unordered: bool = False
    empty: bool = False


STRICTLY = Strictly()


def is_fix_44(body: Body) -> bool:
    """Whether a message is one of FIX 4.4, field by field; fails where it is not."""
    fields = [(tag, value.decode()) for tag, value in body.fields]
    sent = message(body.msg_type.decode(), *fields)
    assert None is (fault := validate(sent, STRICTLY)), (fault, fields)
    return True


def said(body: Body) -> dict[int, str]:
    """A message of FIX 4.4 by tag, as text; what is there more than once by its last value."""
    assert is_fix_44(body)
    return {tag: value.decode() for tag, value in body.fields}


def order(name: str, **terms: Any) -> list[tuple[int, str]]:
    """A NewOrderSingle: a day limit order to buy 10 X at 100, but for what is said."""
    fields: dict[int, str] = {
        11: name, 21: "1", 55: "X", 54: "1", 60: "20261121-12:00:00", 38: "10", 40: "2", 44: "100",
    }  # fmt: skip
    for tag, value in terms.items():
        fields[int(tag.removeprefix("t"))] = value
    return [(tag, value) for tag, value in fields.items() if value]


def change(name: str, previous: str, **terms: Any) -> list[tuple[int, str]]:
    """An OrderCancelReplaceRequest, or without its terms an OrderCancelRequest."""
    return [(41, previous), *order(name, **terms)]


@asynccontextmanager
async def fix_venue() -> AsyncIterator[FixVenue]:
    """A furnished venue whose writer leads."""
    venue = FixVenue()
    within, follower.TELL_WITHIN = follower.TELL_WITHIN, -1.0
    running = asyncio.create_task(venue.writer.run())
    try:
        await venue.writer.ready.wait()
        await venue.furnish()
        yield venue
    finally:
        follower.TELL_WITHIN = within
        await venue.application.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

"""A lively market with everything an auditor knows: groups, commissions, settlement, calls."""

from __future__ import annotations

import asyncio
import random
from uuid import UUID

from msgspec.structs import replace

from application.commands import (
    AdoptKeys,
    BustTrade,
    CheckMargins,
    CloseAllPositions,
    CloseDay,
    CloseInstrument,
    ConfigureAccount,
    Deposit,
    EnsureOperator,
    ExpireOption,
    ForgetOwner,
    IssueKey,
    ListInstrument,
    MarkInstrument,
    OpenAccount,
    OpenInstrument,
    PassTurns,
    PlaceGroup,
    PlaceOrder,
    ReplaceOrder,
    Reply,
    RevokeKey,
    RotateKey,
    SetAccountPolicy,
    SetAccountStatus,
    SetCommissionSchedule,
    SetKillSwitch,
    SetPairMargin,
    Settle,
    TransferPosition,
)
from application.requests import Command
from application.watchlists import ChangeWatchlist, CreateWatchlist, DeleteWatchlist
from domain.events import OrderFilled
from domain.identifiers import NO_ID, uuid_of_bits
from domain.sealed_name import sealed_name
from infrastructure.log.codec import decode_event
from tests.model.command_flow import BEGIN, SYMBOLS, UNIT, WIRE, InMemoryVenue
from tests.model.strategy_flow import RandomStrategies, StrategyScenes

BUY, SELL = 1, 2
OPG, CLS = 2, 7
OCO, BRACKET, OTO = 1, 2, 3
ACTIVE, CLOSING_ONLY = 0, 1
AMOUNT = 20_050
FRIDAY, MONDAY, TUESDAY = 20251121, 20251124, 20251125
PER_SHARE = ((0, -(10**6), 3 * 10**6), (100 * UNIT, 10**6, 2 * 10**6))
BPS = ((0, 1_250, 3_333), (50 * UNIT, -500, 2_001))


def dollars(price: int) -> int:
    """Whole dollars as prices come in."""
    return price * WIRE


class AuditedVenue(InMemoryVenue):
    """The flow of `command_flow` with groups in between, then scenes that it never plays."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._seed = seed
        self._random = random.Random(seed)
        self._number = 0

    async def live(self, commands: int) -> None:
        """Play all of it."""
        running = asyncio.create_task(self.writer.run())
        await self.writer.ready.wait()
        for command in self.flow.opening():
            await self.decide(command)
        await self._terms()
        await self._watchlists()
        for command in self.flow.funding():
            await self.decide(command)
        strategies = RandomStrategies(self._seed, self.flow.accounts)
        for number in range(commands):
            await self.decide(self.flow.next())
            if number % 4 == 0:
                await self.decide(self._group())
            if number % 6 == 0:
                await self.decide(strategies.next())
                timed = tuple(map(uuid_of_bits, self.writer.desk.strategies.timed))
                await self.decide(PassTurns(timed))
            if number % 50 == 49:
                await self.decide(Settle(FRIDAY))
        await self.decide(SetKillSwitch(None, False))
        await self._as_configured()
        await self._day_ends()
        await self._expiry()
        await self._undone()
        await StrategyScenes(self.must, self.decide, self.log, self._account).play()
        await self._trails()
        await self._exits()
        await self._free_riding()
        await self._margin_call()
        await self._keys()
        await self._kill_switch()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def must(self, command: Command) -> Reply:
        """Decide a command that a scene cannot do without."""
        reply = await self.decide(command)
        assert reply.refusal is None, (command, reply.refusal)
        return reply

    def _key(self) -> str:
        self._number += 1
        return f"scene {self._number}"

    async def _terms(self) -> None:
        """A per-share schedule, a proportional one, an account that may use its proceeds."""
        cheap, dear, free, margin = self.flow.accounts
        await self.must(SetCommissionSchedule(cheap, 1, PER_SHARE, 0, 0))
        await self.must(SetCommissionSchedule(dear, 2, BPS, 35, 8))
        await self.must(SetAccountPolicy(free, True))
        await self.must(SetCommissionSchedule(margin, 1, PER_SHARE, 1, 100))

    def _group(self) -> Command:
        """An oco, a bracket or an oto near the market, some of them with stop-limits."""
        pick = self._random
        order_class = pick.choice((OCO, OCO, BRACKET, BRACKET, OTO))
        side = pick.choice((BUY, SELL)) if order_class == OCO else BUY
        # What exits sell above and below the middle; what they buy the other way round.
        sign = 1 if side == SELL or order_class != OCO else -1
        entry = 10_000 + pick.randint(-10, 12)
        profit, stop = entry + sign * pick.randint(1, 15), entry - sign * pick.randint(1, 15)
        limit = stop - sign * pick.randint(0, 10) if pick.random() < 0.3 else 0
        cents = WIRE // 100
        only_stop = order_class == OTO and pick.random() < 0.5
        if order_class == OTO and not only_stop:
            stop = limit = 0
        kind = 2 if order_class == OCO or pick.random() < 0.6 else 1
        return PlaceGroup(
            pick.choice(self.flow.accounts),
            pick.choice(SYMBOLS),
            order_class,
            side,
            kind,
            pick.choice((0, 1)),
            pick.randint(1, 20) * UNIT,
            entry * cents if kind == 2 and order_class != OCO else 0,
            0,
            self._key(),
            0 if only_stop else profit * cents,
            stop * cents,
            limit * cents,
        )

    # Scenes, each on an instrument and accounts of its own

    async def _listed(self, symbol: str, value_date: int, trigger_rule: int = 1) -> None:
        await self.must(
            ListInstrument(
                symbol,
                symbol,
                "us_equity",
                "24/7",
                4,
                WIRE // 100,
                UNIT,
                trigger_rule,
                reference_price=dollars(100),
                protection_bps=200,
            )
        )
        await self.must(OpenInstrument(symbol, 20251120, value_date, BEGIN, BEGIN + 10**12))

    async def _account(self, name: str, cents: int, kind: int = 1) -> UUID:
        reply = await self.must(OpenAccount(name, name, kind))
        assert reply.result is not None
        account = UUID(reply.result["account_id"])
        if cents:
            await self.must(Deposit(account, cents, self._key()))
        return account

    async def _limit(
        self, account: UUID, symbol: str, side: int, qty: int, price: int, **more: bool
    ) -> Reply:
        order = PlaceOrder(
            account, symbol, side, 2, 1, qty * UNIT, dollars(price), 0, self._key(), **more
        )
        return await self.must(order)

    async def _exits(self) -> None:
        """An oco whose take-profit trades in part before its stop is triggered, a bracket that
        grows, and one whose take-profit trades whole.
        """
        await self._listed("EXIT", MONDAY)
        maker = await self._account("maker of exits", 10_000_000)
        owner = await self._account("owner of exits", 10_000_000)
        await self.must(SetCommissionSchedule(owner, 2, BPS, 35, 8))
        await self.must(TransferPosition(owner, "EXIT", 40 * UNIT, 400_000, self._key()))
        await self.must(TransferPosition(maker, "EXIT", 40 * UNIT, 400_000, self._key()))
        group = (owner, "EXIT")
        await self.must(
            PlaceGroup(
                *group, OCO, SELL, 2, 1, 10 * UNIT, 0, 0, self._key(), dollars(105), dollars(95)
            )
        )
        await self._limit(maker, "EXIT", BUY, 4, 105)
        await self._limit(maker, "EXIT", BUY, 6, 94)
        await self._limit(maker, "EXIT", BUY, 1, 95)
        await self._limit(owner, "EXIT", SELL, 1, 95)
        for qty in (3, 5):
            await self.must(
                PlaceGroup(
                    *group,
                    BRACKET,
                    BUY,
                    2,
                    1,
                    qty * UNIT,
                    dollars(98),
                    0,
                    self._key(),
                    dollars(101),
                    dollars(90),
                    dollars(89),
                )
            )
        await self._limit(maker, "EXIT", SELL, 4, 98)
        await self._limit(maker, "EXIT", BUY, 4, 101)

    async def _free_riding(self) -> None:
        """Proceeds due on Tuesday buy what must be paid on Monday: it fails, then settles."""
        await self._listed("LATE", TUESDAY)
        await self._listed("SOON", MONDAY)
        maker = await self._account("maker of late", 10_000_000)
        rider = await self._account("rider", 0)
        await self.must(SetAccountPolicy(rider, True))
        await self.must(TransferPosition(rider, "LATE", 10 * UNIT, 100_000, self._key()))
        await self.must(TransferPosition(maker, "SOON", 10 * UNIT, 100_000, self._key()))
        await self._limit(maker, "LATE", BUY, 10, 100)
        await self._limit(rider, "LATE", SELL, 10, 100)
        await self._limit(maker, "SOON", SELL, 9, 100)
        await self._limit(rider, "SOON", BUY, 9, 100)
        for run_date in (MONDAY, TUESDAY):
            await self.must(Settle(run_date))

    async def _margin_call(self) -> None:
        """A long and a short position on margin; the mark falls, and comes back."""
        await self._listed("MARK", TUESDAY, trigger_rule=3)
        maker = await self._account("maker of marks", 100_000_000)
        margin = await self._account("borrower", 1_000_000, kind=2)
        short = await self._account("short seller", 1_000_000, kind=2)
        await self.must(TransferPosition(maker, "MARK", 200 * UNIT, 2_000_000, self._key()))
        await self.must(MarkInstrument("MARK", dollars(100)))
        await self._limit(maker, "MARK", SELL, 150, 100)
        await self._limit(margin, "MARK", BUY, 150, 100)
        await self._limit(maker, "MARK", BUY, 50, 99)
        await self._limit(short, "MARK", SELL, 50, 99, locate=True)
        await self.must(MarkInstrument("MARK", dollars(40)))
        await self.must(CheckMargins())
        await self._limit(margin, "MARK", SELL, 10, 101)
        await self.must(MarkInstrument("MARK", dollars(100)))
        await self.must(CheckMargins())

    async def _kill_switch(self) -> None:
        """An account, and then all, stopped and let go on."""
        account = await self._account("stopped", 1_000_000)
        await self._listed("KILL", TUESDAY)
        await self.must(SetKillSwitch(account, True, "a runaway"))
        await self.decide(PlaceOrder(account, "KILL", BUY, 2, 1, UNIT, dollars(99), 0, self._key()))
        await self.must(SetKillSwitch(account, False))
        await self._limit(account, "KILL", BUY, 1, 99)
        await self.must(SetPairMargin("KILL", "MARK", 1_000))
        await self.must(SetKillSwitch(None, True, "all stop"))
        await self.must(SetKillSwitch(None, False))
        await self._limit(account, "KILL", BUY, 1, 98)
        await self.must(SetAccountStatus(account, CLOSING_ONLY, "asked for"))
        await self.decide(PlaceOrder(account, "KILL", BUY, 2, 1, UNIT, dollars(97), 0, self._key()))
        await self.must(SetAccountStatus(account, ACTIVE, "asked for"))

    async def _watchlists(self) -> None:
        """A list that is made, changed and deleted, one that stays, and one that is refused."""
        account = self.flow.accounts[0]
        for name in ("first", "second"):
            reply = await self.must(CreateWatchlist(account, name, self._key(), SYMBOLS))
        assert reply.result is not None
        second = UUID(reply.result["watchlist_id"])
        await self.decide(CreateWatchlist(account, "first", self._key()))
        await self.must(ChangeWatchlist(account, second, self._key(), remove=SYMBOLS[0]))
        await self.must(ChangeWatchlist(account, second, self._key(), name="third", symbols=()))
        await self.must(DeleteWatchlist(account, NO_ID, self._key(), "first"))

    async def _keys(self) -> None:
        """Keys of before, an operator's, an account's that is rotated, replaced and revoked, and
        an owner who is forgotten.
        """
        account, digest = self.flow.accounts[0], bytes(range(32))
        await self.must(AdoptKeys((("of before", account, False, digest, True),)))
        await self.must(EnsureOperator("admin", digest[::-1]))
        await self.must(IssueKey(account, "one", digest, ("read", "trade"), "a desk"))
        await self.must(RotateKey("one", bytes(32), BEGIN + 10**15))
        await self.must(IssueKey(account, "two", digest, ("read",), instead=True))
        await self.must(RevokeKey("two", "lost"))
        await self.decide(RevokeKey("nobody's"))
        sealed = sealed_name(account, "c2VhbGVk")
        for name in ("his first", "his second"):
            reply = await self.must(OpenAccount(name, sealed, 1))
            assert reply.result is not None
            opened = UUID(reply.result["account_id"])
            await self.must(Deposit(opened, AMOUNT, self._key()))
        await self.must(ForgetOwner(opened, "asked for"))

    async def _as_configured(self) -> None:
        """An account whose owner suspends it, and lets it open whole shares with its own money
        alone; then everything is canceled and closed.
        """
        await self._listed("OWN", TUESDAY)
        maker = await self._account("maker of the owned", 10_000_000)
        owner = await self._account("owner", 1_000_000, kind=2)
        await self.must(TransferPosition(maker, "OWN", 30 * UNIT, 300_000, self._key()))
        await self.must(ConfigureAccount(owner, suspend_trade=True))
        await self.decide(PlaceOrder(owner, "OWN", BUY, 2, 1, UNIT, dollars(99), 0, self._key()))
        await self.must(
            ConfigureAccount(
                owner,
                suspend_trade=False,
                no_shorting=True,
                fractional_trading=False,
                max_margin_multiplier=1,
            )
        )
        await self._limit(maker, "OWN", SELL, 10, 100)
        await self._limit(owner, "OWN", BUY, 8, 100)
        await self._limit(maker, "OWN", BUY, 9, 99)
        await self._limit(owner, "OWN", SELL, 3, 105)
        await self.must(CloseAllPositions(owner, self._key(), cancel_orders=True))
        await self.must(CloseAllPositions(owner, self._key()))
        await self.must(ConfigureAccount(owner, no_shorting=False, max_margin_multiplier=2))
        await self._limit(owner, "OWN", SELL, 2, 101, locate=True)

    async def _undone(self) -> None:
        """A trade that filled both of its orders, busted."""
        await self._listed("UNDO", TUESDAY)
        maker = await self._account("maker of the undone", 1_000_000)
        taker = await self._account("taker of the undone", 1_000_000)
        await self.must(TransferPosition(maker, "UNDO", 3 * UNIT, 30_000, self._key()))
        await self._limit(maker, "UNDO", SELL, 3, 100)
        await self._limit(taker, "UNDO", BUY, 3, 100)
        row = next(row for row in reversed(self.log.rows) if row.topic == OrderFilled.TOPIC)
        fill = decode_event(row.topic, row.state)
        assert isinstance(fill, OrderFilled)
        await self.must(BustTrade(fill.trade_id, row.position, "error"))

    async def _auctions(self, maker: UUID, taker: UUID, symbol: str, tif: int) -> None:
        """Orders for one auction alone, of which some trade there, and some are over with it."""
        for account, side, qty, price in (
            (maker, SELL, 3, 99),
            (taker, BUY, 5, 99),
            (taker, BUY, 1, 95),
            (taker, BUY, 1, 0),
        ):
            kind = 2 if price else 1
            await self.must(
                PlaceOrder(
                    account,
                    symbol,
                    side,
                    kind,
                    tif,
                    qty * UNIT,
                    dollars(price),
                    0,
                    self._key(),
                )
            )

    async def _trails(self) -> None:
        """Stops that trail a rise and a fall, one of them with another trail in between, until
        prices turn by as much.
        """
        await self._listed("TRAIL", TUESDAY)
        maker = await self._account("maker of trails", 10_000_000)
        owner = await self._account("owner of trails", 10_000_000)
        for account in (maker, owner):
            await self.must(TransferPosition(account, "TRAIL", 40 * UNIT, 400_000, self._key()))
        await self._trailing(owner, SELL, dollars(4))
        first = await self._trailing(owner, SELL, 0, 3_125)
        await self._trailing(maker, BUY, 0, 8_000)
        for number, price in enumerate((100, 102, 103, 101, 106)):
            if number == 3:
                assert first.order is not None
                order_id, name = first.order.revision_id, self._key()
                again = ReplaceOrder(owner, order_id, name, name, trail=2 * dollars(1))
                await self.must(again)
            await self._limit(maker, "TRAIL", SELL, 1, price)
            await self._limit(owner, "TRAIL", BUY, 1, price)
        await self._limit(maker, "TRAIL", BUY, 9, 99)
        await self._limit(owner, "TRAIL", SELL, 1, 99)
        last = await self._trailing(owner, SELL, dollars(5))
        assert last.order is not None
        await self._limit(maker, "TRAIL", SELL, 1, 104)
        await self._limit(owner, "TRAIL", BUY, 1, 104)

    async def _trailing(self, account: UUID, side: int, price: int, percent: int = 0) -> Reply:
        terms = (account, "TRAIL", side, 25, 1, 2 * UNIT, 0, 0)
        order = PlaceOrder(*terms, self._key(), trail_price=price, trail_percent=percent)
        return await self.must(order)

    async def _day_ends(self) -> None:
        """Two days of a long and a short position; the second begins with some of both closed.

        Each ends with an auction and begins with one.
        """
        await self._listed("DAYS", TUESDAY)
        maker = await self._account("maker of days", 100_000_000)
        margin = await self._account("holder of days", 1_000_000, kind=2)
        short = await self._account("seller of days", 1_000_000, kind=2)
        await self.must(TransferPosition(maker, "DAYS", 200 * UNIT, 2_000_000, self._key()))
        await self._limit(maker, "DAYS", SELL, 30, 100)
        await self._limit(margin, "DAYS", BUY, 30, 100)
        await self._limit(maker, "DAYS", SELL, 3, 100)
        for amount in (AMOUNT, 20_000):
            # Two of the three, a cent and a half left over; and the third, when no more is offered.
            await self.must(
                PlaceOrder(margin, "DAYS", BUY, 1, 0, 0, 0, 0, self._key(), notional=amount)
            )
        await self._limit(maker, "DAYS", BUY, 20, 99)
        await self._limit(short, "DAYS", SELL, 20, 99, locate=True)
        everyone = tuple(account.id for account in self.writer.desk.accounts.by_id.values())
        for day, value_date in ((20251120, TUESDAY), (20251121, 20251126)):
            await self._auctions(maker, margin, "DAYS", CLS)
            await self.must(CloseInstrument("DAYS"))
            for first in range(0, len(everyone), 5):
                await self.must(CloseDay(BEGIN + 10**13, everyone[first : first + 5]))
            await self._auctions(maker, margin, "DAYS", OPG)
            opens_at = BEGIN + day
            await self.must(OpenInstrument("DAYS", day + 1, value_date, opens_at, opens_at + 10))
            await self._limit(maker, "DAYS", BUY, 9, 99)
            await self._limit(margin, "DAYS", SELL, 9, 99)
            await self._limit(margin, "DAYS", SELL, 4, 97)
            await self._limit(short, "DAYS", BUY, 4, 97)

    async def _expiry(self) -> None:
        """A call that ends in the money, after one of its holders closed a part."""
        symbol, option = "OPTD", "OPTD251120C00095000"
        listed = ListInstrument(symbol, symbol, "us_equity", "manual", 4, WIRE // 100, UNIT)
        await self.must(replace(listed, reference_price=dollars(100), shortable=True))
        call = replace(
            listed,
            symbol=option,
            asset_class="us_option",
            collar_bps=9_999,
            settlement_cycle=1,
            multiplier=100,
            underlying=symbol,
            right=1,
            strike=dollars(95),
            expiry=20251120,
        )
        await self.must(call)
        for one in (symbol, option):
            await self.must(OpenInstrument(one, 20251120, MONDAY, BEGIN, BEGIN + 10))
        names = (("holder", 1), ("writer", 2), ("other writer", 2))
        people = [await self._account(f"{n} of options", 10_000_000, kind) for n, kind in names]
        holder, writer, other = people
        for seller, qty in ((writer, 3), (other, 2)):
            await self._limit(seller, option, SELL, qty, 6)
            await self._limit(holder, option, BUY, qty, 6)
        await self._limit(writer, option, BUY, 1, 7)
        await self._limit(holder, option, SELL, 1, 7)
        await self._limit(holder, option, BUY, 1, 1)
        for one in (option, symbol):
            await self.must(CloseInstrument(one))
        reply = await self.must(ExpireOption(option, 2))
        while reply.result is not None and reply.result["remaining"]:
            reply = await self.must(ExpireOption(option, 2))


def audited(seed: int, commands: int) -> AuditedVenue:
    """A venue after its flow and its scenes; equal arguments give equal logs."""
    venue = AuditedVenue(seed)
    asyncio.run(venue.live(commands))
    assert venue.said == [], venue.said
    return venue

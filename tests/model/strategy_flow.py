"""Multi-leg orders in a lively market: some at random, and scenes in which all happens to them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from uuid import UUID

from application.commands import (
    BustTrade,
    CancelOrder,
    CloseInstrument,
    CorrectTrade,
    ExpireOrders,
    ListInstrument,
    ListOptionChain,
    OpenInstrument,
    PlaceMultiLeg,
    PlaceOrder,
    ReplaceOrder,
    Reply,
    TransferPosition,
)
from application.requests import Command
from domain.events import MultiLegExecuted, OrderFilled
from infrastructure.log.codec import decode_event
from infrastructure.log.memory import MemoryLog
from tests.model.command_flow import BEGIN, SYMBOLS, UNIT, WIRE

BUY, SELL = 1, 2
MARKET, LIMIT = 1, 2
DAY, GTC, IOC, FOK = 0, 1, 3, 4
WITHIN, LINEAR = 1, 2
SIMULTANEOUS, SEQUENTIAL = 0, 1
CENT = WIRE // 100
TUESDAY = 20251125
MARGIN = 2
Decide = Callable[[Command], Awaitable[Reply]]
Legs = tuple[tuple[str, int, int], ...]


def strategy(
    account: UUID,
    legs: Legs,
    units: int,
    cents: int | None,
    key: str,
    time_in_force: int = GTC,
    constraints: tuple[tuple[int, int, int, int, int, int], ...] = (),
    seconds: int | None = None,
) -> PlaceMultiLeg:
    """Place so many units at a net price in cents, or at the market; with `seconds` the legs trade
    one after the other, and each has so many.
    """
    return PlaceMultiLeg(
        account,
        MARKET if cents is None else LIMIT,
        time_in_force,
        units * UNIT,
        (cents or 0) * CENT,
        key,
        tuple((symbol, side, ratio, 0) for symbol, side, ratio in legs),
        execution=SIMULTANEOUS if seconds is None else SEQUENTIAL,
        constraints=constraints,
        leg_seconds=seconds or 0,
    )


class RandomStrategies:
    """Pairs of the two instruments of the flow, mostly near enough to come to something."""

    def __init__(self, seed: int, accounts: list[UUID]) -> None:
        self._random = random.Random(seed)
        self._accounts = accounts
        self._number = 0

    def next(self) -> PlaceMultiLeg:
        """One that buys some of one instrument for some of the other."""
        pick = self._random
        self._number += 1
        one, other = pick.choice((SYMBOLS, SYMBOLS[::-1]))
        ratios = pick.choice(((1, 1), (1, 1), (1, 2), (3, 2)))
        side = pick.choice((BUY, SELL))
        legs = ((one, side, ratios[0]), (other, BUY + SELL - side, ratios[1]))
        balance = (ratios[0] - ratios[1]) * (10_000 if side == BUY else -10_000)
        net = None if pick.random() < 0.1 else balance + pick.randint(-40, 40)
        constraints = ((WITHIN, 0, 1, pick.randint(1, 50) * WIRE // 10_000, 0, 0),)
        return strategy(
            pick.choice(self._accounts),
            legs,
            pick.randint(1, 8),
            net,
            f"strategy {self._number}",
            pick.choice((IOC, FOK, DAY)) if net is None else pick.choice((DAY, GTC, GTC, IOC, FOK)),
            constraints if pick.random() < 0.2 else (),
            pick.choice((0, 1, 60, 3_600)) if pick.random() < 0.5 else None,
        )


class StrategyScenes:
    """Two shares and the accounts that trade one against the other."""

    def __init__(
        self, must: Decide, decide: Decide, log: MemoryLog, account: Callable[..., Awaitable[UUID]]
    ) -> None:
        self._must = must
        self._decide = decide
        self._log = log
        self._account = account
        self._number = 0

    def _key(self) -> str:
        self._number += 1
        return f"legs {self._number}"

    async def play(self) -> None:
        """Play all of them."""
        for symbol in ("NEAR", "FAR", "THIRD", "ONE", "NEXT"):
            await self._listed(symbol)
        maker, buyer, seller = [
            await self._account(f"{name} of strategies", 100_000_000)
            for name in ("maker", "buyer", "seller")
        ]
        for symbol in ("NEAR", "FAR", "THIRD", "ONE", "NEXT"):
            for account in (maker, buyer, seller):
                transfer = TransferPosition(account, symbol, 500 * UNIT, 5_000_000, self._key())
                await self._must(transfer)
        await self._in_turn(maker, buyer)
        await self._against_books(maker, buyer)
        await self._against_each_other(maker, buyer, seller)
        await self._undone()
        await self._ended(buyer)
        await self._on_options()

    async def _listed(self, symbol: str) -> None:
        terms = (symbol, symbol, "us_equity", "24/7", 4, CENT, UNIT)
        await self._must(ListInstrument(*terms, reference_price=100 * WIRE, collar_bps=3_000))
        await self._must(OpenInstrument(symbol, 20251120, TUESDAY, BEGIN, BEGIN + 10**12))

    async def _order(self, account: UUID, symbol: str, side: int, qty: int, cents: int) -> None:
        terms = (account, symbol, side, LIMIT, GTC, qty * UNIT, cents * CENT, 0, self._key())
        await self._must(PlaceOrder(*terms))

    async def _against_books(self, maker: UUID, buyer: UUID) -> None:
        """Three legs that walk two levels; one that rests until a better order comes, which gets
        what is better; and what may not rest.
        """
        await self._order(maker, "NEAR", SELL, 4, 10_010)
        await self._order(maker, "NEAR", SELL, 9, 10_020)
        await self._order(maker, "FAR", BUY, 20, 9_990)
        await self._order(maker, "THIRD", BUY, 20, 9_980)
        legs = (("NEAR", BUY, 2), ("FAR", SELL, 1), ("THIRD", SELL, 1))
        near = (LINEAR, 0, 1, WIRE, -WIRE, 100 * CENT)
        await self._must(strategy(buyer, legs, 4, 70, self._key(), GTC, (near,)))
        for cents, tif in ((-5_000, IOC), (-5_000, FOK), (None, IOC)):
            await self._must(strategy(buyer, legs, 1, cents, self._key(), tif))
        await self._must(strategy(buyer, legs[:2], 2, -100_000, self._key(), DAY))
        reply = await self._must(
            strategy(buyer, (("NEAR", BUY, 1), ("FAR", SELL, 1)), 6, 20, self._key())
        )
        await self._order(maker, "FAR", BUY, 3, 10_005)
        assert reply.strategy is not None
        parent, name = reply.strategy.order_id, self._key()
        await self._must(
            ReplaceOrder(buyer, parent, name, name, qty=8 * UNIT, limit_price=16 * CENT)
        )
        await self._must(ReplaceOrder(buyer, parent, "", self._key(), limit_price=18 * CENT))
        await self._order(maker, "NEAR", SELL, 9, 10_000)
        await self._decide(ReplaceOrder(buyer, parent, "", self._key(), qty=UNIT))

    async def _against_each_other(self, maker: UUID, buyer: UUID, seller: UUID) -> None:
        """Two that rest are met by one that wants the other side, the better one first."""
        legs = (("FAR", BUY, 3), ("THIRD", SELL, 2))
        turned = (("THIRD", BUY, 2), ("FAR", SELL, 3))
        await self._must(strategy(buyer, legs, 2, 9_500, self._key()))
        await self._must(strategy(maker, legs, 2, 9_600, self._key()))
        await self._must(strategy(maker, legs, 1, 9_500, self._key()))
        await self._must(strategy(seller, turned, 4, -9_500, self._key(), IOC))

    async def _on_options(self) -> None:
        """A condor that trades, one that rests and one that takes it, a vertical that closes half
        of the first, and two options that a cash account buys together.
        """
        await self._listed("ROOT")
        strikes = tuple(strike * WIRE for strike in (90, 95, 105, 110))
        await self._must(ListOptionChain("ROOT", (20251219,), strikes, (0, 1), CENT))
        names = [f"ROOT251219{right}{strike:05}000" for strike in (90, 95) for right in "P"]
        names += [f"ROOT251219{right}{strike:05}000" for strike in (105, 110) for right in "C"]
        for symbol in names:
            await self._must(OpenInstrument(symbol, 20251120, TUESDAY, BEGIN, BEGIN + 10**12))
        maker, client, other = [
            await self._account(f"{name} of options", 50_000_000, MARGIN)
            for name in ("maker", "client", "other")
        ]
        saver = await self._account("saver of options", 100_000)
        quotes = ((40, 45), (120, 125), (110, 115), (30, 35))
        for symbol, (bid, offer) in zip(names, quotes, strict=True):
            await self._order(maker, symbol, BUY, 20, bid)
            await self._order(maker, symbol, SELL, 20, offer)
        low, lower, upper, high = names
        condor = ((low, BUY, 1), (lower, SELL, 1), (upper, SELL, 1), (high, BUY, 1))
        turned = tuple((symbol, BUY + SELL - side, ratio) for symbol, side, ratio in condor)
        await self._must(strategy(client, condor, 4, -150, self._key()))
        reply = await self._must(strategy(client, condor, 3, -153, self._key()))
        assert reply.strategy is not None
        parent = reply.strategy.order_id
        await self._must(ReplaceOrder(client, parent, "", self._key(), qty=5 * UNIT))
        await self._must(strategy(other, turned, 2, 160, self._key(), IOC))
        await self._order(other, upper, BUY, 1, 114)
        await self._must(CancelOrder(client, parent, "", self._key()))
        await self._must(strategy(client, ((low, SELL, 1), (lower, BUY, 1)), 2, 85, self._key()))
        both = ((low, BUY, 1), (high, BUY, 2))
        await self._must(strategy(saver, both, 1, 115, self._key()))
        await self._decide(strategy(saver, both, 50, 115, self._key()))

    async def _undone(self) -> None:
        """Two legs of one execution: the one busted, the other at another price."""
        filled = None
        fills = []
        for row in reversed(self._log.rows):
            event = decode_event(row.topic, row.state)
            if filled is None and isinstance(event, MultiLegExecuted):
                filled = event.correlation_id
            if isinstance(event, OrderFilled) and event.correlation_id == filled:
                fills.append((row.position, event))
        (first, bust), *_, (last, correct) = fills
        await self._must(BustTrade(bust.trade_id, first, "error"))
        price = correct.price * CENT * 100 // 10_000 - CENT
        await self._must(CorrectTrade(correct.trade_id, last, price, "error"))

    async def _in_turn(self, maker: UUID, buyer: UUID) -> None:
        """Legs that follow each other: at once, after a while, not at all; a trade of one that is
        ahead is busted, and the book gives only a part of what is to be closed.
        """
        legs = (("ONE", BUY, 2), ("NEXT", SELL, 1))
        for units, seconds, follows in ((2, 0, 2), (3, 60, 3), (3, 60, 1), (2, 60, 0)):
            await self._order(maker, "ONE", SELL, 2 * units, 10_000)
            if not seconds:
                await self._order(maker, "NEXT", BUY, follows, 9_990)
            reply = await self._must(
                strategy(buyer, legs, units, 11_000, self._key(), DAY, (), seconds)
            )
            assert reply.strategy is not None
            if not seconds:
                continue
            if follows:
                await self._order(maker, "NEXT", BUY, follows, 9_990)
            else:
                await self._bust_last()
            if follows < units:
                await self._order(maker, "ONE", BUY, 1, 9_980)
                await self._decide(CancelOrder(buyer, reply.strategy.order_id, "", self._key()))
                await self._order(maker, "ONE", BUY, 9, 9_970)

    async def _bust_last(self) -> None:
        for row in reversed(self._log.rows):
            event = decode_event(row.topic, row.state)
            if isinstance(event, OrderFilled):
                await self._must(BustTrade(event.trade_id, row.position, "error"))
                return

    async def _ended(self, buyer: UUID) -> None:
        """One is canceled, one refused, one ends with the session of one of its legs."""
        legs = (("NEAR", BUY, 1), ("THIRD", SELL, 1))
        reply = await self._must(strategy(buyer, legs, 3, -5_000, self._key()))
        assert reply.strategy is not None
        await self._decide(CancelOrder(buyer, reply.legs[0].order_id, "", self._key()))
        await self._must(CancelOrder(buyer, reply.strategy.order_id, "", self._key()))
        await self._decide(strategy(buyer, (*legs, ("NEAR", SELL, 1)), 3, -50, self._key()))
        await self._must(strategy(buyer, legs, 3, -5_000, self._key(), DAY))
        await self._must(CloseInstrument("THIRD"))
        await self._must(ExpireOrders("THIRD", 5))

"""Prices from outside that mark instruments: each change is a command, and so an event.

It comes back as the mark that the log has. The newest price counts; a price of unknown age or that
is old marks nothing, and none is sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from api.secrets_of_keys import ADMIN_KEY_ID, KEY_ACTOR
from application.commands import MarkInstrument, Reply
from application.ports import Clock, CommandBus
from application.reference_prices import Received, ReferencePrice
from domain.errors import VenueUnavailable
from domain.instrument import Instrument
from domain.money import WIRE_PRICE_SCALE, divide_half_even, to_text
from projections.market_data.depth import MarketData

ACTOR = f"{KEY_ACTOR}{ADMIN_KEY_ID}"
"""Who marks: the operator, whose settings say that a source may."""
DOOR = "reference-prices"
BASIS_POINTS = 10_000
OLDEST = 5_000_000
"""How many microseconds old a price may be that marks."""
AGAIN_SECONDS = 0.5
"""How soon a venue is asked again that did not answer."""

Say = Callable[[str], object]


class MarkLimits(NamedTuple):
    """How many microseconds lie between two marks of an instrument, and how many basis points of
    the present one.
    """

    every: int
    bps: int


class _Wanted(NamedTuple):
    """A price that an instrument is to be marked at, and by when it is too old for that."""

    price: int
    until: int


class _Sent(NamedTuple):
    """The mark that was sent last, where the log has it, and when another may be sent."""

    price: int
    position: int
    next_at: int


class Marking:
    """The marks of one source. `clock` tells the time of day, `steady` never goes back."""

    def __init__(
        self,
        data: MarketData,
        bus: CommandBus,
        clock: Clock,
        steady: Clock,
        *,
        limits: MarkLimits,
        say: Say,
    ) -> None:
        self.sent = 0
        self.refused = 0
        """How many the venue refused, and prices that were too far from the mark."""
        self._data = data
        self._bus = bus
        self._clock = clock
        self._steady = steady
        self._limits = limits
        self._say = say
        self._wanted: dict[int, _Wanted] = {}
        self._last: dict[int, _Sent] = {}
        self._far: set[int] = set()
        """The instruments whose price is too far from their mark."""
        self._waits = False
        """Whether it was said that the venue does not answer."""
        self._awake = asyncio.Event()

    def take(self, received: Received) -> None:
        """Note at which prices instruments are to be marked."""
        now, steady = self._clock.now(), self._steady.now()
        for price in received.prices:
            age = self._age(price, now, new=received.new)
            if age is not None and age <= OLDEST:
                self._want(price, steady + OLDEST - age)

    def _age(self, price: ReferencePrice, now: int, *, new: bool) -> int | None:
        """How old a price is; None where nobody can say."""
        if price.quoted_at:
            return max(0, now - price.quoted_at)
        return 0 if new else None

    def _want(self, price: ReferencePrice, until: int) -> None:
        market = self._data.floor.markets.listed_as(price.symbol)
        if market is None:
            return
        unit = 10 ** (WIRE_PRICE_SCALE - market.instrument.price_decimals)
        rounded = divide_half_even(price.price, unit)
        identifier = market.instrument.id.int
        if not rounded or self._is_far(identifier, rounded, market.instrument):
            self._wanted.pop(identifier, None)
            return
        self._wanted[identifier] = _Wanted(rounded, until)
        self._awake.set()

    def _is_far(self, identifier: int, price: int, terms: Instrument) -> bool:
        """Whether a price is too far from the mark for anybody but an operator; said once."""
        mark = terms.mark_price
        if not mark or abs(price - mark) * BASIS_POINTS <= self._limits.bps * mark:
            self._far.discard(identifier)
            return False
        if identifier not in self._far:
            self._far.add(identifier)
            self.refused += 1
            shown = to_text(price, terms.price_decimals)
            self._say(
                f"{terms.symbol} is not marked at {shown}: that is more than"
                f" {self._limits.bps} basis points from its mark"
            )
        return True

    async def run(self) -> None:
        """Send marks as they are wanted, for ever."""
        while True:
            if not self._wanted:
                self._awake.clear()
                await self._awake.wait()
            now = self._steady.now()
            waits = [await self._send_or_say(one, now) for one in tuple(self._wanted)]
            if pause := min((one for one in waits if one), default=0):
                await asyncio.sleep(pause / 1_000_000)

    async def _send_or_say(self, identifier: int, now: int) -> int:
        try:
            return await self._send_if_due(identifier, now)
        except Exception as error:
            self._wanted.pop(identifier, None)
            self._say(f"a mark failed: {error!r}")
            return 0

    async def _send_if_due(self, identifier: int, now: int) -> int:
        """Send what an instrument is to be marked at; how long that must wait where it must."""
        wanted = self._wanted.get(identifier)
        if wanted is None:
            return 0
        last = self._last.get(identifier)
        if wanted.until < now or self._is_marked(identifier, wanted.price, last):
            del self._wanted[identifier]
            return 0
        if last is not None and last.next_at > now:
            return last.next_at - now
        terms = self._data.floor.markets.by_id[identifier].instrument
        unit = 10 ** (WIRE_PRICE_SCALE - terms.price_decimals)
        try:
            command = MarkInstrument(terms.symbol, wanted.price * unit)
            async with asyncio.timeout((wanted.until - now) / 1_000_000):
                reply = await self._bus.send(command, ACTOR, DOOR)
        except (VenueUnavailable, TimeoutError) as error:
            # It may have been decided: then the log has it, and it is not sent again.
            if not self._waits:
                self._say(f"marks wait for the venue: {error!r}")
            self._waits = True
            return int(AGAIN_SECONDS * 1_000_000)
        self._waits = False
        self._note(identifier, wanted, reply)
        return 0

    def _is_marked(self, identifier: int, price: int, last: _Sent | None) -> bool:
        """Whether it was sent, or the log has it without a mark of ours to come."""
        if last is not None and price == last.price:
            return True
        if last is not None and self._data.position < last.position:
            return False
        return price == self._data.floor.markets.by_id[identifier].instrument.mark_price

    def _note(self, identifier: int, wanted: _Wanted, reply: Reply) -> None:
        self.sent += 1
        now = self._steady.now()
        self._last[identifier] = _Sent(wanted.price, reply.position, now + self._limits.every)
        if self._wanted.get(identifier) == wanted:
            del self._wanted[identifier]
        if reply.refusal is not None:
            self.refused += 1
            self._say(f"a mark was refused: {reply.refusal.message} ({reply.refusal.code})")

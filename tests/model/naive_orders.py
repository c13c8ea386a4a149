"""What the naive venue is made of: accounts, orders, markets, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor

from domain.terms import (
    AccountKind,
    AccountStatus,
    OrderStatus,
    Phase,
    Side,
    TimeInForce,
    TriggerRule,
)
from tests.model.naive_money import NaiveBooks

RESTING_TIMES = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD)
FOR_AUCTIONS = (TimeInForce.OPG, TimeInForce.CLS)


class Refused(Exception):
    """The venue says no; the text is the code."""


class NaiveAccount(NaiveBooks):
    """Money, and what it may do. Two accounts of one owner never trade with each other."""

    def __init__(self, owner: str, cash: int, kind: int = AccountKind.CASH) -> None:
        super().__init__(cash, kind)
        self.owner = owner
        self.status: int = AccountStatus.ACTIVE
        self.max_notional = 0
        self.called = False
        self.killed = False
        self.suspended = False
        self.long_only = False
        self.whole_only = False
        self.covers_all = False


@dataclass(eq=False)
class NaiveFill:
    """What one order got of one trade; `asked` is what the schedule asked for it."""

    order: NaiveOrder
    qty: Fraction
    price: Fraction
    asked: Fraction
    by_value: bool
    unpaid: bool

    @property
    def worth(self) -> Fraction:
        return self.price * self.qty


@dataclass(eq=False)
class NaiveOrder:
    """One order. `bound` is the worst price it may trade at, `rank` its turn.

    One without a limit that `stays` goes on at its bound; one that is `queued` waits there for
    an auction first. `exits` is the part of its leaves that reduces a position, `hold` what the
    rest may cost.
    """

    label: str
    account: NaiveAccount
    market: NaiveMarket
    side: int
    kind: int
    tif: int
    qty: Fraction
    leaves: Fraction
    limit: Fraction | None
    stop: Fraction | None
    bound: Fraction
    expires_at: int
    post_only: bool
    self_trade: int
    rank: int
    session: int
    locate: bool
    hold: int
    exits: Fraction
    stays: bool = False
    queued: bool = False
    filled: Fraction = Fraction(0)
    elected: bool = False
    entered: bool = False
    money: Fraction | None = None
    status: int = OrderStatus.NEW
    reason: int = 0
    fills: list[NaiveFill] = field(default_factory=list)
    commission: Fraction = Fraction(0)
    trail: Fraction | None = None
    share: Fraction | None = None
    peak: Fraction | None = None
    moving: bool = False

    @property
    def trails(self) -> bool:
        return self.trail is not None or self.share is not None

    def stop_at(self, price: Fraction) -> Fraction:
        """Where its stop belongs when this is the best price: on a tick, never too near."""
        away = price * self.share if self.share is not None else self.trail
        assert away is not None
        tick = self.market.tick
        if self.side == Side.SELL:
            return floor((price - away) / tick) * tick
        return ceil((price + away) / tick) * tick

    def follow(self, price: Fraction) -> None:
        """Go with a price that lets its stop come nearer, and on with it until it turns."""
        assert self.stop is not None and self.peak is not None
        nearer, sells = self.stop_at(price), self.side == Side.SELL
        if nearer > self.stop if sells else nearer < self.stop:
            self.stop, self.peak, self.moving = nearer, price, True
        elif self.moving:
            self.moving = price >= self.peak if sells else price <= self.peak
            self.peak = price if self.moving else self.peak

    @property
    def waits(self) -> bool:
        return self.stop is not None and not self.elected

    @property
    def working(self) -> bool:
        return self.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)

    @property
    def opens(self) -> Fraction:
        return self.leaves - self.exits

    @property
    def rests(self) -> bool:
        stands = self.tif in (*RESTING_TIMES, *FOR_AUCTIONS)
        return (self.limit is not None or self.stays) and stands

    @property
    def in_book(self) -> bool:
        """Whether others can meet it: what is for the close only once its auction has come."""
        return not self.waits and (self.tif != TimeInForce.CLS or self.entered)

    def lose(self, qty: Fraction) -> None:
        """So much has traded: what reduces the position first, then the rest with its hold."""
        exits, opens = min(qty, self.exits), self.opens
        self.leaves -= qty
        self.exits -= exits
        if opens:
            self.hold = ceil(self.hold * self.opens / opens)

    def cost(self) -> Fraction:
        """Its commission, by what its trades asked for and its account's bounds."""
        value = sum((fill.price * fill.qty for fill in self.fills), Fraction(0))
        asked = sum((fill.asked for fill in self.fills), Fraction(0))
        return self.account.schedule.for_order(asked, value, self.side)


@dataclass(eq=False)
class NaiveMarket:
    """One instrument."""

    symbol: str
    tick: Fraction
    lot: Fraction
    decimals: int
    rule: int
    collar: Fraction
    reference: Fraction
    max_qty: Fraction = Fraction(0)
    max_notional: int = 0
    position_limit: Fraction = Fraction(0)
    initial: Fraction = Fraction(1, 2)
    maintenance: Fraction = Fraction(1, 4)
    borrowable: bool = False
    protection: Fraction = Fraction(1, 100)
    keeps: bool = True
    phase: int = Phase.CLOSED
    session: int = 0
    last: Fraction | None = None
    mark: Fraction | None = None
    traded: list[Fraction] = field(default_factory=list)

    def band(self, around: Fraction) -> tuple[Fraction, Fraction]:
        """The lowest and highest tick inside the collar."""
        low = max(ceil(around * (1 - self.collar) / self.tick), 1)
        return low * self.tick, floor(around * (1 + self.collar) / self.tick) * self.tick

    def reach(self, side: int, around: Fraction) -> Fraction:
        """How far an order trades that a price let loose: never nothing, never past the band."""
        low, high = self.band(around)
        room = max(around * self.protection, self.tick)
        if side == Side.BUY:
            return min(floor((around + room) / self.tick) * self.tick, high)
        return max(ceil((around - room) / self.tick) * self.tick, low)

    @property
    def worth(self) -> Fraction:
        """The price positions are valued at."""
        marked = self.rule == TriggerRule.MARK and self.mark is not None
        prices = (self.mark, self.last) if marked else (self.last, self.mark)
        return next((price for price in prices if price is not None), self.reference)


def is_over(order: NaiveOrder, at: int) -> bool:
    """A gtd order ends at its instant, a day order with the session it was last set in."""
    if order.tif == TimeInForce.GTD:
        return order.expires_at <= at
    return order.tif == TimeInForce.DAY and order.session < order.market.session


def sign(side: int) -> int:
    """Which way a position goes."""
    return 1 if side == Side.BUY else -1


def refuse_if(condition: bool, code: str) -> None:
    """Say no with a code."""
    if condition:
        raise Refused(code)

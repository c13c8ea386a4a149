"""Money for the eye: what trades cost, what is owed, what orders hold; fractions of dollars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from domain.terms import AccountKind, Side

ZERO = Fraction(0)


@dataclass(frozen=True)
class NaiveSchedule:
    """`unit` says what a rate is of: a share, or a dollar traded; bounds are of one order."""

    unit: str = "nothing"
    tiers: tuple[tuple[Fraction, Fraction, Fraction], ...] = ()
    minimum: Fraction = ZERO
    cap: Fraction | None = None

    def asks(self, qty: Fraction, price: Fraction, traded: Fraction, *, made: bool) -> Fraction:
        """For one trade, when so much was traded in the month before it."""
        asked = ZERO
        for number, (begins, maker, taker) in enumerate(self.tiers):
            later = self.tiers[number + 1 :]
            ends = later[0][0] if later else traded + qty
            inside = max(ZERO, min(ends, traded + qty) - max(begins, traded))
            asked += (maker if made else taker) * inside * self.of(price)
        return asked

    def of(self, price: Fraction) -> Fraction:
        return Fraction(1) if self.unit == "share" else price

    def for_order(self, asked: Fraction, value: Fraction, side: int) -> Fraction:
        """What an order costs whose trades asked for so much; the cap is stronger, and so is
        what a sale brings.
        """
        if not value:
            return ZERO
        least = max(asked, self.minimum) if self.minimum else asked
        costs = least if self.cap is None else min(least, value * self.cap)
        return min(costs, value) if side == Side.SELL else costs

    def most(self, qty: Fraction, price: Fraction) -> int:
        """Cents that an order can cost at the worst: one is for rounding."""
        if self.unit == "nothing" or not qty:
            return 0
        dearest = max(ZERO, *(rate for _, *rates in self.tiers for rate in rates))
        costs = self.for_order(dearest * qty * self.of(price), qty * price, Side.BUY)
        return ceil(costs * 100) + 1


FREE = NaiveSchedule()


@dataclass(eq=False)
class NaiveEntry:
    """One side of a trade in its account's books, or, with a negative quantity, its undoing.

    `brings` and `costs` are dollars, `cents` what it posted of the payable, were it unpaid.
    """

    symbol: str
    side: int
    qty: Fraction
    brings: Fraction
    costs: Fraction
    cents: int
    unpaid: bool


class NaiveBooks:
    """An account's money: settled cash in cents, and every trade that is not settled."""

    def __init__(self, cash: int, kind: int) -> None:
        self.cash = cash
        self.is_margin = kind == AccountKind.MARGIN
        self.spends_proceeds = False
        self.schedule = FREE
        self.entries: list[NaiveEntry] = []
        self.traded = ZERO
        self.charged = ZERO
        self.posted = 0
        self.brought = ZERO
        """Dollars that all its trades brought, less what they took, exactly."""

    def purse(self, settles: Callable[[NaiveEntry], bool]) -> int:
        """Cents that trades have brought of settled cash, if of what has not settled these did."""
        waiting = [entry for entry in self.entries if not settles(entry)]
        brought = self.brought - sum((entry.brings for entry in waiting), ZERO)
        charged = self.charged - sum((entry.costs for entry in waiting), ZERO)
        return round(brought * 100) - round(charged * 100)

    @property
    def after_purchases(self) -> int:
        return self.purse(lambda entry: entry.side == Side.BUY)

    @property
    def receivable(self) -> int:
        return self.purse(lambda entry: True) - self.after_purchases

    @property
    def payable(self) -> int:
        return self.purse(lambda entry: False) - self.after_purchases

    @property
    def unpaid(self) -> int:
        """What it owes for what only proceeds that are still to come can pay."""
        return sum(entry.cents for entry in self.entries if entry.unpaid)

    def unpaid_qty(self, symbol: str) -> Fraction:
        mine = (one for one in self.entries if one.unpaid and one.symbol == symbol)
        return sum((entry.qty for entry in mine), ZERO)

    def charge(self, more: Fraction) -> int:
        """Add to the exact sum of all commissions; what is posted is that sum in cents."""
        self.charged += more
        before, self.posted = self.posted, round(self.charged * 100)
        return self.posted - before

    def value(self, side: int, worth: Fraction) -> int:
        """Add a trade to the exact sum of all; what it posts is by how much that moves in cents."""
        before = round(self.brought * 100)
        self.brought += -worth if side == Side.BUY else worth
        return abs(round(self.brought * 100) - before)

    def would_cost(self, worth: Fraction) -> int:
        """The cents that buying for so much would post."""
        return round(self.brought * 100) - round((self.brought - worth) * 100)

    def to_spend(self, held: int) -> int:
        """What a cash account may bind to new orders."""
        if self.spends_proceeds:
            return self.cash + self.receivable - self.payable - held
        return self.own_cash - held

    @property
    def own_cash(self) -> int:
        """Cash less what is to be paid; what a trade that was undone brings is to come yet."""
        to_pay = -min(self.receivable, 0) + max(self.payable, 0)
        return self.cash - to_pay

    def own_money(self, held: int) -> int:
        """What is left of settled cash when all purchases but the unpaid ones are paid."""
        return self.own_cash + self.unpaid - held

    def free_margin(self, holdings: list[NaiveHolding], held: int) -> int:
        """What a margin account may bind: its own money beyond what its positions need."""
        longs = sum(floor(one.worth * 100) for one in holdings if one.qty > 0)
        shorts = sum(ceil(-one.worth * 100) for one in holdings if one.qty < 0)
        needed = sum(ceil(abs(one.worth) * 100 * one.rate) for one in holdings)
        coming = self.receivable - self.payable
        if not self.spends_proceeds:
            # What its own purchases do not need of the proceeds stands for its shorts alone.
            coming = min(coming, shorts)
        return self.cash + coming + longs - shorts - needed - held


@dataclass(frozen=True)
class NaiveHolding:
    """A position at its mark, and the part of its worth that must be the account's own."""

    qty: Fraction
    mark: Fraction
    rate: Fraction

    @property
    def worth(self) -> Fraction:
        return self.qty * self.mark

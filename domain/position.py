"""A position: one account's holding of one instrument, traded, settled and reserved."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision
from domain.errors import BalanceLimit, InsufficientQuantity
from domain.events import (
    PositionExpired,
    PositionMarked,
    PositionOpened,
    PositionReversed,
    PositionSettled,
    PositionTraded,
    PositionTransferred,
    QuantityReleased,
    QuantityReserved,
)
from domain.identifiers import NO_ID
from domain.money import (
    EXACT_CENT,
    LARGEST,
    MAX_AMOUNT,
    QTY_SCALE,
    USD_SCALE,
    cents,
    divide_half_even,
    notional,
    to_text,
)
from domain.order_terms import Request
from domain.profit import recorded, still_carried, to_cents, unrealized
from domain.terms import Side
from domain.trade import Trade
from domain.units import to_digits

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
# A third of what the named constructor takes.
_new = tuple.__new__


class Holding(NamedTuple):
    """What is held and what it cost, and the profit that a trade realized; exact, in 1e-24 USD."""

    qty: int
    cost: int
    realized: int


class Booked(msgspec.Struct, frozen=True, gc=False):
    """What a trade makes of a position: amounts in cents, and the rests rounded off them."""

    qty: int
    realized: int
    cost_after: int
    cost_rest: int
    realized_after: int
    realized_rest: int
    rounded: int


def traded(qty: int, cost: int, side: int, trade_qty: int, value: int) -> Holding:
    """A holding after a trade of an exact value.

    Cost basis is signed like the quantity and splits pro rata, half to even; what a trade
    closes is realized, what it opens adds to the basis, and nothing is lost between the two.
    """
    signed = trade_qty if side == _BUY else -trade_qty
    paid = value if side == _BUY else -value
    if qty == 0 or (qty > 0) == (signed > 0):
        return _new(Holding, (qty + signed, cost + paid, 0))
    held = qty if qty > 0 else -qty
    closed = trade_qty if trade_qty < held else held
    closing_paid = paid if closed == trade_qty else divide_half_even(paid * closed, trade_qty)
    basis = cost if closed == held else divide_half_even(cost * closed, held)
    left = cost - basis + (paid - closing_paid)
    return _new(Holding, (qty + signed, left, -closing_paid - basis))


def closable(qty: int, reserved: int, unpaid: int) -> int:
    """What orders may still close of a holding, signed like it: neither set aside for working
    orders nor bought with proceeds that have not settled.
    """
    if qty < 0:
        return qty + reserved if qty < -reserved else 0
    free = qty - reserved - unpaid
    return free if free > 0 else 0


class Moved(NamedTuple):
    """Quantity that comes in or goes out without a trade, its cost, and what it is valued at."""

    qty: int
    cost: int
    mark: int
    price_decimals: int
    multiplier: int = 1


class Position(Aggregate):
    """Quantities in 1e-8 units; `cost` and `realized` in USD cents, and what was rounded off
    them in 1e-24 USD, `cost_rest` and `realized_rest`: averages and profits are exact.

    `qty` moves with each trade, `settled` on the value date; `reserved` is set aside for
    orders that reduce the position, each unit once. `unpaid` was bought with unsettled
    proceeds and may not be sold yet. `carried`, in 1e-24 USD, is what is left of the profit that
    the end of `marked_day` found. `working_buys` and `working_sells` are derived from the
    working orders, not from events of the position, and so is `joined`: what of `reserved` is for
    legs of multi-leg orders.
    """

    KIND = "position"
    DERIVED = frozenset({"joined", "working_buys", "working_sells"})
    DIGITS = frozenset({"carried", "cost_rest", "realized_rest"})

    account_id: UUID = NO_ID
    instrument_id: UUID = NO_ID
    qty: int = 0
    settled: int = 0
    reserved: int = 0
    cost: int = 0
    realized: int = 0
    unpaid: int = 0
    marked_day: int = 0
    carried: int = 0
    cost_rest: int = 0
    realized_rest: int = 0
    working_buys: int = 0
    working_sells: int = 0
    joined: int = 0

    @classmethod
    def open(
        cls, decision: Decision, identifier: UUID, account_id: UUID, instrument_id: UUID
    ) -> Position:
        """The position of an account that touches an instrument for the first time."""
        position: Position = decision.record(
            PositionOpened(
                *decision.first_of(identifier),
                account_id=account_id,
                instrument_id=instrument_id,
            ),
            None,
        )
        return position

    @property
    def exact_cost(self) -> int:
        """The cost basis in 1e-24 USD, signed like the quantity."""
        return self.cost * EXACT_CENT + self.cost_rest

    @property
    def exact_realized(self) -> int:
        """The profit of what was closed, in 1e-24 USD."""
        return self.realized * EXACT_CENT + self.realized_rest

    @property
    def available(self) -> int:
        """What may still be sold of what is held."""
        return self.qty - self.reserved - self.unpaid

    @property
    def exitable(self) -> int:
        """What exits may set aside in all: what is held, long or short, and paid for."""
        return max(0, self.qty - self.unpaid) if self.qty > 0 else -self.qty

    def overreserved(self, qty_before: int) -> bool:
        """Whether exits have set aside what is no longer held, or held the other way round."""
        if not self.reserved:
            return False
        return self.reserved > self.exitable or (self.qty > 0) != (qty_before > 0)

    def closable(self, side: int) -> int:
        """What an order of this side would reduce: held, and free of other orders."""
        free = closable(self.qty, self.reserved, self.unpaid)
        if side == _BUY:
            free = -free
        return free if free > 0 else 0

    def reserve(self, decision: Decision, order_id: UUID, qty: int) -> None:
        """Set quantity aside for a sell order; the check was made before."""
        decision.record(
            QuantityReserved(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                order_id=order_id,
                qty=qty,
                reserved_after=self.reserved + qty,
            ),
            self,
        )

    def release(self, decision: Decision, order_id: UUID, qty: int) -> None:
        """Free what a sell order no longer needs."""
        assert qty <= self.reserved, "released more than is reserved"
        decision.record(
            QuantityReleased(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                order_id=order_id,
                qty=qty,
                reserved_after=self.reserved - qty,
            ),
            self,
        )

    def trade(self, decision: Decision, trade: Trade, unreserved: int, unpaid_qty: int = 0) -> None:
        """Book one side of a trade; `unreserved` is the reserve it uses up."""
        assert unreserved <= self.reserved, "used more than is reserved"
        booked = self._booked(trade.side, trade.qty, trade.value, trade.notional)
        decision.record(
            PositionTraded(
                *decision.next_of(self),
                self.account_id,
                self.instrument_id,
                trade.order_id,
                *trade.facts(),
                realized=booked.realized,
                qty_after=booked.qty,
                settled_after=self.settled,
                reserved_after=self.reserved - unreserved,
                cost_after=booked.cost_after,
                realized_after=booked.realized_after,
                unpaid_after=self.unpaid + unpaid_qty,
                carried_after=self._carried_at(booked.qty),
                cost_rest_after=to_digits(booked.cost_rest),
                realized_rest_after=to_digits(booked.realized_rest),
                rounded=booked.rounded,
                multiplier=trade.multiplier,
            ),
            self,
        )

    def _booked(self, side: int, trade_qty: int, value: int, posted: int) -> Booked:
        """What a trade, taken on a side, makes of quantity, cost and profit."""
        exact_cost = self.cost * EXACT_CENT + self.cost_rest
        qty, cost, closed = traded(self.qty, exact_cost, side, trade_qty, value)
        cost_after, profit = cents(cost), self.realized
        profit_rest = self.realized_rest
        if closed:
            exact = self.realized * EXACT_CENT + self.realized_rest + closed
            profit = cents(exact)
            profit_rest = exact - profit * EXACT_CENT
        realized = profit - self.realized
        paid = posted if side == _BUY else -posted
        return Booked(
            qty=qty,
            realized=realized,
            cost_after=cost_after,
            cost_rest=cost - cost_after * EXACT_CENT,
            realized_after=profit,
            realized_rest=profit_rest,
            rounded=cost_after - self.cost - realized - paid,
        )

    def check_transfer(self, qty: int, cost: int) -> None:
        """Raises InsufficientQuantity or BalanceLimit."""
        if qty < 0 and -qty > min(self.available, self.settled):
            raise InsufficientQuantity(
                to_text(-qty, QTY_SCALE),
                to_text(max(0, min(self.available, self.settled)), QTY_SCALE),
                "settled and available",
            )
        if abs(self.qty + qty) >= MAX_AMOUNT:
            raise BalanceLimit(to_text(self.qty + qty, QTY_SCALE), to_text(LARGEST, QTY_SCALE))
        if abs(self.cost + cost) >= MAX_AMOUNT:
            raise BalanceLimit(to_text(self.cost + cost, USD_SCALE), to_text(LARGEST, USD_SCALE))

    def transfer(self, decision: Decision, moved: Moved, request: Request, text: str) -> None:
        """Bring settled quantity in or out; the check was made before."""
        qty, cost = moved.qty, moved.cost
        decision.record(
            PositionTransferred(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                request_key=request.key,
                fingerprint=request.fingerprint,
                qty=qty,
                cost=cost,
                qty_after=self.qty + qty,
                settled_after=self.settled + qty,
                cost_after=self.cost + cost,
                description=text,
                carried_after=self._carried_at(self.qty + qty),
                mark=moved.mark,
                price_decimals=moved.price_decimals,
                multiplier=moved.multiplier,
            ),
            self,
        )

    def reverse(self, decision: Decision, trade: Trade, reason: str, unpaid_qty: int = 0) -> None:
        """Undo a traded quantity as an opposite trade of the same value."""
        side = _SELL if trade.side == _BUY else _BUY
        booked = self._booked(side, trade.qty, trade.value, trade.notional)
        decision.record(
            PositionReversed(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                order_id=trade.order_id,
                trade_id=trade.id,
                reason=reason,
                side=trade.side,
                qty=trade.qty,
                realized=booked.realized,
                qty_after=booked.qty,
                settled_after=self.settled,
                cost_after=booked.cost_after,
                realized_after=booked.realized_after,
                unpaid_after=self.unpaid - unpaid_qty,
                carried_after=self._carried_at(booked.qty),
                cost_rest_after=to_digits(booked.cost_rest),
                realized_rest_after=to_digits(booked.realized_rest),
                rounded=booked.rounded,
            ),
            self,
        )

    def expire(self, decision: Decision, how: int, qty: int, trade_id: UUID = NO_ID) -> None:
        """Let contracts of an expired option go for nothing; `trade_id` is the underlying's trade
        that they are exercised or assigned by.
        """
        assert 0 < qty <= abs(self.qty) and not self.reserved
        booked = self._booked(_SELL if self.qty > 0 else _BUY, qty, 0, 0)
        signed = self.qty - booked.qty
        decision.record(
            PositionExpired(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                how=how,
                qty=signed,
                trade_id=trade_id,
                realized=booked.realized,
                qty_after=booked.qty,
                settled_after=self.settled - signed,
                cost_after=booked.cost_after,
                realized_after=booked.realized_after,
                carried_after=self._carried_at(booked.qty),
                cost_rest_after=to_digits(booked.cost_rest),
                realized_rest_after=to_digits(booked.realized_rest),
                rounded=booked.rounded,
            ),
            self,
        )

    def mark(
        self,
        decision: Decision,
        session_date: int,
        mark: int,
        price_decimals: int,
        multiplier: int = 1,
    ) -> None:
        """Note what it is worth at the end of a session of its instrument."""
        worth_of = self.qty * multiplier
        profit = unrealized(mark, worth_of, price_decimals, self.exact_cost)
        decision.record(
            PositionMarked(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                session_date=session_date,
                mark=mark,
                price_decimals=price_decimals,
                qty=self.qty,
                market_value=recorded(notional(mark, worth_of, price_decimals)),
                unrealized=recorded(to_cents(profit)),
                carried_over=recorded(to_cents(self.carried)),
                carried_after=to_digits(profit),
                multiplier=multiplier,
            ),
            self,
        )

    def _carried_at(self, qty_after: int) -> str:
        """What is carried on when the quantity changes."""
        carried = self.carried
        return to_digits(still_carried(carried, self.qty, qty_after)) if carried else "0"

    def settle(
        self, decision: Decision, settlement_id: UUID, value_date: int, qty: int, unpaid: int
    ) -> None:
        """Receive (positive) or deliver what an obligation nets to."""
        decision.record(
            PositionSettled(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                settlement_id=settlement_id,
                value_date=value_date,
                qty=qty,
                settled_after=self.settled + qty,
                unpaid_after=self.unpaid - unpaid,
            ),
            self,
        )


aggregate(Position)

"""An order: one aggregate from acceptance to its end, whatever revisions it goes through."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision
from domain.errors import FillExceedsLeaves, OrderNotWorking
from domain.events import (
    DomainEvent,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
)
from domain.identifiers import HOUSE
from domain.terms import OrderStatus, OrderType, Side, TimeInForce

_NEW = int(OrderStatus.NEW)
_PARTIAL = int(OrderStatus.PARTIALLY_FILLED)
_FILLED = int(OrderStatus.FILLED)
_CANCELED = int(OrderStatus.CANCELED)
_REJECTED = int(OrderStatus.REJECTED)
_EXPIRED = int(OrderStatus.EXPIRED)
_HELD = int(OrderStatus.HELD)

TRANSITIONS: dict[tuple[int | None, type[DomainEvent]], frozenset[int]] = {
    (None, OrderAccepted): frozenset({_NEW, _HELD}),
    (None, OrderRejected): frozenset({_REJECTED}),
    (_HELD, OrderAdjusted): frozenset({_HELD, _NEW}),
    (_HELD, OrderReplaced): frozenset({_HELD}),
    (_HELD, OrderCanceled): frozenset({_CANCELED}),
    (_HELD, OrderExpired): frozenset({_EXPIRED}),
    (_NEW, OrderAdjusted): frozenset({_NEW}),
    (_NEW, OrderTriggered): frozenset({_NEW}),
    (_NEW, OrderReplaced): frozenset({_NEW}),
    (_NEW, OrderFilled): frozenset({_PARTIAL, _FILLED}),
    (_NEW, OrderCanceled): frozenset({_CANCELED}),
    (_NEW, OrderExpired): frozenset({_EXPIRED}),
    (_PARTIAL, OrderAdjusted): frozenset({_PARTIAL}),
    (_PARTIAL, OrderReplaced): frozenset({_PARTIAL}),
    (_PARTIAL, OrderFilled): frozenset({_PARTIAL, _FILLED}),
    (_PARTIAL, OrderCanceled): frozenset({_CANCELED}),
    (_PARTIAL, OrderExpired): frozenset({_EXPIRED}),
    (_PARTIAL, OrderFillBusted): frozenset({_PARTIAL}),
    (_PARTIAL, OrderFillCorrected): frozenset({_PARTIAL}),
    (_FILLED, OrderFillBusted): frozenset({_FILLED}),
    (_FILLED, OrderFillCorrected): frozenset({_FILLED}),
    (_CANCELED, OrderFillBusted): frozenset({_CANCELED}),
    (_CANCELED, OrderFillCorrected): frozenset({_CANCELED}),
    (_EXPIRED, OrderFillBusted): frozenset({_EXPIRED}),
    (_EXPIRED, OrderFillCorrected): frozenset({_EXPIRED}),
}
"""The whole life of an order: (status, event) to the statuses it may lead to."""


class Order(Aggregate):
    """Units as in the events; `value` is the exact sum of price times quantity traded."""

    KIND = "order"
    FIELDS: ClassVar[dict[str, Any]] = {
        "account_id": HOUSE,
        "instrument_id": HOUSE,
        "symbol": "",
        "side": int(Side.BUY),
        "order_type": int(OrderType.LIMIT),
        "time_in_force": int(TimeInForce.DAY),
        "qty": 0,
        "leaves": 0,
        "filled": 0,
        "value": 0,
        "limit_price": 0,
        "stop_price": 0,
        "price_decimals": 4,
        "expires_at": 0,
        "post_only": False,
        "self_trade": 1,
        "client_order_id": "",
        "revision_id": HOUSE,
        "replaces": HOUSE,
        "sequence": 0,
        "working_price": 0,
        "hold": 0,
        "hold_qty": 0,
        "status": _NEW,
        "triggered_at": 0,
        "filled_at": 0,
        "replaced_at": 0,
        "ended_at": 0,
        "armed": True,
        "locate": False,
        "group_id": HOUSE,
        "leg": 0,
        "commission_base": 0,
        "commission": 0,
    }
    DIGITS = frozenset({"value", "commission_base", "commission"})

    account_id: UUID
    instrument_id: UUID
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    qty: int
    leaves: int
    filled: int
    value: int
    limit_price: int
    stop_price: int
    price_decimals: int
    expires_at: int
    post_only: bool
    self_trade: int
    client_order_id: str
    revision_id: UUID
    replaces: UUID
    sequence: int
    working_price: int
    hold: int
    hold_qty: int
    status: int
    triggered_at: int
    filled_at: int
    replaced_at: int
    ended_at: int
    armed: bool
    locate: bool
    group_id: UUID
    leg: int
    commission_base: int
    commission: int

    @classmethod
    def accept(
        cls,
        decision: Decision,
        identifier: UUID,
        account_id: UUID,
        instrument_id: UUID,
        *terms: Any,
    ) -> Order:
        """Take an order that passed every check; `terms` as in OrderAccepted."""
        self = cls.blank(identifier, decision.at)
        self.trigger(OrderAccepted, decision, account_id, instrument_id, *terms)
        return self

    @classmethod
    def reject(
        cls,
        decision: Decision,
        identifier: UUID,
        account_id: UUID,
        instrument_id: UUID,
        *refusal: Any,
    ) -> Order:
        """Record a refused order; `refusal` as in OrderRejected."""
        self = cls.blank(identifier, decision.at)
        self.trigger(OrderRejected, decision, account_id, instrument_id, *refusal)
        return self

    @property
    def is_working(self) -> bool:
        """Whether it may still trade."""
        return self.status <= _PARTIAL or self.status == _HELD

    @property
    def is_held(self) -> bool:
        """Whether another order of its group comes first: it counts and holds nothing."""
        return self.status == _HELD

    @property
    def opening(self) -> int:
        """What of it would open a position; the rest reduces one."""
        return self.leaves - self.hold_qty

    @property
    def is_waiting_stop(self) -> bool:
        """Whether it is among the stops that wait for their price."""
        return self.armed and self.order_type >= OrderType.STOP and not self.triggered_at

    def check_working(self) -> None:
        """Raises OrderNotWorking when the order is done."""
        if not self.is_working:
            raise OrderNotWorking(self._id, OrderStatus(self.status).name.lower())

    def elect(
        self, decision: Decision, rule: int, seen_price: int, sequence: int, working_price: int
    ) -> None:
        """Turn a waiting stop into a live order because of the price seen."""
        assert (self.status, OrderTriggered) in TRANSITIONS and self.is_waiting_stop
        self.trigger(
            OrderTriggered,
            decision,
            self.account_id,
            self.instrument_id,
            rule,
            seen_price,
            sequence,
            working_price,
            self.group_id,
            self.leg,
        )

    def fill(
        self,
        decision: Decision,
        trade_id: UUID,
        qty: int,
        price: int,
        amounts: tuple[int, int],
        liquidity: int,
        dates: tuple[int, int],
        holds_after: tuple[int, int],
        commission: tuple[int, int, int] = (0, 0, 0),
        unpaid_qty: int = 0,
    ) -> None:
        """Book one trade against this order.

        `amounts` are (notional, fee), `dates` (session, value), `holds_after` what stays held
        in (cash, quantity), `commission` (kind of rate, exact for
        this fill, exact for the order after it). Raises OrderNotWorking or FillExceedsLeaves.
        """
        self.check_working()
        leaves = self.leaves - qty
        if leaves < 0:
            raise FillExceedsLeaves(self._id, leaves=self.leaves, fill=qty)
        # From here the fill must succeed.
        status = _PARTIAL if leaves else _FILLED
        assert status in TRANSITIONS[self.status, OrderFilled]
        self.trigger(
            OrderFilled,
            decision,
            self.account_id,
            self.instrument_id,
            trade_id,
            self.side,
            qty,
            price,
            self.price_decimals,
            amounts[0],
            amounts[1],
            liquidity,
            dates[0],
            dates[1],
            self.filled + qty,
            leaves,
            str(self.value + price * qty),
            holds_after[0],
            holds_after[1],
            status,
            commission[0],
            str(commission[1]),
            str(self.commission_base + commission[1]),
            str(commission[2]),
            unpaid_qty,
            self.group_id,
            self.leg,
        )

    def adjust(
        self,
        decision: Decision,
        reason: int,
        *,
        leaves: int,
        hold: int,
        hold_qty: int,
        status: int | None = None,
        armed: bool | None = None,
        sequence: int | None = None,
    ) -> None:
        """Take what something else changed of it; what stays None does not move."""
        after = self.status if status is None else status
        assert after in TRANSITIONS[self.status, OrderAdjusted]
        self.trigger(
            OrderAdjusted,
            decision,
            self.account_id,
            self.instrument_id,
            reason,
            self.side,
            self.qty + leaves - self.leaves,
            self.filled,
            leaves,
            self.sequence if sequence is None else sequence,
            hold,
            hold_qty,
            after,
            self.armed if armed is None else armed,
            self.group_id,
            self.leg,
        )

    def replace(self, decision: Decision, *terms: Any) -> None:
        """Take new terms that passed every check; `terms` as in OrderReplaced."""
        assert self.status in TRANSITIONS[self.status, OrderReplaced]
        self.trigger(
            OrderReplaced,
            decision,
            self.account_id,
            self.instrument_id,
            *terms,
            self.group_id,
            self.leg,
        )

    def cancel(
        self, decision: Decision, reason: int, key: str = "", fingerprint: bytes = b""
    ) -> None:
        """Take what is left out of the market; raises OrderNotWorking when done."""
        self.check_working()
        assert _CANCELED in TRANSITIONS[self.status, OrderCanceled]
        self.trigger(
            OrderCanceled,
            decision,
            self.account_id,
            self.instrument_id,
            key,
            fingerprint,
            reason,
            self.side,
            self.leaves,
            self.filled,
            self.group_id,
            self.leg,
        )

    def expire(self, decision: Decision) -> None:
        """End what is left because its time ran out; raises OrderNotWorking when done."""
        self.check_working()
        assert _EXPIRED in TRANSITIONS[self.status, OrderExpired]
        self.trigger(
            OrderExpired,
            decision,
            self.account_id,
            self.instrument_id,
            self.side,
            self.leaves,
            self.filled,
            self.group_id,
            self.leg,
        )

    def bust_fill(
        self,
        decision: Decision,
        trade_id: UUID,
        qty: int,
        price: int,
        commission: tuple[int, int] = (0, 0),
    ) -> None:
        """Undo one fill; what was left or canceled stays as it is.

        `commission` is (what the fill's rate asked for, the order's after it), exact.
        """
        assert self.status in TRANSITIONS[self.status, OrderFillBusted]
        self.trigger(
            OrderFillBusted,
            decision,
            self.account_id,
            self.instrument_id,
            trade_id,
            self.side,
            qty,
            price,
            self.price_decimals,
            self.filled - qty,
            str(self.value - price * qty),
            str(self.commission_base - commission[0]),
            str(commission[1]),
            self.group_id,
            self.leg,
        )

    def correct_fill(
        self,
        decision: Decision,
        trade_id: UUID,
        qty: int,
        old_price: int,
        price: int,
        notional: int,
        fees: tuple[int, int] = (0, 0),
        commission: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        """Give one fill another price.

        `commission` is (what the rate asks for the fill now, the sum of the order's fills,
        the order's commission), exact; `fees` (the cents this posts, those of the fill now).
        """
        assert self.status in TRANSITIONS[self.status, OrderFillCorrected]
        self.trigger(
            OrderFillCorrected,
            decision,
            self.account_id,
            self.instrument_id,
            trade_id,
            self.side,
            qty,
            price,
            self.price_decimals,
            old_price,
            notional,
            str(self.value + (price - old_price) * qty),
            fees[0],
            str(commission[0]),
            str(commission[1]),
            str(commission[2]),
            self.group_id,
            self.leg,
            fees[1],
        )


aggregate(Order)

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
from domain.identifiers import NO_ID
from domain.order_life import CANCELED, EXPIRED, FILLED, HELD, NEW, PARTIAL, TRANSITIONS
from domain.order_terms import (
    ALONE,
    NO_REQUEST,
    RESTING,
    Admitted,
    Link,
    RefusedOrder,
    Request,
    Terms,
)
from domain.terms import Leg, OrderStatus, OrderType, SelfTrade, Side, TimeInForce
from domain.trade import FREE_OF_CHARGE, Charged, Holds, Trade
from domain.units import to_digits

_STOP = int(OrderType.STOP)
_WITH_LIMIT = frozenset({int(OrderType.LIMIT), int(OrderType.STOP_LIMIT)})


class Order(Aggregate):
    """Units as in the events; `value` is the exact sum of price times quantity traded."""

    KIND = "order"
    FIELDS: ClassVar[dict[str, Any]] = {
        "account_id": NO_ID,
        "instrument_id": NO_ID,
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
        "self_trade": int(SelfTrade.CANCEL_NEWEST),
        "client_order_id": "",
        "revision_id": NO_ID,
        "replaces": NO_ID,
        "sequence": 0,
        "working_price": 0,
        "hold": 0,
        "hold_qty": 0,
        "status": NEW,
        "triggered_at": 0,
        "filled_at": 0,
        "replaced_at": 0,
        "ended_at": 0,
        "armed": True,
        "locate": False,
        "group_id": NO_ID,
        "leg": int(Leg.NONE),
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
        order_id: UUID,
        account_id: UUID,
        instrument_id: UUID,
        admitted: Admitted,
        sequence: int,
        client: Request,
        link: Link = ALONE,
    ) -> Order:
        """Take an order that passed every check; its request's key is its client order id.

        `sequence` is its priority number.
        """
        terms = admitted.terms
        order: Order = cls.begin(
            OrderAccepted,
            decision,
            order_id,
            account_id,
            instrument_id,
            terms.symbol,
            terms.side,
            terms.order_type,
            terms.time_in_force,
            terms.qty,
            terms.limit_price,
            terms.stop_price,
            terms.price_decimals,
            terms.expires_at,
            terms.post_only,
            terms.self_trade,
            client.key,
            client.fingerprint,
            order_id,
            sequence,
            admitted.working_price,
            admitted.holds.amount,
            admitted.holds.qty,
            terms.locate,
            HELD if link.held else NEW,
            link.armed,
            link.group_id,
            link.leg,
        )
        return order

    @classmethod
    def reject(
        cls,
        decision: Decision,
        order_id: UUID,
        account_id: UUID,
        instrument_id: UUID,
        refused: RefusedOrder,
    ) -> Order:
        """Record a refused order."""
        terms, refusal = refused.terms, refused.refusal
        order: Order = cls.begin(
            OrderRejected,
            decision,
            order_id,
            account_id,
            instrument_id,
            terms.symbol,
            terms.side,
            terms.order_type,
            terms.time_in_force,
            terms.qty,
            terms.limit_price,
            terms.stop_price,
            refused.client.key,
            refused.client.fingerprint,
            refusal.code,
            refusal.message,
            refusal.document(),
            refused.order_class,
        )
        return order

    def _tell(self, event_class: type[DomainEvent], decision: Decision, *values: Any) -> None:
        """Record the next event of an order, which names account and instrument first."""
        self.trigger(event_class, decision, self.account_id, self.instrument_id, *values)

    @property
    def is_working(self) -> bool:
        """Whether it may still trade."""
        return self.status <= PARTIAL or self.status == HELD

    @property
    def is_held(self) -> bool:
        """Whether another order of its group comes first: it counts and holds nothing."""
        return self.status == HELD

    @property
    def opening(self) -> int:
        """What of it would open a position; the rest reduces one."""
        return self.leaves - self.hold_qty

    @property
    def holds(self) -> Holds:
        """What it sets aside."""
        return Holds(self.hold, self.hold_qty)

    @property
    def has_limit(self) -> bool:
        """Whether a limit bounds its trades."""
        return self.order_type in _WITH_LIMIT

    @property
    def terms(self) -> Terms:
        """What it asks for now."""
        return Terms(
            symbol=self.symbol,
            side=self.side,
            order_type=self.order_type,
            time_in_force=self.time_in_force,
            qty=self.qty,
            limit_price=self.limit_price,
            stop_price=self.stop_price,
            price_decimals=self.price_decimals,
            expires_at=self.expires_at,
            post_only=self.post_only,
            self_trade=self.self_trade,
            locate=self.locate,
        )

    @property
    def counted(self) -> int:
        """What of it works for its account: nothing while another leg comes first."""
        return 0 if self.status == HELD else self.leaves

    @property
    def may_rest(self) -> bool:
        """Whether what does not trade at once stays in the book."""
        return self.order_type in _WITH_LIMIT and self.time_in_force in RESTING

    @property
    def waits(self) -> bool:
        """Whether it is a stop whose price has not been seen."""
        return self.order_type >= _STOP and not self.triggered_at

    @property
    def is_waiting_stop(self) -> bool:
        """Whether it is among the stops that wait for their price."""
        return self.armed and self.order_type >= _STOP and not self.triggered_at

    def check_working(self) -> None:
        """Raises OrderNotWorking when the order is done."""
        if not self.is_working:
            raise OrderNotWorking(self._id, OrderStatus(self.status).name.lower())

    def elect(
        self, decision: Decision, rule: int, seen_price: int, sequence: int, working_price: int
    ) -> None:
        """Turn a waiting stop into a live order because of the price seen."""
        assert (self.status, OrderTriggered) in TRANSITIONS and self.is_waiting_stop
        self._tell(
            OrderTriggered,
            decision,
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
        trade: Trade,
        liquidity: int,
        holds_after: Holds,
        charged: Charged = FREE_OF_CHARGE,
        unpaid_qty: int = 0,
    ) -> None:
        """Book one trade against this order. Raises OrderNotWorking or FillExceedsLeaves."""
        self.check_working()
        qty = trade.qty
        leaves = self.leaves - qty
        if leaves < 0:
            raise FillExceedsLeaves(self._id, leaves=self.leaves, fill=qty)
        # From here the fill must succeed.
        status = PARTIAL if leaves else FILLED
        assert status in TRANSITIONS[self.status, OrderFilled]
        self._tell(
            OrderFilled,
            decision,
            trade.id,
            self.side,
            qty,
            trade.price,
            self.price_decimals,
            trade.notional,
            trade.fee,
            liquidity,
            trade.dates.session,
            trade.dates.value,
            self.filled + qty,
            leaves,
            to_digits(self.value + trade.price * qty),
            holds_after.amount,
            holds_after.qty,
            status,
            charged.kind,
            to_digits(charged.asked),
            to_digits(self.commission_base + charged.asked),
            to_digits(charged.total),
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
        holds: Holds,
        status: int | None = None,
        armed: bool | None = None,
        sequence: int | None = None,
    ) -> None:
        """Take what something else changed of it; what stays None does not move."""
        after = self.status if status is None else status
        assert after in TRANSITIONS[self.status, OrderAdjusted]
        self._tell(
            OrderAdjusted,
            decision,
            reason,
            self.side,
            self.qty + leaves - self.leaves,
            self.filled,
            leaves,
            self.sequence if sequence is None else sequence,
            holds.amount,
            holds.qty,
            after,
            self.armed if armed is None else armed,
            self.group_id,
            self.leg,
        )

    def replace(
        self,
        decision: Decision,
        revision_id: UUID,
        client: Request,
        client_order_id: str,
        new: Admitted,
        sequence: int,
    ) -> None:
        """Take new terms that passed every check; `client_order_id` is the name from now on.

        `sequence` is the old one where priority is kept.
        """
        assert self.status in TRANSITIONS[self.status, OrderReplaced]
        terms = new.terms
        self._tell(
            OrderReplaced,
            decision,
            revision_id,
            self.revision_id,
            client.key,
            client.fingerprint,
            client_order_id,
            self.symbol,
            self.side,
            self.order_type,
            terms.time_in_force,
            terms.qty,
            terms.limit_price,
            terms.stop_price,
            self.price_decimals,
            terms.expires_at,
            self.post_only,
            self.filled,
            to_digits(self.value),
            terms.qty - self.filled,
            sequence,
            new.working_price,
            sequence == self.sequence,
            new.holds.amount,
            new.holds.qty,
            self.created_at,
            self.filled_at,
            self.triggered_at,
            self.status,
            self.group_id,
            self.leg,
        )

    def cancel(self, decision: Decision, reason: int, request: Request = NO_REQUEST) -> None:
        """Take what is left out of the market; raises OrderNotWorking when done."""
        self.check_working()
        assert CANCELED in TRANSITIONS[self.status, OrderCanceled]
        self._tell(
            OrderCanceled,
            decision,
            request.key,
            request.fingerprint,
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
        assert EXPIRED in TRANSITIONS[self.status, OrderExpired]
        self._tell(
            OrderExpired,
            decision,
            self.side,
            self.leaves,
            self.filled,
            self.group_id,
            self.leg,
        )

    def bust_fill(self, decision: Decision, fill: Trade, charged: Charged) -> None:
        """Undo one fill; what was left or canceled stays as it is.

        `charged` is what the fill's rate asked for, and what the order costs without it.
        """
        assert self.status in TRANSITIONS[self.status, OrderFillBusted]
        self._tell(
            OrderFillBusted,
            decision,
            fill.id,
            self.side,
            fill.qty,
            fill.price,
            self.price_decimals,
            self.filled - fill.qty,
            to_digits(self.value - fill.price * fill.qty),
            to_digits(self.commission_base - charged.asked),
            to_digits(charged.total),
            self.group_id,
            self.leg,
        )

    def correct_fill(
        self, decision: Decision, old: Trade, new: Trade, more: int, charged: Charged
    ) -> None:
        """Give one fill another price.

        `more` is the exact commission the rate asks for at the new price beyond the old one's,
        `charged` what it asks for now, and what the order costs.
        """
        assert self.status in TRANSITIONS[self.status, OrderFillCorrected]
        self._tell(
            OrderFillCorrected,
            decision,
            new.id,
            self.side,
            new.qty,
            new.price,
            self.price_decimals,
            old.price,
            new.notional,
            to_digits(self.value + (new.price - old.price) * new.qty),
            new.fee,
            to_digits(charged.asked),
            to_digits(self.commission_base + more),
            to_digits(charged.total),
            self.group_id,
            self.leg,
            old.fee + new.fee,
        )


aggregate(Order)

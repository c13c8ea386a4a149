"""An order: one aggregate from acceptance to its end, whatever revisions it goes through."""

from __future__ import annotations

from uuid import UUID

from domain.aggregate import aggregate
from domain.decision import Decision
from domain.errors import FillExceedsLeaves
from domain.events import (
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTrailed,
    OrderTriggered,
)
from domain.order_life import CANCELED, EXPIRED, FILLED, HELD, NEW, PARTIAL, TRANSITIONS
from domain.order_state import OrderState
from domain.order_terms import (
    ALONE,
    NO_REQUEST,
    Admitted,
    Bound,
    Link,
    RefusedOrder,
    Request,
)
from domain.trade import FREE_OF_CHARGE, Charged, Holds, Trade
from domain.units import to_digits


class Order(OrderState):
    """What may happen to an order, step by step."""

    KIND = "order"

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
        order: Order = decision.record(
            OrderAccepted(
                *decision.first_of(order_id),
                account_id,
                instrument_id,
                *terms.asked(),  # type: ignore[arg-type]
                client_order_id=client.key,
                fingerprint=client.fingerprint,
                revision_id=order_id,
                sequence=sequence,
                working_price=admitted.bound.price,
                hold=admitted.holds.amount,
                hold_qty=admitted.holds.qty,
                locate=terms.locate,
                status=HELD if link.held else NEW,
                armed=link.armed,
                group_id=link.group_id,
                leg=link.leg,
                protection_price=admitted.bound.protection_price,
                rests=admitted.bound.rests,
                notional=terms.notional,
                trail_price=terms.trail_price,
                trail_percent=terms.trail_percent,
                water_mark=admitted.water_mark,
            ),
            None,
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
        order: Order = decision.record(
            OrderRejected(
                *decision.first_of(order_id),
                account_id=account_id,
                instrument_id=instrument_id,
                symbol=terms.symbol,
                side=terms.side,
                order_type=terms.order_type,
                time_in_force=terms.time_in_force,
                qty=terms.qty,
                limit_price_wire=terms.limit_price,
                stop_price_wire=terms.stop_price,
                client_order_id=refused.client.key,
                fingerprint=refused.client.fingerprint,
                code=refusal.code,
                message=refusal.message,
                details=refusal.document(),
                order_class=refused.order_class,
                notional=terms.notional,
                trail_price_wire=terms.trail_price,
                trail_percent=terms.trail_percent,
            ),
            None,
        )
        return order

    def follow(self, decision: Decision, stop_price: int, water_mark: int) -> None:
        """Let a stop that trails stand nearer, because of the best price seen."""
        assert (self.status, OrderTrailed) in TRANSITIONS and self.is_waiting_stop
        decision.record(
            OrderTrailed(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                side=self.side,
                stop_price=stop_price,
                water_mark=water_mark,
            ),
            self,
        )

    def elect(
        self, decision: Decision, rule: int, seen_price: int, sequence: int, bound: Bound
    ) -> None:
        """Turn a waiting stop into a live order because of the price seen."""
        assert (self.status, OrderTriggered) in TRANSITIONS and self.is_waiting_stop
        decision.record(
            OrderTriggered(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                rule=rule,
                seen_price=seen_price,
                sequence=sequence,
                working_price=bound.price,
                group_id=self.group_id,
                leg=self.leg,
                protection_price=bound.protection_price,
                rests=bound.rests,
            ),
            self,
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
        decision.record(
            OrderFilled(
                *decision.next_of(self),
                self.account_id,
                self.instrument_id,
                *trade.facts(),
                trade.notional,
                trade.fee,
                liquidity,
                *trade.dates,
                filled_after=self.filled + qty,
                leaves_after=leaves,
                value_after=to_digits(self.value + trade.price * qty),
                hold_after=holds_after.amount,
                hold_qty_after=holds_after.qty,
                status_after=status,
                commission_kind=charged.kind,
                commission=to_digits(charged.asked),
                commission_base_after=to_digits(self.commission_base + charged.asked),
                commission_after=to_digits(charged.total),
                unpaid_qty=unpaid_qty,
                group_id=self.group_id,
                leg=self.leg,
                exact=True,
                multiplier=trade.multiplier,
            ),
            self,
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
        protection_price: int = 0,
    ) -> None:
        """Take what something else changed of it; what stays None, or a price of 0, does not
        move.
        """
        after = self.status if status is None else status
        assert after in TRANSITIONS[self.status, OrderAdjusted]
        decision.record(
            OrderAdjusted(
                *decision.next_of(self),
                self.account_id,
                self.instrument_id,
                reason=reason,
                side=self.side,
                qty=self.qty + leaves - self.leaves,
                filled=self.filled,
                leaves_after=leaves,
                sequence=self.sequence if sequence is None else sequence,
                hold_after=holds.amount,
                hold_qty_after=holds.qty,
                status_after=after,
                armed=self.armed if armed is None else armed,
                group_id=self.group_id,
                leg=self.leg,
                protection_price=protection_price,
            ),
            self,
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
        decision.record(
            OrderReplaced(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                revision_id=revision_id,
                replaces=self.revision_id,
                request_key=client.key,
                fingerprint=client.fingerprint,
                client_order_id=client_order_id,
                symbol=terms.symbol,
                side=self.side,
                order_type=self.order_type,
                time_in_force=terms.time_in_force,
                qty=terms.qty,
                limit_price=terms.limit_price,
                stop_price=terms.stop_price,
                price_decimals=self.price_decimals,
                expires_at=terms.expires_at,
                post_only=self.post_only,
                filled=self.filled,
                value=to_digits(self.value),
                leaves_after=terms.qty - self.filled,
                sequence=sequence,
                working_price=new.bound.price,
                kept_priority=sequence == self.sequence,
                hold_after=new.holds.amount,
                hold_qty_after=new.holds.qty,
                submitted_at=self.created_at,
                filled_at=self.filled_at,
                triggered_at=self.triggered_at,
                status_after=self.status,
                group_id=self.group_id,
                leg=self.leg,
                protection_price=self.protection_price,
                rests=self.rests,
                notional=self.notional,
                trail_price=terms.trail_price,
                trail_percent=terms.trail_percent,
                water_mark=new.water_mark,
                stop_before=self.stop_price if self.water_mark else 0,
                water_mark_before=self.water_mark,
            ),
            self,
        )

    def cancel(self, decision: Decision, reason: int, request: Request = NO_REQUEST) -> None:
        """Take what is left out of the market; raises OrderNotWorking when done, but for an order
        that was filled and of which no trade stands any more.
        """
        if self.filled or self.status != FILLED:
            self.check_working()
        assert CANCELED in TRANSITIONS[self.status, OrderCanceled]
        decision.record(
            OrderCanceled(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                request_key=request.key,
                fingerprint=request.fingerprint,
                reason=reason,
                side=self.side,
                canceled_qty=self.leaves,
                filled=self.filled,
                group_id=self.group_id,
                leg=self.leg,
            ),
            self,
        )

    def expire(self, decision: Decision) -> None:
        """End what is left because its time ran out; raises OrderNotWorking when done."""
        self.check_working()
        assert EXPIRED in TRANSITIONS[self.status, OrderExpired]
        decision.record(
            OrderExpired(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                side=self.side,
                expired_qty=self.leaves,
                filled=self.filled,
                group_id=self.group_id,
                leg=self.leg,
            ),
            self,
        )

    def bust_fill(self, decision: Decision, fill: Trade, charged: Charged) -> None:
        """Undo one fill; what was left or canceled stays as it is.

        `charged` is what the fill's rate asked for, and what the order costs without it.
        """
        assert self.status in TRANSITIONS[self.status, OrderFillBusted]
        decision.record(
            OrderFillBusted(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                trade_id=fill.id,
                side=self.side,
                qty=fill.qty,
                price=fill.price,
                price_decimals=self.price_decimals,
                filled_after=self.filled - fill.qty,
                value_after=to_digits(self.value - fill.price * fill.qty),
                commission_base_after=to_digits(self.commission_base - charged.asked),
                commission_after=to_digits(charged.total),
                group_id=self.group_id,
                leg=self.leg,
                multiplier=fill.multiplier,
            ),
            self,
        )

    def correct_fill(
        self, decision: Decision, old: Trade, new: Trade, more: int, charged: Charged
    ) -> None:
        """Give one fill another price.

        `more` is the exact commission the rate asks for at the new price beyond the old one's,
        `charged` what it asks for now, and what the order costs.
        """
        assert self.status in TRANSITIONS[self.status, OrderFillCorrected]
        decision.record(
            OrderFillCorrected(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                trade_id=new.id,
                side=self.side,
                qty=new.qty,
                price=new.price,
                price_decimals=self.price_decimals,
                old_price=old.price,
                notional=new.notional,
                value_after=to_digits(self.value + (new.price - old.price) * new.qty),
                fee=new.fee,
                commission=to_digits(charged.asked),
                commission_base_after=to_digits(self.commission_base + more),
                commission_after=to_digits(charged.total),
                group_id=self.group_id,
                leg=self.leg,
                fee_after=old.fee + new.fee,
                exact=True,
                multiplier=new.multiplier,
            ),
            self,
        )


aggregate(Order)

"""Every event of the venue: versioned, explicit topics, amounts as integers at fixed scales.

Events are frozen arrays on the wire. A new field goes to the end with a default; any other
change takes a new topic and an upcaster (`domain.upcasts`). Applying an event only copies
its values; all arithmetic happened when it was decided.

Units: `qty` 1e-8, `price` 10^-price_decimals of the instrument, amounts (`notional`, `fee`,
`hold`, `cash`...) USD cents, `at` and other instants microseconds since 1970 UTC, dates
integers as 20261120. Vocabularies are those of `domain.terms`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from eventsourcing.utils import register_topic, resolve_topic

from domain.identifiers import datetime_of

Posting = tuple[UUID, int, int]
"""(party, ledger, amount in cents); the postings of one event sum to zero."""


class DomainEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every event carries: whose, which version, when, by whom and because of what."""

    originator_id: UUID
    originator_version: int
    at: int
    partition: int
    actor: str
    gateway: str
    correlation_id: UUID
    causation_id: int
    """Log position of the event that caused this one; 0 when the command itself did."""

    TOPIC: ClassVar[str] = ""
    AGGREGATE: ClassVar[str] = ""
    by_topic: ClassVar[dict[str, type[DomainEvent]]] = {}

    @property
    def timestamp(self) -> datetime:
        """The instant as the library's aware datetime."""
        return datetime_of(self.at)

    def apply(self, aggregate: Any) -> None:
        """Copy what this event says onto its aggregate."""
        raise NotImplementedError(self.TOPIC)

    def mutate(self, aggregate: Any) -> Any:
        """Evolve the aggregate by one version (the library's projector protocol)."""
        if aggregate is None:
            aggregate = resolve_topic(self.AGGREGATE).blank(self.originator_id, self.at)
        assert self.originator_id == aggregate.id
        assert self.originator_version == aggregate.version + 1
        self.apply(aggregate)
        aggregate.stamp(self)
        return aggregate


def topic(event_class: type[DomainEvent]) -> type[DomainEvent]:
    """Register an event class under its explicit topic."""
    register_topic(event_class.TOPIC, event_class)
    DomainEvent.by_topic[event_class.TOPIC] = event_class
    return event_class


# Instruments


class InstrumentEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of an instrument; the originator is the instrument."""

    AGGREGATE = "instrument"


class InstrumentListed(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """An instrument may be traded from now on; it starts closed."""

    TOPIC = "instrument.listed.v1"
    symbol: str
    name: str
    asset_class: str
    calendar: str
    price_decimals: int
    tick: int
    lot: int
    trigger_rule: int
    collar_bps: int
    max_order_qty: int
    max_order_notional: int
    position_limit: int
    reference_price: int

    def apply(self, aggregate: Any) -> None:
        aggregate.symbol = self.symbol
        aggregate.name = self.name
        aggregate.asset_class = self.asset_class
        aggregate.calendar = self.calendar
        aggregate.price_decimals = self.price_decimals
        aggregate.tick = self.tick
        aggregate.lot = self.lot
        aggregate.trigger_rule = self.trigger_rule
        aggregate.collar_bps = self.collar_bps
        aggregate.max_order_qty = self.max_order_qty
        aggregate.max_order_notional = self.max_order_notional
        aggregate.position_limit = self.position_limit
        aggregate.reference_price = self.reference_price


class InstrumentTermsChanged(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """The changeable terms of an instrument, all of them, as they are from now on."""

    TOPIC = "instrument.terms_changed.v1"
    symbol: str
    name: str
    trigger_rule: int
    collar_bps: int
    max_order_qty: int
    max_order_notional: int
    position_limit: int

    def apply(self, aggregate: Any) -> None:
        aggregate.symbol = self.symbol
        aggregate.name = self.name
        aggregate.trigger_rule = self.trigger_rule
        aggregate.collar_bps = self.collar_bps
        aggregate.max_order_qty = self.max_order_qty
        aggregate.max_order_notional = self.max_order_notional
        aggregate.position_limit = self.position_limit


class InstrumentOpened(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """A session began; the uncross volume is 0 when nothing crossed."""

    TOPIC = "instrument.opened.v1"
    session_date: int
    value_date: int
    opens_at: int
    closes_at: int
    uncross_price: int
    uncross_qty: int

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = 1
        aggregate.session_date = self.session_date
        aggregate.value_date = self.value_date
        aggregate.closes_at = self.closes_at


class InstrumentClosed(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """A session ended; day orders expire in the commands that follow."""

    TOPIC = "instrument.closed.v1"
    session_date: int

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = 0


class InstrumentHalted(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """Trading stopped inside a session."""

    TOPIC = "instrument.halted.v1"
    reason: str

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = 2


class InstrumentResumed(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """Trading goes on after a halt."""

    TOPIC = "instrument.resumed.v1"
    uncross_price: int
    uncross_qty: int

    def apply(self, aggregate: Any) -> None:
        aggregate.phase = 1


class InstrumentMarked(InstrumentEvent, frozen=True, array_like=True, gc=False):
    """A mark or reference price was set from outside."""

    TOPIC = "instrument.marked.v1"
    price: int

    def apply(self, aggregate: Any) -> None:
        aggregate.mark_price = self.price


# Accounts


class AccountEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of an account; the originator is the account."""

    AGGREGATE = "account"


class AccountOpened(AccountEvent, frozen=True, array_like=True, gc=False):
    """An account exists; `number` counts accounts, `owner_number` is its owner's first one's."""

    TOPIC = "account.opened.v1"
    name: str
    owner: str
    number: int
    owner_number: int
    kind: int
    max_order_notional: int

    def apply(self, aggregate: Any) -> None:
        aggregate.name = self.name
        aggregate.owner = self.owner
        aggregate.number = self.number
        aggregate.owner_number = self.owner_number
        aggregate.kind = self.kind
        aggregate.max_order_notional = self.max_order_notional


class AccountStatusChanged(AccountEvent, frozen=True, array_like=True, gc=False):
    """What the account may do from now on."""

    TOPIC = "account.status_changed.v1"
    status: int
    reason: str

    def apply(self, aggregate: Any) -> None:
        aggregate.status = self.status


class AccountLimitsSet(AccountEvent, frozen=True, array_like=True, gc=False):
    """The account's own limits, all of them, as they are from now on (0: none)."""

    TOPIC = "account.limits_set.v1"
    max_order_notional: int

    def apply(self, aggregate: Any) -> None:
        aggregate.max_order_notional = self.max_order_notional


class CashMoved(AccountEvent, frozen=True, array_like=True, gc=False):
    """Cash came in or went out; `amount` is signed as the account sees it."""

    request_key: str
    fingerprint: bytes
    amount: int
    cash_after: int
    description: str
    postings: tuple[Posting, ...]

    def apply(self, aggregate: Any) -> None:
        aggregate.cash = self.cash_after


class CashDeposited(CashMoved, frozen=True, array_like=True, gc=False):
    """Cash came in from outside."""

    TOPIC = "account.deposited.v1"


class CashWithdrawn(CashMoved, frozen=True, array_like=True, gc=False):
    """Cash went out."""

    TOPIC = "account.withdrawn.v1"


class FeeCharged(CashMoved, frozen=True, array_like=True, gc=False):
    """The house took a fee outside any trade."""

    TOPIC = "account.fee_charged.v1"


class MarginReserved(AccountEvent, frozen=True, array_like=True, gc=False):
    """Buying power is held for a working order."""

    TOPIC = "account.margin_reserved.v1"
    order_id: UUID
    amount: int
    held_after: int

    def apply(self, aggregate: Any) -> None:
        aggregate.held = self.held_after


class MarginReleased(AccountEvent, frozen=True, array_like=True, gc=False):
    """Held buying power is free again because the order shrank or ended."""

    TOPIC = "account.margin_released.v1"
    order_id: UUID
    amount: int
    held_after: int

    def apply(self, aggregate: Any) -> None:
        aggregate.held = self.held_after


class TradeBooked(AccountEvent, frozen=True, array_like=True, gc=False):
    """One side of a trade in the account's books; the hold it uses up is converted here."""

    TOPIC = "account.trade_booked.v1"
    instrument_id: UUID
    order_id: UUID
    trade_id: UUID
    side: int
    qty: int
    price: int
    price_decimals: int
    notional: int
    fee: int
    session_date: int
    value_date: int
    cash_after: int
    unsettled_after: int
    held_after: int
    postings: tuple[Posting, ...]

    def apply(self, aggregate: Any) -> None:
        aggregate.cash = self.cash_after
        aggregate.unsettled = self.unsettled_after
        aggregate.held = self.held_after


class TradeReversed(AccountEvent, frozen=True, array_like=True, gc=False):
    """A booked trade side undone by opposite postings: `reason` is bust or correct."""

    TOPIC = "account.trade_reversed.v1"
    instrument_id: UUID
    order_id: UUID
    trade_id: UUID
    reason: str
    side: int
    qty: int
    price: int
    price_decimals: int
    notional: int
    fee: int
    cash_after: int
    unsettled_after: int
    postings: tuple[Posting, ...]

    def apply(self, aggregate: Any) -> None:
        aggregate.cash = self.cash_after
        aggregate.unsettled = self.unsettled_after


class RequestRefused(AccountEvent, frozen=True, array_like=True, gc=False):
    """A cancel, replace, deposit or withdrawal that was refused; an order's refusal is its own."""

    TOPIC = "account.request_refused.v1"
    request_key: str
    fingerprint: bytes
    request: str
    target_id: str
    code: str
    message: str
    details: dict[str, Any]

    def apply(self, aggregate: Any) -> None:
        pass


# Positions


class PositionEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of a position: one account's holding of one instrument."""

    AGGREGATE = "position"
    account_id: UUID
    instrument_id: UUID


class PositionOpened(PositionEvent, frozen=True, array_like=True, gc=False):
    """The account touches the instrument for the first time."""

    TOPIC = "position.opened.v1"

    def apply(self, aggregate: Any) -> None:
        aggregate.account_id = self.account_id
        aggregate.instrument_id = self.instrument_id


class QuantityReserved(PositionEvent, frozen=True, array_like=True, gc=False):
    """Held quantity is set aside for a working sell order."""

    TOPIC = "position.reserved.v1"
    order_id: UUID
    qty: int
    reserved_after: int

    def apply(self, aggregate: Any) -> None:
        aggregate.reserved = self.reserved_after


class QuantityReleased(PositionEvent, frozen=True, array_like=True, gc=False):
    """Reserved quantity is free again because the order shrank or ended."""

    TOPIC = "position.released.v1"
    order_id: UUID
    qty: int
    reserved_after: int

    def apply(self, aggregate: Any) -> None:
        aggregate.reserved = self.reserved_after


class PositionTraded(PositionEvent, frozen=True, array_like=True, gc=False):
    """One side of a trade in the position; `cost_after` is the cost basis, signed like qty."""

    TOPIC = "position.traded.v1"
    order_id: UUID
    trade_id: UUID
    side: int
    qty: int
    price: int
    price_decimals: int
    realized: int
    qty_after: int
    settled_after: int
    reserved_after: int
    cost_after: int
    realized_after: int

    def apply(self, aggregate: Any) -> None:
        aggregate.qty = self.qty_after
        aggregate.settled = self.settled_after
        aggregate.reserved = self.reserved_after
        aggregate.cost = self.cost_after
        aggregate.realized = self.realized_after


class PositionTransferred(PositionEvent, frozen=True, array_like=True, gc=False):
    """Settled quantity came in or went out without a trade; `cost` is its basis."""

    TOPIC = "position.transferred.v1"
    request_key: str
    fingerprint: bytes
    qty: int
    cost: int
    qty_after: int
    settled_after: int
    cost_after: int
    description: str

    def apply(self, aggregate: Any) -> None:
        aggregate.qty = self.qty_after
        aggregate.settled = self.settled_after
        aggregate.cost = self.cost_after


class PositionReversed(PositionEvent, frozen=True, array_like=True, gc=False):
    """A traded quantity undone: `reason` is bust or correct."""

    TOPIC = "position.reversed.v1"
    order_id: UUID
    trade_id: UUID
    reason: str
    side: int
    qty: int
    realized: int
    qty_after: int
    settled_after: int
    cost_after: int
    realized_after: int

    def apply(self, aggregate: Any) -> None:
        aggregate.qty = self.qty_after
        aggregate.settled = self.settled_after
        aggregate.cost = self.cost_after
        aggregate.realized = self.realized_after


# Orders


class OrderEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of an order."""

    AGGREGATE = "order"
    account_id: UUID
    instrument_id: UUID


class OrderAccepted(OrderEvent, frozen=True, array_like=True, gc=False):
    """The order passed every check, its holds are taken, and it works from now on.

    `sequence` is its priority number; `revision_id` the API id of this revision of it;
    `limit_price` 0 for market and stop, `stop_price` 0 for market and limit.
    """

    TOPIC = "order.accepted.v1"
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    qty: int
    limit_price: int
    stop_price: int
    price_decimals: int
    expires_at: int
    post_only: bool
    self_trade: int
    client_order_id: str
    fingerprint: bytes
    revision_id: UUID
    sequence: int
    working_price: int
    """What bounds its trades: the limit, or the collar of a market order."""
    hold: int
    hold_qty: int

    def apply(self, aggregate: Any) -> None:
        aggregate.account_id = self.account_id
        aggregate.instrument_id = self.instrument_id
        aggregate.symbol = self.symbol
        aggregate.side = self.side
        aggregate.order_type = self.order_type
        aggregate.time_in_force = self.time_in_force
        aggregate.qty = self.qty
        aggregate.leaves = self.qty
        aggregate.limit_price = self.limit_price
        aggregate.stop_price = self.stop_price
        aggregate.price_decimals = self.price_decimals
        aggregate.expires_at = self.expires_at
        aggregate.post_only = self.post_only
        aggregate.self_trade = self.self_trade
        aggregate.client_order_id = self.client_order_id
        aggregate.revision_id = self.revision_id
        aggregate.sequence = self.sequence
        aggregate.working_price = self.working_price
        aggregate.hold = self.hold
        aggregate.hold_qty = self.hold_qty


class OrderRejected(OrderEvent, frozen=True, array_like=True, gc=False):
    """The order was refused; this is its whole life. `instrument_id` is nil when unknown."""

    TOPIC = "order.rejected.v1"
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    qty: int
    limit_price_wire: int
    """As asked for, in 1e-9 units: the instrument's scale may be unknown."""
    stop_price_wire: int
    client_order_id: str
    fingerprint: bytes
    code: str
    message: str
    details: dict[str, Any]

    def apply(self, aggregate: Any) -> None:
        aggregate.account_id = self.account_id
        aggregate.instrument_id = self.instrument_id
        aggregate.symbol = self.symbol
        aggregate.side = self.side
        aggregate.order_type = self.order_type
        aggregate.time_in_force = self.time_in_force
        aggregate.qty = self.qty
        aggregate.client_order_id = self.client_order_id
        aggregate.status = 8


class OrderTriggered(OrderEvent, frozen=True, array_like=True, gc=False):
    """A stop was elected; `seen_price` is the price that did it, `rule` which kind it was."""

    TOPIC = "order.triggered.v1"
    rule: int
    seen_price: int
    sequence: int
    working_price: int

    def apply(self, aggregate: Any) -> None:
        aggregate.triggered_at = self.at
        aggregate.sequence = self.sequence
        aggregate.working_price = self.working_price


class OrderFilled(OrderEvent, frozen=True, array_like=True, gc=False):
    """One trade against the order. `value_after` is the exact sum of price times qty so far,
    as decimal digits in 10^-(price_decimals + 8) units: it may exceed 64 bits.
    """

    TOPIC = "order.filled.v1"
    trade_id: UUID
    side: int
    qty: int
    price: int
    price_decimals: int
    notional: int
    fee: int
    liquidity: int
    session_date: int
    value_date: int
    filled_after: int
    leaves_after: int
    value_after: str
    hold_after: int
    hold_qty_after: int
    status_after: int

    def apply(self, aggregate: Any) -> None:
        aggregate.filled = self.filled_after
        aggregate.leaves = self.leaves_after
        aggregate.value = int(self.value_after)
        aggregate.hold = self.hold_after
        aggregate.hold_qty = self.hold_qty_after
        aggregate.status = self.status_after
        aggregate.filled_at = self.at


class OrderReplaced(OrderEvent, frozen=True, array_like=True, gc=False):
    """New terms. `sequence` is the old one when priority was kept. Carries all terms, so that
    the reply can be rendered from this event alone.
    """

    TOPIC = "order.replaced.v1"
    revision_id: UUID
    replaces: UUID
    request_key: str
    fingerprint: bytes
    client_order_id: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    qty: int
    limit_price: int
    stop_price: int
    price_decimals: int
    expires_at: int
    post_only: bool
    filled: int
    value: str
    leaves_after: int
    sequence: int
    working_price: int
    kept_priority: bool
    hold_after: int
    hold_qty_after: int
    submitted_at: int

    def apply(self, aggregate: Any) -> None:
        aggregate.client_order_id = self.client_order_id
        aggregate.revision_id = self.revision_id
        aggregate.replaces = self.replaces
        aggregate.time_in_force = self.time_in_force
        aggregate.expires_at = self.expires_at
        aggregate.qty = self.qty
        aggregate.limit_price = self.limit_price
        aggregate.stop_price = self.stop_price
        aggregate.leaves = self.leaves_after
        aggregate.sequence = self.sequence
        aggregate.working_price = self.working_price
        aggregate.hold = self.hold_after
        aggregate.hold_qty = self.hold_qty_after
        aggregate.replaced_at = self.at


class OrderCanceled(OrderEvent, frozen=True, array_like=True, gc=False):
    """The order left the market; what was filled stays filled."""

    TOPIC = "order.canceled.v2"
    request_key: str
    fingerprint: bytes
    reason: int
    side: int
    canceled_qty: int
    filled: int

    def apply(self, aggregate: Any) -> None:
        aggregate.status = 4
        aggregate.leaves = 0
        aggregate.hold = 0
        aggregate.hold_qty = 0
        aggregate.ended_at = self.at


class OrderExpired(OrderEvent, frozen=True, array_like=True, gc=False):
    """The order's time ran out."""

    TOPIC = "order.expired.v1"
    side: int
    expired_qty: int
    filled: int

    def apply(self, aggregate: Any) -> None:
        aggregate.status = 12
        aggregate.leaves = 0
        aggregate.hold = 0
        aggregate.hold_qty = 0
        aggregate.ended_at = self.at


class OrderFillBusted(OrderEvent, frozen=True, array_like=True, gc=False):
    """A fill was undone by the venue; the order's status and leaves do not move."""

    TOPIC = "order.fill_busted.v1"
    trade_id: UUID
    side: int
    qty: int
    price: int
    price_decimals: int
    filled_after: int
    value_after: str

    def apply(self, aggregate: Any) -> None:
        aggregate.filled = self.filled_after
        aggregate.value = int(self.value_after)


class OrderFillCorrected(OrderEvent, frozen=True, array_like=True, gc=False):
    """A fill's price was corrected by the venue; `trade_id` is the corrected trade."""

    TOPIC = "order.fill_corrected.v1"
    trade_id: UUID
    side: int
    qty: int
    price: int
    price_decimals: int
    old_price: int
    notional: int
    value_after: str

    def apply(self, aggregate: Any) -> None:
        aggregate.value = int(self.value_after)


for _class in (
    InstrumentListed,
    InstrumentTermsChanged,
    InstrumentOpened,
    InstrumentClosed,
    InstrumentHalted,
    InstrumentResumed,
    InstrumentMarked,
    AccountOpened,
    AccountStatusChanged,
    AccountLimitsSet,
    CashDeposited,
    CashWithdrawn,
    FeeCharged,
    MarginReserved,
    MarginReleased,
    TradeBooked,
    TradeReversed,
    RequestRefused,
    PositionOpened,
    QuantityReserved,
    QuantityReleased,
    PositionTraded,
    PositionTransferred,
    PositionReversed,
    OrderAccepted,
    OrderRejected,
    OrderTriggered,
    OrderFilled,
    OrderReplaced,
    OrderCanceled,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
):
    topic(_class)

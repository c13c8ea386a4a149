"""An order as a client sees it: one type, made from the order itself and nowhere else.

Replies, reads of the writer, the stream and the views all show this type. What differs is
where the order comes from: the desk, its events, or a row that a view keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, Self

import msgspec
from msgspec.structs import replace

from domain import units
from domain.identifiers import (
    NO_ID,
    AccountId,
    GroupId,
    Instant,
    InstrumentId,
    OrderId,
    RevisionId,
)
from domain.order import Order
from domain.terms import Leg
from domain.units import to_digits


class OrderView(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One revision of an order, as it stands or, when it was replaced, as it stood then.

    Units as in the events; of an order that was refused the prices are on the wire's scale.
    `replaced_by` is nil while the revision is the newest, `replaces` of the first one.
    """

    value: units.Value
    order_id: OrderId
    revision_id: RevisionId
    account_id: AccountId
    instrument_id: InstrumentId
    symbol: units.Symbol
    client_order_id: units.Key
    side: units.SideCode
    order_type: units.OrderTypeCode
    time_in_force: units.TimeInForceCode
    qty: units.Qty
    filled: units.Qty
    limit_price: units.Price
    stop_price: units.Price
    price_decimals: units.Decimals
    expires_at: Instant
    post_only: bool
    status: units.OrderStatusCode
    submitted_at: Instant
    updated_at: Instant
    filled_at: Instant = 0
    ended_at: Instant = 0
    triggered_at: Instant = 0
    replaces: RevisionId = NO_ID
    group_id: GroupId = NO_ID
    leg: units.LegCode = int(Leg.NONE)
    replaced_at: Instant = 0
    replaced_by: RevisionId = NO_ID

    @classmethod
    def of(cls, order: Order) -> Self:
        """An order as it stands: its newest revision, which nothing has replaced."""
        return cls(to_digits(order.value), *_standing(order.__dict__))

    def replaced(self, by: RevisionId, at: Instant) -> Self:
        """The revision from when another took its place: nothing changes it any more."""
        return replace(self, replaced_by=by, replaced_at=at, updated_at=at)


_NAMED_OTHERWISE = {"order_id": "_id", "submitted_at": "created_at", "updated_at": "modified_at"}
_SET_APART = ("value", "replaced_at", "replaced_by")
# A third of what named arguments cost, on the way of every order.
_standing: Callable[[dict[str, Any]], tuple[Any, ...]] = itemgetter(
    *(
        _NAMED_OTHERWISE.get(name, name)
        for name in OrderView.__struct_fields__
        if name not in _SET_APART
    )
)

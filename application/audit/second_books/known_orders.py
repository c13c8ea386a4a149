"""An order as its own events tell it, while it may still trade."""

from __future__ import annotations

from application.audit.second_books.commissions import NOTHING
from application.audit.second_books.market import CLS, OPG, may_rest
from application.audit.second_books.order_lives import STATUS_CODES
from domain.events import OrderAccepted

STOPS = (3, 4, 25)


class KnownOrder:
    """An order while it may still trade; `asked` and `charged` are its commission in dollars,
    before and after minimum and cap.
    """

    __slots__ = (
        "account_id",
        "armed",
        "asked",
        "auction",
        "bound",
        "charged",
        "filled",
        "group_id",
        "hold",
        "hold_qty",
        "instrument_id",
        "leaves",
        "leg",
        "qty",
        "rests",
        "sequence",
        "side",
        "status",
        "stop_price",
        "value",
        "waiting",
    )

    def __init__(self, event: OrderAccepted) -> None:
        self.account_id = event.account_id
        self.instrument_id = event.instrument_id
        self.side = event.side
        self.status = STATUS_CODES.get(event.status, "")
        self.armed = event.armed
        self.qty = self.leaves = event.qty
        self.filled = self.value = 0
        self.bound = event.working_price
        self.sequence = event.sequence
        self.stop_price = event.stop_price
        self.waiting = event.order_type in STOPS
        self.auction = event.time_in_force if event.time_in_force in (OPG, CLS) else 0
        self.rests = may_rest(event)
        self.hold = self.hold_qty = 0
        self.group_id, self.leg = event.group_id, event.leg
        self.asked = self.charged = NOTHING

    @property
    def stands(self) -> bool:
        """Whether it is in its market's book."""
        return self.rests and self.armed and not self.waiting

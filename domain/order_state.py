"""An order as it stands: its terms and what has become of them, and what follows from both."""

from __future__ import annotations

from uuid import UUID

from domain.aggregate import Aggregate
from domain.errors import OrderNotWorking
from domain.identifiers import NO_ID
from domain.order_life import HELD, NEW, PARTIAL
from domain.order_terms import STANDING, STOPS, WITH_LIMIT, Terms
from domain.terms import Leg, OrderStatus, OrderType, SelfTrade, Side, TimeInForce
from domain.trade import Holds
from domain.trail import Trail

_MARKET = int(OrderType.MARKET)
_TRAILING_STOP = int(OrderType.TRAILING_STOP)


class OrderState(Aggregate):
    """Units as in the events; `value` is the exact sum of price times quantity traded.

    `submitted_at` and `filled_at` are of the present revision, as if it were alone.
    `water_mark` is the best price that a stop which trails has followed: a sell's highest, a
    buy's lowest.
    """

    DIGITS = frozenset({"value", "commission_base", "commission"})

    account_id: UUID = NO_ID
    instrument_id: UUID = NO_ID
    symbol: str = ""
    side: int = int(Side.BUY)
    order_type: int = int(OrderType.LIMIT)
    time_in_force: int = int(TimeInForce.DAY)
    qty: int = 0
    leaves: int = 0
    filled: int = 0
    value: int = 0
    limit_price: int = 0
    stop_price: int = 0
    price_decimals: int = 4
    expires_at: int = 0
    post_only: bool = False
    self_trade: int = int(SelfTrade.CANCEL_NEWEST)
    client_order_id: str = ""
    revision_id: UUID = NO_ID
    replaces: UUID = NO_ID
    sequence: int = 0
    working_price: int = 0
    hold: int = 0
    hold_qty: int = 0
    status: int = NEW
    triggered_at: int = 0
    filled_at: int = 0
    replaced_at: int = 0
    ended_at: int = 0
    end_reason: int = 0
    refusal_code: str = ""
    submitted_at: int = 0
    armed: bool = True
    locate: bool = False
    group_id: UUID = NO_ID
    leg: int = int(Leg.NONE)
    commission_base: int = 0
    commission: int = 0
    protection_price: int = 0
    rests: bool = False
    notional: int = 0
    trail_price: int = 0
    trail_percent: int = 0
    water_mark: int = 0

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
        return self.order_type in WITH_LIMIT

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
            notional=self.notional,
            trail_price=self.trail_price,
            trail_percent=self.trail_percent,
        )

    @property
    def counted(self) -> int:
        """What of it works for its account: nothing while another leg comes first."""
        return 0 if self.status == HELD else self.leaves

    @property
    def is_queued(self) -> bool:
        """Whether it is a market order that waits for an auction."""
        return self.order_type == _MARKET and self.rests and not self.protection_price

    @property
    def may_rest(self) -> bool:
        """Whether what does not trade at once stays in the book."""
        return self.time_in_force in STANDING and (self.rests or self.order_type in WITH_LIMIT)

    @property
    def waits(self) -> bool:
        """Whether it is a stop whose price has not been seen."""
        return self.order_type in STOPS and not self.triggered_at

    @property
    def is_waiting_stop(self) -> bool:
        """Whether it is among the stops that wait for their price."""
        return self.armed and self.order_type in STOPS and not self.triggered_at

    @property
    def trails(self) -> bool:
        """Whether the price that it waits for follows the market."""
        return self.order_type == _TRAILING_STOP

    @property
    def trail(self) -> Trail:
        """How far behind the best price it follows."""
        return Trail(self.trail_price, self.trail_percent)

    def check_working(self) -> None:
        """Raises OrderNotWorking when the order is done."""
        status = self.status
        if status > PARTIAL and status != HELD:
            raise OrderNotWorking(self._id, OrderStatus(self.status).name.lower())

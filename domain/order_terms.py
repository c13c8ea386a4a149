"""What an order asks for: one type from every door to the book, and the check of it alone."""

from __future__ import annotations

from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.errors import InvalidField, Rejection
from domain.identifiers import MAX_INSTANT, NO_ID, Instant
from domain.money import WHOLE_TRAIL
from domain.terms import OrderType, SelfTrade, Side, TimeInForce
from domain.trade import NO_HOLDS, Holds
from domain.trail import Trail

_MARKET = int(OrderType.MARKET)
_LIMIT = int(OrderType.LIMIT)
_STOP = int(OrderType.STOP)
_STOP_LIMIT = int(OrderType.STOP_LIMIT)
_DAY = int(TimeInForce.DAY)
_TRAILING_STOP = int(OrderType.TRAILING_STOP)
_GTD = int(TimeInForce.GTD)
IOC = int(TimeInForce.IOC)
OPG = int(TimeInForce.OPG)
CLS = int(TimeInForce.CLS)
WITH_LIMIT = frozenset({_LIMIT, _STOP_LIMIT})
STOPS = frozenset({_STOP, _STOP_LIMIT, _TRAILING_STOP})
"""Types of orders that wait for a price."""
_SIDES = frozenset(map(int, Side))
_TYPES = frozenset(map(int, OrderType))
_TIMES = frozenset(map(int, TimeInForce))
_SELF_TRADES = frozenset(map(int, SelfTrade))
RESTING = frozenset({_DAY, int(TimeInForce.GTC), _GTD})
"""Times in force that let what does not trade at once stay in the book."""
FOR_AUCTIONS = frozenset({OPG, CLS})
"""Times in force of orders that trade in one auction alone: at the open, or at the close."""
STANDING = RESTING | FOR_AUCTIONS
"""Times in force of orders that may stand in a book: in trading, or in their auction alone."""


class Terms(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The terms of one order; prices have `price_decimals` places, 0 is no price.

    A stop that trails is asked for by how it does; `stop_price` is where it stands. As a client
    sends them prices are at `money.WIRE_PRICE_SCALE`, from the checks on at the instrument's own.
    The vocabularies are those of `domain.terms`.
    """

    symbol: str
    side: int
    order_type: int
    time_in_force: int
    qty: int
    limit_price: int
    stop_price: int
    price_decimals: int
    expires_at: Instant = 0
    post_only: bool = False
    self_trade: int = int(SelfTrade.CANCEL_NEWEST)
    locate: bool = False
    notional: int = 0
    """What a market order may trade for at most, in cents, where it says no quantity."""
    trail_price: int = 0
    trail_percent: int = 0

    @property
    def has_limit(self) -> bool:
        """Whether a limit bounds its trades."""
        return self.order_type in WITH_LIMIT

    @property
    def is_stop(self) -> bool:
        """Whether it waits for a price before it is live."""
        return self.order_type in STOPS

    @property
    def trails(self) -> bool:
        """Whether the price that it waits for follows the market."""
        return self.order_type == _TRAILING_STOP

    @property
    def trail(self) -> Trail:
        """How far behind the best price it follows."""
        return Trail(self.trail_price, self.trail_percent)

    @property
    def may_rest(self) -> bool:
        """Whether its time in force lets it rest."""
        return self.time_in_force in RESTING

    def asked(self) -> AskedTerms:
        """Those before `locate`, in the order in which `OrderAccepted` says them too."""
        terms: AskedTerms = _ASKED(self)
        return terms

    def at_scale(self, price_decimals: int, limit_price: int, stop_price: int) -> Terms:
        """The same terms with prices at another scale."""
        return replace(
            self, limit_price=limit_price, stop_price=stop_price, price_decimals=price_decimals
        )

    def check(self, at: Instant) -> None:
        """The terms are known and fit each other; raises InvalidField."""
        order_type, time_in_force = self.order_type, self.time_in_force
        if self.side not in _SIDES:
            raise InvalidField("side", "is neither buy nor sell")
        if order_type not in _TYPES:
            raise InvalidField("type", "is not known")
        if time_in_force not in _TIMES:
            raise InvalidField("time_in_force", "is not known")
        if self.self_trade not in _SELF_TRADES:
            raise InvalidField("self_trade", "is not known")
        if self.notional:
            self._check_notional()
        is_stop, may_rest = order_type in STOPS, time_in_force in RESTING
        if (order_type in WITH_LIMIT) != (self.limit_price != 0):
            raise InvalidField("limit_price", "is needed by limit orders and by no others")
        if order_type == _TRAILING_STOP or self.trail_price or self.trail_percent:
            self._check_trail()
        elif is_stop != (self.stop_price != 0):
            raise InvalidField("stop_price", "is needed by stop orders and by no others")
        if (time_in_force == _GTD) != (self.expires_at != 0):
            raise InvalidField("expires_at", "is needed by gtd orders and by no others")
        if self.expires_at:
            check_expiry(self.expires_at, at)
        if self.post_only and not (order_type == _LIMIT and may_rest):
            raise InvalidField("post_only", "is for day, gtc and gtd limit orders")
        if is_stop and not may_rest:
            raise InvalidField("time_in_force", "of a stop order is day, gtc or gtd")

    def _check_notional(self) -> None:
        if self.notional < 0:
            raise InvalidField("notional", "is not positive")
        if self.qty:
            raise InvalidField("notional", "may not stand beside qty")
        if self.order_type != _MARKET:
            raise InvalidField("notional", "is for market orders")
        if self.time_in_force != _DAY:
            raise InvalidField("time_in_force", "of an order for an amount is day")

    def _check_trail(self) -> None:
        """Raises InvalidField."""
        if not self.trails:
            field = "trail_price" if self.trail_price else "trail_percent"
            raise InvalidField(field, "is a term of trailing_stop orders alone")
        if self.stop_price:
            raise InvalidField("stop_price", "of a trailing_stop order follows from its trail")
        if not self.trail_price and not self.trail_percent:
            raise InvalidField("trail_price", "or trail_percent is needed by trailing_stop orders")
        if self.trail_price and self.trail_percent:
            raise InvalidField("trail_percent", "is not taken beside trail_price")
        check_trail_percent("trail_percent", self.trail_percent)


def check_trail_percent(field: str, percent: int) -> None:
    """A percentage by which a stop may trail, or none; raises InvalidField."""
    if not 0 <= percent < WHOLE_TRAIL:
        raise InvalidField(field, "is not between 0 and 100 percent, both excluded")


AskedTerms = tuple[str, int, int, int, int, int, int, int, Instant, bool, int]
_NAMES = Terms.__struct_fields__
_ASKED = attrgetter(*_NAMES[: _NAMES.index("locate")])


def check_expiry(expires_at: Instant, at: Instant) -> None:
    """An order ends after it began; raises InvalidField."""
    if not at < expires_at <= MAX_INSTANT:
        raise InvalidField("expires_at", "is not in the future")


class Request(msgspec.Struct, frozen=True, gc=False):
    """What makes a request one of a kind: its key, and what tells its body from another."""

    key: str = ""
    fingerprint: bytes = b""


class Bound(msgspec.Struct, frozen=True, gc=False):
    """What bounds the trades of an order, and whether what is left of one without a limit
    `rests` there; `protection_price` is that price once it is one, else 0.
    """

    price: int
    protection_price: int = 0
    rests: bool = False


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """An order that passed every check, its terms in the instrument's units; `water_mark` is the
    price that its stop was reckoned from, where that trails.
    """

    terms: Terms
    bound: Bound
    holds: Holds = NO_HOLDS
    water_mark: int = 0


class RefusedOrder(NamedTuple):
    """An order as it was asked for, and why it was refused; `order_class` of a group's."""

    terms: Terms
    client: Request
    refusal: Rejection
    order_class: int = 0


class Link(msgspec.Struct, frozen=True, gc=False):
    """What an order is within a group of linked orders.

    One that is `held` lets another come first; one that is not `armed` is neither in the book
    nor among the waiting stops yet.
    """

    group_id: UUID = NO_ID
    leg: int = 0
    held: bool = False
    armed: bool = True


ALONE = Link()
FOR_THE_CLOSE = Link(armed=False)
"""What waits for the closing auction stands in no book until then."""
NO_REQUEST = Request()

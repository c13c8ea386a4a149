"""The closed vocabularies of the venue: small integers in events, names at the edges."""

from __future__ import annotations

from enum import IntEnum


class Side(IntEnum):
    """FIX tag 54."""

    BUY = 1
    SELL = 2


class OrderType(IntEnum):
    """FIX tag 40."""

    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4


class TimeInForce(IntEnum):
    """FIX tag 59."""

    DAY = 0
    GTC = 1
    IOC = 3
    FOK = 4
    GTD = 6


class OrderStatus(IntEnum):
    """Where an order is in its life; `domain.order.TRANSITIONS` says how it moves."""

    NEW = 0
    PARTIALLY_FILLED = 1
    FILLED = 2
    CANCELED = 4
    REJECTED = 8
    EXPIRED = 12


WORKING_STATUSES = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


class SelfTrade(IntEnum):
    """What happens when an order meets one of the same owner; the incoming order decides."""

    CANCEL_NEWEST = 1
    CANCEL_OLDEST = 2
    CANCEL_BOTH = 3


class TriggerRule(IntEnum):
    """Which price elects the stops of an instrument."""

    LAST_TRADE = 1
    BID_ASK = 2
    MARK = 3


class Phase(IntEnum):
    """The trading phase of an instrument."""

    CLOSED = 0
    OPEN = 1
    HALTED = 2


class Liquidity(IntEnum):
    """Which side of a trade an order was (FIX tag 851, 4 = auction)."""

    ADDED = 1
    REMOVED = 2
    AUCTION = 4


class AccountKind(IntEnum):
    """How an account pays."""

    CASH = 1
    MARGIN = 2


class AccountStatus(IntEnum):
    """What an account may do."""

    ACTIVE = 0
    CLOSING_ONLY = 1
    BLOCKED = 2


class CancelReason(IntEnum):
    """Why an order left the market before it was filled."""

    CLIENT = 1
    IOC_REMAINDER = 2
    FOK_UNFILLABLE = 3
    SELF_TRADE = 4
    COLLAR = 5
    ADMIN = 6
    NO_LIQUIDITY = 7
    POST_ONLY = 8


class Ledger(IntEnum):
    """The accounts of the double-entry ledger that every party keeps."""

    CASH = 1
    UNSETTLED = 2
    CLEARING = 3
    FUNDING = 4
    FEES = 5

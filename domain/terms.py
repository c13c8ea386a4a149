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
    TRAILING_STOP = 25
    """P, pegged: by a trailing stop peg (tag 18 = a)."""


class TimeInForce(IntEnum):
    """FIX tag 59."""

    DAY = 0
    GTC = 1
    OPG = 2
    IOC = 3
    FOK = 4
    GTD = 6
    CLS = 7


class OrderStatus(IntEnum):
    """Where an order is in its life; `domain.order_life.TRANSITIONS` says how it moves."""

    NEW = 0
    PARTIALLY_FILLED = 1
    FILLED = 2
    CANCELED = 4
    REJECTED = 8
    HELD = 9
    EXPIRED = 12


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


class Remainder(IntEnum):
    """What becomes of what a market order, or an elected stop, leaves at its protection price."""

    REST = 1
    CANCEL = 2


class Phase(IntEnum):
    """The trading phase of an instrument.

    It is closing from its closing auction to its close, which is one decision. An option that
    has expired is over for good.
    """

    CLOSED = 0
    OPEN = 1
    HALTED = 2
    CLOSING = 3
    EXPIRED = 4


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
    """Why an order left the market before it was filled.

    What clients are told of each stands in `api.vocabulary`.
    """

    CLIENT = 1
    IMMEDIATE_OR_CANCEL = 2
    FILL_OR_KILL = 3
    SELF_TRADE = 4
    COLLAR = 5
    OPERATOR = 6
    NO_LIQUIDITY = 7
    OTHER_LEG = 9
    GROUP = 10
    ENTRY_UNFILLED = 11
    POSITION_CLOSED = 12
    BUSTED = 13
    PROTECTION = 14
    OPENING_AUCTION = 15
    CLOSING_AUCTION = 16
    NOTIONAL = 17
    LEG_INCOMPLETE = 18


class OrderClass(IntEnum):
    """What an order was placed as (Alpaca ``order_class``)."""

    SIMPLE = 0
    OCO = 1
    BRACKET = 2
    OTO = 3
    MLEG = 4


class Leg(IntEnum):
    """What an order is within its group; 0 is an order of its own.

    A multi-leg order has a first to a fourth one, an oco, bracket or oto group the others.
    """

    NONE = 0
    ENTRY = 1
    TAKE_PROFIT = 2
    STOP_LOSS = 3
    FIRST = 11
    SECOND = 12
    THIRD = 13
    FOURTH = 14


class PositionIntent(IntEnum):
    """What a client means an order to do to the position (Alpaca ``position_intent``)."""

    NONE = 0
    BUY_TO_OPEN = 1
    BUY_TO_CLOSE = 2
    SELL_TO_OPEN = 3
    SELL_TO_CLOSE = 4


class Execution(IntEnum):
    """How the legs of a multi-leg order trade: all in one step, or one after the other."""

    SIMULTANEOUS = 0
    SEQUENTIAL = 1


class ConstraintKind(IntEnum):
    """What must hold between the prices of two legs."""

    WITHIN = 1
    """The one is at most a part of the other away from it."""
    LINEAR = 2
    """Multiples of both add up to no more than an amount."""


class StrategyStatus(IntEnum):
    """Where a multi-leg order is in its life."""

    WORKING = 0
    UNWINDING = 1
    UNWOUND = 2
    FILLED = 3
    CANCELED = 4
    EXPIRED = 5


class Right(IntEnum):
    """Whether an option is one to sell or to buy (FIX tag 201)."""

    PUT = 0
    CALL = 1


class ExerciseStyle(IntEnum):
    """When an option may be exercised (FIX tag 1194). Here both are, at expiry alone."""

    EUROPEAN = 0
    AMERICAN = 1


class OptionEnd(IntEnum):
    """What became of a holding of an option at its expiry."""

    EXPIRED = 1
    EXERCISED = 2
    ASSIGNED = 3


class Adjustment(IntEnum):
    """Why the venue changed an order's quantity, holds or readiness without being asked."""

    OTHER_LEG_FILLED = 1
    ENTRY_FILLED = 2
    ENTRY_ENDED = 3
    POSITION_SHRANK = 4
    GROUP_REPLACED = 5
    STOP_TRIGGERED = 6
    BECAME_OPENING = 7
    PROTECTED = 8
    CLOSING = 10


class GroupPhase(IntEnum):
    """Where a group of linked orders is in its life."""

    WAITING = 0
    WORKING = 1
    STOPPED = 2
    ENDED = 3


class GroupEnd(IntEnum):
    """Why a group is over."""

    TAKE_PROFIT = 1
    STOP_LOSS = 2
    CANCELED = 3
    EXPIRED = 4
    POSITION_CLOSED = 5
    ENTRY_UNFILLED = 6
    SELF_TRADE = 7


class DueAs(IntEnum):
    """What an account's trade is until it settles.

    `AS_POSTED` was booked before what is due was kept exactly: it settles in the cents it posted.
    """

    AS_POSTED = 0
    PAYABLE = 1
    RECEIVABLE = 2


class Ledger(IntEnum):
    """The accounts of the double-entry ledger that every party keeps; debits are positive."""

    CASH = 1
    RECEIVABLE = 2
    CLEARING = 3
    FUNDING = 4
    FEES = 5
    PAYABLE = 6
    HELD = 7
    AVAILABLE = 8
    SECURITIES = 9
    REALIZED = 10
    COMMISSION = 11
    ROUNDING = 12

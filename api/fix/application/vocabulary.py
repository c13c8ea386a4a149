"""FIX's words for the codes of the venue, a table each, and back.

What FIX 4.4 has no word for stands in Text(58): nothing is sent that its dictionary lacks.
"""

from __future__ import annotations

from typing import NamedTuple

from domain.events import (
    MultiLegCanceled,
    MultiLegEvent,
    MultiLegExecuted,
    MultiLegExpired,
    MultiLegPlaced,
    MultiLegRejected,
    MultiLegReplaced,
    MultiLegUnwinding,
    MultiLegUnwound,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTrailed,
    OrderTriggered,
)
from domain.terms import (
    Adjustment,
    CancelReason,
    Liquidity,
    OrderClass,
    OrderStatus,
    OrderType,
    Side,
    StrategyStatus,
    TimeInForce,
)

SIDES: dict[int, bytes] = {Side.BUY: b"1", Side.SELL: b"2"}
"""Side(54)."""

ORD_TYPES: dict[int, bytes] = {
    OrderType.MARKET: b"1",
    OrderType.LIMIT: b"2",
    OrderType.STOP: b"3",
    OrderType.STOP_LIMIT: b"4",
    OrderType.TRAILING_STOP: b"P",
}
"""OrdType(40); a trailing stop is pegged, by ExecInst(18) a."""

TIMES_IN_FORCE: dict[int, bytes] = {
    TimeInForce.DAY: b"0",
    TimeInForce.GTC: b"1",
    TimeInForce.OPG: b"2",
    TimeInForce.IOC: b"3",
    TimeInForce.FOK: b"4",
    TimeInForce.GTD: b"6",
    TimeInForce.CLS: b"7",
}
"""TimeInForce(59)."""

NEW, PARTIALLY_FILLED, FILLED = b"0", b"1", b"2"
CANCELED, REPLACED, REJECTED, SUSPENDED = b"4", b"5", b"8", b"9"
EXPIRED, RESTATED, TRADE, TRADE_CORRECT, TRADE_CANCEL, STATUS = b"C", b"D", b"F", b"G", b"H", b"I"

ORD_STATUSES: dict[int, bytes] = {
    OrderStatus.NEW: NEW,
    OrderStatus.PARTIALLY_FILLED: PARTIALLY_FILLED,
    OrderStatus.FILLED: FILLED,
    OrderStatus.CANCELED: CANCELED,
    OrderStatus.REJECTED: REJECTED,
    OrderStatus.HELD: SUSPENDED,
    OrderStatus.EXPIRED: EXPIRED,
}
"""OrdStatus(39)."""

EXEC_TYPES: dict[type[OrderEvent], bytes] = {
    OrderAccepted: NEW,
    OrderRejected: REJECTED,
    OrderTriggered: RESTATED,
    OrderTrailed: RESTATED,
    OrderAdjusted: RESTATED,
    OrderReplaced: REPLACED,
    OrderFilled: TRADE,
    OrderFillBusted: TRADE_CANCEL,
    OrderFillCorrected: TRADE_CORRECT,
    OrderCanceled: CANCELED,
    OrderExpired: EXPIRED,
}
"""ExecType(150) of each event of an order; of one that is held, or is no longer, see `reports`."""


STRATEGY_EXEC_TYPES: dict[type[MultiLegEvent], bytes] = {
    MultiLegPlaced: NEW,
    MultiLegRejected: REJECTED,
    MultiLegReplaced: REPLACED,
    MultiLegExecuted: TRADE,
    MultiLegCanceled: CANCELED,
    MultiLegExpired: EXPIRED,
    MultiLegUnwinding: RESTATED,
    MultiLegUnwound: CANCELED,
}
"""ExecType(150) of each event of a multi-leg order."""
STRATEGY_STATUSES: dict[int, bytes] = {
    StrategyStatus.WORKING: NEW,
    StrategyStatus.UNWINDING: PARTIALLY_FILLED,
    StrategyStatus.UNWOUND: CANCELED,
    StrategyStatus.FILLED: FILLED,
    StrategyStatus.CANCELED: CANCELED,
    StrategyStatus.EXPIRED: EXPIRED,
}
"""OrdStatus(39) of a multi-leg order."""
OF_LEG, OF_WHOLE = b"2", b"3"
"""MultiLegReportingType(442): a report of a leg, or of the multi-leg order itself."""


class Restated(NamedTuple):
    """Why an order is restated: ExecRestatementReason(378), and in words."""

    reason: bytes
    text: str


BY_MARKET = b"8"
ADJUSTMENTS: dict[int, Restated] = {
    Adjustment.OTHER_LEG_FILLED: Restated(BY_MARKET, "the other leg traded"),
    Adjustment.ENTRY_FILLED: Restated(BY_MARKET, "the entry traded"),
    Adjustment.ENTRY_ENDED: Restated(BY_MARKET, "the entry ended"),
    Adjustment.POSITION_SHRANK: Restated(BY_MARKET, "the position shrank"),
    Adjustment.GROUP_REPLACED: Restated(BY_MARKET, "another leg was replaced"),
    Adjustment.STOP_TRIGGERED: Restated(BY_MARKET, "the stop was triggered"),
    Adjustment.BECAME_OPENING: Restated(BY_MARKET, "it opens a position now"),
    Adjustment.PROTECTED: Restated(BY_MARKET, "it works at its protection price"),
    Adjustment.CLOSING: Restated(BY_MARKET, "the closing auction begins"),
}
TRAILED = Restated(b"3", "the stop follows the market")
TRIGGERED = Restated(BY_MARKET, "triggered")

CANCEL_TEXTS: dict[int, str] = {
    CancelReason.CLIENT: "canceled as asked",
    CancelReason.IMMEDIATE_OR_CANCEL: "immediate or cancel: the rest did not trade",
    CancelReason.FILL_OR_KILL: "fill or kill: not all of it could trade",
    CancelReason.SELF_TRADE: "would have traded with an order of the same owner",
    CancelReason.COLLAR: "the rest would trade outside the collar",
    CancelReason.OPERATOR: "canceled by the venue",
    CancelReason.NO_LIQUIDITY: "nobody to trade with",
    CancelReason.OTHER_LEG: "the other leg of its group traded",
    CancelReason.GROUP: "its group was canceled",
    CancelReason.ENTRY_UNFILLED: "the entry of its group bought nothing",
    CancelReason.POSITION_CLOSED: "the position is closed",
    CancelReason.BUSTED: "its trades were busted",
    CancelReason.PROTECTION: "the rest would trade beyond the protection price",
    CancelReason.OPENING_AUCTION: "did not trade in the opening auction",
    CancelReason.CLOSING_AUCTION: "did not trade in the closing auction",
    CancelReason.NOTIONAL: "the rest of the amount buys no lot",
    CancelReason.LEG_INCOMPLETE: "a leg did not follow the others in time",
}
"""Text(58) of an order that was canceled."""

LIQUIDITY: dict[int, bytes] = {
    Liquidity.ADDED: b"1",
    Liquidity.REMOVED: b"2",
    Liquidity.AUCTION: b"",
}
"""LastLiquidityInd(851); FIX 4.4 has none for auctions."""

CONTINGENCIES: dict[tuple[bytes, int], int] = {
    (b"1", 2): OrderClass.OCO,
    (b"2", 2): OrderClass.OTO,
    (b"2", 3): OrderClass.BRACKET,
}
"""What a list of so many orders asks to be by ContingencyType(1385), as later versions of FIX have
it, or by the session's own tag: 1 is one cancels the other, 2 one triggers the others.
"""


class ListOrderStatus:
    """ListOrderStatus(431)."""

    EXECUTING = b"3"
    ALL_DONE = b"6"
    REJECT = b"7"


class OrdRejReason:
    """Values of OrdRejReason(103) for what the gateway itself refuses; `api.refusals` has those
    of the venue's refusals.
    """

    UNKNOWN_ORDER = 5
    DUPLICATE_ORDER = 6
    UNSUPPORTED = 11
    UNKNOWN_ACCOUNT = 15
    OTHER = 99


class CxlRejReason:
    """Values of CxlRejReason(102) for what the gateway itself refuses."""

    UNKNOWN_ORDER = 1
    DUPLICATE_CL_ORD_ID = 6
    OTHER = 99


class BusinessReason:
    """Values of BusinessRejectReason(380)."""

    OTHER = 0
    UNKNOWN_ID = 1
    UNKNOWN_SECURITY = 2
    UNSUPPORTED_MESSAGE = 3
    NOT_AVAILABLE = 4
    FIELD_MISSING = 5
    NOT_AUTHORIZED = 6


class MDReqRejReason:
    """Values of MDReqRejReason(281)."""

    UNKNOWN_SYMBOL = b"0"
    DUPLICATE_ID = b"1"
    BANDWIDTH = b"2"
    PERMISSION = b"3"
    SUBSCRIPTION_TYPE = b"4"
    MARKET_DEPTH = b"5"
    UPDATE_TYPE = b"6"
    AGGREGATED_BOOK = b"7"
    ENTRY_TYPE = b"8"
    TRADING_SESSION = b"9"
    SCOPE = b"A"
    OPEN_CLOSE_SETTL_FLAG = b"B"
    IMPLICIT_DELETE = b"C"


class SessionReason:
    """Values of SessionRejectReason(373) that the application gives."""

    VALUE_INCORRECT = 5


SIDE_CODES = {word: int(code) for code, word in SIDES.items()}
ORD_TYPE_CODES = {word: int(code) for code, word in ORD_TYPES.items()}
TIME_IN_FORCE_CODES = {word: int(code) for code, word in TIMES_IN_FORCE.items()}

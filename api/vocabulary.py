"""The words that clients use for the codes of the venue, and back.

Alpaca's clients read some members into closed vocabularies of theirs, and fail at a word that
is not in them. There each of our words stands as what it does in theirs, and the exact one
beside it, under the same name with `exact_` before it.
"""

from __future__ import annotations

from typing import Literal

from domain.terms import (
    CancelReason,
    ConstraintKind,
    Execution,
    ExerciseStyle,
    Leg,
    OrderClass,
    OrderStatus,
    OrderType,
    PositionIntent,
    Right,
    SelfTrade,
    Side,
    StrategyStatus,
    TimeInForce,
)

OrderTypeName = Literal["market", "limit", "stop", "stop_limit", "trailing_stop"]
TimeInForceName = Literal["day", "gtc", "opg", "cls", "ioc", "fok", "gtd"]
AlpacaTimeInForceName = Literal["day", "gtc", "opg", "cls", "ioc", "fok"]
AssetClassName = Literal["us_equity", "us_option", "crypto"]
RightName = Literal["call", "put"]
StyleName = Literal["american", "european"]
SelfTradeName = Literal["cancel_newest", "cancel_oldest", "cancel_both"]
OrderClassName = Literal["simple", "oco", "bracket", "oto", "mleg"]
LegName = Literal["entry", "take_profit", "stop_loss", "first", "second", "third", "fourth"]
PositionIntentName = Literal["buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close"]
ExecutionName = Literal["simultaneous", "sequential"]
StrategyStatusName = Literal[
    "working", "unwinding", "unwound", "filled", "canceled", "expired", "rejected"
]
OrderStatusName = Literal[
    "new", "held", "partially_filled", "filled", "canceled", "expired", "replaced", "rejected"
]
CancelReasonName = Literal[
    "client",
    "immediate_or_cancel",
    "fill_or_kill",
    "self_trade",
    "no_liquidity",
    "collar",
    "protection",
    "opening_auction",
    "closing_auction",
    "notional",
    "leg_incomplete",
    "group",
    "position_closed",
    "operator",
    "busted",
    "session_end",
    "expired",
]
"""Why an order ended. `session_end` and `expired` are of orders whose time was over."""

UpdateName = Literal[
    "new",
    "held",
    "restated",
    "triggered",
    "partial_fill",
    "fill",
    "replaced",
    "canceled",
    "expired",
    "rejected",
    "trade_bust",
    "trade_correct",
    "unwinding",
    "unwound",
]
"""What an update of the stream tells of."""
AlpacaUpdateName = Literal[
    "new",
    "accepted",
    "restated",
    "partial_fill",
    "fill",
    "replaced",
    "canceled",
    "expired",
    "rejected",
]

RIGHTS = {right.name.lower(): int(right) for right in Right}
STYLES = {style.name.lower(): int(style) for style in ExerciseStyle}
SIDES = {side.name.lower(): int(side) for side in Side}
ORDER_TYPES = {kind.name.lower(): int(kind) for kind in OrderType}
TIMES_IN_FORCE = {kind.name.lower(): int(kind) for kind in TimeInForce}
SELF_TRADES = {kind.name.lower(): int(kind) for kind in SelfTrade}
ORDER_CLASSES = {kind.name.lower(): int(kind) for kind in OrderClass}
EXECUTIONS = {kind.name.lower(): int(kind) for kind in Execution}
POSITION_INTENTS = {kind.name.lower(): int(kind) for kind in PositionIntent if kind}

SIDE_NAMES = {code: name for name, code in SIDES.items()}
ORDER_TYPE_NAMES = {code: name for name, code in ORDER_TYPES.items()}
TIME_IN_FORCE_NAMES = {code: name for name, code in TIMES_IN_FORCE.items()}
_ALPACA_TIMES_IN_FORCE: dict[str, AlpacaTimeInForceName] = {"gtd": "gtc"}
"""A gtd order works until it is canceled, or until `expires_at`, which stands beside it."""
ALPACA_TIME_IN_FORCE_NAMES = {
    code: _ALPACA_TIMES_IN_FORCE.get(name, name) for code, name in TIME_IN_FORCE_NAMES.items()
}
_ALPACA_UPDATES: dict[UpdateName, AlpacaUpdateName] = {
    "held": "accepted",
    "triggered": "restated",
    "trade_bust": "restated",
    "trade_correct": "restated",
    "unwinding": "restated",
    "unwound": "canceled",
}
"""A held leg is accepted and works later; what the venue did to an order restates it. A multi-leg
order that was unwound is over and traded nothing whole.
"""
ORDER_CLASS_NAMES = {code: name for name, code in ORDER_CLASSES.items()}
ORDER_STATUS_NAMES = {int(status): status.name.lower() for status in OrderStatus}
CANCEL_REASON_NAMES: dict[int, CancelReasonName] = {
    CancelReason.CLIENT: "client",
    CancelReason.IMMEDIATE_OR_CANCEL: "immediate_or_cancel",
    CancelReason.FILL_OR_KILL: "fill_or_kill",
    CancelReason.SELF_TRADE: "self_trade",
    CancelReason.NO_LIQUIDITY: "no_liquidity",
    CancelReason.COLLAR: "collar",
    CancelReason.PROTECTION: "protection",
    CancelReason.OPENING_AUCTION: "opening_auction",
    CancelReason.CLOSING_AUCTION: "closing_auction",
    CancelReason.NOTIONAL: "notional",
    CancelReason.LEG_INCOMPLETE: "leg_incomplete",
    # The trail tells which: the other exit ran, a leg was canceled, the entry bought nothing.
    CancelReason.OTHER_LEG: "group",
    CancelReason.GROUP: "group",
    CancelReason.ENTRY_UNFILLED: "group",
    CancelReason.POSITION_CLOSED: "position_closed",
    CancelReason.OPERATOR: "operator",
    CancelReason.BUSTED: "busted",
}
EXECUTION_NAMES = {code: name for name, code in EXECUTIONS.items()}
POSITION_INTENT_NAMES = {code: name for name, code in POSITION_INTENTS.items()}
STRATEGY_STATUS_NAMES = {int(status): status.name.lower() for status in StrategyStatus}
CONSTRAINT_NAMES = {int(kind): kind.name.lower() for kind in ConstraintKind}
LEG_NAMES = {int(leg): leg.name.lower() for leg in Leg if leg}


def alpaca_update(name: UpdateName) -> str:
    """What Alpaca's clients call an update."""
    return _ALPACA_UPDATES.get(name, name)

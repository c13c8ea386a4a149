"""alpaca-py's names, imported past the warning of the deprecated WebSocket client it uses."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from alpaca.common.exceptions import APIError
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import (
        OrderSide,
        OrderStatus,
        OrderType,
        QueryOrderStatus,
        TimeInForce,
        TradeEvent,
    )
    from alpaca.trading.models import TradeUpdate
    from alpaca.trading.requests import (
        ClosePositionRequest,
        GetOrdersRequest,
        LimitOrderRequest,
        MarketOrderRequest,
        ReplaceOrderRequest,
        StopLimitOrderRequest,
        StopOrderRequest,
    )
    from alpaca.trading.stream import TradingStream

__all__ = [
    "APIError",
    "ClosePositionRequest",
    "GetOrdersRequest",
    "LimitOrderRequest",
    "MarketOrderRequest",
    "OrderSide",
    "OrderStatus",
    "OrderType",
    "QueryOrderStatus",
    "ReplaceOrderRequest",
    "StopLimitOrderRequest",
    "StopOrderRequest",
    "TimeInForce",
    "TradeEvent",
    "TradeUpdate",
    "TradingClient",
    "TradingStream",
]

"""alpaca-py's names, imported past the warning of the deprecated WebSocket client it uses."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from alpaca.common.enums import Sort
    from alpaca.common.exceptions import APIError
    from alpaca.trading import models
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import (
        AssetClass,
        AssetExchange,
        AssetStatus,
        CorporateActionType,
        OrderClass,
        OrderSide,
        OrderStatus,
        OrderType,
        QueryOrderStatus,
        TimeInForce,
        TradeActivityType,
        TradeEvent,
    )
    from alpaca.trading.models import (
        Asset,
        Clock,
        Order,
        Position,
        TradeAccount,
        TradeActivity,
        TradeUpdate,
    )
    from alpaca.trading.requests import (
        CancelOrderResponse,
        ClosePositionRequest,
        GetAssetsRequest,
        GetCorporateAnnouncementsRequest,
        GetOptionContractsRequest,
        GetOrderByIdRequest,
        GetOrdersRequest,
        LimitOrderRequest,
        MarketOrderRequest,
        ReplaceOrderRequest,
        StopLimitOrderRequest,
        StopLossRequest,
        StopOrderRequest,
        TakeProfitRequest,
    )
    from alpaca.trading.stream import TradingStream

__all__ = [
    "APIError",
    "Asset",
    "AssetClass",
    "AssetExchange",
    "AssetStatus",
    "CancelOrderResponse",
    "Clock",
    "ClosePositionRequest",
    "CorporateActionType",
    "GetAssetsRequest",
    "GetCorporateAnnouncementsRequest",
    "GetOptionContractsRequest",
    "GetOrderByIdRequest",
    "GetOrdersRequest",
    "LimitOrderRequest",
    "MarketOrderRequest",
    "Order",
    "OrderClass",
    "OrderSide",
    "OrderStatus",
    "OrderType",
    "Position",
    "QueryOrderStatus",
    "ReplaceOrderRequest",
    "Sort",
    "StopLimitOrderRequest",
    "StopLossRequest",
    "StopOrderRequest",
    "TakeProfitRequest",
    "TimeInForce",
    "TradeAccount",
    "TradeActivity",
    "TradeActivityType",
    "TradeEvent",
    "TradeUpdate",
    "TradingClient",
    "TradingStream",
    "models",
]

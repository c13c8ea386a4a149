"""The WebSocket side of the API: trade updates and market data streams."""

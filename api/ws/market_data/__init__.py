"""The WebSocket channels of market data: books, trades and quotes as clients are told them."""

"""Depth, last prices and candles, kept from committed events and fanned out to subscribers."""

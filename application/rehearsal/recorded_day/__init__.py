"""Sends a day of recorded order flow through the venue and compares what both did."""

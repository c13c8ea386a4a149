"""Measurements of the real thing, one file a benchmark, run by `nexus bench`."""

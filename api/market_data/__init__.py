"""Market data between processes: what is said, who tells it, and the mirror of who is told."""

"""The log on PostgreSQL and in memory: the one room that knows how events are stored."""

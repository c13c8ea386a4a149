"""What the channels of a process have done, for whoever watches it."""

from __future__ import annotations


class ChannelCounts:
    """What was done for clients since the process began."""

    def __init__(self) -> None:
        self.clients = 0
        self.opened = 0
        self.frames = 0
        self.messages = 0
        self.made = 0
        """Messages that were made; each may have been sent to many."""
        self.skipped = 0
        self.dropped = 0
        self.slow = 0
        """Clients that were sent away because they did not read."""
        self.stale = 0
        """How often the feed was found to be stale."""

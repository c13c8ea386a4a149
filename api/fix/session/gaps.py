"""What a client's numbers leave out: what came ahead of its turn, and what was asked for again."""

from __future__ import annotations

from api.fix.codec import Message

AHEAD_MOST = 5_000
AHEAD_BYTES = 8_388_608
"""Messages kept that came ahead of their turn; what is beyond is asked for again later."""
ASK_AGAIN_SECONDS = 30.0
ASKED_MOST = 3
"""How often the same gap is asked for before the session is given up."""


class Gap:
    """The messages that are missing, of one session."""

    def __init__(self) -> None:
        self._ahead: dict[int, Message | None] = {}
        self._bytes = 0
        self._highest = 0
        self._asked_last = 0
        self._asked_at = 0.0
        self._times = 0

    @property
    def open(self) -> bool:
        """Whether anything is missing, as far as is known."""
        return self._highest > 0

    def keep(self, seq_num: int, message: Message | None) -> None:
        """Keep what came ahead of its turn; None stands for what was answered at once."""
        self._highest = max(self._highest, seq_num)
        size = len(message.raw) if message is not None else 0
        if len(self._ahead) >= AHEAD_MOST or self._bytes + size > AHEAD_BYTES:
            return
        if seq_num not in self._ahead:
            self._ahead[seq_num] = message
            self._bytes += size

    def holds(self, seq_num: int) -> bool:
        """Whether a message came ahead under this number and was kept."""
        return seq_num in self._ahead

    def take(self, seq_num: int) -> Message | None:
        """What came ahead under a number; None where it was answered when it came."""
        message = self._ahead.pop(seq_num)
        self._bytes -= len(message.raw) if message is not None else 0
        return message

    def moved(self, next_in: int, now: float) -> None:
        """Note that the turn is another number's: something missing came or was passed over."""
        self._asked_at = now
        self._times = 0
        if next_in > self._highest:
            self._ahead.clear()
            self._bytes = self._highest = self._asked_last = 0

    def passed(self, next_in: int) -> None:
        """Forget what is below a number that was jumped to."""
        for seq_num in [kept for kept in self._ahead if kept < next_in]:
            self.take(seq_num)

    def asks(self, next_in: int, most: int, now: float) -> tuple[int, int] | None:
        """The range to ask for now; None while it is asked for, or nothing is missing.

        Without a bound (`most` is 0) all there is from the first missing one on is asked for,
        which is written as an end of 0.
        """
        if self._highest < next_in or self._asked_last >= next_in or next_in in self._ahead:
            return None
        last = self._highest - 1 if self._highest in self._ahead else self._highest
        bounded = most > 0
        self.asked(min(last, next_in + most - 1) if bounded else last, now)
        return next_in, self._asked_last if bounded else 0

    def asked(self, last: int, now: float) -> None:
        """Note that the client was asked for all up to a number, or sends it by itself."""
        self._asked_last, self._asked_at = last, now
        self._times += 1

    def overdue(self, now: float) -> bool:
        """Whether what was asked for does not come in the time it is given."""
        return self._asked_last > 0 and now - self._asked_at >= ASK_AGAIN_SECONDS

    def hopeless(self) -> bool:
        """Whether the same was asked for often enough; if not, it may be asked for again."""
        self._asked_last = 0
        return self._times >= ASKED_MOST

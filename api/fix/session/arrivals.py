"""What of a session's own messages is known to have arrived at the client."""

from __future__ import annotations

TESTS_MOST = 16
"""How many questions of ours may be open at a time."""


class Arrivals:
    """Own numbers by what the client has shown to have read."""

    def __init__(self, arrived: int, logon: int) -> None:
        self.number = arrived
        """All up to this one have arrived."""
        self._logon = logon
        self._last_report = 0
        self._asked: dict[bytes, int] = {}

    @property
    def awaited(self) -> bool:
        """Whether reports were sent that are not known to have arrived."""
        return self._last_report > self.number

    @property
    def in_step(self) -> bool:
        """Whether the client is known to have had all that this connection began with."""
        return self.number >= self._logon

    def asked(self, test_id: bytes, seq_num: int) -> None:
        """Note that a question was asked under a number."""
        self._asked[test_id] = seq_num
        if len(self._asked) > TESTS_MOST:
            del self._asked[next(iter(self._asked))]

    def reported(self, seq_num: int) -> None:
        """Note that a report was sent under a number."""
        self._last_report = seq_num

    def answered(self, test_id: bytes) -> None:
        """Note that the client answered a question: it read everything before it."""
        seq_num = self._asked.pop(test_id, None)
        if seq_num is not None:
            self.upto(seq_num)

    def upto(self, seq_num: int) -> None:
        """Note that everything up to a number has arrived."""
        self.number = max(self.number, seq_num)

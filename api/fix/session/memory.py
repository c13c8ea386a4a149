"""Numbers of sessions in memory, for tests, benchmarks and venues that begin anew each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from api.fix.ports import Numbered, Numbers, SessionId, Source


class MemorySessionStore:
    """What a session store keeps, without a database: it is gone with the process."""

    def __init__(
        self, log_end: Callable[[], int] = lambda: 0, now: Callable[[], int] = lambda: 0
    ) -> None:
        self._log_end = log_end
        self._now = now
        self._numbers: dict[SessionId, Numbers] = {}
        self._sent: dict[SessionId, dict[int, Numbered]] = {}
        self._uncertain: dict[SessionId, list[Source]] = {}

    async def open(self, session_id: SessionId) -> Numbers:
        """Take a session over, or begin it."""
        if session_id not in self._numbers:
            self._numbers[session_id] = Numbers(told=self._log_end(), began=self._now())
            self._sent[session_id] = {}
            self._uncertain[session_id] = []
        return self._numbers[session_id]

    async def save(
        self, session_id: SessionId, numbers: Numbers, sent: Sequence[Numbered] = ()
    ) -> None:
        """Keep where a session stands and what was numbered."""
        self._numbers[session_id] = numbers
        kept = self._sent[session_id]
        for row in sent:
            kept[row.seq_num] = row

    async def sent(self, session_id: SessionId, first: int, last: int) -> Sequence[Numbered]:
        """What a range of own numbers was used for; numbers of no report are left out."""
        kept = self._sent[session_id]
        if last - first > len(kept):
            return [kept[seq_num] for seq_num in sorted(kept) if first <= seq_num <= last]
        return [kept[seq_num] for seq_num in range(first, last + 1) if seq_num in kept]

    async def reset(self, session_id: SessionId, numbers: Numbers) -> None:
        """Begin the numbers anew; what had not arrived is uncertain."""
        arrived = self._numbers[session_id].arrived
        kept = self._sent[session_id]
        self._uncertain[session_id] += [
            kept[seq_num].source for seq_num in sorted(kept) if seq_num > arrived
        ]
        self._sent[session_id] = {}
        self._numbers[session_id] = numbers

    async def uncertain(self, session_id: SessionId) -> Sequence[Source]:
        """Reports sent before the last reset that are not known to have arrived, in order."""
        return sorted(set(self._uncertain[session_id]))

    async def settled(self, session_id: SessionId) -> None:
        """What was uncertain was sent again under new numbers."""
        self._uncertain[session_id] = []

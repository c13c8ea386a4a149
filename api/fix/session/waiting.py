"""What waits to be sent by a session, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from api.fix.ports import Report
from api.fix.session.hands import Fields

GROUP_REPORTS = 500
"""How many reports wait as one piece, where no event is cut by that."""
RESENDS_MOST = 8
"""How many ResendRequests of a client wait to be answered; more of them are rejected."""


class Said(NamedTuple):
    """A message of this moment."""

    msg_type: bytes
    body: bytes
    header: Fields = ()
    test_id: bytes = b""
    """By what the arrival of a TestRequest is noted."""


class Owed(NamedTuple):
    """Reports, with the log position up to which the session is told by them."""

    reports: Sequence[Report]
    up_to: int
    resent: bool


class Again(NamedTuple):
    """A range of numbers to send again; to the newest when its end is 0."""

    first: int
    last: int


class Pending(NamedTuple):
    """A message with its number, not yet written."""

    seq_num: int
    msg_type: bytes
    body: bytes
    header: Fields


class Waiting:
    """A queue of messages, reports and resends of one session."""

    def __init__(self) -> None:
        self.items: deque[Said | Owed | Again] = deque()
        self.reports = 0
        """How many reports are among them."""
        self.resends = 0
        """How many resends are among them or under way."""
        self.said = 0
        """How many messages of the moment are among them."""

    def say(self, said: Said) -> None:
        """Add a message of this moment."""
        self.said += 1
        self.items.append(said)

    def owe(self, reports: Sequence[Report], up_to: int, *, resent: bool) -> None:
        """Add reports, cut between events: each piece is told whole or not at all."""
        start = 0
        for end in _cuts(reports):
            whole = resent or end == len(reports)
            told = up_to if whole else reports[end - 1].source.position
            self.items.append(Owed(reports[start:end], told, resent))
            start = end
        if not reports:
            last = self.items[-1] if self.items else None
            if type(last) is Owed and not last.reports:
                self.items.pop()
            self.items.append(Owed((), up_to, resent))
        self.reports += len(reports)

    def again(self, first: int, last: int) -> bool:
        """Add a resend, unless the same waits; False when too many wait."""
        asked = Again(first, last)
        if any(type(item) is Again and item == asked for item in self.items):
            return True
        if self.resends >= RESENDS_MOST:
            return False
        self.resends += 1
        self.items.append(asked)
        return True

    def take(self) -> Said | Owed | Again:
        """The next one, which waits no more."""
        item = self.items.popleft()
        if type(item) is Owed:
            self.reports -= len(item.reports)
        elif type(item) is Said:
            self.said -= 1
        return item

    def overtaking(self) -> Said | None:
        """The next message of this moment, which waits no more, before reports and resends."""
        for place, item in enumerate(self.items):
            if type(item) is Said:
                del self.items[place]
                self.said -= 1
                return item
        return None

    def go_on(self, before: Waiting) -> None:
        """Add what waited elsewhere, and all of whose numbers are still to be given."""
        self.items += before.items
        self.reports += before.reports
        self.said += before.said

    def drop_reports(self) -> None:
        """Leave what has no number yet to be told another time."""
        self.items = deque(item for item in self.items if type(item) is not Owed)
        self.reports = 0

    def drop_resends(self) -> None:
        """Forget what was asked for again; what is under way goes on."""
        before = len(self.items)
        self.items = deque(item for item in self.items if type(item) is not Again)
        self.resends -= before - len(self.items)


def _cuts(reports: Sequence[Report]) -> list[int]:
    """Where reports may be cut into pieces: not within an event."""
    cuts, start = [], 0
    for place in range(1, len(reports)):
        if place - start >= GROUP_REPORTS and (
            reports[place].source.position != reports[place - 1].source.position
        ):
            cuts.append(place)
            start = place
    if reports:
        cuts.append(len(reports))
    return cuts

"""What an audit looks for, how often it looked, and what it found."""

from __future__ import annotations

from typing import NamedTuple

CHECKS: dict[str, str] = {
    "positions": "positions run from 1 without a gap",
    "versions": "the versions of each aggregate run from 1 without a gap",
    "time": "the time of events never goes back",
    "bytes": "stored bytes can be read, and written again are the same",
    "columns": "the typed columns of a row are what its event says",
    "commands": "the events of a command stand together, and command numbers grow",
    "causes": "the event named as a cause is there and came before",
    "postings": "the postings of an event sum to zero",
    "ledger": "the ledger of all parties sums to zero",
    "balances": "cash and unsettled are what the postings add up to",
    "cash": "cash and unsettled amounts follow from one event of an account to the next",
    "holds": "what an account holds back is the sum of its working orders' holds",
    "quantities": "quantity, cost and profit follow from one event of a position to the next",
    "reserves": "what a position reserves is the sum of its working orders' reserves",
    "life": "an order moves only as the table of its life allows",
    "fills": "the fills of an order add up, and never to more than its quantity",
    "trades": "both sides of a trade agree in price, quantity and amount",
    "bookings": "every fill is booked once in its account and once in its position",
    "limits": "nothing trades beyond its limit",
    "priority": "the order with the best price, and among these the oldest, trades first",
    "owners": "nobody trades with himself outside an auction",
    "phases": "nothing trades while its instrument is closed or halted",
    "crossed": "no book of an open instrument stands crossed after a command",
    "keys": "every request key is used once, and stored with its fingerprint and position",
    "views": "no view is ahead of the log",
    "desk_snapshots": "each desk snapshot is the replay of the log to its position",
    "aggregate_snapshots": "each aggregate snapshot and the later events are the full replay",
}
SHOWN = 20
"""How many violations of one check are kept; the others are counted."""


class Violation(NamedTuple):
    """One thing that is not as it should be; position 0 when it has none."""

    check: str
    position: int
    message: str


class Findings:
    """Collects violations; the first ones by position are kept whole."""

    def __init__(self) -> None:
        self.looked = dict.fromkeys(CHECKS, 0)
        self.failed = dict.fromkeys(CHECKS, 0)
        self._kept: dict[str, list[Violation]] = {name: [] for name in CHECKS}

    def fail(self, check: str, position: int, message: str) -> None:
        """Note one violation."""
        self.failed[check] += 1
        kept = self._kept[check]
        if len(kept) < SHOWN:
            kept.append(Violation(check, position, message))

    def violations(self) -> list[Violation]:
        """The first violations of every check, by position."""
        found = [violation for kept in self._kept.values() for violation in kept]
        return sorted(found, key=lambda violation: violation.position)

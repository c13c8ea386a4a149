"""What an audit looks for, how often it looked, and what it found."""

from __future__ import annotations

from typing import Any, NamedTuple

CHECKS: dict[str, str] = {
    "positions": "positions run from 1 without a gap",
    "versions": "the versions of each aggregate run from 1 without a gap",
    "time": "the time of events never goes back",
    "bytes": "stored bytes can be read, and written again are the same",
    "columns": "the typed columns of a row are what its event says",
    "commands": "the events of a command stand together, and command numbers grow",
    "causes": "the event named as a cause is there and came before",
    "postings": "the postings of an event sum to zero, in the ledgers of what it is",
    "ledger": "the ledger of all parties sums to zero",
    "balances": "cash, receivable and payable are what the postings add up to",
    "cash": "cash, receivable, payable and unpaid follow from one event of an account to the next",
    "commissions": "commissions follow from schedule, fills, minimum and cap, rounded on the total",
    "fill_values": "an account posts the exact value of all it trades, rounded on the total",
    "holds": "what an account holds back is the sum of its working orders' holds",
    "hold_sizes": "an order holds what the part that opens costs, and reserves what is free",
    "notionals": "what is for an amount trades for no more, and ends at once with its last lot",
    "buying_power": "no order holds more than was free",
    "quantities": "quantity, cost and profit follow from one event of a position to the next",
    "reserves": "what a position reserves is the sum of its working orders' reserves",
    "exits": "no more is reserved for exits than is held; what closes all positions opens none",
    "unpaid": "what unsettled proceeds pay for is marked until it settles, and not sold before",
    "obligations": "what is due on a value date is the sum of its trades",
    "settlements": "an obligation settles once, when due, and fails only for want of what it moves",
    "pool": "the house delivers what it received, and keeps what is still due",
    "margin_calls": "a call begins below maintenance and ends at it; who is called opens nothing",
    "expiries": "what is in the money is exercised and assigned in proportion; all of it ends once",
    "day_ends": "the end of a day values what is held at the close, adds up, and comes once",
    "kill_switches": "no order is taken that a kill switch or its owner's configuration rules out",
    "life": "an order moves only as the table of its life allows",
    "fills": "the fills of an order add up, and never to more than its quantity",
    "trades": "both sides of a trade agree in price, quantity and what it is worth",
    "bookings": "every fill is booked once in its account and once in its position",
    "limits": "nothing trades beyond its limit",
    "protections": "an order without a limit is bound by its protection; thin books end no exit",
    "trails": "a stop that trails stands where the best price seen puts it, and never goes back",
    "priority": "the order with the best price, and among these the oldest, trades first",
    "owners": "nobody trades with himself outside an auction",
    "phases": "nothing trades while its instrument is closed or halted",
    "auctions": "an auction trades the most that it can at one price; what is for one trades there",
    "crossed": "no book of an open instrument stands crossed after a command",
    "groups": "a group's quantities follow from its legs' fills, and its exits trade no more",
    "legs": "every event of a leg names its group and its place in it",
    "siblings": "the end of one exit ends the other in the same command; no leg outlives a group",
    "triggers": "a stop runs once its group knows, and its take-profit's rest was canceled before",
    "multilegs": "the legs of a multi-leg order trade in ratio in one command, and end with it",
    "net_prices": "every unit of a multi-leg order trades within its net price and constraints",
    "watchlists": "a watchlist holds listed instruments, each once, under a name of its own",
    "keys": "every request key is used once, and stored with its fingerprint and position",
    "api_keys": "every key is let in by an event, and stored as its newest event says",
    "forgotten": "of nobody who was forgotten a key is kept that opens his name",
    "views": "no view is ahead of the log",
    "desk_snapshots": "each desk snapshot is the replay of the log to its position",
    "aggregate_snapshots": "each aggregate snapshot and the later events are the full replay",
}
SHOWN = 20
"""How many violations of one check are kept; the others are counted."""


def within(cents: int) -> int:
    """What a record of 64 bits says of an amount."""
    return min(max(cents, 1 - 2**63), 2**63 - 1)


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

    def chain(self, check: str, position: int, field: str, said: Any, due: Any) -> None:
        """What an event says must be what the books had before and what moved."""
        self.looked[check] += 1
        if said != due:
            self.fail(check, position, f"{field} is {said}, from before it is {due}")

    def violations(self) -> list[Violation]:
        """The first violations of every check, by position."""
        found = [violation for kept in self._kept.values() for violation in kept]
        return sorted(found, key=lambda violation: violation.position)

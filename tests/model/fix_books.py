"""A FIX client that keeps its own books of what it is told, and knows nothing of the venue.

It takes text by tag, adds up what traded, and objects to whatever does not follow from what it was
told before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

FINAL = {"2", "4", "8", "C"}
NEXT: dict[str, set[str]] = {
    # ExecType: the statuses in which an order may be before it ("" is none).
    "0": {"", "9"},
    "9": {""},
    "8": {""},
    "5": {"0", "1", "9"},
    "D": {"0", "1", "9"},
    "F": {"0", "1"},
    "4": {"0", "1", "2", "9"},
    "C": {"0", "1", "9"},
    "G": {"0", "1", "2", "4", "C"},
    "H": {"0", "1", "2", "4", "C"},
}
AFTER: dict[str, set[str]] = {
    "0": {"0"}, "9": {"9"}, "8": {"8"}, "5": {"0", "1", "9"}, "D": {"0", "1", "9"},
    "F": {"1", "2"}, "4": {"4"}, "C": {"C"}, "G": {"0", "1", "2", "4", "C"},
    "H": {"0", "1", "2", "4", "C"},
}  # fmt: skip
"""ExecType: the statuses in which an order may be after it."""


class Account:
    """One order as its client has it."""

    def __init__(self) -> None:
        self.status = ""
        self.name = ""
        self.fills: dict[str, tuple[Fraction, Fraction]] = {}

    @property
    def traded(self) -> Fraction:
        """What of it traded, by the fills that stand."""
        return sum((qty for qty, _ in self.fills.values()), Fraction(0))

    @property
    def paid(self) -> Fraction:
        """What that was worth."""
        return sum((qty * price for qty, price in self.fills.values()), Fraction(0))


class FixBooks:
    """All that a session was told."""

    def __init__(self) -> None:
        self.orders: dict[str, Account] = {}
        self.others: set[str] = set()
        self.seen: set[str] = set()
        self.refusals = 0

    def take(self, fields: Sequence[tuple[int, str]]) -> None:
        """Take one report in; AssertionError where it contradicts what is known."""
        told = dict(fields)
        assert len(told) == len(fields), "a tag is said twice"
        if 150 not in told:
            self._refused(told)
            return
        assert told[17] not in self.seen, "an ExecID is used twice"
        self.seen.add(told[17])
        if told[37] not in self.orders and told[150] in "45":
            # Another's, which this client asked to cancel or to replace: no books are kept of it.
            assert 41 in told and told[39] in AFTER[told[150]]
            self.others.add(told[37])
            return
        order = self.orders.setdefault(told[37], Account())
        kind, status = told[150], told[39]
        assert order.status in NEXT[kind], f"{kind} after {order.status}"
        assert status in AFTER[kind], f"{status} by {kind}"
        self._named(order, told)
        if kind in "FGH":
            self._traded(order, told)
        order.status = status
        self._adds_up(order, told)

    def _refused(self, told: Mapping[int, str]) -> None:
        self.refusals += 1
        assert told[434] in "12" and told[102].isdigit()
        if told[37] == "NONE":
            assert told[39] == "8"
        elif told[37] in self.orders:
            assert told[39] == self.orders[told[37]].status

    def _named(self, order: Account, told: Mapping[int, str]) -> None:
        """A report names the order as it is called, or says what it was called before."""
        if 41 in told:
            assert told[41] == order.name
        elif order.name:
            assert told[11] == order.name
        if told[150] != "4" or 41 not in told:
            order.name = told[11]

    def _traded(self, order: Account, told: Mapping[int, str]) -> None:
        qty, price = Fraction(told[32]), Fraction(told[31])
        if told[150] == "F":
            order.fills[told[17]] = (qty, price)
            return
        assert order.fills[told[19]][0] == qty
        if told[150] == "H":
            del order.fills[told[19]]
        else:
            order.fills[told[19]] = (qty, price)

    def _adds_up(self, order: Account, told: Mapping[int, str]) -> None:
        assert Fraction(told[14]) == order.traded, "CumQty is not what traded"
        average = Fraction(told[6])
        if order.traded:
            assert abs(average * order.traded - order.paid) <= order.traded / 10**6, "AvgPx"
        else:
            assert not average
        leaves = Fraction(told[151])
        assert (leaves == 0) == (told[39] in FINAL), "LeavesQty does not fit OrdStatus"
        if 38 in told:
            assert order.traded + leaves <= Fraction(told[38])

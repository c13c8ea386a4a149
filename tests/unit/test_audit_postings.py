"""The audit finds what is posted to ledgers that are not the event's, though it sums to zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from domain import events as e
from domain.identifiers import HOUSE
from domain.terms import Ledger
from tests.model.tampering import UNKNOWN, Tamper, altered, tampered


def in_other_ledger(number: int, ledger: Ledger) -> Callable[[Any], Any]:
    """One posting stands in another ledger of the same party."""

    def change(postings: Any) -> Any:
        changed = list(postings)
        changed[number] = (changed[number][0], int(ledger), changed[number][2])
        return tuple(changed)

    return change


def beside(party: UUID, one: Ledger, other: Ledger) -> Callable[[Any], Any]:
    """A balanced cent more, between two ledgers of a party."""
    return lambda postings: (*postings, (party, int(one), 1), (party, int(other), -1))


@pytest.mark.parametrize(
    "tamper",
    [
        pytest.param(
            altered(e.CashDeposited, "postings", in_other_ledger(1, Ledger.FEES)),
            id="a deposit that is the house's income",
        ),
        pytest.param(
            altered(e.TradeBooked, "postings", beside(HOUSE, Ledger.CLEARING, Ledger.ROUNDING)),
            id="a cent between two trades",
        ),
        pytest.param(
            altered(e.TradeBooked, "postings", beside(HOUSE, Ledger.FEES, Ledger.FUNDING)),
            id="a cent between two ledgers of the house",
        ),
        pytest.param(
            altered(e.TradeReversed, "postings", beside(UNKNOWN, Ledger.CASH, Ledger.PAYABLE)),
            id="a stranger's cent",
        ),
    ],
)
def test_a_balanced_posting_to_a_ledger_that_is_not_the_events_is_found(tamper: Tamper) -> None:
    """Sums of zero are not enough: each event posts to the ledgers of what it is."""
    report, position = tampered(tamper)

    assert position in [one.position for one in report.violations if one.check == "postings"]

"""The table of refusals in the documents is made from the refusals, and each carries what helps."""

import pytest

from api.refusals import problem_document, refusal_of
from domain.errors import Rejection
from tests.refusal_table import DOCUMENT, sample, with_table

BARE = {
    "ACCOUNT_KILL_SWITCH",
    "COMMAND_QUARANTINED",
    "INTERNAL_ERROR",
    "INVALID_FIELD",
    "LEG_FIXED",
    "LEG_PRICE_ORDER",
    "MALFORMED_BODY",
    "MALFORMED_REQUEST",
    "NOTHING_TO_REPLACE",
    "NOT_AUTHORIZED",
    "NOT_FOUND",
    "QUEUE_FULL",
    "TOO_MANY_CONNECTIONS",
    "TRADE_SUSPENDED",
    "UPGRADE_REQUIRED",
    "VENUE_KILL_SWITCH",
    "VENUE_UNAVAILABLE",
}
"""Refusals with nothing to tell beyond their sentence and their field."""


def test_document_lists_every_refusal_as_it_is() -> None:
    """Who adds one, or a value to one, writes the table anew: `python -m tests.refusal_table`."""
    written = DOCUMENT.read_text()

    assert with_table(written) == written


@pytest.mark.parametrize("code", sorted(Rejection.by_code.keys() - BARE))
def test_refusal_carries_what_was_judged(code: str) -> None:
    """A client needs no reading of sentences to know the limit, or what is free."""
    document = problem_document(refusal_of(sample(Rejection.by_code[code])))

    assert document["details"]


@pytest.mark.parametrize("code", sorted(Rejection.by_code))
def test_details_repeat_no_member_that_a_problem_has_of_its_own(code: str) -> None:
    """The field, the leg and the first refusal stand beside them, and there is a sentence."""
    document = problem_document(refusal_of(sample(Rejection.by_code[code])))

    assert document["message"]
    assert {"field", "leg", "first"}.isdisjoint(document["details"])

"""Every refusal has its words outside, and they say enough."""

import re

import pytest

import api.refusals as refusals
from api.refusals import SAYS, field_of, problem, problem_document, refusal_of, status_of
from application.commands import Refusal
from domain.errors import InvalidField, Rejection, UnknownInstrument


def test_every_code_is_said_outside() -> None:
    """A code without a row would leave a client without an answer; a row without a code lies."""
    assert set(Rejection.by_code) == set(SAYS)


@pytest.mark.parametrize("code", sorted(SAYS))
def test_a_row_fits_http_and_fix(code: str) -> None:
    """Statuses are of HTTP, Alpaca's codes begin with theirs, FIX reasons are of FIX 4.4."""
    says = SAYS[code]

    assert says.status in {*range(400, 432), 500, 503}
    assert re.fullmatch(r"\d{8}", str(says.alpaca_code))
    assert str(says.alpaca_code).startswith(str(says.status)[:1])
    assert says.ord_rej_reason in {*range(17), 18, 99}
    assert says.cxl_rej_reason in {*range(7), 99}
    assert says.business_reason in range(8)
    assert bool(says.retry_after) == (says.status in (429, 503))


def test_a_problem_carries_both_vocabularies() -> None:
    """RFC 9457 members, Alpaca's code and message, our reason and the field."""
    answer = problem(refusal_of(InvalidField("qty", "must be greater than 0")), position=7)

    assert 422 == answer.status_code
    assert "application/problem+json" == answer.media_type
    assert "7" == answer.headers["X-Nexus-Position"]
    assert {
        "type": "urn:nexustrade:problem:INVALID_FIELD",
        "title": "Invalid field",
        "status": 422,
        "detail": "qty must be greater than 0",
        "code": 40010001,
        "message": "qty must be greater than 0",
        "reason": "INVALID_FIELD",
        "field": "qty",
        "leg": None,
        "details": {},
    } == problem_document(refusal_of(InvalidField("qty", "must be greater than 0")))


def test_what_the_path_names_and_is_unknown_is_not_there() -> None:
    """An unknown symbol is wrong input in a body and a missing thing in a path."""
    refusal = refusal_of(UnknownInstrument("NOPE"))

    assert (422, 404) == (status_of(refusal), status_of(refusal, ("symbol",)))


def test_the_writers_words_for_a_field_become_the_clients() -> None:
    """A refusal names the member that the client sent, not the writer's own word for it."""
    refusal = Refusal("INVALID_FIELD", "expires_at is not in the future", {"field": "expires_at"})

    document = problem_document(refusal)

    assert ("expire_at", "expire_at is not in the future") == (
        field_of(refusal),
        document["message"],
    )


def test_a_refused_take_profit_or_stop_loss_is_named_with_its_place() -> None:
    """The sentence and the field name the leg's own member, and `leg` says which leg it is."""
    refusal = Refusal(
        "PRICE_OUTSIDE_COLLAR",
        "limit_price 300.0000 is outside the collar 90.0000 to 110.0000",
        {"field": "take_profit.limit_price", "leg": "take_profit"},
    )

    document = problem_document(refusal)

    assert (
        "take_profit.limit_price",
        "take_profit",
        "take_profit.limit_price 300.0000 is outside the collar 90.0000 to 110.0000",
    ) == (document["field"], document["leg"], document["message"])


def test_what_passes_by_itself_says_when_to_ask_again() -> None:
    """Busy, unreachable and behind are 503 with Retry-After."""
    answer = problem(refusal_of(refusals.ProjectionBehind(9, 4)))

    assert (503, "1") == (answer.status_code, answer.headers["Retry-After"])

"""The whole order of the pre-trade checks, as docs/margin.md tells it and as orders meet it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from application.commands import (
    ChangeInstrument,
    ConfigureAccount,
    PlaceOrder,
    SetAccountStatus,
    SetKillSwitch,
    TransferPosition,
)
from domain import risk
from domain.errors import Rejection
from domain.terms import AccountKind, AccountStatus, OrderType, Side, TimeInForce
from tests.model.desk_harness import DeskHarness, code, shares, wire

DOCUMENT = Path(__file__).parents[2] / "docs" / "margin.md"
BUY, SELL = Side.BUY, Side.SELL
Step = Callable[[DeskHarness], object]


def nothing(_: DeskHarness) -> None:
    """Leave the venue as it is."""


class Check(NamedTuple):
    """What makes one check fail: terms of the order, orders before it, a setting."""

    code: str
    terms: Mapping[str, Any] = MappingProxyType({})
    before: Step = nothing
    setting: Step = nothing


CHECKS = [
    Check(
        "ACCOUNT_NOT_ACTIVE",
        setting=lambda v: v.ok(SetAccountStatus(v.a, int(AccountStatus.BLOCKED), "")),
    ),
    # An account that may only close holds nothing of what is not listed: it may do all again.
    Check(
        "UNKNOWN_INSTRUMENT",
        {"symbol": "Z"},
        setting=lambda v: v.ok(SetAccountStatus(v.a, int(AccountStatus.ACTIVE), "")),
    ),
    Check("INSTRUMENT_HALTED", {"time_in_force": int(TimeInForce.IOC)}, setting=DeskHarness.halt),
    Check("INVALID_FIELD", {"self_trade": 9}),
    Check("PRICE_PRECISION", {"limit_price": wire("49.99001")}),
    Check("TICK_VIOLATION", {"limit_price": wire("49.995")}),
    Check("LOT_VIOLATION", {"qty": shares("1200.25")}),
    Check(
        "ORDER_TOO_LARGE", setting=lambda v: v.ok(ChangeInstrument("X", max_order_qty=shares(1000)))
    ),
    Check("PRICE_OUTSIDE_COLLAR", {"limit_price": wire("49.99")}),
    Check("POST_ONLY_WOULD_TRADE", {"post_only": True}, lambda v: v.place(v.b, BUY, 1, 105)),
    Check(
        "POSITION_LIMIT_EXCEEDED",
        setting=lambda v: v.ok(ChangeInstrument("X", position_limit=shares(100))),
    ),
    Check(
        "FRACTION_NOT_ALLOWED",
        {"qty": shares("1200.5")},
        setting=lambda v: v.ok(ConfigureAccount(v.a, fractional_trading=False)),
    ),
    Check(
        "LIQUIDATION_ONLY",
        setting=lambda v: v.ok(SetAccountStatus(v.a, int(AccountStatus.CLOSING_ONLY), "")),
    ),
    Check("SHORTING_NOT_ALLOWED", setting=lambda v: v.ok(ConfigureAccount(v.a, no_shorting=True))),
    Check("LOCATE_REQUIRED", setting=lambda v: v.ok(ChangeInstrument("X", shortable=False))),
    Check("INSUFFICIENT_BUYING_POWER", before=lambda v: v.place(v.a, BUY, 1_000, 89)),
    Check("ACCOUNT_KILL_SWITCH", setting=lambda v: v.ok(SetKillSwitch(v.a, True))),
    Check("VENUE_KILL_SWITCH", setting=lambda v: v.ok(SetKillSwitch(None, True))),
    Check("TRADE_SUSPENDED", setting=lambda v: v.ok(ConfigureAccount(v.a, suspend_trade=True))),
]
GOOD: dict[str, Any] = {
    "symbol": "X",
    "side": int(SELL),
    "order_type": int(OrderType.LIMIT),
    "time_in_force": int(TimeInForce.GTC),
    "qty": shares(1200),
    "limit_price": wire(100),
    "stop_price": 0,
    "client_order_id": "judged",
}
"""Two hundred more than its account holds: an exit of 1,000 and a short sale of 200."""


def answer(failing: list[Check]) -> str:
    """The code that answers an order for which all of these checks fail."""
    venue = DeskHarness()
    venue.instrument(shortable=True, lot=shares("0.5"))
    venue.a = venue.account("a", 0, kind=AccountKind.MARGIN)
    venue.b = venue.account("b")
    venue.ok(TransferPosition(venue.a, "X", shares(1000), 0, "in"))
    terms = dict(GOOD)
    for check in failing:
        check.before(venue)
    for check in reversed(failing):
        check.setting(venue)
        terms.update(check.terms)
    return code(venue.send(PlaceOrder(venue.a, **terms)))


def documented() -> list[list[str]]:
    """The codes of each row of the document's table of checks."""
    section = DOCUMENT.read_text().partition("## The checks, in order")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [re.findall(r"`([A-Z_]+)`", row) for row in rows]


@pytest.mark.parametrize("first", range(len(CHECKS)), ids=[check.code for check in CHECKS])
def test_of_all_checks_that_fail_the_first_in_order_answers(first):
    """Everything is wrong from one check to the last: that one's code, whatever comes after."""
    assert CHECKS[first].code == answer(CHECKS[first:])


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_what_makes_a_check_fail_fails_that_check_alone(check):
    """Wrong in one way is refused for that; wrong in none is taken."""
    assert check.code == answer([check])
    assert "" == answer([])


def test_the_document_tells_the_checks_in_the_order_they_are_made():
    """Every row of its table is met here, in the same order."""
    rows, met = documented(), [check.code for check in CHECKS]

    assert met == [told for row in rows for told in row if told in met]
    assert [] == [row for row in rows if not set(row) & set(met)]


def test_every_refusal_that_a_check_may_end_in_is_told_by_the_document():
    """A check that is added is given its place in the table, and so is met here."""
    raised = {
        ast.unparse(node.exc.func)
        for node in ast.walk(ast.parse(Path(risk.__file__).read_text()))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    }
    codes = {code for code, kind in Rejection.by_code.items() if kind.__name__ in raised}

    assert len(raised) == len(codes) > 10
    assert codes <= {told for row in documented() for told in row}


def test_a_market_order_that_nothing_can_measure_is_not_measured():
    """Without a price there is no notional: that is said before any size is looked at."""
    venue = DeskHarness()
    venue.instrument(reference_price=0, max_order_qty=shares(1))
    rows, reference = documented(), "NO_REFERENCE_PRICE"

    assert reference == code(venue.place(venue.account("a"), BUY, 2))
    assert [[reference, "ORDER_TOO_LARGE"]] == [row for row in rows if reference in row]

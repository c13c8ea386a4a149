"""Every refusal of a new order, in the order they are reported: the first that fails answers."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from application.commands import ChangeInstrument, PlaceOrder, SetAccountLimits, SetAccountStatus
from domain.terms import Side
from tests.model.desk_harness import DeskHarness, cents, code, shares, trading_desk, wire

BUY, SELL = int(Side.BUY), int(Side.SELL)
Setting = Callable[[DeskHarness], Any]

BLOCKED: Setting = lambda v: v.ok(SetAccountStatus(v.a, 2, "review"))  # noqa: E731
CLOSED: Setting = lambda v: v.close()  # noqa: E731
HALTED: Setting = lambda v: v.halt()  # noqa: E731
SMALL: Setting = lambda v: v.ok(ChangeInstrument("X", max_order_qty=shares(2000)))  # noqa: E731
LIMITED: Setting = lambda v: v.ok(ChangeInstrument("X", position_limit=shares(1500)))  # noqa: E731


def nothing(_: DeskHarness) -> None:
    """Leave the venue as it is."""


# One row a check, in the documented order: what makes it fail, by setting or by term.
CHECKS: list[tuple[str, Setting, dict[str, Any]]] = [
    ("ACCOUNT_NOT_ACTIVE", BLOCKED, {}),
    ("UNKNOWN_INSTRUMENT", nothing, {"symbol": "Z"}),
    ("INVALID_FIELD", nothing, {"self_trade": 9}),
    ("PRICE_PRECISION", nothing, {"limit_price": wire("99.99001")}),
    ("LOT_VIOLATION", nothing, {"qty": shares("2000.5")}),
    ("ORDER_TOO_LARGE", SMALL, {"qty": shares(3000)}),
    ("PRICE_OUTSIDE_COLLAR", nothing, {"limit_price": wire("150.01")}),
    ("POST_ONLY_WOULD_TRADE", lambda v: v.place(v.b, Side.SELL, 1, 90), {"post_only": True}),
    ("POSITION_LIMIT_EXCEEDED", LIMITED, {"qty": shares(900)}),
    ("INSUFFICIENT_BUYING_POWER", lambda v: v.place(v.a, Side.BUY, 9_900, 89), {}),
]
GOOD = {
    "symbol": "X",
    "side": BUY,
    "order_type": 2,
    "time_in_force": 1,
    "qty": shares(1200),
    "limit_price": wire(100),
    "stop_price": 0,
    "client_order_id": "judged",
}


def placed(venue: DeskHarness, **terms: Any) -> str:
    """The code that answers an order of these terms."""
    return code(venue.send(PlaceOrder(venue.a, **{**GOOD, **terms})))


@pytest.mark.parametrize("row", range(len(CHECKS)), ids=[row[0] for row in CHECKS])
def test_each_check_refuses_with_its_own_code(row):
    """What is wrong in one way is refused for that."""
    expected, setting, terms = CHECKS[row]
    venue = trading_desk()
    venue.hold(venue.b, 20_000)
    setting(venue)
    assert expected == placed(venue, **terms)


@pytest.mark.parametrize("row", range(len(CHECKS) - 1), ids=[row[0] for row in CHECKS[:-1]])
def test_the_first_check_that_fails_answers(row):
    """An order wrong in every way from one row down is refused for the first of them."""
    venue = trading_desk()
    venue.hold(venue.b, 20_000)
    terms: dict[str, Any] = {}
    for _, setting, wrong in reversed(CHECKS[row:]):
        setting(venue)
        terms.update(wrong)
    assert CHECKS[row][0] == placed(venue, **terms)


TABLE: list[tuple[str, Setting, dict[str, Any]]] = [
    ("MARKET_CLOSED", CLOSED, {"order_type": 1, "limit_price": 0, "time_in_force": 4}),
    ("INSTRUMENT_HALTED", HALTED, {"time_in_force": 3}),
    ("MARKET_CLOSED", CLOSED, {"time_in_force": 3, "side": 7}),
    ("MARKET_CLOSED", CLOSED, {"time_in_force": 5, "side": 7}),
    ("INVALID_FIELD", nothing, {"side": 0}),
    ("INVALID_FIELD", nothing, {"order_type": 5}),
    ("INVALID_FIELD", nothing, {"time_in_force": 5}),
    ("INVALID_FIELD", nothing, {"limit_price": 0}),
    ("INVALID_FIELD", nothing, {"order_type": 1}),
    ("INVALID_FIELD", nothing, {"stop_price": wire(120)}),
    ("INVALID_FIELD", nothing, {"order_type": 3, "limit_price": 0}),
    ("INVALID_FIELD", nothing, {"time_in_force": 6}),
    ("INVALID_FIELD", nothing, {"expires_at": 2**61}),
    ("INVALID_FIELD", nothing, {"time_in_force": 6, "expires_at": 1}),
    ("INVALID_FIELD", nothing, {"time_in_force": 3, "post_only": True}),
    ("TICK_VIOLATION", nothing, {"limit_price": wire("99.995")}),
    ("TICK_VIOLATION", nothing, {"limit_price": -wire(100)}),
    ("LOT_VIOLATION", nothing, {"qty": 0}),
    ("LOT_VIOLATION", nothing, {"qty": -shares(1)}),
    (
        "ORDER_TOO_LARGE",
        lambda v: v.ok(ChangeInstrument("X", max_order_notional=cents(100_000))),
        {},
    ),
    ("ORDER_TOO_LARGE", lambda v: v.ok(SetAccountLimits(v.a, cents(100_000))), {}),
    ("LOT_VIOLATION", nothing, {"qty": shares(2 * 10**9)}),
    ("PRICE_OUTSIDE_COLLAR", nothing, {"side": SELL, "limit_price": wire("49.99")}),
    ("INSUFFICIENT_QTY", nothing, {"side": SELL}),
    ("", nothing, {"limit_price": wire("0.01")}),
    ("", nothing, {"side": SELL, "qty": shares(1000), "limit_price": wire(5_000)}),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}-{row[2]}")
def test_every_wrong_term_has_its_code(row):
    """Terms that do not fit each other, and bounds of every kind."""
    expected, setting, terms = row
    venue = trading_desk()
    setting(venue)
    assert expected == placed(venue, **terms)


def test_a_market_order_needs_a_reference_price():
    """Where nothing has traded and nothing was listed, only limits can be judged."""
    venue = trading_desk(reference_price=0)
    assert "NO_REFERENCE_PRICE" == placed(venue, order_type=1, limit_price=0)
    assert "" == placed(venue, limit_price=wire(500), qty=shares(1))


def test_the_stop_checks_look_before_money_does():
    """A stop through the market is refused for that, also when it could not be paid."""
    venue = trading_desk()
    venue.place(venue.b, Side.SELL, 1, 100)
    venue.place(venue.a, Side.BUY, 1, 100)
    terms = {"order_type": 3, "limit_price": 0, "stop_price": wire(99), "qty": shares(10**6)}
    assert "STOP_ALREADY_THROUGH" == placed(venue, **terms)


def test_a_closing_only_account_sells_what_it_holds_and_buys_nothing():
    """It may get out, and only that."""
    venue = trading_desk()
    venue.ok(SetAccountStatus(venue.a, 1, "leaving"))
    assert "ACCOUNT_NOT_ACTIVE" == placed(venue, qty=shares(1))
    assert "" == placed(venue, side=SELL, qty=shares(1000), limit_price=wire(120))
    assert "LIQUIDATION_ONLY" == placed(venue, side=SELL, qty=shares(1), limit_price=wire(120))
    empty = venue.account("empty")
    venue.ok(SetAccountStatus(empty, 1, "leaving"))
    assert "ACCOUNT_NOT_ACTIVE" == code(venue.place(empty, Side.SELL, 1, 120))


def test_the_position_limit_counts_every_working_buy():
    """With all of them filled the position stays within the limit; ended ones count no more."""
    venue = trading_desk()
    venue.ok(ChangeInstrument("X", position_limit=shares(1_100)))
    first = venue.place(venue.a, Side.BUY, 60, 90).order
    venue.place(venue.a, Side.BUY, 40, stop=110)
    assert "POSITION_LIMIT_EXCEEDED" == placed(venue, qty=shares(1))
    assert "POSITION_LIMIT_EXCEEDED" == code(venue.replace(venue.a, first.order_id, qty=61))
    venue.cancel(venue.a, first.order_id)
    assert "" == placed(venue, qty=shares(60))


def test_an_unknown_account_leaves_no_trace():
    """There is nobody to keep the refusal for."""
    venue = trading_desk()
    assert "UNKNOWN_ACCOUNT" == code(venue.send(PlaceOrder(uuid.UUID(int=9), **GOOD)))
    assert [] == venue.events

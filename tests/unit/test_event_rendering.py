"""Events as documents: no amount stays an integer, no code stays a number."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import get_type_hints
from uuid import UUID

import msgspec
import pytest

from application.log import event_rendering as rendering
from domain import events as e
from domain.account import Account, AccountTerms
from domain.aggregate import Aggregate
from domain.commission import EXACT_SCALE, Kind, Schedule
from domain.decision import Decision
from domain.events import DomainEvent
from domain.identifiers import HOUSE, uuid7
from domain.instrument import Instrument
from domain.money import to_decimal
from domain.oco import Oco
from domain.order import Order
from domain.position import Position
from domain.settlement import Settlement
from domain.terms import Adjustment, Leg
from domain.venue import Venue

COUNTS = {
    "month_after",
    "number",
    "owner_number",
    "sequence",
    "last_sequence",
    "price_decimals",
    "collar_bps",
    "cap_bps",
    "initial_margin_bps",
    "maintenance_margin_bps",
    "settlement_cycle",
    "max_orders_per_second",
    "attempts",
    "together",
}
KNOWN = (
    rendering.QUANTITIES
    | rendering.PRICES
    | rendering.OPTIONAL_PRICES
    | rendering.WIRE_PRICES
    | rendering.CENTS
    | rendering.INSTANTS
    | rendering.DATES
    | rendering.TERMS.keys()
)


@pytest.mark.parametrize("name", list(DomainEvent.by_topic))
def test_every_number_of_an_event_is_an_amount_a_name_or_a_count(name: str) -> None:
    """A new field with a scale or a code cannot be shown raw by being forgotten."""
    hints = get_type_hints(DomainEvent.by_topic[name])
    own = [field for field in DomainEvent.by_topic[name].__struct_fields__ if field in hints]

    raw = {
        field
        for field in own
        if hints[field] is int
        and field not in rendering.HEADER
        and field not in KNOWN
        and (DomainEvent.by_topic[name], field) not in rendering.OWN_TERMS
    }

    assert raw <= COUNTS


OWN_PLACES = {"tick": 4, "value": 12, "value_after": 12}
SHARES = {
    *("filled", "filled_after", "entry_filled_after", "leaves_after", "left", "left_after"),
    *("settled_after", "reserved_after", "pool_after", "lot", "position_limit"),
}
CODES = rendering.TERMS.keys() | {field for _, field in rendering.OWN_TERMS}
NO_AMOUNTS = COUNTS | CODES | rendering.INSTANTS | rendering.DATES
UNITS = 1_234_567_890_123
DIGITS = "98765432109876543210"


def places_of(kind: type[DomainEvent], field: str) -> int:
    """The decimal places of an amount by its name, on an instrument of four; money has two."""
    if field in OWN_PLACES:
        return OWN_PLACES[field]
    if field == "unpaid_after" and issubclass(kind, e.PositionEvent):
        return 8
    if "price" in field:
        return 9 if field.endswith("_wire") else 4
    return 8 if field in SHARES or "qty" in field else 2


def filled_in(kind: type[DomainEvent]) -> DomainEvent:
    """An event of a kind with the same number in every amount, one in all else."""
    hints, values = get_type_hints(kind), {}
    for field in kind.__struct_fields__:
        if hints[field] is int:
            plain = field in rendering.HEADER or field in NO_AMOUNTS
            values[field] = 4 if field == "price_decimals" else 1 if plain else UNITS
        elif hints[field] is str:
            digits = field in rendering.EXACT_USD | rendering.VALUES
            values[field] = DIGITS if digits else ""
        else:
            simple = {UUID: HOUSE, bytes: b"", bool: False}
            values[field] = simple.get(hints[field], {} if "dict" in str(hints[field]) else ())
    return kind(**values)


@pytest.mark.parametrize("name", list(DomainEvent.by_topic))
def test_every_amount_of_every_event_is_a_decimal_string_of_its_scale(name: str) -> None:
    """What leaves for other systems: text with all its places, and the same number again."""
    kind = DomainEvent.by_topic[name]
    event = filled_in(kind)

    document = json.loads(json.dumps(rendering.event_document(7, event, lambda _: 4)))

    for field in kind.__struct_fields__[len(rendering.HEADER) :]:
        shown = document[field]
        if getattr(event, field) == UNITS:
            assert isinstance(shown, str), field
            assert to_decimal(UNITS, places_of(kind, field)) == Decimal(shown), field
            assert places_of(kind, field) == len(shown.partition(".")[2]), field
        elif getattr(event, field) == DIGITS:
            places = places_of(kind, field) if field in rendering.VALUES else EXACT_SCALE
            assert to_decimal(int(DIGITS), places) == Decimal(shown), field
        else:
            assert not isinstance(shown, float), field


@pytest.mark.parametrize("kind", [Account, Instrument, Oco, Order, Position, Settlement, Venue])
def test_every_amount_of_a_state_is_a_decimal_string(kind: type[Aggregate]) -> None:
    """Of what `nexus replay` shows only counts are numbers."""
    state = kind.blank(uuid7(1, 0, 1, 1), 1)

    shown = rendering.aggregate_document(state, 4)

    counts = COUNTS | {"version", "month", "closed_after"}
    assert {name for name, value in shown.items() if type(value) is int} <= counts
    assert not [name for name, value in shown.items() if isinstance(value, float)]


def test_price_of_an_event_without_scale_takes_its_instruments() -> None:
    """A mark of 1234567 on an instrument of four decimals is 123.4567."""
    marked = e.InstrumentMarked(HOUSE, 3, 0, 0, "feed", "timer", HOUSE, 0, 1_234_567)

    assert {"price": "123.4567"} == rendering.event_fields(marked, lambda _: 4)


def test_postings_name_the_house_the_ledger_and_exact_dollars() -> None:
    """Who reads postings needs no table of codes."""
    charged = e.FeeCharged(
        HOUSE, 2, 0, 0, "a", "http", HOUSE, 0, "k", b"\x01", -5, 95, "", ((HOUSE, 5, 5),)
    )

    shown = rendering.event_fields(charged, lambda _: 0)

    assert "-0.05" == shown["amount"]
    assert [{"party": "house", "ledger": "fees", "amount": "0.05"}] == shown["postings"]


def test_digits_of_an_event_are_shown_as_decimals() -> None:
    """Text fields that hold exact integers are values or commissions, and each is rendered."""
    digits = {
        field
        for kind in DomainEvent.by_topic.values()
        for field, default in zip(
            reversed(kind.__struct_fields__), reversed(kind.__struct_defaults__), strict=False
        )
        if default == "0"
    }

    assert digits == rendering.EXACT_USD


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.00"),
        (10**24, "1.00"),
        (-(10**22) * 35, "-0.35"),
        (1, "0.000000000000000000000001"),
        (123 * 10**19, "0.00123"),
    ],
)
def test_exact_commission_has_the_decimals_it_needs(amount: int, text: str) -> None:
    """At least cents, at most the twenty-four that nothing is finer than."""
    assert text == rendering.exact_usd(amount)


def test_unpaid_is_money_of_an_account_and_shares_of_a_position() -> None:
    """One name, two scales: the event says whose it is."""
    settled = e.AccountSettled(
        HOUSE, 2, 0, 0, "a", "t", HOUSE, 0, HOUSE, HOUSE, 20261124, 5, 1, 1, 1, 150, ()
    )
    delivered = e.PositionSettled(
        HOUSE, 2, 0, 0, "a", "t", HOUSE, 0, HOUSE, HOUSE, HOUSE, 20261124, 5, 1, 150_000_000
    )

    assert "1.50" == rendering.event_fields(settled, lambda _: 4)["unpaid_after"]
    assert "1.50000000" == rendering.event_fields(delivered, lambda _: 4)["unpaid_after"]


@pytest.mark.parametrize(
    ("kind", "rate"), [(Kind.PER_SHARE, "0.005000000"), (Kind.BPS, "5000.000")]
)
def test_commission_rates_are_dollars_a_share_or_basis_points(kind: Kind, rate: str) -> None:
    """The same integer is another rate under another kind, in the event and in the state."""
    step = Decision(1, 0, 1, "t", "t", 1)
    account = Account.open(step, uuid7(1, 0, 1, 1), AccountTerms("n", "n", 1, 1))
    account.set_schedule(step, Schedule(int(kind), ((0, -5_000_000, 5_000_000),), 100, 50))

    shown = rendering.event_fields(step.events[-1], lambda _: 4)
    tier = {"from_qty": "0.00000000", "maker_rate": f"-{rate}", "taker_rate": rate}

    assert (kind.name.lower(), [tier], "1.00", 50) == (
        shown["kind"],
        shown["tiers"],
        shown["minimum"],
        shown["cap_bps"],
    )
    assert {name: shown[name] for name in ("kind", "tiers", "minimum", "cap_bps")} == (
        rendering.aggregate_document(account, 0)["schedule"]
    )


def test_order_of_no_group_shows_neither_group_nor_leg() -> None:
    """Nil ids and the empty leg read as null; a leg and a reason have their names."""
    adjusted = e.OrderAdjusted(
        *(HOUSE, 2, 0, 0, "a", "t", HOUSE, 0, HOUSE, HOUSE),
        *(int(Adjustment.POSITION_SHRANK), 2, 5, 0, 5, 7, 0, 5, 0, True),
    )
    shown = rendering.event_fields(adjusted, lambda _: 4)
    assert (None, None, "position_shrank", "new") == (
        shown["group_id"],
        shown["leg"],
        shown["reason"],
        shown["status_after"],
    )
    group = uuid7(1, 0, 1, 1)
    leg = msgspec.structs.replace(adjusted, group_id=group, leg=int(Leg.STOP_LOSS))
    shown = rendering.event_fields(leg, lambda _: 4)
    assert (str(group), "stop_loss") == (shown["group_id"], shown["leg"])


def test_prices_a_group_did_not_see_are_null() -> None:
    """A stop met by a fall saw no high price; the low one has its instrument's decimals."""
    met = e.GroupStopTriggered(
        *(HOUSE, 2, 0, 0, "a", "t", HOUSE, 0, HOUSE, HOUSE, int(Leg.STOP_LOSS)),
        *(HOUSE, 995_000, 0, False, 100_000_000),
    )

    shown = rendering.event_fields(met, lambda _: 4)

    assert ("99.5000", None, "1.00000000") == (
        shown["low_price"],
        shown["high_price"],
        shown["left"],
    )

"""Events as documents: no amount stays an integer, no code stays a number."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import get_type_hints
from uuid import UUID

import msgspec
import pytest
from eventsourcing.utils import resolve_topic

from application.desk.desk import Desk
from application.log import event_rendering as rendering
from application.log.event_rendering import Scales
from domain import events as e
from domain.account import Account, AccountTerms
from domain.aggregate import Aggregate
from domain.commission import Kind, Schedule
from domain.decision import Decision
from domain.events import DomainEvent, facts
from domain.identifiers import HOUSE, uuid7
from domain.money import to_decimal
from domain.terms import Adjustment, Leg
from domain.units import (
    EXACT_USD,
    Columns,
    Count,
    Details,
    Flag,
    Id,
    OneOf,
    Priced,
    Scaled,
    Unit,
    fields_of,
    to_digits,
)

HEADER = facts.HEADER
UNITS = 1_234_567_890_123
DIGITS = "98765432109876543210"
DECIMALS = 4
KINDS: list[type[Aggregate]] = [resolve_topic(kind) for kind in Desk()._aggregates]


def subclasses(kind: type[Unit]) -> set[type[Unit]]:
    """Every kind of unit there is."""
    return {kind, *(one for below in kind.__subclasses__() for one in subclasses(below))}


def test_every_kind_of_unit_is_shown() -> None:
    """A new kind of meaning cannot be forgotten here."""
    assert subclasses(Unit) - {Unit} == set(rendering._SHOWN)


def filled_in(kind: type[DomainEvent]) -> DomainEvent:
    """An event of a kind with the same number in every amount, one in all else."""
    units, hints = fields_of(kind), get_type_hints(kind)
    values: dict[str, object] = {}
    for field, unit in units.items():
        amount = isinstance(unit, Scaled | Priced)
        plain = {int: 1, str: "", UUID: HOUSE, bytes: b"", bool: False}
        if field == "price_decimals":
            values[field] = DECIMALS
        elif isinstance(unit, Columns):
            values[field] = tuple(HOUSE if isinstance(one, Id) else 1 for one in unit.units)
        elif amount:
            values[field] = DIGITS if hints[field] is str else UNITS
        else:
            values[field] = plain.get(hints[field], {} if isinstance(unit, Details) else ())
    return kind(**values)


@pytest.mark.parametrize("name", list(DomainEvent.by_topic))
def test_every_amount_of_every_event_is_a_decimal_string_of_its_scale(name: str) -> None:
    """What leaves for other systems: text with all its places, and the same number again."""
    kind = DomainEvent.by_topic[name]
    event = filled_in(kind)

    document = json.loads(json.dumps(rendering.event_document(7, event, lambda _: DECIMALS)))

    for field, unit in facts.fields_beside_header(kind).items():
        text = document[field]
        if isinstance(unit, Scaled | Priced):
            places = unit.places if isinstance(unit, Scaled) else DECIMALS + unit.more
            number = int(getattr(event, field))
            assert isinstance(text, str), field
            assert to_decimal(number, places) == Decimal(text), field
            trimmed = isinstance(unit, Scaled) and unit.trimmed
            assert trimmed or places == len(text.partition(".")[2]), field
        else:
            assert not isinstance(text, float), field
            assert type(text) is not int or isinstance(unit, Count), field


@pytest.mark.parametrize("name", list(DomainEvent.by_topic))
def test_every_code_of_every_event_is_shown_by_its_name(name: str) -> None:
    """Each value of each vocabulary, so that no reader needs a table of codes."""
    kind = DomainEvent.by_topic[name]
    event = filled_in(kind)

    for field, unit in facts.fields_beside_header(kind).items():
        if isinstance(unit, OneOf):
            for code in unit.terms:
                one = msgspec.structs.replace(event, **{field: int(code)})
                text = rendering.event_fields(one, lambda _: DECIMALS)[field]
                none = unit.zero_is_none and not code
                assert (None if none else code.name.lower()) == text


@pytest.mark.parametrize("kind", KINDS)
def test_every_amount_of_a_state_is_a_decimal_string(kind: type[Aggregate]) -> None:
    """Of what `nexus replay` shows only counts are numbers."""
    state = kind.blank(uuid7(1, 0, 1, 1), 1)
    units = facts.state_units(kind.KIND)

    shown = rendering.aggregate_document(state, 4)

    for name in kind.FIELDS:
        assert type(shown[name]) is not int or isinstance(units[name], Count), name
        assert not isinstance(shown[name], float), name


@pytest.mark.parametrize("kind", KINDS)
def test_state_is_shown_as_what_it_is(kind: type[Aggregate]) -> None:
    """A yes or no stays one, whatever else has its name elsewhere; ids stay ids."""
    state = kind.blank(uuid7(1, 0, 1, 1), 1)
    units = facts.state_units(kind.KIND)

    for name, blank in kind.FIELDS.items():
        assert isinstance(units[name], Flag) == isinstance(blank, bool), name
        assert isinstance(units[name], Id) == isinstance(blank, UUID), name
    shown = rendering.aggregate_document(state, 4)
    flags = {name: blank for name, blank in kind.FIELDS.items() if isinstance(blank, bool)}
    assert flags == {name: shown[name] for name in flags}


def test_settled_settlement_says_true_and_not_an_amount() -> None:
    """What is settled of a position is shares; of a settlement it is a yes."""
    settled = e.SettlementSettled(
        *(HOUSE, 1, 0, 0, "a", "t", HOUSE, 0, uuid7(1, 0, 1, 1), uuid7(1, 0, 1, 2)),
        *(20261124, 20261124, 100_000_000, -500, 1, 100_000_000, 0, 500, 0, 0, 1),
    )

    shown = rendering.aggregate_document(settled.mutate(None), 4)

    assert (True, "1.00000000", "-5.00") == (shown["settled"], shown["qty"], shown["amount"])


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
    assert text == rendering.shown(EXACT_USD, amount, Scales(4))
    assert text == rendering.shown(EXACT_USD, to_digits(amount), Scales(4))


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

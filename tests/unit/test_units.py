"""Units: every field says what its numbers mean, and nobody keeps lists of names."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
import pytest
from eventsourcing.utils import resolve_topic

from domain import terms
from domain.account import Account
from domain.aggregate import Aggregate
from domain.api_key import ApiKey
from domain.commission import Kind
from domain.events import AGGREGATE_KINDS, DomainEvent, InstrumentMarked, facts
from domain.events.base import Posting
from domain.identifiers import HOUSE, NO_ID, AccountId
from domain.instrument import Instrument
from domain.multileg import MultiLegOrder
from domain.oco import Oco
from domain.order import Order
from domain.position import Position
from domain.settlement import Settlement
from domain.units import (
    DAY,
    INSTANT,
    QTY,
    Binary,
    Columns,
    Count,
    Id,
    Many,
    Moment,
    OneOf,
    Party,
    Priced,
    Qty,
    Scaled,
    Tier,
    Unit,
    Words,
    fields_of,
    from_digits,
    to_digits,
    unit_of,
)
from domain.upcasts import UPCASTS
from domain.venue import Venue
from domain.watchlist import Watchlist

EVENTS = list(DomainEvent.by_topic.values())
OLD = [shape for shape, _ in UPCASTS.values()]
AGGREGATES = [
    *(Account, Instrument, ApiKey, MultiLegOrder, Oco, Order, Position, Settlement, Venue),
    Watchlist,
]


@pytest.mark.parametrize("kind", [*EVENTS, *OLD], ids=lambda kind: kind.TOPIC)
def test_every_field_of_every_event_has_a_unit(kind: type[DomainEvent]) -> None:
    """A bare integer or id says nothing to whoever renders, stores or publishes it."""
    assert list(fields_of(kind)) == list(kind.__struct_fields__)


NAMED: list[tuple[str, str, Any]] = [
    ("a quantity", "qty", lambda unit: unit == QTY),
    ("a price", "price", lambda unit: isinstance(unit, Priced) or unit.name == "wire_price"),
    ("an instant", "_at", lambda unit: unit == INSTANT),
    ("a date", "_date", lambda unit: unit == DAY),
    ("basis points", "_bps", lambda unit: unit == Count("bps")),
    ("an id", "_id", lambda unit: isinstance(unit, Id | Words) or unit == Count("log_position")),
]


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TOPIC)
@pytest.mark.parametrize(("what", "ending", "fits"), NAMED, ids=[one[0] for one in NAMED])
def test_field_is_what_its_name_says(
    kind: type[DomainEvent], what: str, ending: str, fits: Any
) -> None:
    """The last word of a name is its unit; `_after` says only when."""
    for name, unit in fields_of(kind).items():
        if name.removesuffix("_after").removesuffix("_wire").endswith(ending):
            assert fits(unit), f"{name} is not {what} but {unit}"


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TOPIC)
def test_ids_of_an_event_name_something(kind: type[DomainEvent]) -> None:
    """An id is that of an aggregate, or of what has no stream of its own."""
    others = {"aggregate", "command", "revision", "subject", "trade"}
    for name, unit in fields_of(kind).items():
        if isinstance(unit, Id):
            assert unit.of in {*AGGREGATE_KINDS, *others}, name


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TOPIC)
def test_default_of_a_code_is_a_code(kind: type[DomainEvent]) -> None:
    """What an older row reads as must have a name, too."""
    names, defaults = kind.__struct_fields__, kind.__struct_defaults__
    for name, default in zip(names[len(names) - len(defaults) :], defaults, strict=True):
        unit = fields_of(kind)[name]
        if isinstance(unit, OneOf):
            assert unit.terms(default) == default
            assert type(default) is int, "an enum would not be encoded as the same bytes"


def test_every_kind_of_aggregate_is_looked_at() -> None:
    """An aggregate that is added cannot be left out here, and is found by the name of its kind."""
    assert {kind.KIND for kind in AGGREGATES} == set(AGGREGATE_KINDS)
    assert [resolve_topic(kind.KIND) for kind in AGGREGATES] == AGGREGATES


@pytest.mark.parametrize("kind", AGGREGATES)
def test_every_field_of_a_state_has_a_unit(kind: type[Aggregate]) -> None:
    """It is what the events say of what they set."""
    assert kind.FIELDS.keys() <= facts.state_units(kind.KIND).keys()


@pytest.mark.parametrize("kind", AGGREGATES)
def test_family_says_only_what_its_fields_do_not(kind: type[Aggregate]) -> None:
    """What the family says of its state beside its fields is of a field that is there."""
    assert facts.family_of(kind.KIND)[0].SETS.keys() <= kind.FIELDS.keys()


def test_every_vocabulary_is_read_by_a_field_or_a_state() -> None:
    """A vocabulary that no event knows, or that an event keeps as a bare number, shows here."""
    vocabularies = {
        one
        for one in vars(terms).values()
        if isinstance(one, type) and issubclass(one, IntEnum) and one is not IntEnum
    }

    def codes(units: Any) -> set[type[IntEnum]]:
        found: set[type[IntEnum]] = set()
        for unit in units:
            if isinstance(unit, OneOf):
                found.add(unit.terms)
            elif isinstance(unit, Many):
                found |= codes([unit.each])
            elif isinstance(unit, Columns):
                found |= codes(unit.units)
        return found

    stated = codes(unit for kind in EVENTS for unit in fields_of(kind).values())
    stated |= codes(u for one in AGGREGATES for u in facts.state_units(one.KIND).values())
    assert {*vocabularies, Kind} == stated


def test_parts_of_postings_and_tiers_have_units_and_names() -> None:
    """Who, in which ledger, how many cents; from how much on, what the maker and taker pay."""
    posting, tier = unit_of(Posting, "postings"), unit_of(tuple[Tier, ...], "tiers")

    assert isinstance(posting, Columns) and isinstance(tier, Many)
    assert ("party", "ledger", "amount") == posting.names
    assert (Party(), OneOf(terms.Ledger), Scaled("cents", 2)) == posting.units
    assert isinstance(tier.each, Columns)
    assert ("from_qty", "maker_rate", "taker_rate") == tier.each.names


class Bare(msgspec.Struct):
    """A struct with a number of unsaid meaning."""

    amount: int


class Said(msgspec.Struct, array_like=True, frozen=True):
    """A struct whose fields say what they mean."""

    qty: Qty
    account_id: AccountId | None
    at: Annotated[int, msgspec.Meta(ge=0), INSTANT]


class Plain(msgspec.Struct, array_like=True, frozen=True):
    """The same struct with plain types."""

    qty: int
    account_id: UUID | None
    at: int


def test_number_of_unsaid_meaning_is_refused_by_name() -> None:
    """The field is named, so that it is found."""
    with pytest.raises(TypeError, match="amount does not say what it means"):
        fields_of(Bare)


def test_units_leave_bytes_and_values_as_they_are() -> None:
    """An annotated field is stored and read as a plain one."""
    said, plain = Said(5, HOUSE, 7), Plain(5, HOUSE, 7)

    data = msgspec.msgpack.encode(said)

    assert msgspec.msgpack.encode(plain) == data
    assert said == msgspec.msgpack.decode(data, type=Said)
    assert int is type(msgspec.msgpack.decode(data, type=Said).qty)
    assert {"qty": QTY, "account_id": Id("account"), "at": Moment()} == fields_of(Said)


@pytest.mark.parametrize("value", [0, -1, 2**63, -(10**40)])
def test_digits_keep_integers_of_any_size(value: int) -> None:
    """What leaves 64 bits is kept as text and comes back whole."""
    assert value == from_digits(to_digits(value))


def test_price_without_scale_is_that_of_the_instrument_itself() -> None:
    """An instrument's event concerns the instrument, and no account."""
    assert "originator_id" == facts.instrument_in(InstrumentMarked)
    assert facts.account_in(InstrumentMarked) is None


class Between(msgspec.Struct):
    """What an event would be that names two accounts."""

    TOPIC: ClassVar[str] = "order.between.v1"
    AGGREGATE: ClassVar[str] = "order"
    giver_id: AccountId
    taker_id: AccountId


def test_event_that_concerns_two_accounts_must_say_which() -> None:
    """Whose an event is is never guessed."""
    with pytest.raises(TypeError, match=r"order\.between\.v1 concerns more than one account"):
        facts.account_in(Between)


def test_units_of_one_meaning_are_equal() -> None:
    """They are compared, and looked up, by what they mean."""
    assert Binary("fingerprint") == Binary("fingerprint") != Binary()
    assert len({Scaled("qty", 8), QTY, Scaled("cents", 2)}) == 2
    assert not isinstance(QTY, type) and isinstance(QTY, Unit)


def test_no_id_and_the_house_are_two_names() -> None:
    """Stored alike for ever: neither may change without the other's rows becoming unreadable."""
    assert HOUSE == NO_ID == UUID(int=0)

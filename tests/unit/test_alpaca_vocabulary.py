"""No value that clients are sent is unknown to the models that alpaca-py reads it with."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from enum import Enum, IntEnum
from inspect import isclass
from itertools import combinations, product
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import pytest
from msgspec.structs import replace
from pydantic import BaseModel

from api import documents, rendering, vocabulary
from api.asset_classes import AssetClasses
from api.groups import Groups
from api.openapi import ANSWERS
from api.orders import Order as OrderDocument
from api.orders import order_document
from api.symbols import Symbols
from api.valuation import valued
from api.ws.trade_updates import EVENT_NAMES, TradeUpdates, holdings_in
from application.log.ports import Recorded
from application.orders import OrderView
from domain import terms
from domain.events import OrderEvent
from domain.identifiers import NO_ID
from domain.order import Order
from domain.units import OneOf, fields_of
from projections.balances import AccountRow, VenueSwitch
from projections.instruments import InstrumentRow
from projections.positions import PositionRow
from tests import alpaca_py
from tests.acceptance.methods import methods_of
from tests.alpaca_py import TradeEvent, TradeUpdate, TradingClient
from tests.model.command_flow import lived

AT = 1_795_208_400_500_000
SOME = UUID("0193aaaa-0000-7000-8000-000000000001")
ITS_NAME = {
    "Account": "TradeAccount",
    "CanceledOrder": "CancelOrderResponse",
    "ClosedPosition": "ClosePositionResponse",
    "CalendarDay": "Calendar",
    "OptionContracts": "OptionContractsResponse",
    "Activity": "TradeActivity",
}
"""Documents that alpaca-py calls otherwise."""
READ_AS: dict[type[BaseModel], type[BaseModel]] = {
    ours: theirs
    for ours in ANSWERS
    for name in (ITS_NAME.get(ours.__name__, ours.__name__),)
    if (theirs := getattr(alpaca_py.models, name, None) or getattr(alpaca_py, name, None))
}
"""What clients are sent, and the model that reads it."""
NEVER_SENT = {"CorporateActionAnnouncement"}
"""What there is none of here."""
CODES = {name: unit.terms for name, unit in fields_of(OrderView).items() if isinstance(unit, OneOf)}
"""The members of an order that are codes, and their vocabularies."""
IN_OTHERS = {
    terms.OrderClass: "the group of an order",
    terms.AccountStatus: "the account",
    terms.AccountKind: "the account",
    terms.Phase: "the asset",
    terms.TriggerRule: "the asset",
    terms.Remainder: "the asset",
    terms.StrategyStatus: "the multi-leg order",
    terms.Execution: "the multi-leg order",
    terms.ConstraintKind: "the multi-leg order",
    terms.PositionIntent: "the leg of a multi-leg order",
    terms.Right: "the option contract",
    terms.ExerciseStyle: "the option contract",
}
UNSENT = {terms.SelfTrade: "asked for, and told by nothing"}
"""What the doors know of, and no document of Alpaca's shape tells."""


API = Path(rendering.__file__).parent
DOORS = [*API.glob("*.py"), *API.glob("http/*.py"), *API.glob("ws/*.py")]


def shown_order(**state: Any) -> OrderView:
    """An order of ten shares in this state."""
    order = Order.blank(SOME, AT)
    named = {"revision_id": SOME, "symbol": "AAPL", "client_order_id": "mine", "side": 1}
    order.__dict__.update(
        named | {"order_type": 2, "qty": 10**9, "price_decimals": 4, "submitted_at": AT} | state
    )
    return OrderView.of(order)


def choices(annotation: Any) -> Iterator[Any]:
    """Every value of a document's member that is one of a few: words, or None."""
    origin = get_origin(annotation)
    if origin is Literal:
        yield from get_args(annotation)
    elif origin is Annotated:
        yield from choices(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for one in get_args(annotation):
            yield from choices(one)
    elif annotation is type(None):
        yield None
    else:
        yield annotation


def enums_in(annotation: Any) -> list[type[Enum]]:
    """The closed vocabularies that alpaca-py reads a member into."""
    return [one for one in choices(annotation) if isclass(one) and issubclass(one, Enum)]


def members(model: type[BaseModel]) -> dict[str, Any]:
    """The members of a model as they are written in JSON, and what each may be."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def unknown(ours: type[BaseModel], theirs: type[BaseModel]) -> list[str]:
    """The members of a document that the model which reads it may choke on."""
    sent = members(ours)
    faults = []
    for name, field in members(theirs).items():
        if name not in sent:
            if field.is_required():
                faults.append(f"{name} is missing")
            continue
        known, may_be = enums_in(field.annotation), [*choices(sent[name].annotation)]
        if None in may_be and None not in choices(field.annotation):
            faults.append(f"{name} may be null")
        for value in may_be:
            if known and value is not None and value not in {one.value for one in known[0]}:
                faults.append(f"{name} may be {value!r}")
    return faults


@pytest.mark.parametrize("ours", READ_AS, ids=lambda kind: kind.__name__)
def test_alpaca_model_knows_every_value_that_a_document_may_hold(ours: type[BaseModel]) -> None:
    """A member that alpaca-py reads into an enum is one of a few words, and it knows them all."""
    assert [] == unknown(ours, READ_AS[ours])


def test_every_model_that_alpaca_answers_with_reads_a_document() -> None:
    """What a method of its client gives is compared above, or never sent."""
    given = {
        kind.__name__
        for name in methods_of(TradingClient)
        for kind in choices_within(get_type_hints(getattr(TradingClient, name)).get("return"))
        if isclass(kind) and issubclass(kind, BaseModel)
    }

    assert {"Order", "Clock", "TradeAccount"} <= given
    read = {model.__name__ for model in READ_AS.values()}
    assert NEVER_SENT == given - read


def choices_within(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of, down to plain classes."""
    parts = get_args(annotation)
    if not parts:
        yield annotation
    for part in parts:
        yield from choices_within(part)


def test_value_that_alpaca_does_not_know_is_found() -> None:
    """Free text, another word, a null and a missing member are all found."""

    class Wrong(documents.Document):
        status: Literal["new", "born"] | None
        side: str

    faults = unknown(Wrong, alpaca_py.Order)

    assert {"status may be 'born'", "status may be null", f"side may be {str!r}"} <= set(faults)
    assert {"id is missing", "time_in_force is missing"} <= set(faults)


def known_at_the_doors() -> set[type[IntEnum]]:
    """Every vocabulary of the venue that a module of the API imports."""
    return {
        kind
        for path in DOORS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == terms.__name__
        for name in node.names
        if issubclass(kind := getattr(terms, name.name), IntEnum)
    }


def test_every_enum_that_is_sent_is_one_that_alpaca_was_asked_about() -> None:
    """A vocabulary that the doors come to know has its place in one of the tests of this file."""
    asked = set(CODES.values()) | set(IN_OTHERS)

    assert {terms.Side, terms.OrderStatus, terms.CancelReason} <= asked
    assert set() == known_at_the_doors() - asked - set(UNSENT)


def test_alpaca_reads_an_order_of_every_kind_in_every_status() -> None:
    """Each two members of each two vocabularies together, replaced or not, in any group."""
    plain, seen = shown_order(), 0
    for one, other in combinations(CODES, 2):
        for this, that in product(CODES[one], CODES[other]):
            view = replace(plain, **{one: int(this), other: int(that)})
            for by, group in product((NO_ID, SOME), terms.OrderClass):
                shown = order_document(
                    replace(view, replaced_by=by), "us_equity", order_class=int(group)
                )
                read = alpaca_py.Order(**shown)
                OrderDocument.model_validate(shown)
                assert read.status.value == shown["status"]
                seen += 1

    assert seen > 1_000


@pytest.mark.parametrize("kind", terms.TimeInForce, ids=lambda kind: kind.name)
def test_alpaca_time_in_force_is_what_the_exact_one_does(kind: terms.TimeInForce) -> None:
    """Beside the word that Alpaca knows stands the venue's own; gtd is gtc until it expires."""
    expires = AT + 1 if kind is terms.TimeInForce.GTD else 0
    shown = order_document(shown_order(time_in_force=int(kind), expires_at=expires), "us_equity")

    exact = kind.name.lower()
    assert exact == shown["exact_time_in_force"]
    assert ("gtc" if exact == "gtd" else exact) == shown["time_in_force"]
    assert (shown["expires_at"] is not None) == (exact == "gtd")


@pytest.mark.parametrize("asset_class", get_args(vocabulary.AssetClassName))
def test_alpaca_reads_every_asset_and_position(asset_class: str) -> None:
    """Of each class, in each phase, with each rule; held long and short."""
    row = InstrumentRow(
        SOME, "AAPL", "Apple", asset_class, "XNYS", 0, "", 4, 100, 10**8, 1, 1_000, 100, 1, 5_000,
        2_500, False, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, AT, AT,
    )  # fmt: skip
    for phase, rule, rest in product(terms.Phase, terms.TriggerRule, terms.Remainder):
        changed = replace(row, phase=int(phase), trigger_rule=int(rule), remainder=int(rest))
        shown = rendering.asset_document(changed)
        alpaca_py.Asset(**shown)
        documents.Asset.model_validate(shown)
    for qty in (-(10**8), 10**8):
        held = PositionRow(
            SOME, SOME, SOME, "AAPL", asset_class, 4, qty, qty, 0, 0, 100, 0, 0, 0, 0, AT, AT, 0,
            0, 0, 0, 0, 1, 5_000, 2_500,
        )  # fmt: skip
        shown = rendering.position_document(held)
        assert ("long" if qty > 0 else "short") == alpaca_py.Position(**shown).side.value
        documents.Position.model_validate(shown)


def test_alpaca_reads_every_account() -> None:
    """Whatever its status, its kind, and whether margin was called."""
    for status, kind, called in product(terms.AccountStatus, terms.AccountKind, (False, True)):
        row = AccountRow(
            SOME, 1, 1, "A", "", int(kind), int(status), "", 100, 0, 0, 0, 0, 0, 0, 0, False,
            False, "", called, False, False, True, 2, "", AT, AT,
        )  # fmt: skip
        shown = rendering.account_document(row, valued(row, [], VenueSwitch()), VenueSwitch())
        alpaca_py.TradeAccount(**shown)
        documents.Account.model_validate(shown)


def test_alpaca_knows_every_event_of_the_stream() -> None:
    """Each update says what it is in Alpaca's words, and exactly beside them."""
    names = get_args(vocabulary.UpdateName)
    order = order_document(shown_order(), "us_equity")

    known = set(get_args(vocabulary.AlpacaUpdateName))
    assert known <= {event.value for event in TradeEvent}
    assert known == {vocabulary.alpaca_update(name) for name in names}
    assert EVENT_NAMES == known | set(names)
    known_exactly = {event.value for event in TradeEvent}
    for name in names:
        event = vocabulary.alpaca_update(name)
        update = TradeUpdate(event=event, order=order, timestamp=order["updated_at"])
        assert TradeEvent(update.event).value == event
        assert (event == name) == (name in known_exactly)


def test_alpaca_reads_every_update_of_a_day_of_orders() -> None:
    """Orders and groups are placed, replaced, filled, busted, corrected and ended at random."""
    log = lived(7, 400).log
    events = [
        Recorded(row.position, event) for row, event in zip(log.rows, log.events(), strict=True)
    ]
    updates = TradeUpdates(log, AssetClasses(log), Groups(log), Symbols())

    async def told() -> list[dict[str, Any]]:
        holdings = holdings_in(events)
        return [
            update
            for recorded in events
            if isinstance(recorded.event, OrderEvent)
            for update in await updates.of(recorded, holdings)
        ]

    heard = asyncio.run(told())

    for update in heard:
        read = TradeUpdate(**update)
        assert TradeEvent(read.event).value == update["event"]
        OrderDocument.model_validate(update["order"])
    assert {"fill", "held", "restated", "trade_correct"} <= {
        update["exact_event"] for update in heard
    }

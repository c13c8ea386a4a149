"""What a client asks of an order arrives everywhere: command, event, state, view and document."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from msgspec.structs import asdict, replace

from api import vocabulary
from api.orders import OrderRequest, order_document
from api.schemas import validated
from application.commands import PlaceGroup, PlaceOrder
from application.orders import OrderView
from application.writer.replies import render
from domain.errors import InvalidField, Rejection
from domain.events import OrderAccepted
from domain.identifiers import NO_ID, VENUE
from domain.order import Order
from domain.order_terms import Terms
from domain.terms import CancelReason, OrderStatus, OrderType
from projections.order_reads import OrderRow
from projections.orders import ORDERS, Orders
from tests.model.desk_harness import DeskHarness, trading_desk

LIMIT: dict[str, Any] = {
    "symbol": "X",
    "qty": "3",
    "side": "buy",
    "type": "limit",
    "time_in_force": "gtd",
    "expire_at": "2030-01-01T00:00:00Z",
    "limit_price": "99.5",
    "post_only": True,
    "client_order_id": "mine",
}
STOP: dict[str, Any] = {
    "symbol": "X",
    "qty": "2",
    "side": "sell",
    "type": "stop_limit",
    "time_in_force": "gtc",
    "limit_price": "80",
    "stop_price": "81",
    "self_trade_prevention": "cancel_both",
    "locate": True,
}
TRAILING: dict[str, Any] = {
    "symbol": "X",
    "qty": "2",
    "side": "sell",
    "type": "trailing_stop",
    "time_in_force": "gtc",
    "trail_price": "5",
}
BY_PERCENT: dict[str, Any] = {
    **{name: said for name, said in TRAILING.items() if name != "trail_price"},
    "side": "buy",
    "trail_percent": "7.5",
}
ASKED = [LIMIT, STOP, TRAILING, BY_PERCENT]
"""Together they say every member of a request for an order of its own."""
OF_GROUPS = {"order_class", "take_profit", "stop_loss"}
OF_AMOUNTS = {"notional"}
"""Said instead of `qty`, which then is what it reaches: `test_notional_orders.py` follows it."""
SAYS_NOTHING = {"extended_hours"}
"""Taken for Alpaca's clients when it is false."""
SCALE = "price_decimals"


@pytest.fixture
def venue() -> DeskHarness:
    """A desk on which both orders are taken."""
    made = trading_desk()
    made.hold(made.a, 10)
    return made


def placed(venue: DeskHarness, asked: dict[str, Any]) -> tuple[PlaceOrder, OrderAccepted, Order]:
    """The command of a request, the event that takes its order in, and the order."""
    command = validated(OrderRequest, asked).command(venue.a, asked.get("client_order_id", "k"))
    assert isinstance(command, PlaceOrder)
    venue.ok(command)
    (accepted,) = venue.happened(OrderAccepted)
    return command, accepted, venue.order(accepted.originator_id)


def test_every_member_of_a_request_is_asked_for_here() -> None:
    """A member that is added must be said by one of the orders above, and so is followed."""
    members = set(OrderRequest.model_fields) - OF_GROUPS - OF_AMOUNTS - SAYS_NOTHING
    assert members == set().union(*ASKED)


@pytest.mark.parametrize(("asked", "member"), [(one, name) for one in ASKED for name in one])
def test_no_member_of_a_request_is_dropped(asked: dict[str, Any], member: str) -> None:
    """Left out it makes another command, or a request that is refused."""
    names: list[Any] = [asked, {name: said for name, said in asked.items() if name != member}]
    commands = []
    for document in names:
        try:
            request = validated(OrderRequest, document)
            commands.append(request.command(NO_ID, request.client_order_id or "drawn"))
        except Rejection as refusal:
            commands.append(refusal)
    assert commands[0] != commands[1]


def test_types_of_orders_are_told_apart_by_what_they_need(venue: DeskHarness) -> None:
    """Whether a limit bounds it, whether it waits for a price, and whether that price follows the
    market: terms and order say it alike.

    A type that shares both with another needs something more that tells them apart.
    """
    told = {}
    for kind in OrderType:
        limit, stop = kind in (OrderType.LIMIT, OrderType.STOP_LIMIT), kind >= OrderType.STOP
        trails = kind == OrderType.TRAILING_STOP
        price = 110 * (stop and not trails)
        terms = Terms("X", 1, int(kind), 1, 10**8, 95 * limit, price, 0, trail_price=5 * trails)
        order = Order.blank(NO_ID, 0)
        order.order_type = int(kind)
        terms.check(venue.at)
        said = (terms.has_limit, terms.is_stop, terms.trails)
        assert said == (order.has_limit, order.waits, order.trails), kind
        told[said] = kind

    assert set(OrderType) == set(told.values())


@pytest.mark.parametrize("kind", OrderType)
def test_door_asks_for_the_prices_that_a_type_needs(venue: DeskHarness, kind: OrderType) -> None:
    """Each that its terms need and none beside: what the door lets in the terms do, too."""
    bare = Terms("X", 1, int(kind), 1, 10**8, 0, 0, 0)
    needed = {
        "limit_price": bare.has_limit,
        "stop_price": bare.is_stop and not bare.trails,
        "trail_price": bare.trails,
    }
    asked = {"symbol": "X", "qty": "3", "side": "buy", "time_in_force": "gtc"}
    right = {**asked, "type": kind.name.lower(), **{name: "99" for name in needed if needed[name]}}

    command = validated(OrderRequest, right).command(venue.a, "k")

    assert isinstance(command, PlaceOrder)
    command.terms.check(venue.at)
    for name, is_needed in needed.items():
        with pytest.raises(InvalidField, match=name):
            validated(OrderRequest, {**right, name: None if is_needed else "99"})


NAMES: list[tuple[Any, dict[str, int], set[str]]] = [
    (vocabulary.OrderTypeName, vocabulary.ORDER_TYPES, set()),
    (vocabulary.TimeInForceName, vocabulary.TIMES_IN_FORCE, set()),
    (vocabulary.SelfTradeName, vocabulary.SELF_TRADES, set()),
    (vocabulary.OrderClassName, vocabulary.ORDER_CLASSES, set()),
    (vocabulary.OrderStatusName, {one.name.lower(): one for one in OrderStatus}, {"replaced"}),
]


@pytest.mark.parametrize(("stated", "known", "more"), NAMES)
def test_names_at_the_edge_are_those_of_the_vocabularies(
    stated: Any, known: dict[str, int], more: set[str]
) -> None:
    """What the documentation lets clients send and get is what the venue knows."""
    assert known.keys() | more == set(get_args(stated))


def test_every_cancel_reason_has_its_word_for_clients() -> None:
    """Whatever takes an order out of the market is told, by a word that is documented."""
    told = vocabulary.CANCEL_REASON_NAMES
    of_time = {"session_end", "expired"}
    assert set(map(int, CancelReason)) == told.keys()
    assert set(get_args(vocabulary.CancelReasonName)) == set(told.values()) | of_time


def test_every_term_of_a_command_is_one_of_an_order() -> None:
    """Beside whose it is and its key a command says terms, and all of them."""
    terms = set(Terms.__struct_fields__) - {SCALE}
    assert {"account_id", "client_order_id", *terms} == set(PlaceOrder.__struct_fields__)
    # Exits would have to wait for a price that an order which only adds may not take.
    alone = {"post_only", "trail_price", "trail_percent", *OF_AMOUNTS}
    assert terms - alone <= set(PlaceGroup.__struct_fields__)
    assert {SCALE, *terms} <= Order.FIELDS.keys() & set(OrderAccepted.__struct_fields__)


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked["type"])
def test_terms_arrive_in_event_and_order(venue: DeskHarness, asked: dict[str, Any]) -> None:
    """Each under its own name, prices at the instrument's scale."""
    command, accepted, order = placed(venue, asked)
    told = Terms(**{name: getattr(accepted, name) for name in Terms.__struct_fields__})

    at_scale = command.terms.at_scale(4, accepted.limit_price, accepted.stop_price)
    assert (
        told
        == replace(at_scale, trail_price=accepted.trail_price)
        == order.terms
        == venue.follower.orders.working[order.id.int].terms
    )
    for name in ("limit_price", "stop_price", "trail_price"):
        if name != "stop_price" or not command.terms.trails:
            assert getattr(command, name) == getattr(accepted, name) * 10**5


def test_every_term_that_has_a_default_is_said_otherwise_here(venue: DeskHarness) -> None:
    """What reads as its default everywhere would not be missed."""
    fields = {field.name: field.default for field in msgspec.structs.fields(Terms)}
    fields = {name: default for name, default in fields.items() if name not in OF_AMOUNTS}
    orders = [placed(venue, asked)[2].terms for asked in ASKED]
    assert [] == [
        name
        for name, default in fields.items()
        if default is not msgspec.NODEFAULT and all(getattr(o, name) == default for o in orders)
    ]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked["type"])
def test_reply_says_of_an_order_what_the_order_is(
    venue: DeskHarness, asked: dict[str, Any]
) -> None:
    """Told by the events of its command alone, also when these only gave it new terms."""
    command, accepted, order = placed(venue, asked)
    replies = [render(venue.events, venue.desk.position)]
    assert replies[0].order == OrderView.of(order)
    replaced = venue.replace(venue.a, accepted.originator_id, qty=1)
    replies.append(render(venue.events, venue.desk.position))

    assert [None, None] == [reply.refusal for reply in replies]
    assert replaced.order == replies[1].order == OrderView.of(order)
    assert command.client_order_id == order.client_order_id


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked["type"])
def test_view_of_orders_keeps_what_the_event_says(
    venue: DeskHarness, asked: dict[str, Any]
) -> None:
    """A column means what the event's field of its name means."""
    _, accepted, _ = placed(venue, asked)
    view = Orders()
    view.accepted(1, accepted)
    row = view.orders.puts[accepted.originator_id.int]
    said = {name: value for name, value in asdict(accepted).items() if name in row}

    assert {column.name for column in ORDERS.columns if not column.nullable} == set(row)
    assert said == {name: row[name] for name in said}
    assert set(Terms.__struct_fields__) & set(OrderView.__struct_fields__) <= said.keys()


SHOWN_BY_OTHERS = {
    "order_id": "the id of the newest revision is the order's",
    "account_id": "the key that asks names it",
    "refusal_message": "the answer that refuses it tells it",
    "order_class": "given beside the view",
    "ratio": "given beside the view",
    "position_intent": "given beside the view",
}
"""What of a view an order's document does not show, and why."""


def test_document_of_an_order_shows_every_member_of_its_view() -> None:
    """Each changed alone changes the document."""
    struct = msgspec.structs.fields(OrderRow)
    plain: dict[str, Any] = {
        **{field.name: 1 for field in struct},
        **dict.fromkeys(("symbol", "client_order_id", "value"), "1"),
        **dict.fromkeys(("order_id", "revision_id", "account_id", "instrument_id"), NO_ID),
        **dict.fromkeys(("group_id", "replaces", "replaced_by"), NO_ID),
        # A quantity is shown of what was asked for by one.
        **{"post_only": False, "price_decimals": 4, "notional": 0},
    }
    other: dict[str, Any] = {
        **{name: 2 for name, value in plain.items() if value == 1},
        **dict.fromkeys(("symbol", "client_order_id", "value"), "20000"),
        **{name: VENUE for name, value in plain.items() if value == NO_ID},
        **{"post_only": True, "price_decimals": 5, "time_in_force": 3, "notional": 2},
    }
    view = OrderRow(**plain)
    # An end is shown by its kind, and a change of terms only where there was one.
    ended = replace(view, status=4)

    unseen = {
        name
        for name in plain
        for one in [ended if name == "ended_at" else view]
        if order_document(one, None) == order_document(replace(one, **{name: other[name]}), None)
    }

    assert SHOWN_BY_OTHERS.keys() == unseen

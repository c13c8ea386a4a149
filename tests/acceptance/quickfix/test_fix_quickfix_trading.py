"""quickfix, as it comes from its authors, trades at the venue over FIX."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from api.fix.logon.passwords import hash_of
from infrastructure.embedded_server import EmbeddedServer
from tests.fix_served import FixDoor, fix_served
from tests.quickfix_client import QuickFixClient, now
from tests.venue import Trader

pytestmark = pytest.mark.soak
PASSWORD = "a password of the tests"


@pytest.fixture(scope="module")
def door(postgres: EmbeddedServer) -> Iterator[FixDoor]:
    """One venue with a FIX door for all tests of this file."""
    with fix_served(postgres.dsn()) as door:
        yield door


@pytest.fixture(scope="module")
def trader(door: FixDoor) -> Trader:
    """The account that the session trades."""
    return door.venue.trader()


@pytest.fixture(scope="module")
def client(
    door: FixDoor, trader: Trader, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[QuickFixClient]:
    """A session of quickfix that is logged on; in the end it has refused nothing it was sent."""
    door.agree("QUICK", trader, password=hash_of(PASSWORD))
    client = QuickFixClient(tmp_path_factory.mktemp("quick"), door.port, "QUICK", PASSWORD)
    client.log_on()
    yield client
    client.log_off()
    assert [] == client.refused


@pytest.fixture
def symbol(door: FixDoor) -> str:
    """An instrument of the test's own, open."""
    return door.venue.instrument()


def name() -> str:
    """A ClOrdID of its own."""
    return f"q-{uuid.uuid4().hex[:12]}"


def order(symbol: str, cl_ord_id: str, **changed: str) -> dict[int, str]:
    """A limit buy of 10 at 99; what is changed is named by its tag, as `t38`."""
    fields = {11: cl_ord_id, 55: symbol, 54: "1", 60: now(), 38: "10", 40: "2", 44: "99", 59: "1"}
    return fields | {int(tag[1:]): value for tag, value in changed.items()}


def placed(client: QuickFixClient, symbol: str, **changed: str) -> str:
    """An order that rests; its ClOrdID."""
    cl_ord_id = name()
    client.send("D", order(symbol, cl_ord_id, **changed))
    client.answer({35: "8", 11: cl_ord_id, 150: "0", 39: "0"})
    return cl_ord_id


def sell(door: FixDoor, symbol: str, qty: str, price: str) -> None:
    """Another trader sells, over HTTP."""
    other = door.venue.trader()
    door.venue.hold(other, symbol, "1000")
    with door.venue.client(other) as http:
        sold = http.post(
            "/v2/orders",
            json={
                "symbol": symbol,
                "side": "sell",
                "type": "limit",
                "qty": qty,
                "limit_price": price,
                "time_in_force": "gtc",
            },
        )
        assert sold.status_code == 200, sold.text


def test_test_request_is_answered_with_its_word(client: QuickFixClient):
    """A heartbeat tells that the session lives."""
    client.send("1", {112: "are you there"})

    client.answer({35: "0", 112: "are you there"}, of=client.session_messages)


def test_order_rests_and_fills_in_parts(client: QuickFixClient, door: FixDoor, symbol: str):
    """New, partial, filled: each report says what the order came to."""
    cl_ord_id = placed(client, symbol)
    sell(door, symbol, "4", "99")
    partial = client.answer({11: cl_ord_id, 150: "F", 39: "1"})
    sell(door, symbol, "6", "98")
    filled = client.answer({11: cl_ord_id, 150: "F", 39: "2"})

    assert {14: "4", 151: "6", 32: "4"}.items() <= partial.items()
    assert {14: "10", 151: "0", 32: "6"}.items() <= filled.items()
    assert 99 == float(filled[31]) == float(filled[6])
    assert partial[37] == filled[37] and partial[17] != filled[17]


def test_order_is_replaced_and_then_cancelled(client: QuickFixClient, symbol: str):
    """Each request has a name of its own and names the one before."""
    first, second, third = placed(client, symbol), name(), name()
    client.send("G", order(symbol, second, t41=first, t38="20", t44="98"))
    replaced = client.answer({11: second, 41: first, 150: "5"})
    client.send("F", {41: second, 11: third, 55: symbol, 54: "1", 60: now()})
    cancelled = client.answer({11: third, 41: second, 150: "4", 39: "4"})

    assert "20" == replaced[38] and 98 == float(replaced[44])
    assert "0" == cancelled[151]
    assert replaced[37] == cancelled[37]


def test_status_of_an_order_is_told(client: QuickFixClient, symbol: str):
    """As it is now, and as no event."""
    cl_ord_id = placed(client, symbol)
    client.send("H", {11: cl_ord_id, 55: symbol, 54: "1", 790: "how is it"})

    status = client.answer({150: "I", 11: cl_ord_id})

    assert {39: "0", 151: "10", 14: "0", 790: "how is it"}.items() <= status.items()


def test_mass_cancel_cancels_and_reports(client: QuickFixClient, symbol: str):
    """All open orders of an instrument at one request."""
    orders = [placed(client, symbol) for _ in range(3)]
    asked = name()
    client.send("q", {11: asked, 530: "1", 55: symbol, 60: now()})

    report = client.answer({35: "r", 11: asked})
    assert {530: "1", 531: "1"}.items() <= report.items()
    for cl_ord_id in orders:
        client.until(
            lambda wanted=cl_ord_id: any(
                one.get(150) == "4" and wanted in (one.get(11), one.get(41))
                for one in client.received
            )
        )


def test_order_that_the_venue_refuses_is_rejected(client: QuickFixClient, symbol: str):
    """By an ExecutionReport with a reason and words."""
    cl_ord_id = name()
    client.send("D", order(symbol, cl_ord_id, t44="99.001"))

    rejected = client.answer({11: cl_ord_id, 150: "8", 39: "8"})

    assert rejected[103] and rejected[58]


def test_unknown_symbol_is_rejected_as_one(client: QuickFixClient):
    """OrdRejReason says what was not known."""
    cl_ord_id = name()
    client.send("D", order("NOSUCH", cl_ord_id))

    assert "1" == client.answer({11: cl_ord_id, 39: "8"})[103]


def test_name_that_was_used_is_rejected_as_a_duplicate(client: QuickFixClient, symbol: str):
    """One order has one name."""
    cl_ord_id = placed(client, symbol)
    client.send("D", order(symbol, cl_ord_id))

    assert "6" == client.answer({11: cl_ord_id, 39: "8"})[103]


def test_cancel_of_no_order_is_refused(client: QuickFixClient, symbol: str):
    """By an OrderCancelReject that says the order is unknown."""
    asked, nothing = name(), name()
    client.send("F", {41: nothing, 11: asked, 55: symbol, 54: "1", 60: now()})

    refused = client.answer({35: "9", 11: asked})

    assert {41: nothing, 434: "1", 102: "1"}.items() <= refused.items()


def test_message_without_a_required_field_is_rejected(client: QuickFixClient, symbol: str):
    """By a session-level Reject that names message, field and reason."""
    fields = order(symbol, name())
    del fields[54]
    client.send("D", fields)

    rejected = client.answer({35: "3", 371: "54"}, of=client.session_messages)

    assert {372: "D", 373: "1"}.items() <= rejected.items() and rejected[58]


def test_message_that_is_not_spoken_is_refused_as_business(client: QuickFixClient):
    """The session goes on."""
    client.send("R", {131: "a quote", 146: "1", 55: "ACME"})

    refused = client.answer({35: "j", 372: "R"})

    assert "3" == refused[380]


def test_instruments_and_trades_are_told_in_quickfixs_own_words(
    client: QuickFixClient, door: FixDoor, symbol: str
):
    """Lists with groups hold before the dictionary of another engine."""
    cl_ord_id = placed(client, symbol)
    sell(door, symbol, "10", "99")
    client.answer({11: cl_ord_id, 39: "2"})
    client.send("x", {320: "all", 559: "4"})
    client.send("AD", {568: "today", 569: "0"}, (580, {75: "20261120"}))

    client.answer({35: "y", 320: "all"})
    client.answer({35: "AQ", 568: "today"})
    client.answer({35: "AE", 568: "today", 55: symbol})

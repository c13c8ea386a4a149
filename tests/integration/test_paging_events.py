"""An order's events in pages, and whose doing they show: one's own, never another's."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from domain.identifiers import drawn_by
from infrastructure.embedded_server import EmbeddedServer
from tests.venue import ADMIN, Trader, Venue, served

WHO = ("actor", "gateway", "correlation_id", "causation_id")


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


@pytest.fixture
def symbol(venue: Venue) -> str:
    """An instrument of the test's own, open."""
    return venue.instrument()


@pytest.fixture
def maker(venue: Venue, symbol: str) -> Trader:
    """Whose order stands in the book."""
    maker = venue.trader()
    venue.hold(maker, symbol, "100", "1000")
    return maker


@pytest.fixture
def taker(venue: Venue) -> Trader:
    """Who trades with it."""
    return venue.trader()


def placed(venue: Venue, trader: Trader, symbol: str, side: str, **terms: Any) -> str:
    """The id of a new order."""
    body = {
        "symbol": symbol,
        "qty": "10",
        "side": side,
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": "100",
        **terms,
    }
    with venue.client(trader) as client:
        answer = client.post("/v2/orders", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def events(venue: Venue, trader: Trader, order_id: str, **asked: Any) -> list[dict[str, Any]]:
    """A page of an order's events, as its account sees them."""
    with venue.client(trader) as client:
        answer = client.get(f"/v2/orders/{order_id}/events", params=asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def test_events_show_nothing_of_the_counterparty(
    venue: Venue, symbol: str, maker: Trader, taker: Trader
) -> None:
    """Neither its key nor its door nor its command, on either side; each sees its own."""
    sold = placed(venue, maker, symbol, "sell")
    bought = placed(venue, taker, symbol, "buy", qty="4")

    of_maker = events(venue, maker, sold)
    of_taker = events(venue, taker, bought)

    assert ["order.accepted.v1", "order.filled.v1"] == [e["type"] for e in of_maker]
    accepted, filled = of_maker
    assert (f"key:{maker.key_id}", "http") == (accepted["actor"], accepted["gateway"])
    assert None not in [accepted[name] for name in WHO]
    assert [None] * 4 == [filled[name] for name in WHO]
    assert {f"key:{taker.key_id}"} == {e["actor"] for e in of_taker}
    command = of_taker[0]["correlation_id"]
    assert {command} == {e["correlation_id"] for e in of_taker}
    told = json.dumps(of_maker)
    for secret in (taker.key_id, taker.account_id, command, bought):
        assert secret not in told
    for secret in (maker.key_id, maker.account_id, sold):
        assert secret not in json.dumps(of_taker)


def test_ids_reckoned_from_a_trade_open_nothing(
    venue: Venue, symbol: str, maker: Trader, taker: Trader
) -> None:
    """A trade's id says which command drew it. Who works out the other side's ids from it reads
    and changes nothing with them.
    """
    sold = placed(venue, maker, symbol, "sell")
    bought = placed(venue, taker, symbol, "buy", qty="4")
    trade_id = UUID(events(venue, maker, sold)[1]["data"]["trade_id"])
    command = drawn_by(trade_id)
    assert command is not None
    near = [UUID(int=command.int + n) for n in range(4)]
    assert bought in map(str, near)

    with venue.client(maker) as client:
        for known in near:
            path = f"/v2/orders/{known}"
            asked = [
                client.get(path),
                client.get(f"{path}/events"),
                client.patch(path, json={"qty": "1"}),
                client.delete(path),
            ]
            assert [404] * 4 == [answer.status_code for answer in asked]
            for cursor in ("before_order_id", "after_order_id", "page_token"):
                assert 422 == client.get("/v2/orders", params={cursor: str(known)}).status_code


def test_events_show_no_operators_key(venue: Venue, symbol: str, maker: Trader) -> None:
    """What an operator did is told, and not by which key."""
    order = placed(venue, maker, symbol, "sell")
    switch = f"/admin/accounts/{maker.account_id}/kill-switch"
    body = {"engaged": True, "reason": "a test", "cancel_orders": True}
    assert 200 == venue.admin.put(switch, json=body).status_code

    with venue.client(maker) as client:
        answer = client.get(f"/v2/orders/{order}/events")

    canceled = answer.json()[-1]
    assert ("order.canceled.v2", "operator") == (canceled["type"], canceled["data"]["reason"])
    assert [None] * 4 == [canceled[name] for name in WHO]
    assert ADMIN["APCA-API-KEY-ID"] not in answer.text


def test_events_of_a_key_that_was_revoked_are_still_ones_own(
    venue: Venue, symbol: str, maker: Trader
) -> None:
    """Who had the key had the account."""
    order = placed(venue, maker, symbol, "sell")
    issued = venue.admin.post(f"/admin/accounts/{maker.account_id}/keys").json()
    newer = Trader(maker.account_id, issued["key_id"], issued["secret_key"])
    gone = venue.admin.delete(f"/admin/accounts/{maker.account_id}/keys/{maker.key_id}")
    assert gone.status_code in (200, 204), gone.text

    (accepted,) = events(venue, newer, order)

    assert f"key:{maker.key_id}" == accepted["actor"]


def test_events_come_in_pages(venue: Venue, symbol: str, maker: Trader) -> None:
    """Each begins after the position of the last one before; none is skipped or told twice."""
    order = placed(venue, maker, symbol, "sell")
    with venue.client(maker) as client:
        for number in range(11):
            body = {"limit_price": str(101 + number)}
            order = client.patch(f"/v2/orders/{order}", json=body).json()["id"]
    everything = events(venue, maker, order)
    assert 12 == len(everything)

    for size in (1, 5, 12, 1000):
        found = events(venue, maker, order, page_size=size)
        assert min(size, 12) == len(found)
        while rest := events(venue, maker, order, page_size=size, page_token=found[-1]["position"]):
            found += rest
        assert everything == found


def test_events_of_a_group_come_in_pages(venue: Venue, symbol: str, maker: Trader) -> None:
    """All its legs' events together, in the order of the log."""
    group = placed(
        venue,
        maker,
        symbol,
        "buy",
        limit_price="90",
        order_class="bracket",
        take_profit={"limit_price": "110"},
        stop_loss={"stop_price": "80"},
    )
    with venue.client(maker) as client:
        client.delete(f"/v2/orders/{group}")
    everything = events(venue, maker, group)
    positions = [e["position"] for e in everything]
    assert positions == sorted(set(positions))
    assert len({e["originator_id"] for e in everything}) == 4

    found = events(venue, maker, group, page_size=2)
    while rest := events(venue, maker, group, page_size=2, page_token=found[-1]["position"]):
        found += rest
    assert everything == found


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"page_size": "0"}, "page_size"),
        ({"page_size": "1001"}, "page_size"),
        ({"page_size": "1e2"}, "page_size"),
        ({"page_token": "-1"}, "page_token"),
        ({"page_token": "x"}, "page_token"),
        ({"page_token": str(2**63)}, "page_token"),
        ({"limit": "5"}, "limit"),
    ],
)
def test_a_wrong_page_of_events_is_refused_by_name(
    venue: Venue, symbol: str, maker: Trader, asked: dict[str, str], field: str
) -> None:
    """Numbers are digits, within bounds that are said."""
    order = placed(venue, maker, symbol, "sell")
    with venue.client(maker) as client:
        answer: httpx.Response = client.get(f"/v2/orders/{order}/events", params=asked)

    assert (422, field) == (answer.status_code, answer.json()["field"])

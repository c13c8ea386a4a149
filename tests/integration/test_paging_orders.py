"""Orders in pages: by id and by time each is reached once, whatever is submitted meanwhile."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Trader, Venue, served


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


@pytest.fixture(scope="module")
def symbol(venue: Venue) -> str:
    """An instrument, open."""
    return venue.instrument()


@pytest.fixture
def trader(venue: Venue) -> Trader:
    """An account of the test's own, with cash."""
    return venue.trader()


@pytest.fixture
def client(venue: Venue, trader: Trader) -> Iterator[httpx.Client]:
    """The trader's client."""
    with venue.client(trader) as client:
        yield client


def placed(client: httpx.Client, symbol: str, **terms: Any) -> dict[str, Any]:
    """Place an order that rests."""
    body = {
        "symbol": symbol,
        "qty": "10",
        "side": "buy",
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": "90",
        **terms,
    }
    answer = client.post("/v2/orders", json=body)
    assert answer.status_code == 200, answer.text
    order: dict[str, Any] = answer.json()
    return order


def replaced(client: httpx.Client, order: dict[str, Any], times: int) -> list[str]:
    """The ids of all revisions of an order that is replaced again and again."""
    ids = [order["id"]]
    for number in range(times):
        answer = client.patch(f"/v2/orders/{ids[-1]}", json={"qty": str(20 + number)})
        assert answer.status_code == 200, answer.text
        ids.append(answer.json()["id"])
    return ids


def bracket(client: httpx.Client, symbol: str) -> dict[str, Any]:
    """Three orders that are submitted at one instant."""
    return placed(
        client,
        symbol,
        order_class="bracket",
        take_profit={"limit_price": "110"},
        stop_loss={"stop_price": "80"},
    )


def page(client: httpx.Client, **asked: Any) -> list[dict[str, Any]]:
    """One page of all orders."""
    answer = client.get("/v2/orders", params={"status": "all", **asked})
    assert answer.status_code == 200, answer.text
    orders: list[dict[str, Any]] = answer.json()
    return orders


def pages(
    client: httpx.Client, goes_on: Callable[[dict[str, Any]], dict[str, Any]], **asked: Any
) -> list[str]:
    """The ids on all pages, each asked for by the last order of the one before."""
    found, more = list[str](), dict[str, Any]()
    while orders := page(client, **asked, **more):
        found += [order["id"] for order in orders]
        assert len(found) < 1000, "the pages do not end"
        more = goes_on(orders[-1])
    return found


def by_time(bound: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Go on as alpaca-py's users do, whose requests know no ids."""
    return lambda last: {bound: last["submitted_at"]}


def by_id(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Go on by the id of the last order."""
    return lambda last: {name: last["id"]}


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_every_revision_is_reached_by_time_and_by_id(
    client: httpx.Client, symbol: str, limit: int
) -> None:
    """Five revisions of one order are five orders to who lists them."""
    revisions = replaced(client, placed(client, symbol), 4)

    for wanted, direction, name, bound in (
        (revisions[::-1], "desc", "before_order_id", "until"),
        (revisions, "asc", "after_order_id", "after"),
    ):
        asked = {"limit": limit, "direction": direction}
        assert wanted == pages(client, by_time(bound), **asked)
        assert wanted == pages(client, by_id(name), **asked)
        assert wanted == pages(client, by_id("page_token"), **asked)


@pytest.mark.parametrize("limit", [1, 2, 4, 5])
def test_orders_of_one_instant_are_not_lost_between_pages(
    client: httpx.Client, symbol: str, limit: int
) -> None:
    """A page that goes on by time is never cut within a group's legs; one by id is."""
    for _ in range(3):
        placed(client, symbol)
        bracket(client, symbol)
    everything = [order["id"] for order in page(client)]
    assert 12 == len(set(everything))

    for wanted, direction, name, bound in (
        (everything, "desc", "before_order_id", "until"),
        (everything[::-1], "asc", "after_order_id", "after"),
    ):
        asked = {"limit": limit, "direction": direction}
        assert wanted == pages(client, by_time(bound), **asked)
        assert wanted == pages(client, by_id(name), **asked)
        cursor = {name: wanted[0]}
        assert wanted[1 : 1 + limit] == [o["id"] for o in page(client, **asked, **cursor)]


def test_nested_groups_page_by_their_parents(client: httpx.Client, symbol: str) -> None:
    """A page holds as many groups as it may hold orders."""
    groups = [bracket(client, symbol)["id"] for _ in range(5)]

    wanted = groups[::-1]
    assert wanted == pages(client, by_time("until"), limit=2, nested=True)
    assert wanted == pages(client, by_id("before_order_id"), limit=2, nested=True)
    assert wanted == pages(client, by_id("page_token"), limit=2, nested=True, status="open")
    assert [2, 2] == [len(order["legs"]) for order in page(client, limit=2, nested=True)]


def test_orders_that_arrive_between_pages_are_neither_skipped_nor_repeated(
    client: httpx.Client, symbol: str
) -> None:
    """Downwards they are left for who looks again, upwards they come at the end."""
    first = [placed(client, symbol)["id"] for _ in range(5)]
    down = page(client, limit=2)
    up = page(client, limit=2, direction="asc")

    later = [placed(client, symbol)["id"] for _ in range(2)]
    later += replaced(client, {"id": first[0]}, 1)[1:]
    for found, direction in ((down, "desc"), (up, "asc")):
        while orders := page(client, limit=2, direction=direction, page_token=found[-1]["id"]):
            found.extend(orders)

    assert first[::-1] == [order["id"] for order in down]
    assert first + later == [order["id"] for order in up]


def test_any_id_of_an_order_is_a_place_to_go_on_from(client: httpx.Client, symbol: str) -> None:
    """A revision's is its own submission, a group's that of its parent."""
    revisions = replaced(client, placed(client, symbol), 2)
    group = bracket(client, symbol)
    last = placed(client, symbol)["id"]

    def listed(**asked: Any) -> list[str]:
        return [order["id"] for order in page(client, **asked)]

    assert revisions[:1] == listed(before_order_id=revisions[1])
    assert [last] == listed(after_order_id=group["legs"][-1]["id"])
    legs = [leg["id"] for leg in group["legs"]]
    assert [last, *legs[::-1]] == listed(after_order_id=group["group_id"])
    assert [revisions[1]] == listed(
        after_order_id=revisions[0], until=page(client)[-3]["submitted_at"]
    )


def test_orders_are_listed_by_the_class_of_their_asset(
    venue: Venue, client: httpx.Client, symbol: str
) -> None:
    """Of several classes, separated by commas; a class that nobody trades has none."""
    coin = venue.instrument(asset_class="crypto")
    share, other = placed(client, symbol)["id"], placed(client, coin)["id"]

    def listed(wanted: str) -> list[str]:
        return [order["id"] for order in page(client, asset_class=wanted)]

    assert [share] == listed("us_equity")
    assert [other] == listed("crypto")
    assert [other, share] == listed("us_equity,crypto")
    assert [] == listed("us_option")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"before_order_id": "nothing"}, "before_order_id"),
        ({"after_order_id": "nothing"}, "after_order_id"),
        ({"page_token": "nothing"}, "page_token"),
        ({"before_order_id": ""}, "before_order_id"),
        ({"before_order_id": str(uuid4())}, "before_order_id"),
        ({"after_order_id": str(uuid4())}, "after_order_id"),
        ({"page_token": str(uuid4())}, "page_token"),
        ({"limit": "1e2"}, "limit"),
        ({"limit": "+5"}, "limit"),
        ({"limit": "5.0"}, "limit"),
        ({"limit": "\u0665"}, "limit"),
        ({"limit": ["5", "6"]}, "limit"),
        ({"symbols": ""}, "symbols"),
        ({"asset_class": "shares"}, "asset_class"),
        ({"page": "2"}, "page"),
        ({"page_size": "2"}, "page_size"),
        ({"Limit": "2"}, "Limit"),
        ({"": "2"}, "query"),
    ],
)
def test_a_wrong_page_of_orders_is_refused_by_name(
    client: httpx.Client, asked: dict[str, Any], field: str
) -> None:
    """A loop over what is not taken here ends at once, and is told why."""
    answer = client.get("/v2/orders", params=asked)

    assert (422, field) == (answer.status_code, answer.json()["field"])


def test_two_ids_beside_each_other_are_refused(client: httpx.Client, symbol: str) -> None:
    """They exclude each other, as Alpaca says."""
    order = placed(client, symbol)["id"]

    for asked, field in (
        ({"before_order_id": order, "after_order_id": order}, "after_order_id"),
        ({"before_order_id": order, "page_token": order}, "page_token"),
        ({"after_order_id": order, "page_token": order}, "page_token"),
    ):
        answer = client.get("/v2/orders", params=asked)
        assert (422, field) == (answer.status_code, answer.json()["field"])


def test_an_order_of_another_account_is_no_place_to_go_on_from(
    venue: Venue, client: httpx.Client, symbol: str
) -> None:
    """It is refused in the words in which one is that never was."""
    with venue.client(venue.trader()) as other:
        theirs = placed(other, symbol)["id"]

    answer = client.get("/v2/orders", params={"before_order_id": theirs})
    never = client.get("/v2/orders", params={"before_order_id": str(uuid4())})

    assert (422, "before_order_id") == (answer.status_code, answer.json()["field"])
    assert never.json() == answer.json()

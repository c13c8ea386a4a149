"""Activities in pages: every fill is reached once, both ways, whatever happens meanwhile."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.alpaca_py import OrderStatus, TradeActivity, TradeActivityType
from tests.venue import Venue, served

SWEPT = 105


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


class Market:
    """A buyer who takes what a seller offers, in an instrument of their own."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.symbol = venue.instrument()
        self.position = 0
        self.buyer, self.seller = venue.trader(), venue.trader()
        venue.hold(self.seller, self.symbol, "1000", "10000")
        self.buys, self.sells = venue.client(self.buyer), venue.client(self.seller)

    def close(self) -> None:
        """Let both clients go."""
        self.buys.close()
        self.sells.close()

    def place(self, client: httpx.Client, side: str, qty: int, price: str) -> dict[str, Any]:
        """Place a limit order."""
        body = {
            "symbol": self.symbol,
            "qty": str(qty),
            "side": side,
            "type": "limit",
            "time_in_force": "gtc",
            "limit_price": price,
        }
        answer = client.post("/v2/orders", json=body)
        assert answer.status_code == 200, answer.text
        self.position = int(answer.headers["X-Nexus-Position"])
        placed: dict[str, Any] = answer.json()
        return placed

    def offer(self, orders: int) -> None:
        """Let the seller offer single shares."""
        for _ in range(orders):
            self.place(self.sells, "sell", 1, "100")

    def revise(self, trade_id: str, how: str, **terms: str) -> None:
        """Bust or correct a trade."""
        body = {"reason": "an error", **terms}
        done = self.venue.admin.post(f"/admin/trades/{trade_id}/{how}", json=body)
        assert done.status_code == 200, done.text
        self.position = done.json()["position"]

    def ask(self, client: httpx.Client, path: str = "", **asked: Any) -> httpx.Response:
        """Ask for activities, of all that was done here."""
        seen = {"X-Nexus-Position": str(self.position)}
        return client.get(f"/v2/account/activities{path}", params=asked, headers=seen)

    def told(self, client: httpx.Client, path: str = "", **asked: Any) -> list[dict[str, Any]]:
        """One page."""
        answer = self.ask(client, path, **asked)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    def pages(self, client: httpx.Client, **asked: Any) -> list[list[dict[str, Any]]]:
        """All pages, as a client goes through them: by the id of the last activity of each."""
        found = [self.told(client, **asked)]
        while found[-1]:
            found.append(self.told(client, **asked, page_token=found[-1][-1]["id"]))
        return found[:-1]

    def refused(self, **asked: Any) -> tuple[int, str | None]:
        """Status and field of a refusal."""
        answer = self.ask(self.buys, **asked)
        return answer.status_code, answer.json()["field"]


@pytest.fixture(scope="module")
def swept(venue: Venue) -> Iterator[Market]:
    """A market in which one order has taken more than a page of others at once."""
    market = Market(venue)
    market.offer(SWEPT)
    market.place(market.buys, "buy", SWEPT + 5, "100")
    yield market
    market.close()


@pytest.fixture
def market(venue: Venue) -> Iterator[Market]:
    """A market for one test."""
    market = Market(venue)
    yield market
    market.close()


def ids(pages: list[list[dict[str, Any]]]) -> list[str]:
    """The ids of all pages, as they came."""
    return [one["id"] for page in pages for one in page]


def test_every_fill_of_one_sweep_is_reached_by_page_token(swept: Market) -> None:
    """All of them happened at one instant, and no page of 100 holds them."""
    pages = swept.pages(swept.buys)

    assert [100, 5] == [len(page) for page in pages]
    found = [one for page in pages for one in page]
    assert SWEPT == len({one["id"] for one in found}) == len({f["execution_id"] for f in found})
    assert 1 == len({one["transaction_time"] for one in found})
    assert ids(pages) == sorted(ids(pages), reverse=True)
    assert [f["execution_id"] for f in found] == [f["id"].partition("::")[2] for f in found]


@pytest.mark.parametrize("size", [1, 7, 52, 100])
def test_pages_of_any_size_go_both_ways(swept: Market, size: int) -> None:
    """Ascending pages are the descending ones backwards."""
    backwards = ids(swept.pages(swept.buys, page_size=size))
    forwards = ids(swept.pages(swept.buys, page_size=size, direction="asc"))

    assert SWEPT == len(set(backwards)) == len(backwards)
    assert forwards == backwards[::-1]


def test_a_fill_says_what_it_left_of_its_order(swept: Market) -> None:
    """The first one and the last one leave some to do; each counts what went before."""
    fills = [f for page in swept.pages(swept.buys, direction="asc") for f in page]

    assert [f"{n}.00000000" for n in range(1, SWEPT + 1)] == [f["cum_qty"] for f in fills]
    assert [f"{SWEPT + 5 - n}.00000000" for n in range(1, SWEPT + 1)] == [
        f["leaves_qty"] for f in fills
    ]
    assert {("partial_fill", "partially_filled")} == {(f["type"], f["order_status"]) for f in fills}
    sold = swept.told(swept.sells)
    assert {("fill", "filled", "1.00000000", "0.00000000")} == {
        (f["type"], f["order_status"], f["cum_qty"], f["leaves_qty"]) for f in sold
    }


def test_a_day_is_answered_whole_as_alpaca_answers_it(swept: Market) -> None:
    """With `date` and no `page_size` there is one page; with one there are pages."""
    (day,) = {f["transaction_time"][:10] for f in swept.told(swept.buys)}

    assert SWEPT == len(swept.told(swept.buys, date=day))
    assert SWEPT == len(swept.told(swept.buys, date=f"{day}T23:59:59Z"))
    assert SWEPT == len(swept.told(swept.buys, date=day, page_size=1000))
    assert [60, 45] == [len(page) for page in swept.pages(swept.buys, date=day, page_size=60)]
    assert [] == swept.told(swept.buys, date="2026-01-01")
    assert [] == swept.told(swept.buys, date="2099-01-01")


def test_pages_of_a_type_are_those_of_all(swept: Market) -> None:
    """FILL is told under its path and among others; other types are there and empty."""
    newest = swept.told(swept.buys, page_size=3)

    assert newest == swept.told(swept.buys, "/FILL", page_size=3)
    assert newest == swept.told(swept.buys, activity_types="DIV,FILL", page_size=3)
    assert newest == swept.told(swept.buys, category="trade_activity", page_size=3)
    last = newest[-1]["id"]
    assert swept.told(swept.buys, page_token=last, page_size=9) == swept.told(
        swept.buys, "/FILL", page_token=last, page_size=9
    )
    assert [] == swept.told(swept.buys, "/DIV")
    assert [] == swept.told(swept.buys, activity_types="DIV,CSD")
    assert [] == swept.told(swept.buys, category="non_trade_activity")
    wrong = swept.ask(swept.buys, "/FFFFF")
    assert (422, "activity_type") == (wrong.status_code, wrong.json()["field"])


def test_fills_that_arrive_between_pages_are_neither_skipped_nor_repeated(market: Market) -> None:
    """Downwards the new ones are left for who looks again, upwards they come at the end."""
    market.offer(8)
    market.place(market.buys, "buy", 5, "100")
    down = [market.told(market.buys, page_size=2)]
    up = [market.told(market.buys, page_size=2, direction="asc")]

    market.place(market.buys, "buy", 3, "100")
    for pages, direction in ((down, "desc"), (up, "asc")):
        while pages[-1]:
            token = pages[-1][-1]["id"]
            pages.append(
                market.told(market.buys, page_size=2, page_token=token, direction=direction)
            )

    everything = ids([market.told(market.buys, direction="asc")])
    assert 8 == len(everything)
    assert everything[:5][::-1] == ids(down)
    assert everything == ids(up)


def test_pages_of_one_pass_through_corrections_and_busts(market: Market) -> None:
    """A correction is two activities of one event; pages may end between them."""
    market.offer(3)
    market.place(market.buys, "buy", 3, "100")
    trades = [f["execution_id"] for f in market.told(market.buys, direction="asc")]
    market.revise(trades[0], "correct", price="99")
    market.revise(trades[1], "bust")
    market.revise(trades[0], "correct", price="98")

    told = [one for page in market.pages(market.buys, page_size=1) for one in page]

    assert market.told(market.buys) == told
    assert [
        ("fill", "partial_fill", "1.00000000", "100.0000", trades[0]),
        ("fill", "partial_fill", "1.00000000", "100.0000", trades[1]),
        ("fill", "fill", "1.00000000", "100.0000", trades[2]),
        ("fill", "trade_correct", "-1.00000000", "100.0000", trades[0]),
        ("fill", "trade_correct", "1.00000000", "99.0000", trades[0]),
        ("fill", "trade_bust", "-1.00000000", "100.0000", trades[1]),
        ("fill", "trade_correct", "-1.00000000", "99.0000", trades[0]),
        ("fill", "trade_correct", "1.00000000", "98.0000", trades[0]),
    ] == [
        ("fill", a["exact_type"], a["qty"], a["price"], a["execution_id"]) for a in reversed(told)
    ]
    assert told[::-1] == [
        a for p in market.pages(market.buys, page_size=3, direction="asc") for a in p
    ]


def test_an_activity_names_the_revision_that_traded(market: Market) -> None:
    """As the stream names it: the order that a client knows when it happens."""
    first = market.place(market.buys, "buy", 5, "100")
    market.offer(1)
    second = market.buys.patch(f"/v2/orders/{first['id']}", json={"qty": "4"}).json()
    market.offer(1)
    third = market.buys.patch(f"/v2/orders/{second['id']}", json={"qty": "3"}).json()
    market.offer(1)

    fills = market.told(market.buys, direction="asc")
    assert [first["id"], second["id"], third["id"]] == [one["order_id"] for one in fills]
    assert ["1.00000000", "2.00000000", "3.00000000"] == [one["cum_qty"] for one in fills]
    assert ["partial_fill", "partial_fill", "fill"] == [one["type"] for one in fills]
    market.revise(fills[0]["execution_id"], "bust")
    bust = market.told(market.buys, page_size=1)[0]
    assert (third["id"], "2.00000000") == (bust["order_id"], bust["cum_qty"])


def test_alpaca_reads_every_activity_as_a_fill(market: Market) -> None:
    """What was corrected and what was busted too, and of these what is left of the order now."""
    market.offer(3)
    market.place(market.buys, "buy", 5, "100")
    trades = [f["execution_id"] for f in market.told(market.buys, direction="asc")]
    market.revise(trades[0], "correct", price="99")
    market.revise(trades[1], "bust")

    read = [TradeActivity(**one) for one in market.told(market.buys, direction="asc")]

    assert {TradeActivityType.PARTIAL_FILL} == {one.type for one in read}
    assert [(1, 1, 4), (1, 2, 3), (1, 3, 2), (-1, 2, 2), (1, 2, 2), (-1, 2, 2)] == [
        (one.qty, one.cum_qty, one.leaves_qty) for one in read
    ]
    assert {OrderStatus.PARTIALLY_FILLED} == {one.order_status for one in read}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"page_size": "0"}, "page_size"),
        ({"page_size": "-1"}, "page_size"),
        ({"page_size": "101"}, "page_size"),
        ({"page_size": "1e2"}, "page_size"),
        ({"page_size": "10001", "date": "2026-11-20"}, "page_size"),
        ({"page_token": "nothing"}, "page_token"),
        ({"page_token": ""}, "page_token"),
        ({"page_token": str(uuid4())}, "page_token"),
        ({"page_token": f"20261120000000000::{uuid4()}"}, "page_token"),
        ({"page_token": f"20261120000000000::{'f' * 8}-ffff-7fff-bfff-{'f' * 12}"}, "page_token"),
        ({"date": "tomorrow"}, "date"),
        ({"date": "2026-11-20", "after": "2026-11-19"}, "after"),
        ({"date": "2026-11-20", "until": "2026-11-21"}, "until"),
        ({"after": "soon"}, "after"),
        ({"direction": "down"}, "direction"),
        ({"category": "trades"}, "category"),
        ({"category": "trade_activity", "activity_types": "FILL"}, "category"),
        ({"activity_types": "FILL,NOPE"}, "activity_types"),
        ({"limit": "5"}, "limit"),
        ({"page_size": ["5", "6"]}, "page_size"),
    ],
)
def test_a_wrong_page_is_refused_by_name(swept: Market, asked: dict[str, Any], field: str) -> None:
    """A loop that asks for what cannot be ends at once, and is told why."""
    assert (422, field) == swept.refused(**asked)


def test_a_page_token_of_another_account_is_refused(swept: Market, market: Market) -> None:
    """In the words in which one is that never was."""
    market.offer(1)
    market.place(market.buys, "buy", 1, "100")
    (others,) = market.told(market.buys)

    answer = swept.ask(swept.buys, page_token=others["id"])
    never = swept.ask(swept.buys, page_token=others["id"][:-1] + "f")

    assert (422, "page_token") == (answer.status_code, answer.json()["field"])
    assert never.json() == answer.json()


def test_a_time_that_several_activities_share_is_no_place_to_go_on_from(swept: Market) -> None:
    """A page may have ended among them: beyond that instant the others would be lost, and where
    pages go on by a time it is refused by name. A `page_token` beside it tells the place.
    """
    newest = swept.told(swept.buys, page_size=2)
    at = newest[-1]["transaction_time"]

    assert (422, "until") == swept.refused(until=at)
    assert (422, "until") == swept.refused(until=at, after="2026-01-01", direction="desc")
    assert (422, "after") == swept.refused(after=at, direction="asc")
    refused = swept.ask(swept.buys, until=at).json()
    assert "page_token" in refused["message"]
    # Which activities are later, or earlier, is told where no page may have ended there.
    assert [] == swept.told(swept.buys, after=at)
    assert [] == swept.told(swept.buys, until=at, direction="asc")
    assert SWEPT - 2 > len(swept.told(swept.buys, page_token=newest[-1]["id"])) > 0
    assert [] == swept.told(swept.buys, until=at, page_token=newest[-1]["id"])
    # Told more finely it is later than all of them.
    assert 100 == len(swept.told(swept.buys, until=at.replace("Z", "5Z")))


def test_pages_by_time_alone_reach_every_activity_that_stands_alone(market: Market) -> None:
    """Where each has an instant of its own a time is as good as an id."""
    market.offer(5)
    for _ in range(5):
        market.place(market.buys, "buy", 1, "100")
    everything = ids([market.told(market.buys)])
    for direction, bound in (("desc", "until"), ("asc", "after")):
        pages = [market.told(market.buys, page_size=2, direction=direction)]
        while pages[-1]:
            last = pages[-1][-1]["transaction_time"]
            pages.append(
                market.told(market.buys, page_size=2, direction=direction, **{bound: last})
            )
        assert sorted(everything) == sorted(ids(pages))


def test_times_and_pages_narrow_together(market: Market) -> None:
    """Both bounds are exclusive, with a token beside them too."""
    market.offer(4)
    for _ in range(4):
        market.place(market.buys, "buy", 1, "100")
    fills = market.told(market.buys, direction="asc")
    times = [f["transaction_time"] for f in fills]
    assert 4 == len(set(times))

    assert fills[1:3] == market.told(
        market.buys, after=times[0], until=times[3], direction="asc", page_size=2
    )
    assert [fills[2]] == market.told(
        market.buys, after=times[0], until=times[3], page_token=fills[1]["id"], direction="asc"
    )
    # Told more finely, it is later than what happened in that microsecond.
    finer = times[3].replace("Z", "001Z")
    assert fills[1:] == market.told(market.buys, after=times[0], until=finer, direction="asc")


def test_an_account_without_trades_has_one_empty_page(venue: Venue) -> None:
    """The first page says so."""
    with venue.client(venue.trader()) as client:
        assert [] == client.get("/v2/account/activities").json()

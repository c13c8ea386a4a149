"""Settlement of a served venue: run by hand, seen over HTTP, the same after a rebuild."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from api.cli.exit_codes import Exit
from infrastructure.database import EmbeddedServer
from projections.settlements import Settlements
from tests.conftest import Schema
from tests.model.projecting import rebuild
from tests.venue import Trader, Venue, served

VALUE_DATE = "2026-11-23"


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """A served venue for the tests of this module."""
    with served(postgres.dsn()) as made:
        yield made


def nexus(venue: Venue, *arguments: str, bus: str | None = None) -> Any:
    """The command line, on the venue's own writer."""
    settings = venue.app.state["gateway"].settings
    path = os.pathsep.join([str(Path(__file__).resolve().parent.parent.parent), *sys.path])
    return subprocess.run(
        [sys.executable, "-m", "api.cli.main", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": path,
            "NEXUS_BUS_PATH": bus or str(settings.bus_socket),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def settle(venue: Venue, date: str = VALUE_DATE, *options: str) -> dict[str, Any]:
    """One whole run."""
    ran = nexus(venue, "settlement", "run", date, "--ahead", "--json", *options)
    assert Exit.OK == ran.returncode, ran.stderr
    facts: dict[str, Any] = json.loads(ran.stdout)
    return facts


class Deal(NamedTuple):
    """One trade, due on the value date, and the log position of its fills."""

    buyer: Trader
    seller: Trader
    symbol: str
    position: int

    def trade_id(self, venue: Venue) -> str:
        """The trade's id, from the tape."""
        headers = {"X-Nexus-Position": str(self.position)}
        (trade,) = venue.admin.get(
            "/admin/trades", params={"symbol": self.symbol}, headers=headers
        ).json()
        return str(trade["trade_id"])


def place(client: httpx.Client, symbol: str, side: str, qty: str, price: str) -> int:
    """A limit order that must be taken; its log position."""
    body = {
        "symbol": symbol,
        "side": side,
        "qty": qty,
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": price,
    }
    placed = client.post("/v2/orders", json=body)
    assert 200 == placed.status_code, placed.text
    return int(placed.headers["X-Nexus-Position"])


def traded(venue: Venue, price: str = "100.50", cash: str = "1005.01") -> Deal:
    """Ten shares of a new instrument are sold to a buyer who has just the cash for an order."""
    symbol = venue.instrument()
    buyer, seller = venue.trader(cash), venue.trader("0")
    venue.hold(seller, symbol, "10")
    with venue.client(seller) as client:
        place(client, symbol, "sell", "10", price)
    with venue.client(buyer) as client:
        position = place(client, symbol, "buy", "10", price)
    return Deal(buyer, seller, symbol, position)


def shown(venue: Venue, trader: Trader, position: int = 0, **filters: Any) -> list[dict[str, Any]]:
    """What an account sees of its settlements."""
    with venue.client(trader) as client:
        found = client.get(
            "/v2/settlements", params=filters, headers={"X-Nexus-Position": str(position)}
        )
    assert 200 == found.status_code, found.text
    rows: list[dict[str, Any]] = found.json()
    return rows


def test_settlement_is_run_by_hand_and_shown_over_http(venue: Venue) -> None:
    """Pending until the run, settled after it; decimals are strings at their scales."""
    buyer, seller, symbol, _ = traded(venue)
    (before,) = shown(venue, buyer)
    assert ("pending", None, VALUE_DATE, symbol, 0, None) == (
        before["status"],
        before["reason"],
        before["value_date"],
        before["symbol"],
        before["attempts"],
        before["run_date"],
    )
    assert ("10.00000000", "1005.00", "0.00000000", "0.00") == (
        before["bought_qty"],
        before["bought_amount"],
        before["sold_qty"],
        before["sold_amount"],
    )
    assert ("10.00000000", "-1005.00", "0.00000000", "0.00") == (
        before["net_qty"],
        before["net_amount"],
        before["settled_qty"],
        before["settled_amount"],
    )

    ran = settle(venue)

    assert (20261123, 0, []) == (ran["run_date"], ran["failed"], ran["short"])
    assert ran["settled"] >= 2
    (bought,), (sold,) = (shown(venue, one, ran["position"]) for one in (buyer, seller))
    assert ("settled", "10.00000000", "-1005.00", 1, VALUE_DATE) == (
        bought["status"],
        bought["settled_qty"],
        bought["settled_amount"],
        bought["attempts"],
        bought["run_date"],
    )
    assert ("settled", "-10.00000000", "1005.00", "1005.00") == (
        sold["status"],
        sold["settled_qty"],
        sold["settled_amount"],
        sold["sold_amount"],
    )


def test_settlement_run_again_finds_nothing_to_do(venue: Venue) -> None:
    """The same line twice is harmless."""
    traded(venue)
    settle(venue)
    again = settle(venue)
    assert (0, 0) == (again["settled"], again["failed"])


def test_settlement_that_fails_is_named_and_made_later(venue: Venue) -> None:
    """Short of cash after a correction: failed with its reason, settled once it is paid in."""
    deal = traded(venue)
    buyer, seller, symbol, _ = deal
    body = {"price": "101", "reason": "mispriced"}
    corrected = venue.admin.post(f"/admin/trades/{deal.trade_id(venue)}/correct", json=body)
    assert 200 == corrected.status_code, corrected.text

    ran = settle(venue)

    short = [row for row in ran["short"] if row["account_id"] == buyer.account_id]
    assert [(symbol, 20261123, "10.00000000", "-1010.00", "CASH")] == [
        (row["symbol"], row["value_date"], row["qty"], row["amount"], row["reason"])
        for row in short
    ]
    (failed,) = shown(venue, buyer, ran["position"], status="failed")
    assert ("CASH", "1010.00", 1) == (failed["reason"], failed["bought_amount"], failed["attempts"])
    assert [] == shown(venue, seller, ran["position"], status="failed")
    said = nexus(venue, "settlement", "run", VALUE_DATE, "--ahead")
    assert Exit.OK == said.returncode
    assert "0 settled, 1 failed" in said.stdout
    assert symbol in said.stdout and "CASH" in said.stdout
    venue.admin.post(f"/admin/accounts/{buyer.account_id}/deposits", json={"amount": "5.00"})

    ran = settle(venue)

    assert (1, 0) == (ran["settled"], ran["failed"])
    (row,) = shown(venue, buyer, ran["position"])
    assert ("settled", None, 2) == (row["status"], row["reason"], row["attempts"])


def test_settlement_goes_in_the_chunks_that_are_asked_for(venue: Venue) -> None:
    """Small commands, one after the other, come to the same."""
    settle(venue)
    for _ in range(3):
        traded(venue)
    assert 6 == settle(venue, VALUE_DATE, "--chunk", "1")["settled"]


def test_settlements_are_filtered_by_status_value_date_and_symbol(venue: Venue) -> None:
    """Each filter alone and all together; nothing of another account."""
    buyer, _, symbol, _ = traded(venue)
    assert 1 == len(shown(venue, buyer, symbol=symbol, value_date=VALUE_DATE, status="pending"))
    assert [] == shown(venue, buyer, symbol="NONE")
    assert [] == shown(venue, buyer, value_date="2026-11-24")
    assert [] == shown(venue, buyer, status="settled")
    assert [] == shown(venue, venue.trader())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("value_date", "tomorrow"),
        ("value_date", "2026-02-29"),
        ("status", "done"),
        ("limit", "0"),
        ("limit", "501"),
        ("direction", "down"),
        ("page_token", "nothing"),
        ("page_token", "20261120::00000000-0000-7000-8000-000000000000"),
        ("page_token", "２0261120::00000000-0000-7000-8000-000000000000"),
    ],
)
def test_settlements_filters_that_are_wrong_are_named(venue: Venue, name: str, value: str) -> None:
    """A filter that says nothing is refused, not passed over."""
    with venue.client(venue.trader()) as client:
        refused = client.get("/v2/settlements", params={name: value})
    assert 422 == refused.status_code
    assert name in refused.text


@pytest.mark.parametrize("direction", ["desc", "asc"])
def test_paging_of_settlements_neither_skips_nor_repeats(venue: Venue, direction: str) -> None:
    """Five instruments of one value date in pages of two, while a sixth comes to be traded."""
    buyer, seller = venue.trader("20000"), venue.trader("0")

    def deal() -> int:
        symbol = venue.instrument()
        venue.hold(seller, symbol, "10")
        with venue.client(seller) as client:
            place(client, symbol, "sell", "10", "100")
        with venue.client(buyer) as client:
            return place(client, symbol, "buy", "10", "100")

    seen = [deal() for _ in range(5)][-1]
    before = shown(venue, buyer, seen)
    pages = [shown(venue, buyer, limit=2, direction=direction)]
    seen = deal()
    while pages[-1]:
        token = pages[-1][-1]["id"]
        pages.append(shown(venue, buyer, seen, limit=2, direction=direction, page_token=token))

    told = [row["id"] for page in pages for row in page]
    assert len(told) == len(set(told))
    assert {row["id"] for row in before} <= set(told)
    assert told == sorted(told, reverse=direction == "desc")
    assert {VALUE_DATE} == {row["value_date"] for page in pages for row in page}
    with venue.client(seller) as client:
        others = client.get("/v2/settlements", params={"page_token": told[0]})
    assert 200 == others.status_code, "both sides of a trade have a row of one name"


def test_settlements_are_for_holders_of_a_key(venue: Venue) -> None:
    """Nobody reads them without one."""
    assert 401 == httpx.get(f"{venue.url}/v2/settlements").status_code


def test_settlements_that_reopen_show_what_has_moved_and_what_is_to_come(venue: Venue) -> None:
    """A trade after the run of its own value date: pending again, the settled part beside it."""
    buyer, seller, symbol, _ = traded(venue, cash="2000.00")
    settle(venue)
    venue.hold(seller, symbol, "5")
    with venue.client(seller) as client:
        place(client, symbol, "sell", "5", "91")
    with venue.client(buyer) as client:
        place(client, symbol, "buy", "5", "91")

    (row,) = shown(venue, buyer)

    assert ("pending", "15.00000000", "10.00000000", "-1460.00", "-1005.00") == (
        row["status"],
        row["net_qty"],
        row["settled_qty"],
        row["net_amount"],
        row["settled_amount"],
    )
    ran = settle(venue)
    (row,) = shown(venue, buyer, ran["position"])
    assert ("settled", "15.00000000") == (row["status"], row["settled_qty"])


def test_settlements_rebuilt_are_those_kept(venue: Venue, postgres: EmbeddedServer) -> None:
    """The view made again from the log alone is the view that followed it."""
    traded(venue)
    settle(venue)
    trade_id = traded(venue).trade_id(venue)
    busted = venue.admin.post(f"/admin/trades/{trade_id}/bust", json={"reason": "error"})
    assert 200 == busted.status_code, busted.text
    settle(venue)

    rebuilt = rebuild(Schema(postgres.dsn(), venue.schema), Settlements(), switch=False)

    assert rebuilt.equal
    assert 1 == len(rebuilt.compared)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("2026-02-30",), Exit.USAGE, "2026-02-30"),
        (("yesterday",), Exit.USAGE, "yesterday"),
        (("9000-01-01",), Exit.USAGE, "--ahead"),
        (("2026-11-20", "--chunk", "201"), Exit.USAGE, "--chunk"),
    ],
)
def test_settlement_run_refuses_a_date_that_is_none_or_has_not_come(
    venue: Venue, arguments: tuple[str, ...], code: Exit, said: str
) -> None:
    """A slip of the finger settles nothing."""
    ran = nexus(venue, "settlement", "run", *arguments)
    assert code == ran.returncode
    assert said in ran.stderr


def test_settlement_run_without_a_writer_says_so(venue: Venue, tmp_path: Path) -> None:
    """No writer answers: exit code 3, and the line to type again."""
    ran = nexus(venue, "settlement", "run", "2026-11-20", bus=str(tmp_path / "none.sock"))
    assert Exit.STORE_UNAVAILABLE == ran.returncode
    assert "nexus serve" in ran.stderr

"""What operators do over HTTP: accounts, keys, money, instruments, sessions, trades."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
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


def order(symbol: str, side: str, price: str, qty: str = "10", **terms: Any) -> dict[str, Any]:
    """A limit order."""
    return {
        "symbol": symbol,
        "qty": qty,
        "side": side,
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": price,
        **terms,
    }


def trade(venue: Venue, symbol: str) -> tuple[Trader, Trader, str]:
    """A buyer and a seller who have just traded 10 at 100; returns the trade's id too."""
    buyer, seller = venue.trader(), venue.trader()
    venue.hold(seller, symbol, "50", "5000")
    with venue.client(seller) as selling, venue.client(buyer) as buying:
        assert selling.post("/v2/orders", json=order(symbol, "sell", "100")).status_code == 200
        bought = buying.post("/v2/orders", json=order(symbol, "buy", "100"))
        assert "filled" == bought.json()["status"]
        position = bought.headers["X-Nexus-Position"]
    tape = venue.admin.get(
        "/admin/trades", params={"symbol": symbol}, headers={"X-Nexus-Position": position}
    ).json()
    assert 1 == len(tape)
    return buyer, seller, tape[0]["trade_id"]


def test_an_account_is_opened_once_and_its_secret_told_once(venue: Venue) -> None:
    """The same name again gives the account without a secret; rotate ends the old keys."""
    name = f"fund-{uuid4().hex[:8]}"

    first = venue.admin.post("/admin/accounts", json={"name": name}).json()
    again = venue.admin.post("/admin/accounts", json={"name": name}).json()
    rotated = venue.admin.post("/admin/accounts", json={"name": name, "rotate": True}).json()

    assert (True, False, False) == (first["created"], again["created"], rotated["created"])
    assert 1 == len({first["account_id"], again["account_id"], rotated["account_id"]})
    assert (None, None) == (again["key_id"], again["secret_key"])

    def status(key: dict[str, str]) -> int:
        headers = {"APCA-API-KEY-ID": key["key_id"], "APCA-API-SECRET-KEY": key["secret_key"]}
        return httpx.get(f"{venue.url}/v2/account", headers=headers).status_code

    assert (401, 200) == (status(first), status(rotated))
    more = venue.admin.post(f"/admin/accounts/{first['account_id']}/keys").json()
    assert (200, 200) == (status(rotated), status(more))


def test_the_same_name_with_other_terms_is_refused(venue: Venue) -> None:
    """An account is known by its name."""
    name = f"fund-{uuid4().hex[:8]}"
    venue.admin.post("/admin/accounts", json={"name": name})

    other = venue.admin.post("/admin/accounts", json={"name": name, "owner": "somebody"})

    assert (409, "ACCOUNT_EXISTS") == (other.status_code, other.json()["reason"])


def test_a_trader_is_no_operator(venue: Venue) -> None:
    """A trader's key opens no operator's door, and an operator's trades for nobody."""
    with venue.client(venue.trader(cash="0")) as client:
        for method, path in (
            ("GET", "/admin/accounts"),
            ("POST", "/admin/accounts"),
            ("POST", "/admin/instruments"),
            ("GET", "/admin/trades"),
        ):
            answer = client.request(method, path, json={"name": "x"})
            assert (403, "ROLE_REQUIRED") == (answer.status_code, answer.json()["reason"])
    assert 403 == venue.admin.get("/v2/account").status_code


def test_money_moves_once_for_each_key(venue: Venue) -> None:
    """A deposit repeated under its key moves nothing more; another body under it is refused."""
    trader = venue.trader(cash="0")
    path = f"/admin/accounts/{trader.account_id}"
    key = {"Idempotency-Key": uuid4().hex}

    first = venue.admin.post(f"{path}/deposits", json={"amount": "100.25"}, headers=key)
    again = venue.admin.post(f"{path}/deposits", json={"amount": 100.25}, headers=key)
    other = venue.admin.post(f"{path}/deposits", json={"amount": "100.26"}, headers=key)
    venue.admin.post(f"{path}/withdrawals", json={"amount": "0.05"})
    venue.admin.post(f"{path}/fees", json={"amount": "0.20", "description": "a fee"})
    beyond = venue.admin.post(f"{path}/withdrawals", json={"amount": "100.01"})

    assert [200, 200, 422, 403] == [a.status_code for a in (first, again, other, beyond)]
    assert (False, True) == (first.json()["duplicate"], again.json()["duplicate"])
    assert ("REQUEST_KEY_REUSED", "INSUFFICIENT_CASH") == (
        other.json()["reason"],
        beyond.json()["reason"],
    )
    assert "100.00" == venue.admin.get(path).json()["cash"]


def test_a_blocked_account_places_nothing_until_it_is_active(venue: Venue) -> None:
    """Status and limits of an account take effect at once."""
    symbol, trader = venue.instrument(), venue.trader()
    path = f"/admin/accounts/{trader.account_id}"
    with venue.client(trader) as client:

        def place() -> tuple[int, str | None]:
            answer = client.post("/v2/orders", json=order(symbol, "buy", "99"))
            return answer.status_code, answer.json().get("reason")

        venue.admin.patch(path, json={"status": "blocked", "reason": "a question"})
        assert (403, "ACCOUNT_NOT_ACTIVE") == place()
        assert client.get("/v2/account").json()["trading_blocked"]
        venue.admin.patch(path, json={"status": "active"})
        assert (200, None) == place()
        venue.admin.patch(path, json={"max_order_notional": "500"})
        assert (403, "ORDER_TOO_LARGE") == place()
        venue.admin.patch(path, json={"max_order_notional": 0})
        assert (200, None) == place()
    both = venue.admin.patch(path, json={"status": "active", "max_order_notional": 0})
    assert (422, "body") == (both.status_code, both.json()["field"])


def test_halt_resume_close_and_mark_follow_the_session(venue: Venue) -> None:
    """Only what fits the present state is done; the asset shows the phase."""
    symbol, trader = venue.instrument(), venue.trader()
    path = f"/admin/instruments/{symbol}"
    at_once = {"type": "market", "limit_price": None, "time_in_force": "ioc"}
    market = {**order(symbol, "buy", "99"), **at_once}
    with venue.client(trader) as client:

        def phase() -> str:
            shown: str = client.get(f"/v2/assets/{symbol}").json()["phase"]
            return shown

        assert 200 == venue.admin.post(f"{path}/halt", json={"reason": "news"}).status_code
        assert "halted" == phase()
        assert "INSTRUMENT_HALTED" == client.post("/v2/orders", json=market).json()["reason"]
        again = venue.admin.post(f"{path}/halt", json={"reason": "news"})
        assert (409, "WRONG_SESSION_STATE") == (again.status_code, again.json()["reason"])
        assert 200 == venue.admin.post(f"{path}/resume").status_code
        assert "open" == phase()
        assert 200 == venue.admin.post(f"{path}/mark", json={"price": "101.5"}).status_code
        assert "101.5000" == client.get(f"/v2/assets/{symbol}").json()["mark_price"]
        assert 200 == venue.admin.post(f"{path}/close").status_code
        assert "closed" == phase()
        assert "MARKET_CLOSED" == client.post("/v2/orders", json=market).json()["reason"]
        assert 200 == client.post("/v2/orders", json=order(symbol, "buy", "99")).status_code


def test_an_instruments_terms_change_and_its_symbol_too(venue: Venue) -> None:
    """What is left out stays; the id stays when the symbol does not."""
    symbol = venue.instrument()
    with venue.client(venue.trader()) as client:
        before = client.get(f"/v2/assets/{symbol}").json()
        renamed = symbol + "X"

        changed = venue.admin.patch(
            f"/admin/instruments/{symbol}",
            json={"new_symbol": renamed, "max_order_qty": "5", "trigger_rule": "mark"},
        )

        assert 200 == changed.status_code
        after = client.get(f"/v2/assets/{renamed}").json()
        assert (
            before
            | {
                "symbol": renamed,
                "max_order_qty": "5.00000000",
                "trigger_rule": "mark",
            }
            == after
        )
        assert after == client.get(f"/v2/assets/{symbol}").json()
        refused = client.post("/v2/orders", json=order(renamed, "buy", "99"))
        assert (403, "ORDER_TOO_LARGE") == (refused.status_code, refused.json()["reason"])


def test_a_busted_trade_is_undone_on_both_sides(venue: Venue) -> None:
    """Cash and holdings are as before the trade; a second bust is refused."""
    symbol = venue.instrument()
    buyer, seller, trade_id = trade(venue, symbol)

    busted = venue.admin.post(f"/admin/trades/{trade_id}/bust", json={"reason": "a slip"})
    again = venue.admin.post(f"/admin/trades/{trade_id}/bust", json={"reason": "a slip"})

    assert (200, 404) == (busted.status_code, again.status_code)
    assert "UNKNOWN_TRADE" == again.json()["reason"]
    seen = {"X-Nexus-Position": str(busted.json()["position"])}
    with venue.client(buyer) as client:
        assert "1000000.00" == client.get("/v2/account", headers=seen).json()["cash"]
        assert [] == client.get("/v2/positions", headers=seen).json()
    with venue.client(seller) as client:
        assert "1000000.00" == client.get("/v2/account", headers=seen).json()["cash"]
        held = client.get(f"/v2/positions/{symbol}", headers=seen).json()
        assert ("50.00000000", "5000.00") == (held["qty"], held["cost_basis"])
    assert (
        "busted" == venue.admin.get("/admin/trades", params={"symbol": symbol}).json()[0]["status"]
    )


def test_a_corrected_trade_has_another_price_on_both_sides(venue: Venue) -> None:
    """The difference moves from one to the other, and the tape shows both prices."""
    symbol = venue.instrument()
    buyer, _, trade_id = trade(venue, symbol)

    corrected = venue.admin.post(
        f"/admin/trades/{trade_id}/correct", json={"price": "99.5", "reason": "a slip"}
    )

    assert 200 == corrected.status_code, corrected.text
    seen = {"X-Nexus-Position": str(corrected.json()["position"])}
    with venue.client(buyer) as client:
        assert Decimal("999005.00") == Decimal(
            client.get("/v2/account", headers=seen).json()["cash"]
        )
        activities = client.get("/v2/account/activities", headers=seen).json()
        assert [
            ("FILL", "trade_correct", "99.5000", "10.00000000"),
            ("FILL", "trade_correct", "100.0000", "-10.00000000"),
            ("FILL", "fill", "100.0000", "10.00000000"),
        ] == [(a["activity_type"], a["exact_type"], a["price"], a["qty"]) for a in activities]
        assert {"buy"} == {a["side"] for a in activities}
    tape = venue.admin.get("/admin/trades", params={"symbol": symbol}).json()[0]
    assert ("corrected", "99.5000", "100.0000") == (
        tape["status"],
        tape["price"],
        tape["original_price"],
    )


def test_the_clock_knows_the_next_session_of_a_calendar(venue: Venue) -> None:
    """An instrument that trades around the clock opens again at the next midnight, UTC."""
    venue.instrument(calendar="24/7")
    with venue.client(venue.trader(cash="0")) as client:
        clock = client.get("/v2/clock").json()

    now, opens = (datetime.fromisoformat(clock[name]) for name in ("timestamp", "next_open"))
    assert clock["is_open"]
    assert (now + timedelta(days=1)).date() == opens.date()
    assert (0, 0) == (opens.hour, opens.minute)
    assert now < datetime.fromisoformat(clock["next_close"])

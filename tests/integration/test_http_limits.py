"""What operators set for accounts and instruments over HTTP, and what it does to orders."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Trader, Venue, served


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


@pytest.fixture
def released(venue: Venue) -> Iterator[Venue]:
    """A venue whose kill switch is released afterwards, whatever happened."""
    yield venue
    venue.admin.put("/admin/kill-switch", json={"engaged": False})


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


def account_of(venue: Venue, trader: Trader) -> dict[str, Any]:
    """The account as its operators see it now."""
    shown: dict[str, Any] = venue.admin.get(f"/admin/accounts/{trader.account_id}").json()
    return shown


def margin_trader(venue: Venue, cash: str = "100000.00") -> Trader:
    """A trader who may borrow."""
    return venue.trader(cash, kind="margin")


def put(venue: Venue, path: str, body: dict[str, Any]) -> httpx.Response:
    """Send one of the operator's settings; it must be taken."""
    answer = venue.admin.put(f"/admin/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer


def trade(venue: Venue, symbol: str, buyer: Trader, seller: Trader, price: str, qty: str) -> str:
    """Let two accounts trade; returns the position to read from."""
    with venue.client(seller) as selling, venue.client(buyer) as buying:
        offered = selling.post("/v2/orders", json=order(symbol, "sell", price, qty))
        assert offered.status_code == 200, offered.text
        bought = buying.post("/v2/orders", json=order(symbol, "buy", price, qty))
        assert "filled" == bought.json()["status"], bought.text
    return bought.headers["X-Nexus-Position"]


def test_commission_decimals_come_back_with_their_full_scale(venue: Venue) -> None:
    """Rates are exact text, of the scale their kind has; minimum and cap stand beside them."""
    trader = venue.trader()
    path = f"accounts/{trader.account_id}/commission"

    put(venue, path, {"kind": "per_share", "rate": 0.0035, "minimum": "0.35", "cap_bps": 100})
    per_share = account_of(venue, trader)["commission"]
    tiers = [
        {"from_qty": "0", "maker": "0.5", "taker": "1.5"},
        {"from_qty": "300000", "maker": "-0.25", "taker": "1"},
    ]
    put(venue, path, {"kind": "bps", "tiers": tiers})
    bps = account_of(venue, trader)["commission"]
    put(venue, path, {"kind": "none"})

    assert {
        "kind": "per_share",
        "tiers": [{"from_qty": "0.00000000", "maker": "0.003500000", "taker": "0.003500000"}],
        "minimum": "0.35",
        "cap_bps": 100,
    } == per_share
    assert {
        "kind": "bps",
        "tiers": [
            {"from_qty": "0.00000000", "maker": "0.500", "taker": "1.500"},
            {"from_qty": "300000.00000000", "maker": "-0.250", "taker": "1.000"},
        ],
        "minimum": None,
        "cap_bps": None,
    } == bps
    assert "none" == account_of(venue, trader)["commission"]["kind"]


def test_commission_is_charged_on_both_sides_of_a_trade(venue: Venue) -> None:
    """The buyer owes it on top, the seller receives it less."""
    symbol, buyer, seller = venue.instrument(), venue.trader(), venue.trader()
    venue.hold(seller, symbol, "100", "10000")
    for who, terms in (
        (buyer, {"kind": "per_share", "rate": "0.0035"}),
        (seller, {"kind": "bps", "rate": "1.5"}),
    ):
        put(venue, f"accounts/{who.account_id}/commission", terms)

    seen = {"X-Nexus-Position": trade(venue, symbol, buyer, seller, "100", "100")}

    bought, sold = (
        venue.admin.get(f"/admin/accounts/{who.account_id}", headers=seen).json()
        for who in (buyer, seller)
    )
    assert ("0.35", "10000.35") == (bought["commissions"], bought["payable"])
    assert ("1.50", "9998.50") == (sold["commissions"], sold["receivable"])


def test_commission_of_a_corrected_trade_follows_its_price(venue: Venue) -> None:
    """A proportional one is rescaled, on the tape and in the account; a share's stays."""
    symbol, buyer, seller = venue.instrument(), venue.trader(), venue.trader()
    venue.hold(seller, symbol, "100", "10000")
    for who, terms in (
        (buyer, {"kind": "per_share", "rate": "0.0035"}),
        (seller, {"kind": "bps", "rate": "1.5"}),
    ):
        put(venue, f"accounts/{who.account_id}/commission", terms)
    seen = {"X-Nexus-Position": trade(venue, symbol, buyer, seller, "100", "100")}
    tape = {"params": {"symbol": symbol}}
    (before,) = venue.admin.get("/admin/trades", headers=seen, **tape).json()

    corrected = venue.admin.post(
        f"/admin/trades/{before['trade_id']}/correct", json={"price": "90", "reason": "a slip"}
    )

    assert 200 == corrected.status_code, corrected.text
    seen = {"X-Nexus-Position": str(corrected.json()["position"])}
    (after,) = venue.admin.get("/admin/trades", headers=seen, **tape).json()
    sold = venue.admin.get(f"/admin/accounts/{seller.account_id}", headers=seen).json()
    assert [("0.35", "1.50"), ("0.35", "1.35")] == [
        (shown["buy_fee"], shown["sell_fee"]) for shown in (before, after)
    ]
    assert ("1.35", "8998.65") == (sold["commissions"], sold["receivable"])


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("commission", {"kind": "bps", "rate": "1.0001"}, "rate"),
        ("commission", {"kind": "bps", "tiers": [{"from_qty": "0"}]}, "tiers.0.maker"),
        (
            "commission",
            {"kind": "bps", "tiers": [{"from_qty": "5", "maker": "1", "taker": "1"}]},
            "tiers",
        ),
        ("policy", {}, "use_unsettled"),
        ("policy", {"use_unsettled": 1}, "use_unsettled"),
        ("policy", {"use_unsettled": True, "why": "x"}, "why"),
        ("kill-switch", {"engaged": "yes"}, "engaged"),
        ("kill-switch", {"engaged": False, "cancel_orders": True}, "cancel_orders"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_field(
    venue: Venue, path: str, body: dict[str, Any], field: str
) -> None:
    """Commission decimals, policies and switches are judged before anything changes."""
    trader = venue.trader(cash="0")

    answer = venue.admin.put(f"/admin/accounts/{trader.account_id}/{path}", json=body)

    assert (422, field) == (answer.status_code, answer.json()["field"])


def test_settings_of_an_unknown_account_are_not_there(venue: Venue) -> None:
    """An id that no account has is 404, as everywhere in a path."""
    path = "/admin/accounts/018f0000-0000-7000-8000-000000000000"

    answers = [
        venue.admin.put(f"{path}/policy", json={"use_unsettled": True}),
        venue.admin.put(f"{path}/commission", json={"kind": "none"}),
        venue.admin.put(f"{path}/kill-switch", json={"engaged": True}),
        venue.admin.patch(path, json={"max_orders_per_second": 5}),
    ]

    assert [404] * 4 == [answer.status_code for answer in answers]


def test_limits_that_are_left_out_stay(venue: Venue) -> None:
    """One limit is changed without the other being lost."""
    trader = venue.trader()
    path = f"/admin/accounts/{trader.account_id}"

    venue.admin.patch(path, json={"max_order_notional": "500"})
    venue.admin.patch(path, json={"max_orders_per_second": 7})
    both = account_of(venue, trader)
    venue.admin.patch(path, json={"max_order_notional": 0})
    one = account_of(venue, trader)

    assert ("500.00", 7) == (both["max_order_notional"], both["max_orders_per_second"])
    assert (None, 7) == (one["max_order_notional"], one["max_orders_per_second"])


def test_too_many_orders_in_a_second_are_429(venue: Venue) -> None:
    """What exceeds the rate is refused with Retry-After, and later orders are taken again."""
    symbol, trader = venue.instrument(), venue.trader()
    venue.admin.patch(f"/admin/accounts/{trader.account_id}", json={"max_orders_per_second": 1})

    with venue.client(trader) as client:
        answers = [client.post("/v2/orders", json=order(symbol, "buy", "99")) for _ in range(12)]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert 200 == answers[0].status_code and refused
    assert {("ORDER_RATE_EXCEEDED", 42910000, "1")} == {
        (a.json()["reason"], a.json()["code"], a.headers["Retry-After"]) for a in refused
    }


def test_a_stopped_account_takes_cancels_only(venue: Venue) -> None:
    """Its kill switch lets nothing in, ends what works when asked, and is undone."""
    symbol, trader, other = venue.instrument(), venue.trader(), venue.trader()
    with venue.client(trader) as client, venue.client(other) as bystander:
        for _ in range(3):
            assert 200 == client.post("/v2/orders", json=order(symbol, "buy", "99")).status_code
        stopped = put(
            venue,
            f"accounts/{trader.account_id}/kill-switch",
            {"engaged": True, "reason": "a loop", "cancel_orders": True},
        )

        refused = client.post("/v2/orders", json=order(symbol, "buy", "99"))
        shown = client.get("/v2/account").json()

        assert (True, 3) == (
            stopped.json()["result"]["engaged"],
            stopped.json()["result"]["canceled_orders"],
        )
        assert (403, "ACCOUNT_KILL_SWITCH") == (refused.status_code, refused.json()["reason"])
        assert [] == client.get("/v2/orders").json()
        assert (True, True, "0.00") == (
            shown["trading_blocked"],
            shown["trade_suspended_by_user"],
            shown["held_for_orders"],
        )
        assert 200 == bystander.post("/v2/orders", json=order(symbol, "buy", "99")).status_code
        assert "a loop" == account_of(venue, trader)["kill_reason"]
        put(venue, f"accounts/{trader.account_id}/kill-switch", {"engaged": False})
        assert 200 == client.post("/v2/orders", json=order(symbol, "buy", "99")).status_code


def test_a_stopped_venue_cancels_everybodys_orders_and_their_oco_groups(released: Venue) -> None:
    """Chunk by chunk nothing is left working, take_profit and stop_loss included."""
    venue, symbol = released, released.instrument()
    traders = [venue.trader() for _ in range(3)]
    legs = {"take_profit": {"limit_price": "105"}, "stop_loss": {"stop_price": "95"}}
    for trader in traders:
        venue.hold(trader, symbol, "50", "5000")
        with venue.client(trader) as client:
            client.post("/v2/orders", json=order(symbol, "buy", "90"))
            placed = client.post(
                "/v2/orders", json=order(symbol, "sell", "105", order_class="oco", **legs)
            )
            assert placed.status_code == 200, placed.text

    stopped = put(venue, "kill-switch", {"engaged": True, "reason": "test", "cancel_orders": True})

    assert 9 <= stopped.json()["result"]["canceled_orders"]
    seen = {"X-Nexus-Position": str(stopped.json()["position"])}
    shown = venue.admin.get("/admin/kill-switch", headers=seen).json()
    assert (True, "test") == (shown["engaged"], shown["reason"])
    for trader in traders:
        with venue.client(trader) as client:
            assert [] == client.get("/v2/orders", headers=seen).json()
            assert client.get("/v2/account", headers=seen).json()["trading_blocked"]
            refused = client.post("/v2/orders", json=order(symbol, "buy", "90"))
            assert (403, "VENUE_KILL_SWITCH") == (refused.status_code, refused.json()["reason"])
    put(venue, "kill-switch", {"engaged": False})
    with venue.client(traders[0]) as client:
        assert 200 == client.post("/v2/orders", json=order(symbol, "buy", "90")).status_code


def test_margin_terms_of_an_instrument_are_set_and_shown(venue: Venue) -> None:
    """Listed with defaults, changed one by one, seen on the asset."""
    symbol = venue.instrument(initial_margin_bps=4000)
    with venue.client(venue.trader(cash="0")) as client:
        before = client.get(f"/v2/assets/{symbol}").json()
        venue.admin.patch(
            f"/admin/instruments/{symbol}",
            json={"maintenance_margin_bps": 3000, "shortable": True, "settlement_cycle": 1},
        )
        after = client.get(f"/v2/assets/{symbol}").json()

    def terms(asset: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(
            asset[name]
            for name in (
                "initial_margin_bps",
                "maintenance_margin_bps",
                "shortable",
                "easy_to_borrow",
                "settlement_cycle",
                "marginable",
            )
        )

    assert (4000, 2500, False, False, 2, True) == terms(before)
    assert (4000, 3000, True, True, 1, True) == terms(after)


def test_a_short_sale_needs_margin_and_a_locate(venue: Venue) -> None:
    """A cash account cannot; a margin account must have located what is hard to borrow."""
    symbol, cash, margin = venue.instrument(), venue.trader(), margin_trader(venue)
    sale = order(symbol, "sell", "100")

    with venue.client(cash) as client:
        naked = client.post("/v2/orders", json=sale)
    with venue.client(margin) as client:
        unlocated = client.post("/v2/orders", json=sale)
        located = client.post("/v2/orders", json={**sale, "locate": True})

    assert (403, "INSUFFICIENT_QTY") == (naked.status_code, naked.json()["reason"])
    assert (422, "LOCATE_REQUIRED", "locate") == (
        unlocated.status_code,
        unlocated.json()["reason"],
        unlocated.json()["field"],
    )
    assert 200 == located.status_code


def test_the_account_document_of_a_cash_account_counts_settled_money_only(venue: Venue) -> None:
    """What was sold is in the cash but buys nothing until it settles, unless the policy says so."""
    symbol, seller, buyer = venue.instrument(), venue.trader(cash="1000.00"), venue.trader()
    venue.hold(seller, symbol, "50", "5000")
    trade(venue, symbol, buyer, seller, "100", "20")
    with venue.client(seller) as client:
        held = client.post("/v2/orders", json=order(symbol, "buy", "99", "2"))
        assert held.status_code == 200, held.text
        before = client.get("/v2/account").json()
        put(venue, f"accounts/{seller.account_id}/policy", {"use_unsettled": True})
        after = client.get("/v2/account").json()

    assert {
        "cash": "3000.00",
        "settled_cash": "1000.00",
        "cash_withdrawable": "801.99",
        "unsettled": "2000.00",
        "unsettled_receivable": "2000.00",
        "unsettled_payable": "0.00",
        "held_for_orders": "198.01",
        "buying_power": "801.98",
        "free_margin": "801.99",
        "long_market_value": "3000.00",
        "equity": "6000.00",
        "initial_margin": "0.00",
        "maintenance_margin": "0.00",
        "multiplier": "1",
        "kind": "cash",
        "use_unsettled": False,
        "shorting_enabled": False,
    }.items() <= before.items()
    assert ("2801.98", True) == (after["buying_power"], after["use_unsettled"])


def test_the_account_document_of_a_margin_account_is_reckoned_at_the_marks(venue: Venue) -> None:
    """Equity, requirements and buying power follow the formulas the writer decides by."""
    symbol, buyer, seller = venue.instrument(), margin_trader(venue, "10000.00"), venue.trader()
    venue.hold(seller, symbol, "500", "50000")
    trade(venue, symbol, buyer, seller, "100", "150")
    with venue.client(buyer) as client:
        resting = client.post("/v2/orders", json=order(symbol, "buy", "99", "10"))
        assert resting.status_code == 200, resting.text
        shown = client.get("/v2/account").json()
        beyond = client.post("/v2/orders", json=order(symbol, "buy", "99", "42"))
        within = client.post("/v2/orders", json=order(symbol, "buy", "99", "40"))

    # 150 shares at 100: half of 15,000 is bound, a quarter must be kept; 10 at 99 hold 495.
    assert {
        "cash": "-5000.00",
        "settled_cash": "10000.00",
        "unsettled_payable": "15000.00",
        "long_market_value": "15000.00",
        "short_market_value": "0.00",
        "equity": "10000.00",
        "initial_margin": "7500.00",
        "maintenance_margin": "3750.00",
        "held_for_orders": "495.00",
        "free_margin": "2005.00",
        "buying_power": "4010.00",
        "multiplier": "2",
        "kind": "margin",
        "margin_called": False,
        "shorting_enabled": True,
    }.items() <= shown.items()
    assert (403, "INSUFFICIENT_BUYING_POWER") == (beyond.status_code, beyond.json()["reason"])
    assert "4158.00 needed, 4010.00 available" in beyond.json()["message"]
    assert 200 == within.status_code


def test_a_margin_check_calls_and_clears(venue: Venue) -> None:
    """Below maintenance the account may only reduce; when the mark recovers it is free again."""
    symbol = venue.instrument(trigger_rule="mark", reference_price="100")
    trader, seller = margin_trader(venue, "10000.00"), venue.trader()
    venue.hold(seller, symbol, "500", "50000")
    venue.admin.post(f"/admin/instruments/{symbol}/mark", json={"price": "100"})
    trade(venue, symbol, trader, seller, "100", "190")
    venue.admin.post("/admin/margin-check")

    def mark(price: str) -> tuple[int, dict[str, str]]:
        venue.admin.post(f"/admin/instruments/{symbol}/mark", json={"price": price})
        answer = venue.admin.post("/admin/margin-check")
        assert answer.status_code == 200, answer.text
        seen = {"X-Nexus-Position": str(answer.json()["position"])}
        return int(answer.json()["result"]["changed"]), seen

    with venue.client(trader) as client:
        called, seen = mark("60")
        shown = client.get("/v2/account", headers=seen).json()
        opening = client.post("/v2/orders", json=order(symbol, "buy", "95", "1"))
        closing = client.post("/v2/orders", json=order(symbol, "sell", "100", "10"))
        cleared, seen = mark("100")
        after = client.get("/v2/account", headers=seen).json()

    assert (1, 1) == (called, cleared)
    assert (True, "LIMITED", "11400.00", "2400.00", "2850.00") == (
        shown["margin_called"],
        shown["status"],
        shown["long_market_value"],
        shown["equity"],
        shown["maintenance_margin"],
    )
    assert (403, "LIQUIDATION_ONLY") == (opening.status_code, opening.json()["reason"])
    assert 200 == closing.status_code
    assert (False, "ACTIVE") == (after["margin_called"], after["status"])


def test_shares_bought_with_unsettled_proceeds_cannot_be_sold_yet(venue: Venue) -> None:
    """By policy proceeds buy at once; what they bought waits for its settlement."""
    first, second = venue.instrument(), venue.instrument()
    trader, other = venue.trader(cash="0.01"), venue.trader()
    venue.hold(trader, first, "10", "1000")
    venue.hold(other, second, "10", "1000")
    put(venue, f"accounts/{trader.account_id}/policy", {"use_unsettled": True})
    trade(venue, first, other, trader, "100", "10")
    seen = {"X-Nexus-Position": trade(venue, second, trader, other, "100", "10")}

    with venue.client(trader) as client:
        refused = client.post("/v2/orders", json=order(second, "sell", "100"))
        held = client.get(f"/v2/positions/{second}", headers=seen).json()

    assert (403, "FREE_RIDING") == (refused.status_code, refused.json()["reason"])
    assert ("10.00000000", "10.00000000", "0.00000000") == (
        held["qty"],
        held["unpaid_qty"],
        held["qty_available"],
    )


def test_a_short_position_is_closed_by_buying(venue: Venue) -> None:
    """DELETE of a position buys what is short; the document shows it as such."""
    symbol, trader, other = venue.instrument(), margin_trader(venue), venue.trader()
    venue.hold(other, symbol, "50", "5000")
    with venue.client(trader) as client, venue.client(other) as market:
        client.post("/v2/orders", json=order(symbol, "sell", "100", locate=True))
        market.post("/v2/orders", json=order(symbol, "buy", "100"))
        market.post("/v2/orders", json=order(symbol, "sell", "101"))
        client.post("/v2/orders", json=order(symbol, "buy", "90", "4"))
        held = client.get(f"/v2/positions/{symbol}").json()
        value = client.get("/v2/account").json()["short_market_value"]
        closed = client.delete(f"/v2/positions/{symbol}")

    assert ("short", "-10.00000000", "-6.00000000", "-1000.00") == (
        held["side"],
        held["qty"],
        held["qty_available"],
        value,
    )
    assert ("buy", "6.00000000", "filled") == tuple(
        closed.json()[name] for name in ("side", "qty", "status")
    )

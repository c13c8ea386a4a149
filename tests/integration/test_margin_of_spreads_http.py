"""What a margin account with options or a pair is told over HTTP is what the writer grants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import YEAR_2100, Trader, Venue, served


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


def done(answer: httpx.Response) -> dict[str, Any]:
    """What was answered; it must have been taken."""
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def condor(venue: Venue) -> tuple[str, str, str, str]:
    """Two puts and two calls on a share of their own at 100, which trade."""
    share = venue.instrument("CND", shortable=True)
    body = {"underlying": share, "expiries": ["2099-12-18"], "tick": "0.01"}
    symbols = []
    for right, strikes in (("put", ["90", "95"]), ("call", ["105", "110"])):
        chain = {**body, "rights": [right], "strikes": strikes}
        listed = done(venue.admin.post("/admin/options/chains", json=chain))
        symbols += [one["symbol"] for one in listed["result"]["contracts"]]
    for symbol in symbols:
        session = {"session_date": 20261120, "value_date": 20261123}
        hours = {"opens_at": "2026-11-20T00:00:00Z", "closes_at": YEAR_2100}
        done(venue.admin.post(f"/admin/instruments/{symbol}/open", json=session | hours))
    low, middle, high, top = symbols
    return low, middle, high, top


def account(venue: Venue, trader: Trader) -> dict[str, str]:
    """What binds, what is held, and what is free."""
    with venue.client(trader) as client:
        shown = done(client.get("/v2/account"))
    names = ("initial_margin", "maintenance_margin", "held_for_orders", "free_margin")
    return {name: shown[name] for name in names}


def test_margin_of_a_spread_is_told_over_http_and_closing_it_frees_nothing_before(
    venue: Venue,
) -> None:
    """A condor rests, trades, and rests again to be closed: one wing less the credit throughout."""
    legs = condor(venue)
    trader, other = venue.trader("10000", kind="margin"), venue.trader("1000000", kind="margin")
    sides = ("buy", "sell", "sell", "buy")

    def order(credit: str, *, closing: bool) -> dict[str, Any]:
        way = {"buy": "sell", "sell": "buy"} if closing else {"buy": "buy", "sell": "sell"}
        rows = [
            {"symbol": symbol, "ratio_qty": "1", "side": way[side]}
            for symbol, side in zip(legs, sides, strict=True)
        ]
        body = {"order_class": "mleg", "type": "limit", "time_in_force": "gtc", "legs": rows}
        return {**body, "qty": "2", "limit_price": credit}

    with venue.client(trader) as client, venue.client(other) as market:
        done(client.post("/v2/orders", json=order("-1.50", closing=False)))
        resting = account(venue, trader)
        for symbol, side in zip(legs, sides, strict=True):
            price = "0.25" if side == "buy" else "1.00"
            body = {"symbol": symbol, "qty": "2", "type": "limit", "time_in_force": "gtc"}
            against = {"side": "sell" if side == "buy" else "buy", "limit_price": price}
            done(market.post("/v2/orders", json=body | against))
        traded = account(venue, trader)
        done(client.post("/v2/orders", json=order("0.50", closing=True)))
        closing = account(venue, trader)

    assert ("0.00", "700.00", "9300.00") == (
        resting["initial_margin"],
        resting["held_for_orders"],
        resting["free_margin"],
    )
    # 2 units, 5 wide, 1.50 received.
    assert ("700.00", "700.00", "0.00", "9300.00") == tuple(traded.values())
    assert traded == closing


def test_pair_margin_is_set_listed_and_told_over_http(venue: Venue) -> None:
    """Two shares that hedge bind the pair's rate; at 0 the pair is none any more."""
    one, other = venue.instrument(shortable=True), venue.instrument(shortable=True)
    trader, market = venue.trader("20000", kind="margin"), venue.trader()
    venue.hold(market, one, "500", "50000")
    pair = {"symbol": one, "other_symbol": other, "bps": 1_000}
    done(venue.admin.put("/admin/pair-margins", json=pair))
    with venue.client(trader) as client, venue.client(market) as rest:
        for symbol, side in ((one, "buy"), (other, "sell")):
            body = {"symbol": symbol, "qty": "50", "type": "limit", "time_in_force": "gtc"}
            body |= {"limit_price": "100"}
            against = "sell" if side == "buy" else "buy"
            done(rest.post("/v2/orders", json=body | {"side": against}))
            done(client.post("/v2/orders", json=body | {"side": side}))
    hedged = account(venue, trader)
    listed = venue.admin.get("/admin/pair-margins").json()
    done(venue.admin.put("/admin/pair-margins", json={**pair, "bps": 0}))
    alone = account(venue, trader)
    bad = venue.admin.put("/admin/pair-margins", json={**pair, "other_symbol": one})

    assert {one, other} == {listed[0]["symbol"], listed[0]["other_symbol"]}
    assert (1, 1_000) == (len(listed), listed[0]["bps"])
    assert ("1000.00", "1000.00") == (hedged["initial_margin"], hedged["maintenance_margin"])
    assert ("5000.00", "2500.00") == (alone["initial_margin"], alone["maintenance_margin"])
    assert (422, "other_symbol") == (bad.status_code, bad.json()["field"])
    assert [] == venue.admin.get("/admin/pair-margins").json()

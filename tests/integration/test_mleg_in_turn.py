"""Sequential orders over HTTP, on a venue whose timers run: nobody has to ask for an unwinding."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import running, served
from tests.writer_process import wait_until


def post(client: httpx.Client, **body: Any) -> dict[str, Any]:
    """An order that is taken."""
    answer = client.post("/v2/orders", json={"type": "limit", "time_in_force": "gtc", **body})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_mleg_leg_that_does_not_follow_in_time_is_unwound_by_the_venue(
    postgres: EmbeddedServer,
) -> None:
    """The first leg is sold again when the second has had its second."""
    with served(postgres.dsn(), partial(running, timed=True)) as venue:
        symbols = venue.instrument(), venue.instrument()
        trader, other = venue.trader(), venue.trader()
        for who in (trader, other):
            for symbol in symbols:
                venue.hold(who, symbol, "1000", "100000")
        with venue.client(trader) as client, venue.client(other) as market:
            for side, price in (("sell", "101"), ("buy", "100")):
                post(market, symbol=symbols[0], side=side, limit_price=price, qty="10")
            parent = post(
                client,
                order_class="mleg",
                qty="10",
                limit_price="2",
                execution="sequential",
                leg_seconds=1,
                legs=[
                    {"symbol": symbols[0], "ratio_qty": "1", "side": "buy"},
                    {"symbol": symbols[1], "ratio_qty": "1", "side": "sell"},
                ],
            )
            path = f"/v2/orders/{parent['id']}"
            assert ("working", ["10.00000000", "0.00000000"]) == (
                parent["strategy_status"],
                [leg["filled_qty"] for leg in parent["legs"]],
            )

            wait_until(
                lambda: client.get(path).json()["strategy_status"] == "unwound",
                "the end of the second leg's turn",
            )

            held = {one["qty"] for one in client.get("/v2/positions").json()}
            events = [one["type"] for one in client.get(f"{path}/events").json()]
    assert {"1000.00000000"} == held
    assert [
        "multileg.placed.v1",
        "multileg.turned.v1",
        "multileg.unwinding.v1",
        "multileg.closed.v1",
        "multileg.unwound.v1",
    ] == [topic for topic in events if topic.startswith("multileg")]

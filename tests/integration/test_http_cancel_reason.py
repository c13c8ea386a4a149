"""Why an order ended: said by its document, in lists, nested, on the stream and in its trail."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, get_args

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from api.vocabulary import CancelReasonName
from infrastructure.embedded_server import EmbeddedServer
from tests.venue import YEAR_2100, Venue, served

SECONDS = 20
ENDS = ("canceled", "expired", "rejected")


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


class Ended(NamedTuple):
    """An order that came to its end, and how the trail tells it."""

    order_id: str
    told: str


class Stage:
    """A trader with shares, another one to trade with, and an instrument of their own."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.symbol = venue.instrument()
        self.position = 0
        self.trader, self.other = venue.trader(), venue.trader()
        for one in (self.trader, self.other):
            venue.hold(one, self.symbol, "50", "5000")
        self.client, self.others = venue.client(self.trader), venue.client(self.other)

    def close(self) -> None:
        """Let both clients go."""
        self.client.close()
        self.others.close()

    def order(self, side: str = "buy", price: str | None = "99", **terms: Any) -> dict[str, Any]:
        """An order of ten shares, by a limit unless the price is None."""
        return {
            "symbol": self.symbol,
            "qty": "10",
            "side": side,
            "type": "limit" if price else "market",
            "time_in_force": "gtc",
            **({"limit_price": price} if price else {}),
            **terms,
        }

    def oco(self) -> dict[str, Any]:
        """Exits for ten shares."""
        exits = {"take_profit": {"limit_price": "105"}, "stop_loss": {"stop_price": "95"}}
        return {**self.order("sell", "105"), "order_class": "oco", **exits}

    def place(self, body: dict[str, Any], client: httpx.Client | None = None) -> dict[str, Any]:
        """Place an order that is taken."""
        answer = (client or self.client).post("/v2/orders", json=body)
        assert answer.status_code == 200, answer.text
        self.position = int(answer.headers["X-Nexus-Position"])
        placed: dict[str, Any] = answer.json()
        return placed

    def operate(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do something as the operator."""
        answer = self.venue.admin.post(path, json=body)
        assert answer.status_code == 200, answer.text
        done: dict[str, Any] = answer.json()
        self.position = done["position"]
        return done

    def bust(self, number: int) -> None:
        """Bust one of the instrument's trades; 0 is the newest."""
        asked = {"symbol": self.symbol}
        tape = self.venue.admin.get("/admin/trades", params=asked, headers=self.seen()).json()
        self.operate(f"/admin/trades/{tape[number]['trade_id']}/bust", {"reason": "an error"})

    def seen(self) -> dict[str, str]:
        """The header that asks for all that was done here."""
        return {"X-Nexus-Position": str(self.position)}

    def bust_last(self) -> None:
        """Bust the instrument's newest trade."""
        self.bust(0)

    def session(self, step: str) -> None:
        """Move the instrument on in its session."""
        body = {
            "open": {
                "session_date": 20261123,
                "value_date": 20261124,
                "opens_at": "2026-11-23T00:00:00Z",
                "closes_at": YEAR_2100,
            },
            "halt": {"reason": "news"},
        }.get(step)
        self.operate(f"/admin/instruments/{self.symbol}/{step}", body)


@pytest.fixture
def stage(venue: Venue) -> Iterator[Stage]:
    """A stage for one test."""
    stage = Stage(venue)
    yield stage
    stage.close()


def client_asks(stage: Stage) -> Ended:
    """Cancel it by its id."""
    order = stage.place(stage.order())
    assert 204 == stage.client.delete(f"/v2/orders/{order['id']}").status_code
    return Ended(order["id"], "client")


def client_asks_for_all(stage: Stage) -> Ended:
    """Cancel all: a leg of a group goes as what it was asked for, not after its sibling."""
    group = stage.place(stage.oco())
    assert 207 == stage.client.delete("/v2/orders").status_code
    return Ended(group["legs"][0]["id"], "client")


def nobody_is_there_at_once(stage: Stage) -> Ended:
    """Trade at once or not at all, with nobody there."""
    order = stage.place(stage.order(time_in_force="ioc"))
    return Ended(order["id"], "immediate_or_cancel")


def not_all_is_there(stage: Stage) -> Ended:
    """Ask for all ten where nine are offered."""
    stage.place(stage.order("sell", "99", qty="9"), stage.others)
    order = stage.place(stage.order(time_in_force="fok"))
    return Ended(order["id"], "fill_or_kill")


def own_order_is_met(stage: Stage) -> Ended:
    """Meet an order of the own account."""
    stage.place(stage.order("sell", "99"))
    return Ended(stage.place(stage.order())["id"], "self_trade")


def own_order_is_met_and_goes(stage: Stage) -> Ended:
    """Meet an own order that gives way."""
    resting = stage.place(stage.order("sell", "99"))
    stage.place(stage.order(self_trade_prevention="cancel_oldest"))
    return Ended(resting["id"], "self_trade")


def market_is_empty(stage: Stage) -> Ended:
    """Send a market order to an empty book."""
    order = stage.place(stage.order(price=None, time_in_force="ioc"))
    return Ended(order["id"], "no_liquidity")


def its_amount_buys_no_more(stage: Stage) -> Ended:
    """Buy for an amount that is no whole number of shares."""
    stage.place(stage.order("sell", "99"), stage.others)
    order = stage.order(price=None, time_in_force="day", notional="150")
    return Ended(stage.place({**order, "qty": None})["id"], "notional")


def nobody_sells_at_the_opening(stage: Stage) -> Ended:
    """Let an order for the opening auction meet nobody there."""
    stage.session("close")
    order = stage.place(stage.order(time_in_force="opg"))
    stage.session("open")
    return Ended(order["id"], "opening_auction")


def nobody_sells_at_the_close(stage: Stage) -> Ended:
    """Let an order for the closing auction meet nobody there."""
    order = stage.place(stage.order(time_in_force="cls"))
    stage.session("close")
    stage.session("open")
    return Ended(order["id"], "closing_auction")


def other_exit_trades(stage: Stage) -> Ended:
    """Let the take-profit trade."""
    group = stage.place(stage.oco())
    stage.place(stage.order("buy", "105"), stage.others)
    return Ended(group["legs"][0]["id"], "other_leg")


def other_leg_is_canceled(stage: Stage) -> Ended:
    """Cancel one exit of two."""
    group = stage.place(stage.oco())
    assert 204 == stage.client.delete(f"/v2/orders/{group['id']}").status_code
    return Ended(group["legs"][0]["id"], "group")


def entry_buys_nothing(stage: Stage) -> Ended:
    """Let an entry end before it has bought anything."""
    terms = {"order_class": "bracket", "side": "buy", "limit_price": "99"}
    stage.place(stage.order("sell", "99"))
    # It meets an order of its own account.
    group = stage.place({**stage.oco(), **terms})
    return Ended(group["legs"][0]["id"], "entry_unfilled")


def what_it_exits_is_gone(stage: Stage) -> Ended:
    """Undo the trade that brought what is offered."""
    stage.place(stage.order("sell", "99"), stage.others)
    stage.place(stage.order())
    stage.place(stage.order("sell", "104", qty="50"))
    offered = stage.place(stage.order("sell", "104"))
    stage.bust_last()
    return Ended(offered["id"], "position_closed")


def price_is_out_of_reach(stage: Stage) -> Ended:
    """Send a market order where the only offer is too dear."""
    stage.place(stage.order("sell", "120"), stage.others)
    order = stage.place(stage.order(price=None, time_in_force="ioc"))
    return Ended(order["id"], "collar")


def next_price_is_too_far(stage: Stage) -> Ended:
    """Send a market order for more than stands within its protection price."""
    stage.place(stage.order("sell", "100", qty="1"), stage.others)
    stage.place(stage.order("sell", "103"), stage.others)
    order = stage.place(stage.order(price=None, time_in_force="ioc"))
    return Ended(order["id"], "protection")


def operator_stops_the_account(stage: Stage) -> Ended:
    """Engage the account's kill switch, which cancels."""
    group = stage.place(stage.oco())
    path = f"/admin/accounts/{stage.trader.account_id}/kill-switch"
    body = {"engaged": True, "reason": "a runaway", "cancel_orders": True}
    assert 200 == stage.venue.admin.put(path, json=body).status_code
    return Ended(group["legs"][0]["id"], "operator")


def its_trade_is_busted(stage: Stage) -> Ended:
    """Undo the only trade of an order that is filled."""
    stage.place(stage.order("sell", "99"), stage.others)
    order = stage.place(stage.order())
    stage.bust_last()
    return Ended(order["id"], "busted")


def session_is_over(stage: Stage) -> Ended:
    """Let a day order's session end."""
    order = stage.place(stage.order(time_in_force="day"))
    stage.session("close")
    stage.session("open")
    return Ended(order["id"], "session_end")


def its_date_has_come(stage: Stage) -> Ended:
    """Let the instant come until which an order is good."""
    soon = (datetime.now(UTC) + timedelta(milliseconds=400)).isoformat()
    order = stage.place(stage.order(time_in_force="gtd", expire_at=soon))
    while stage.client.get(f"/v2/orders/{order['id']}").json()["status"] == "new":
        stage.session("halt")
        stage.session("resume")
    return Ended(order["id"], "expired")


def it_is_refused(stage: Stage) -> Ended:
    """Ask for more than there is money for."""
    body = stage.order(qty="1000000", client_order_id="too much")
    assert 403 == stage.client.post("/v2/orders", json=body).status_code
    named = {"client_order_id": "too much"}
    order = stage.client.get("/v2/orders:by_client_order_id", params=named).json()
    return Ended(order["id"], "INSUFFICIENT_BUYING_POWER")


def a_leg_does_not_follow(stage: Stage) -> Ended:
    """Let the day end while the second leg of an order still lacks what the first has bought."""
    first = stage.venue.instrument()
    stage.venue.hold(stage.other, first, "50", "5000")
    for side, price in (("sell", "101"), ("buy", "100")):
        stage.place({**stage.order(side, price), "symbol": first}, stage.others)
    legs = [
        {"symbol": first, "ratio_qty": "1", "side": "buy"},
        {"symbol": stage.symbol, "ratio_qty": "1", "side": "sell"},
    ]
    body = {**stage.order(price="2", time_in_force="day"), "order_class": "mleg", "legs": legs}
    del body["symbol"], body["side"]
    order = stage.place({**body, "execution": "sequential", "leg_seconds": 3600})
    stage.session("close")
    stage.session("open")
    return Ended(order["id"], "leg_incomplete")


ENDINGS: list[tuple[Callable[[Stage], Ended], CancelReasonName | None]] = [
    (client_asks, "client"),
    (client_asks_for_all, "client"),
    (nobody_is_there_at_once, "immediate_or_cancel"),
    (not_all_is_there, "fill_or_kill"),
    (own_order_is_met, "self_trade"),
    (own_order_is_met_and_goes, "self_trade"),
    (market_is_empty, "no_liquidity"),
    (price_is_out_of_reach, "collar"),
    (next_price_is_too_far, "protection"),
    (its_amount_buys_no_more, "notional"),
    (nobody_sells_at_the_opening, "opening_auction"),
    (nobody_sells_at_the_close, "closing_auction"),
    (other_exit_trades, "group"),
    (other_leg_is_canceled, "group"),
    (entry_buys_nothing, "group"),
    (what_it_exits_is_gone, "position_closed"),
    (operator_stops_the_account, "operator"),
    (its_trade_is_busted, "busted"),
    (session_is_over, "session_end"),
    (its_date_has_come, "expired"),
    (a_leg_does_not_follow, "leg_incomplete"),
    (it_is_refused, None),
]
"""What happens to an order, and what is said of it then."""


def test_every_cancel_reason_is_reached_by_an_ending() -> None:
    """A word that clients are promised is one that they can meet."""
    told = {reason for _, reason in ENDINGS if reason is not None}
    assert set(get_args(CancelReasonName)) == told


async def told(stage: Stage, ending: Callable[[Stage], Ended]) -> tuple[Ended, dict[str, Any]]:
    """Let an order end while its account listens: which, and the update of its end."""
    async with asyncio.timeout(SECONDS), connect(stage.venue.ws_url) as ws:
        await ask(
            ws,
            {
                "action": "authenticate",
                "data": {"key_id": stage.trader.key_id, "secret_key": stage.trader.secret},
            },
        )
        await ask(ws, {"action": "listen", "data": {"streams": ["trade_updates"]}})
        ended = await asyncio.to_thread(ending, stage)
        while True:
            update = json.loads(await ws.recv())["data"]
            if update["order"]["id"] == ended.order_id and update["event"] in ENDS:
                return ended, update


async def ask(ws: ClientConnection, message: Any) -> Any:
    """Send one message and read one."""
    await ws.send(json.dumps(message))
    return json.loads(await ws.recv())


@pytest.mark.parametrize(
    ("ending", "reason"), ENDINGS, ids=lambda one: getattr(one, "__name__", "")
)
def test_cancel_reason_is_said_wherever_the_order_is_shown(
    stage: Stage, ending: Callable[[Stage], Ended], reason: CancelReasonName | None
) -> None:
    """By itself, in lists, nested, by its client id and on the stream; its trail tells it too."""
    ended, update = asyncio.run(told(stage, ending))
    client = stage.client
    client.headers.update(stage.seen())
    shown = client.get(f"/v2/orders/{ended.order_id}").json()
    named = {"client_order_id": shown["client_order_id"]}
    listed = client.get("/v2/orders", params={"status": "closed", "limit": 500}).json()
    nested = client.get("/v2/orders", params={"status": "all", "nested": "true"}).json()
    everywhere = [
        shown,
        client.get("/v2/orders:by_client_order_id", params=named).json(),
        *[one for one in listed if one["id"] == ended.order_id],
        *[
            one
            for parent in nested
            for one in (parent, *(parent["legs"] or ()))
            if one["id"] == ended.order_id
        ],
        update["order"],
    ]

    assert 5 == len(everywhere)
    assert {reason} == {one["cancel_reason"] for one in everywhere}
    assert update["event"] == shown["status"]
    refusal = ended.told if reason is None else None
    assert {refusal} == {one["reject_reason"] for one in everywhere}
    last = client.get(f"/v2/orders/{ended.order_id}/events").json()
    own = [event["data"] for event in last if event["originator_id"] == shown["id"]]
    # An unwinding says why it began, and not again when it ends.
    told_there = [data.get("reason", data.get("code")) for data in own]
    if shown["status"] != "expired":
        assert ended.told == [reason for reason in told_there if reason is not None][-1]


def test_cancel_reason_is_null_while_an_order_works_and_when_it_is_filled(stage: Stage) -> None:
    """Nor does a revision that was replaced have one: the order goes on under another."""
    order = stage.place(stage.order())
    replaced = stage.client.patch(f"/v2/orders/{order['id']}", json={"qty": "7"}).json()
    stage.place(stage.order("sell", "99", qty="7"), stage.others)

    # The other one's order filled it: the account's own last write came before.
    asked = {"status": "all", "direction": "asc"}
    listed = stage.client.get("/v2/orders", params=asked, headers=stage.seen()).json()

    assert [("replaced", None), ("filled", None)] == [
        (one["status"], one["cancel_reason"]) for one in listed
    ]
    assert (None, None) == (order["cancel_reason"], replaced["cancel_reason"])


def test_cancel_reason_is_in_the_answer_to_an_order_that_ended_at_once(stage: Stage) -> None:
    """The client need not ask again."""
    order = stage.place(stage.order(time_in_force="ioc"))
    assert ("canceled", "immediate_or_cancel") == (order["status"], order["cancel_reason"])


def test_cancel_reason_of_a_busted_order_comes_with_its_fills_taken_off(stage: Stage) -> None:
    """Partly busted it stays filled with what stands, and fully busted it is canceled."""
    for qty in ("4", "6"):
        stage.place(stage.order("sell", "99", qty=qty), stage.others)
    order = stage.place(stage.order())
    path = f"/v2/orders/{order['id']}"

    def shown() -> tuple[Any, ...]:
        one = stage.client.get(path, headers=stage.seen()).json()
        names = ("status", "filled_qty", "filled_avg_price", "cancel_reason")
        return tuple(one[name] for name in names)

    stage.bust(0)
    partly = shown()
    assert ("filled", "4.00000000", "99.000000", None) == partly
    stage.bust(1)

    assert ("canceled", "0.00000000", None, "busted") == shown()
    assert None is stage.client.get(path).json()["filled_at"]
    assert [] == stage.client.get("/v2/orders").json()
    assert 422 == stage.client.delete(path).status_code
    assert 422 == stage.client.patch(path, json={"qty": "12"}).status_code

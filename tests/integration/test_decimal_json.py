"""Decimals on every edge of a served venue: numbers read digit for digit, strings given back."""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple, get_args, get_type_hints

import httpx
import pytest
from websockets.asyncio.client import connect

from api.documents import Document
from api.openapi import ANSWERS
from domain.events import DomainEvent
from domain.money import USD_SCALE, WIRE_PRICE_SCALE
from domain.units import EXACT_USD, Count, Priced, Scaled, fields_of, unit_of
from infrastructure.database import EmbeddedServer
from tests.conftest import Schema
from tests.model.projecting import nexus
from tests.venue import Trader, Venue, served

SECONDS = 20
AMOUNT = re.compile(r"-?\d+\.\d+")
DECIMALS = 4
"""Those of every instrument here."""


def places_of(unit: Scaled | Priced) -> int:
    """How many decimal places an amount of a unit is shown with."""
    return unit.places if isinstance(unit, Scaled) else DECIMALS + unit.more


def models_within(model: type[Any]) -> Iterator[type[Any]]:
    """A model of an answer and those that are nested in it."""
    yield model
    for hint in get_type_hints(model).values():
        for part in (hint, *get_args(hint), *chain(*map(get_args, get_args(hint)))):
            if isinstance(part, type) and issubclass(part, Document) and part is not model:
                yield from models_within(part)


def scales_and_counts() -> tuple[dict[str, set[int]], set[str]]:
    """How many places amounts have by their names, and which names are of plain numbers.

    As the models of the answers say, and the events, which some answers show.
    """
    scales: defaultdict[str, set[int]] = defaultdict(set)
    counts: set[str] = set()
    units = [one for event in DomainEvent.by_topic.values() for one in fields_of(event).items()]
    for model in chain(*map(models_within, ANSWERS)):
        for name, hint in get_type_hints(model, include_extras=True).items():
            if int in (hint, *get_args(hint)):
                counts.add(name)
            else:
                with suppress(TypeError, ValueError):
                    units.append((name, unit_of(hint, name)))
    for name, unit in units:
        if isinstance(unit, Scaled | Priced) and unit != EXACT_USD:
            scales[name].add(places_of(unit))
        elif isinstance(unit, Count):
            counts.add(name)
    # What a refusal says is available is shares, as a close's answer says, or dollars.
    scales["available"].add(USD_SCALE)
    # What no model has: an event's version by its name in documents, a socket's requests, how
    # many places a refused price may have.
    return dict(scales), {*counts, "version", "id", "decimals"}


SCALES, COUNTS = scales_and_counts()


class Member(NamedTuple):
    """One member of a JSON object, wherever it stood, and whether it is a refused order's."""

    name: str
    value: Any
    refused: bool


class Trading(NamedTuple):
    """A venue on which something of everything has happened."""

    venue: Venue
    symbol: str
    buyer: Trader
    seller: Trader


@pytest.fixture(scope="module")
def trading(postgres: EmbeddedServer) -> Iterator[Trading]:
    """Trades, a resting order, a refusal, a correction: material for every answer."""
    with served(postgres.dsn()) as venue:
        symbol = venue.instrument(lot="0.00000001", tick="0.0001")
        buyer, seller = venue.trader(), venue.trader()
        venue.hold(seller, symbol, "1000", "90000.00")
        with venue.client(seller) as client:
            send(client, order(symbol, side="sell", qty="10.00000001", limit_price="101.1"))
        with venue.client(buyer) as client:
            send(client, order(symbol, qty="3.5", limit_price="101.1"))
            send(client, order(symbol, qty="2", limit_price="99.9999"))
            refused = client.post("/v2/orders", json=order(venue.instrument(), qty="999999"))
            assert refused.status_code == 403, refused.text
            trade_id = client.get("/v2/account/activities").json()[0]["id"].partition("::")[2]
        corrected = venue.admin.post(
            f"/admin/trades/{trade_id}/correct", json={"price": 101.0999, "reason": "mispriced"}
        )
        assert corrected.status_code == 200, corrected.text
        yield Trading(venue, symbol, buyer, seller)


def order(symbol: str, **terms: Any) -> dict[str, Any]:
    """A buy order that rests."""
    return {
        "symbol": symbol,
        "qty": "1",
        "side": "buy",
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": "99",
        **terms,
    }


def send(client: httpx.Client, body: dict[str, Any]) -> Any:
    """Place an order that must be taken."""
    answer = client.post("/v2/orders", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def raw_order(symbol: str, **numbers: str) -> str:
    """An order whose amounts are written into the JSON text as given, digit for digit."""
    quoted = {name: json.dumps(value) for name, value in order(symbol).items()}
    return "{" + ",".join(f'"{name}":{text}' for name, text in {**quoted, **numbers}.items()) + "}"


def members(text: str | bytes) -> list[Member]:
    """Every member of a JSON text; a number with a point or an exponent is an error."""

    def no_float(digits: str) -> Any:
        raise AssertionError(f"a decimal as a JSON number: {digits}")

    found: list[Member] = []

    def walk(name: str, part: Any, refused: bool) -> None:
        if isinstance(part, dict):
            refused = refused or "rejected" in str(part.get("status", part.get("topic")))
            for key, value in part.items():
                walk(key, value, refused)
        elif isinstance(part, list):
            for value in part:
                walk(name, value, refused)
        else:
            found.append(Member(name, part, refused))

    walk("", json.loads(text, parse_float=no_float, parse_constant=no_float), False)
    return found


def check_decimals(text: str | bytes) -> int:
    """No bare number but counts, every amount a string at its scale; how many amounts it had.

    A refused order keeps its price as it came, at the nine places in which prices travel.
    """
    amounts = 0
    for name, value, refused in members(text):
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, int):
            assert name in COUNTS, f"{name} is the number {value}"
        elif name in SCALES:
            assert AMOUNT.fullmatch(value), f"{name} is {value!r}"
            places = len(value.partition(".")[2])
            as_it_came = refused and DECIMALS in SCALES[name] and places == WIRE_PRICE_SCALE
            assert as_it_came or places in SCALES[name], f"{name} is {value!r}"
            amounts += 1
    return amounts


READS = {
    "/v2/orders?status=all": 5,
    "/v2/account": 8,
    "/v2/account/activities": 2,
    "/v2/account/risk": 2,
    "/v2/settlements": 8,
    "/v2/positions": 6,
    "/v2/assets": 4,
}


@pytest.mark.parametrize("path", READS)
def test_decimal_answers_of_a_trader_are_strings_of_explicit_scale(trading, path):
    """Quantities with 8 places, dollars with 2, prices with the instrument's 4, averages with 6."""
    with trading.venue.client(trading.buyer) as client:
        answer = client.get(path)

    assert answer.status_code == 200, answer.text
    assert check_decimals(answer.content) >= READS[path]


def test_decimal_answers_about_one_order_are_strings_of_explicit_scale(trading):
    """The order, its events and the position it made."""
    with trading.venue.client(trading.buyer) as client:
        filled = client.get("/v2/orders?status=closed").json()[-1]
        one = client.get(f"/v2/orders/{filled['id']}")
        position = client.get(f"/v2/positions/{trading.symbol}")

    assert check_decimals(one.content) >= 3
    assert check_decimals(position.content) >= 6
    assert ("3.50000000", "101.1000", "101.099900") == tuple(
        one.json()[name] for name in ("filled_qty", "limit_price", "filled_avg_price")
    )


@pytest.mark.parametrize("path", ["accounts", "trades"])
def test_decimal_answers_to_an_operator_are_strings_of_explicit_scale(trading, path):
    """What operators read has the same scales."""
    answer = trading.venue.admin.get(f"/admin/{path}")

    assert answer.status_code == 200, answer.text
    assert check_decimals(answer.content) >= 2


def test_decimal_in_a_refusal_is_text(trading):
    """A problem says amounts in words, and its numbers are codes."""
    with trading.venue.client(trading.buyer) as client:
        refused = client.post("/v2/orders", json=order(trading.venue.instrument(), qty=999_999))

    assert (403, "INSUFFICIENT_BUYING_POWER") == (refused.status_code, refused.json()["reason"])
    assert 1 == check_decimals(refused.content)
    assert re.search(r"\d+\.\d{2} needed, \d+\.\d{2} available", refused.json()["message"])


NUMBERS = {
    "101.1": "101.1000",
    "101.10": "101.1000",
    "101.1000": "101.1000",
    "101.100000000000": "101.1000",
    "1011e-1": "101.1000",
    "1.011e2": "101.1000",
    "0.1": "0.1000",
    "1e-04": "0.0001",
    "1E2": "100.0000",
    "99": "99.0000",
    '"101.1"': "101.1000",
    '"0101.10"': "101.1000",
    "99.9999": "99.9999",
}


@pytest.mark.parametrize("written", NUMBERS)
def test_decimal_written_as_a_json_number_is_taken_exactly(trading, written):
    """Numbers are still accepted, and read as their digits say, never as their nearest double."""
    symbol = trading.venue.instrument(tick="0.0001", lot="0.00000001", reference_price="0")
    with trading.venue.client(trading.buyer) as client:
        answer = client.post("/v2/orders", content=raw_order(symbol, limit_price=written))

    assert answer.status_code == 200, answer.text
    assert NUMBERS[written] == answer.json()["limit_price"]


QUANTITIES = {
    "0.1": "0.10000000",
    "0.30000000": "0.30000000",
    "1e-05": "0.00001000",
    "1e-8": "0.00000001",
    "0.00000001": "0.00000001",
    "12.345678900000": "12.34567890",
    '"0.00000003"': "0.00000003",
    "3": "3.00000000",
}


@pytest.mark.parametrize("written", QUANTITIES)
def test_decimal_quantity_written_as_a_json_number_is_taken_exactly(trading, written):
    """Python writes 0.00001 as 1e-05; a hundred-millionth is the smallest quantity."""
    with trading.venue.client(trading.buyer) as client:
        answer = client.post("/v2/orders", content=raw_order(trading.symbol, qty=written))

    assert answer.status_code == 200, answer.text
    assert QUANTITIES[written] == answer.json()["qty"]


REFUSED = (
    "1.1000000000000000001",
    "101.10000000000000000000000000000000001",
    "1.0000000001",
    "1e-10",
    "1e400",
    "1e-400",
    "123456789012345678901234567890",
    '"NaN"',
    '"Infinity"',
    '"-Infinity"',
    '"1e5"',
    '"1_000"',
    '"1,000.00"',
    '" 1"',
    '""',
    '"0x10"',
    "true",
    "[1]",
    "{}",
)


@pytest.mark.parametrize("written", REFUSED)
@pytest.mark.parametrize("field", ["qty", "limit_price"])
def test_decimal_that_cannot_be_taken_exactly_is_refused_by_field(trading, field, written):
    """More places, too many digits, not finite, not plain: 422 and the name, never a rounding."""
    with trading.venue.client(trading.buyer) as client:
        answer = client.post("/v2/orders", content=raw_order(trading.symbol, **{field: written}))

    assert (422, field) == (answer.status_code, answer.json()["field"])


@pytest.mark.parametrize("written", ["NaN", "Infinity", "-Infinity", "1.", ".5", "01", "+1"])
def test_decimal_that_json_does_not_know_makes_the_body_malformed(trading, written):
    """A constant of JavaScript's or a half number is no JSON at all."""
    with trading.venue.client(trading.buyer) as client:
        answer = client.post("/v2/orders", content=raw_order(trading.symbol, qty=written))

    assert 400 == answer.status_code


@pytest.mark.parametrize("price", ["100.00001", "100.123456789", '"100.00001"'])
def test_decimal_finer_than_the_instruments_price_is_refused_not_rounded(trading, price):
    """Four places for a share: the fifth is a refusal of the price's precision."""
    with trading.venue.client(trading.buyer) as client:
        answer = client.post("/v2/orders", content=raw_order(trading.symbol, limit_price=price))

    assert (422, "PRICE_PRECISION", "limit_price") == (
        answer.status_code,
        answer.json()["reason"],
        answer.json()["field"],
    )


@pytest.mark.parametrize("amount", ["0.001", "1e-3", '"10.005"', "0.1234567890123"])
def test_decimal_finer_than_a_cent_is_refused_not_rounded(trading, amount):
    """US dollars have two places, and a deposit is not rounded to them."""
    answer = trading.venue.admin.post(
        f"/admin/accounts/{trading.buyer.account_id}/deposits", content=f'{{"amount":{amount}}}'
    )

    assert (422, "amount") == (answer.status_code, answer.json()["field"])


def test_decimal_deposits_of_a_dime_add_up_exactly(trading):
    """Ten times 0.1, written as a number, is one dollar to the cent."""
    trader = trading.venue.trader(cash="0")
    for number in range(10):
        answer = trading.venue.admin.post(
            f"/admin/accounts/{trader.account_id}/deposits",
            content=f'{{"amount": 0.1, "request_key": "dime-{number}"}}',
        )
        assert answer.status_code == 200, answer.text

    with trading.venue.client(trader) as client:
        assert "1.00" == client.get("/v2/account").json()["cash"]


def conversation(
    trading: Trading, trader: Trader, *messages: str, hears: int, streams: bool = False
) -> list[str]:
    """What a socket says, as text, after these messages."""

    async def main() -> list[str]:
        async with asyncio.timeout(SECONDS), connect(trading.venue.ws_url) as ws:
            data = {"key_id": trader.key_id, "secret_key": trader.secret}
            await ws.send(json.dumps({"action": "authenticate", "data": data}))
            await ws.recv()
            if streams:
                streams_wanted = {"streams": ["trade_updates"]}
                await ws.send(json.dumps({"action": "listen", "data": streams_wanted}))
                await ws.recv()
            for message in messages:
                await ws.send(message)
            heard = [await ws.recv() for _ in range(hears)]
            return [h if isinstance(h, str) else h.decode() for h in heard]

    return asyncio.run(main())


@pytest.mark.parametrize("written", ["101.1", "101.10", "1.011e2", '"101.1000"'])
def test_decimal_over_the_socket_is_taken_exactly_and_given_as_a_string(trading, written):
    """The same digits, the same answer as over HTTP."""
    symbol = trading.venue.instrument(tick="0.0001", reference_price="0")
    body = raw_order(symbol, limit_price=written, qty="2.0")
    message = f'{{"action": "order", "id": 1, "data": {body}}}'

    (heard,) = conversation(trading, trading.buyer, message, hears=1)

    assert check_decimals(heard) >= 3
    placed = json.loads(heard)["data"]["body"]
    assert ("101.1000", "2.00000000") == (placed["limit_price"], placed["qty"])


@pytest.mark.parametrize("written", ["1.1000000000000000001", "1e-10", '"NaN"', "true"])
def test_decimal_that_is_not_exact_is_refused_over_the_socket_by_field(trading, written):
    """The socket judges as HTTP does."""
    body = raw_order(trading.symbol, limit_price=written)
    message = f'{{"action": "order", "id": 1, "data": {body}}}'

    (heard,) = conversation(trading, trading.buyer, message, hears=1)

    answer = json.loads(heard)["data"]
    assert (422, "limit_price") == (answer["status"], answer["body"]["field"])


def test_decimal_in_a_trade_update_is_a_string_of_explicit_scale(trading):
    """Fills on the stream carry price, quantity and holding as text."""
    body = raw_order(trading.symbol, limit_price="101.10", qty="0.25")
    message = f'{{"action": "order", "id": 1, "data": {body}}}'

    heard = conversation(trading, trading.buyer, message, hears=3, streams=True)

    updates = [json.loads(text)["data"] for text in heard if '"trade_updates"' in text]
    (fill,) = [update for update in updates if update["event"] == "fill"]
    assert ("101.1000", "0.25000000") == (fill["price"], fill["qty"])
    assert sum(check_decimals(text) for text in heard) >= 8


def printed(trading: Trading, postgres: EmbeddedServer, *arguments: str) -> list[str]:
    """The lines of a command that reads the venue's store."""
    process = nexus(Schema(postgres.dsn(), trading.venue.schema), *arguments)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.splitlines()


def test_decimal_on_the_command_line_is_a_string_of_explicit_scale(trading, postgres):
    """`nexus events list --json`: every event of the venue, no amount a number."""
    lines = printed(trading, postgres, "events", "list", "--limit", "1000", "--json")

    assert len(lines) > 10
    assert sum(map(check_decimals, lines)) > 50


def test_decimal_of_one_event_shown_is_a_string_of_explicit_scale(trading, postgres):
    """`nexus events show --json` of a fill: the shape in which events leave the venue."""
    lines = printed(trading, postgres, "events", "list", "--topic", "order.filled", "--json")
    position = json.loads(lines[0])["position"]

    (shown,) = printed(trading, postgres, "events", "show", str(position), "--json")

    fill = json.loads(shown)
    assert ("101.1000", "3.50000000", "353.85", "0.00") == tuple(
        fill[name] for name in ("price", "qty", "notional", "fee")
    )
    assert check_decimals(shown) >= 5


@pytest.mark.parametrize(
    "arguments",
    [("projections", "status", "--json"), ("audit", "reconcile", "--json")],
    ids=" ".join,
)
def test_decimal_in_what_commands_print_for_machines_is_no_number(trading, postgres, arguments):
    """A `--json` answer has amounts as strings; its only broken numbers are seconds."""
    for line in printed(trading, postgres, *arguments):
        for name, value in json.loads(line, parse_float=str, object_pairs_hook=list):
            assert not isinstance(value, float), name

"""alpaca-py makes, reads, changes and deletes watchlists."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.alpaca_py import (
    APIError,
    CreateWatchlistRequest,
    TradingClient,
    UpdateWatchlistRequest,
    Watchlist,
)
from tests.venue import Trader, Venue


@pytest.fixture(scope="module")
def symbols(venue: Venue) -> list[str]:
    """Three instruments."""
    return [venue.instrument() for _ in range(3)]


@pytest.fixture
def trader(venue: Venue) -> Trader:
    """An account of the test's own."""
    return venue.trader(cash="0")


@pytest.fixture
def client(venue: Venue, trader: Trader) -> TradingClient:
    """The trader's client."""
    return client_of(venue, trader)


@pytest.fixture
def http(venue: Venue, trader: Trader) -> Iterator[httpx.Client]:
    """The same key without the client."""
    with venue.client(trader) as http:
        yield http


def on(watchlist: Watchlist | dict[str, Any]) -> list[str]:
    """The symbols on a list."""
    if isinstance(watchlist, dict):
        return [asset["symbol"] for asset in watchlist["assets"]]
    assert watchlist.assets is not None
    return [asset.symbol for asset in watchlist.assets]


@shows("create_watchlist", "the list with its assets, in the order asked for")
def test_create_watchlist_gives_the_list_with_its_assets(
    client: TradingClient, trader: Trader, symbols: list[str]
) -> None:
    """In the order that was asked for; it is the same when it is read, and in the list of all."""
    first, second, _ = symbols

    made = client.create_watchlist(CreateWatchlistRequest(name="mine", symbols=[second, first]))

    assert ("mine", trader.account_id) == (made.name, str(made.account_id))
    assert [second, first] == on(made)
    assert made.created_at == made.updated_at
    assert made == client.get_watchlist_by_id(made.id)
    assert [made.model_copy(update={"assets": None})] == client.get_watchlists()


@shows("get_watchlists", "all of the account, the oldest first, without assets")
def test_get_watchlists_gives_the_oldest_first(client: TradingClient) -> None:
    """Those of this account alone; none is an empty list."""
    assert [] == client.get_watchlists()
    for name in ("b", "a", "c"):
        client.create_watchlist(CreateWatchlistRequest(name=name, symbols=[]))

    assert ["b", "a", "c"] == [one.name for one in client.get_watchlists()]


@shows("update_watchlist_by_id", "what is left out stays")
def test_update_watchlist_by_id_replaces_what_is_given(
    client: TradingClient, symbols: list[str]
) -> None:
    """A name alone keeps the assets, symbols alone keep the name."""
    made = client.create_watchlist(CreateWatchlistRequest(name="old", symbols=symbols[:1]))

    renamed = client.update_watchlist_by_id(made.id, UpdateWatchlistRequest(name="new"))
    refilled = client.update_watchlist_by_id(made.id, UpdateWatchlistRequest(symbols=symbols[1:]))

    assert ("new", symbols[:1]) == (renamed.name, on(renamed))
    assert ("new", symbols[1:]) == (refilled.name, on(refilled))
    assert made.id == renamed.id == refilled.id
    assert made.created_at == refilled.created_at < renamed.updated_at < refilled.updated_at
    assert refilled == client.get_watchlist_by_id(made.id)


@shows("add_asset_to_watchlist_by_id", "it is put last; 422 when it is there already")
def test_add_asset_to_watchlist_by_id_puts_it_last(
    client: TradingClient, symbols: list[str]
) -> None:
    """What is on it already is refused by name."""
    made = client.create_watchlist(CreateWatchlistRequest(name="mine", symbols=symbols[:1]))

    assert symbols[:2] == on(client.add_asset_to_watchlist_by_id(made.id, symbols[1]))
    with pytest.raises(APIError) as refused:
        client.add_asset_to_watchlist_by_id(made.id, symbols[0])

    assert (422, "symbol is on the watchlist already") == (
        refused.value.status_code,
        refused.value.message,
    )
    assert symbols[:2] == on(client.get_watchlist_by_id(made.id))


@shows("remove_asset_from_watchlist_by_id", "symbols with a slash too; 404 when it is not there")
def test_remove_asset_from_watchlist_by_id_takes_it_off(
    venue: Venue, client: TradingClient, symbols: list[str]
) -> None:
    """Symbols with a slash too; what is not on it is 404."""
    pair = f"A{uuid4().hex[:6].upper()}/USD"
    terms = {"symbol": pair, "name": "a pair", "tick": "0.01", "lot": "1"}
    listed = venue.admin.post("/admin/instruments", json=terms)
    assert listed.status_code == 200, listed.text
    made = client.create_watchlist(
        CreateWatchlistRequest(name="mine", symbols=[symbols[0], pair, symbols[1]])
    )

    assert symbols[:2] == on(client.remove_asset_from_watchlist_by_id(made.id, pair))
    for symbol in (pair, "NOPE"):
        with pytest.raises(APIError) as refused:
            client.remove_asset_from_watchlist_by_id(made.id, symbol)
        assert 404 == refused.value.status_code


@shows("delete_watchlist_by_id", "404 from then on")
def test_delete_watchlist_by_id_is_for_ever(client: TradingClient, symbols: list[str]) -> None:
    """It is 404 from then on, and its name is free."""
    made = client.create_watchlist(CreateWatchlistRequest(name="mine", symbols=symbols))

    assert client.delete_watchlist_by_id(made.id) is None

    for ask in (client.get_watchlist_by_id, client.delete_watchlist_by_id):
        with pytest.raises(APIError) as refused:
            ask(made.id)
        assert 404 == refused.value.status_code
    assert [] == client.get_watchlists()
    again = client.create_watchlist(CreateWatchlistRequest(name="mine", symbols=[]))
    assert made.id != again.id


@shows("create_watchlist", "422 of a name that is taken or a symbol that is unknown")
def test_alpaca_watchlists_of_one_name_are_refused(
    client: TradingClient, symbols: list[str]
) -> None:
    """As Alpaca refuses them, and so is what it does not know."""
    client.create_watchlist(CreateWatchlistRequest(name="mine", symbols=[]))

    with pytest.raises(APIError) as twice:
        client.create_watchlist(CreateWatchlistRequest(name="mine", symbols=symbols))
    with pytest.raises(APIError) as unknown:
        client.create_watchlist(CreateWatchlistRequest(name="other", symbols=["NOPE"]))

    assert (422, 40010001, "watchlist name must be unique") == (
        twice.value.status_code,
        twice.value.code,
        twice.value.message,
    )
    assert 422 == unknown.value.status_code
    assert "NOPE" in unknown.value.message


@shows("get_watchlist_by_id", "the list with its assets; another's is 404")
def test_alpaca_watchlist_of_another_account_is_not_there(
    venue: Venue, client: TradingClient, symbols: list[str]
) -> None:
    """Nobody reads, changes or deletes it, by id or by name."""
    made = client.create_watchlist(CreateWatchlistRequest(name="mine", symbols=symbols[:1]))
    other = venue.trader(cash="0")
    with venue.client(other) as http:
        one = f"/v2/watchlists/{made.id}"
        named = "/v2/watchlists:by_name?name=mine"
        answers = [
            *(http.get(path) for path in (one, named)),
            *(http.put(path, json={"name": "theirs"}) for path in (one, named)),
            *(http.post(path, json={"symbol": symbols[1]}) for path in (one, named)),
            *(http.delete(path) for path in (one, named, f"{one}/{symbols[0]}")),
        ]

        assert {404} == {answer.status_code for answer in answers}
        assert [] == http.get("/v2/watchlists").json()
    assert made == client.get_watchlist_by_id(made.id)


@shows("get_watchlist_by_id", "the same under `/v2/watchlists:by_name`")
def test_alpaca_watchlist_by_name_does_what_it_does_by_id(
    http: httpx.Client, symbols: list[str]
) -> None:
    """The name is a parameter; what comes in the body is the new one."""
    name = {"name": "my list & more"}
    made = http.post("/v2/watchlists", json={**name, "symbols": symbols[:1]}).json()
    by_name = "/v2/watchlists:by_name"

    assert made == http.get(by_name, params=name).json()
    added = http.post(by_name, params=name, json={"symbol": symbols[1]})
    assert symbols[:2] == on(added.json())
    changed = http.put(by_name, params=name, json={"name": "next", "symbols": symbols[2:]})
    assert ("next", symbols[2:]) == (changed.json()["name"], on(changed.json()))
    assert 404 == http.get(by_name, params=name).status_code
    assert 204 == http.delete(by_name, params={"name": "next"}).status_code
    assert 404 == http.delete(by_name, params={"name": "next"}).status_code


@shows("get_watchlist_by_id", "the symbols of today")
def test_alpaca_watchlist_follows_a_renamed_instrument(venue: Venue, client: TradingClient) -> None:
    """It shows the symbol of today, and the old one still leads there."""
    symbol, later = venue.instrument(), f"N{uuid4().hex[:8].upper()}"
    made = client.create_watchlist(CreateWatchlistRequest(name="mine", symbols=[symbol]))
    renamed = venue.admin.patch(f"/admin/instruments/{symbol}", json={"new_symbol": later})
    assert renamed.status_code == 200, renamed.text

    assert [later] == on(client.get_watchlist_by_id(made.id))
    assert [] == on(client.remove_asset_from_watchlist_by_id(made.id, symbol))


@shows("create_watchlist", "once under an `Idempotency-Key`")
def test_alpaca_watchlist_is_made_once_under_a_key(http: httpx.Client, symbols: list[str]) -> None:
    """A repeat is answered as the first was; another body under the key is refused."""
    key = {"Idempotency-Key": f"k-{uuid4().hex}"}
    body = {"name": "mine", "symbols": symbols[:2]}
    first = http.post("/v2/watchlists", json=body, headers=key)
    http.put(f"/v2/watchlists/{first.json()['id']}", json={"symbols": []})

    again = http.post("/v2/watchlists", json=body, headers=key)
    other = http.post("/v2/watchlists", json={**body, "name": "other"}, headers=key)

    assert (200, "true", first.json()) == (
        again.status_code,
        again.headers["X-Nexus-Duplicate"],
        again.json(),
    )
    assert (422, "REQUEST_KEY_REUSED") == (other.status_code, other.json()["reason"])
    assert 1 == len(http.get("/v2/watchlists").json())


@shows("create_watchlist", "422 by name of a wrong body")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "n", "symbols": "AAPL"}, "symbols"),
        ({"name": "n", "symbols": ["AA PL"]}, "symbols.0"),
        ({"name": "n", "symbols": ["NOPE"]}, "symbols"),
        ({"name": "n", "symbols": ["S"] * 201}, "symbols"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_alpaca_watchlist_refuses_a_wrong_body_by_name(
    http: httpx.Client, body: dict[str, Any], field: str
) -> None:
    """Nothing is made of it."""
    refused = http.post("/v2/watchlists", json=body)

    assert (422, field) == (refused.status_code, refused.json()["field"])
    assert [] == http.get("/v2/watchlists").json()


@shows("update_watchlist_by_id", "422 of a change that asks for nothing")
def test_alpaca_watchlist_change_asks_for_something(http: httpx.Client) -> None:
    """A body without a name and without symbols is refused, and so is an id that is none."""
    made = http.post("/v2/watchlists", json={"name": "mine"}).json()

    empty = http.put(f"/v2/watchlists/{made['id']}", json={})
    odd = http.get("/v2/watchlists/mine")

    assert (422, "name") == (empty.status_code, empty.json()["field"])
    assert (422, "watchlist_id") == (odd.status_code, odd.json()["field"])

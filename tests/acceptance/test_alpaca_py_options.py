"""alpaca-py lists option contracts, trades them, and is told that none is exercised early."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import uuid4

import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.alpaca_py import (
    APIError,
    AssetClass,
    AssetStatus,
    GetOptionContractsRequest,
    LimitOrderRequest,
    OrderSide,
    TimeInForce,
    TradingClient,
)
from tests.venue import Venue, served

EXPIRIES = ["2099-12-18", "2099-12-24"]
CALL = "ACME991218C00150000"


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """A venue with options on one of its shares, each open."""
    with served(postgres.dsn()) as venue:
        venue.instrument("ACME", shortable=True)
        venue.instrument("BRK.B")
        for underlying, strikes in (("ACME", ["97.5", "150"]), ("BRK.B", ["400"])):
            listed = venue.admin.post(
                "/admin/options/chains",
                json={
                    "underlying": underlying,
                    "expiries": EXPIRIES,
                    "strikes": strikes,
                    "tick": "0.01",
                    "style": "european" if underlying == "BRK.B" else "american",
                },
            )
            assert 200 == listed.status_code, listed.text
        opened = venue.admin.post(
            f"/admin/instruments/{CALL}/open",
            json={
                "session_date": 20261120,
                "value_date": 20261123,
                "opens_at": "2026-11-20T00:00:00Z",
                "closes_at": "2100-01-01T00:00:00Z",
            },
        )
        assert 200 == opened.status_code, opened.text
        yield venue


@pytest.fixture
def client(venue: Venue) -> TradingClient:
    """A client of an account with cash."""
    return client_of(venue, venue.trader())


def symbols(client: TradingClient, **wanted: Any) -> list[str]:
    """The contracts that are found, in their order, over all pages."""
    found, token = [], None
    while True:
        request = GetOptionContractsRequest(**wanted, page_token=token)
        page = client.get_option_contracts(request)
        found += [one.symbol for one in page.option_contracts]
        token = page.next_page_token
        if token is None:
            return found


@shows("get_option_contracts", "by underlying, root, expiry, strike, type and style, in pages")
def test_option_contracts_are_found_by_all_that_alpaca_asks_by(client: TradingClient) -> None:
    """Both ends of a range are in it; a page ends where it ends, and the next one goes on."""
    every = [
        f"{root}{day}{right}{strike}"
        for root, strikes in (("ACME", ("00097500", "00150000")), ("BRKB", ("00400000",)))
        for day in ("991218", "991224")
        for right in "CP"
        for strike in strikes
    ]

    assert every == symbols(client) == symbols(client, limit=1) == symbols(client, limit=5)
    assert every[8:] == symbols(client, underlying_symbols=["BRK.B"])
    assert every == symbols(client, underlying_symbols=["ACME", "BRK.B", "NOBODY"])
    assert every[8:] == symbols(client, root_symbol="BRKB") == symbols(client, style="european")
    assert every[:4] == symbols(client, style="american", expiration_date="2099-12-18")
    assert every[4:8] == symbols(client, root_symbol="ACME", expiration_date_gte=date(2099, 12, 19))
    assert every[:4] + every[8:10] == symbols(client, expiration_date_lte="2099-12-18")
    calls = [symbol for symbol in every if symbol[-9] == "C"]
    assert calls == symbols(client, type="call")
    assert [CALL] == symbols(
        client,
        type="call",
        expiration_date="2099-12-18",
        strike_price_gte="97.501",
        strike_price_lte="150",
    )
    assert [] == symbols(client, status=AssetStatus.INACTIVE)


@shows("get_option_contract", "by symbol and by id; 404 for what is none")
def test_option_contract_is_found_by_its_symbol_and_its_id(client: TradingClient) -> None:
    """With all that it is a right to; a share is no contract."""
    contract = client.get_option_contract(CALL)

    assert contract == client.get_option_contract(contract.id)
    assert (CALL, "ACME Dec 18 2099 150 Call", True) == (
        contract.symbol,
        contract.name,
        contract.tradable,
    )
    assert (date(2099, 12, 18), "ACME", "ACME", "100", 150.0) == (
        contract.expiration_date,
        contract.root_symbol,
        contract.underlying_symbol,
        contract.size,
        contract.strike_price,
    )
    assert ("call", "american") == (contract.type.value, contract.style.value)
    assert str(contract.underlying_asset_id) == str(client.get_asset("ACME").id)
    asset = client.get_asset(CALL)
    assert (AssetClass.US_OPTION, AssetStatus.ACTIVE) == (asset.asset_class, asset.status)
    for name in ("ACME", "ACME991218C00999000", uuid4()):
        with pytest.raises(APIError) as unknown:
            client.get_option_contract(name)
        assert 404 == unknown.value.status_code


@shows(
    "exercise_options_position", "422 `EARLY_EXERCISE`: it is exercised at its expiry, by itself"
)
@shows("submit_order", "an option, in contracts; what it costs is a hundred times its price")
def test_option_is_bought_and_not_exercised_early(venue: Venue, client: TradingClient) -> None:
    """The money is that of all it stands for, and the position says so."""
    writer = client_of(venue, venue.trader(kind="margin"))
    terms: dict[str, Any] = {"symbol": CALL, "qty": 2, "time_in_force": TimeInForce.DAY}
    sold = LimitOrderRequest(side=OrderSide.SELL, limit_price=1.25, **terms)
    bought = LimitOrderRequest(side=OrderSide.BUY, limit_price=1.25, **terms)

    writer.submit_order(sold)
    order = client.submit_order(bought)
    [position] = client.get_all_positions()
    with pytest.raises(APIError) as exercised:
        client.exercise_options_position(CALL)

    assert ("filled", "1.250000") == (order.status.value, f"{float(order.filled_avg_price):.6f}")
    assert (AssetClass.US_OPTION, 2.0, 250.0, 250.0, 1.25) == (
        position.asset_class,
        float(position.qty),
        float(position.market_value),
        float(position.cost_basis),
        float(position.avg_entry_price),
    )
    assert 422 == exercised.value.status_code
    assert "at its expiry on 2099-12-18" in exercised.value.message
    # A cash account does not write.
    with pytest.raises(APIError) as bare:
        client.submit_order(
            LimitOrderRequest(side=OrderSide.SELL, limit_price=1.25, **terms | {"qty": 3})
        )
    assert bare.value.status_code in (403, 422)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("expiration_date", "tomorrow"),
        ("strike_price_gte", "much"),
        ("limit", 10_001),
        ("page_token", "MA=="),
    ],
)
@shows("get_option_contracts", "422 for what cannot be asked, with the parameter's name")
def test_option_contracts_refuse_what_cannot_be_asked(
    client: TradingClient, field: str, value: Any
) -> None:
    """An empty page is no answer to a date that is none."""
    with pytest.raises(APIError) as refusal:
        client.get_option_contracts(GetOptionContractsRequest(**{field: value}))

    assert 422 == refusal.value.status_code
    assert field in refusal.value.message

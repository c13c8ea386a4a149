"""alpaca-py finds what trades here, what may be done with it, and when; and what does not."""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.alpaca_py import (
    APIError,
    AssetClass,
    AssetExchange,
    AssetStatus,
    CorporateActionType,
    GetAssetsRequest,
    GetCorporateAnnouncementsRequest,
    LimitOrderRequest,
    OrderSide,
    TimeInForce,
    TradingClient,
)
from tests.venue import Venue, served


@pytest.fixture
def client(venue: Venue) -> TradingClient:
    """A client of an account with cash."""
    return client_of(venue, venue.trader())


def limit(symbol: str, side: OrderSide, qty: float, price: float) -> LimitOrderRequest:
    """A limit order that rests until canceled."""
    return LimitOrderRequest(
        symbol=symbol, side=side, qty=qty, time_in_force=TimeInForce.GTC, limit_price=price
    )


def refused(client: TradingClient, order: Any) -> int:
    """The status of the refusal of an order."""
    with pytest.raises(APIError) as refusal:
        client.submit_order(order)
    return refusal.value.status_code


@shows("get_all_assets", "by class, exchange, status and attributes, each and together")
def test_assets_are_filtered_by_all_that_alpaca_filters_by(
    venue: Venue, client: TradingClient
) -> None:
    """A filter leaves what it names; attributes of Alpaca's no instrument here has."""
    share, coin = venue.instrument(), venue.instrument(asset_class="crypto", lot="0.0001")

    def found(**wanted: Any) -> set[str]:
        return {one.symbol for one in client.get_all_assets(GetAssetsRequest(**wanted))}

    assert {share, coin} <= {one.symbol for one in client.get_all_assets()}
    for wanted, (there, away) in {
        AssetClass.US_EQUITY: ({share}, {coin}),
        AssetClass.CRYPTO: ({coin}, {share}),
        AssetClass.US_OPTION: (set(), {share, coin}),
    }.items():
        symbols = found(asset_class=wanted, status=AssetStatus.ACTIVE)
        assert there <= symbols
        assert symbols.isdisjoint(away)
    assert coin in found(exchange=AssetExchange.CRYPTO)
    assert share not in found(exchange=AssetExchange.CRYPTO)
    assert set() == found(exchange=AssetExchange.NYSE)
    assert set() == found(status=AssetStatus.INACTIVE)
    assert set() == found(attributes="ptp_no_exception,has_options")
    assert set() == found(asset_class=AssetClass.CRYPTO, attributes="ptp_with_exception")


@shows("get_asset", "what may be done with it: an order that it allows is taken, one beyond not")
def test_what_an_asset_says_of_itself_holds_for_its_orders(venue: Venue) -> None:
    """Smallest order, its increment, the price's increment, fractions, short sales and margin."""
    plain = venue.instrument(initial_margin_bps=10_000, maintenance_margin_bps=10_000)
    other = venue.instrument(
        lot="0.01", tick="0.0025", shortable=True, maintenance_margin_bps=3_000
    )
    client = client_of(venue, venue.trader(kind="margin"))
    whole, part = client.get_asset(plain), client.get_asset(other)

    assert (1, 1, 0.01) == (whole.min_order_size, whole.min_trade_increment, whole.price_increment)
    assert (False, False, False, False) == (
        whole.fractionable,
        whole.shortable,
        whole.easy_to_borrow,
        whole.marginable,
    )
    assert (0.01, 0.01, 0.0025) == (
        part.min_order_size,
        part.min_trade_increment,
        part.price_increment,
    )
    assert (True, True, True, True) == (
        part.fractionable,
        part.shortable,
        part.easy_to_borrow,
        part.marginable,
    )
    assert (100, 30) == (
        whole.maintenance_margin_requirement,
        part.maintenance_margin_requirement,
    )
    for asset in (whole, part):
        assert (AssetStatus.ACTIVE, True, []) == (asset.status, asset.tradable, asset.attributes)
        size, tick = asset.min_order_size, asset.price_increment
        client.submit_order(limit(asset.symbol, OrderSide.BUY, size, 99))
        client.submit_order(
            limit(asset.symbol, OrderSide.BUY, size + asset.min_trade_increment, 99 + tick)
        )
        for qty in (size / 2, size * 1.5):
            assert 422 == refused(client, limit(asset.symbol, OrderSide.BUY, qty, 99))
        assert 422 == refused(client, limit(asset.symbol, OrderSide.BUY, size, 99 + tick / 5))
    assert 422 == refused(client, limit(plain, OrderSide.SELL, 1, 101))
    client.submit_order(limit(other, OrderSide.SELL, 1, 101))


@shows("get_asset", "404 for what never was")
def test_asset_that_never_was_is_not_found(client: TradingClient) -> None:
    """Neither by symbol nor by id."""
    for unknown in ("NOWHERE", uuid4()):
        with pytest.raises(APIError) as refusal:
            client.get_asset(unknown)
        assert (404, 40410000) == (refusal.value.status_code, refusal.value.code)


@shows("get_clock", "closed between sessions; when the calendars open and close next")
def test_clock_tells_the_next_session_of_the_calendars(postgres: EmbeddedServer) -> None:
    """Closed until something opens; with an exchange's calendar the next session is in order."""
    with served(postgres.dsn()) as venue:
        client = client_of(venue, venue.trader())
        assert not client.get_clock().is_open
        symbol = venue.instrument(calendar="XNYS")
        clock = client.get_clock()
        assert clock.is_open
        assert clock.timestamp - datetime.now(UTC) < timedelta(minutes=1)
        assert clock.timestamp < clock.next_close
        closed = venue.admin.post(f"/admin/instruments/{symbol}/close")
        client._session.headers["X-Nexus-Position"] = closed.headers["X-Nexus-Position"]

        clock = client.get_clock()

    assert not clock.is_open
    assert clock.timestamp < clock.next_open < clock.next_close
    # A session of a day of the week, within a week of holidays.
    assert clock.next_open - clock.timestamp < timedelta(days=7)
    assert clock.next_close - clock.next_open <= timedelta(hours=6.5)
    assert clock.next_open.weekday() < 5


def announcements(client: TradingClient, **wanted: Any) -> list[Any]:
    """What the client is told of corporate actions, past its warning that it is deprecated."""
    asked = {"ca_types": [CorporateActionType.DIVIDEND], "since": date(2026, 9, 1), **wanted}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        request = GetCorporateAnnouncementsRequest(**{"until": date(2026, 11, 30), **asked})
        found: list[Any] = client.get_corporate_announcements(request)
    return found


@shows("get_corporate_announcements", "an empty list: none is made here")
@shows("get_corporate_announcement_by_id", "404: there is none")
def test_corporate_announcements_are_an_empty_list(client: TradingClient) -> None:
    """Of every type and symbol; one that is asked for by its id is not found."""
    assert [] == announcements(client)
    assert [] == announcements(client, ca_types=[*CorporateActionType], symbol="AAPL")
    with pytest.raises(APIError) as unknown:
        client.get_corporate_announcement_by_id(uuid4())
    assert (404, 40410000) == (unknown.value.status_code, unknown.value.code)


@shows("get_corporate_announcements", "422 for a range that ends before it begins")
def test_corporate_announcements_refuse_a_range_that_is_none(client: TradingClient) -> None:
    """The parameter that is wrong is named."""
    with pytest.raises(APIError) as refusal:
        announcements(client, until=date(2026, 8, 31))

    assert 422 == refusal.value.status_code
    assert "until" in refusal.value.message


@shows("get_asset", "symbols with a slash too, as positions are found and closed by them")
def test_asset_with_a_slash_in_its_symbol_is_found(venue: Venue) -> None:
    """The client writes it into the path as it is."""
    symbol = f"A{uuid4().hex[:7].upper()}/USD"
    closed = {"asset_class": "crypto", "lot": "0.01", "calendar": "manual"}
    body = {"symbol": symbol, "name": "a pair", "tick": "0.01", "reference_price": "100", **closed}
    assert 200 == venue.admin.post("/admin/instruments", json=body).status_code
    trader = venue.trader()
    venue.hold(trader, symbol, "2.5", "250")
    client = client_of(venue, trader)

    asset = client.get_asset(symbol)

    assert (symbol, asset.id) == (asset.symbol, client.get_asset(str(asset.id)).id)
    assert symbol == client.get_open_position(symbol).symbol
    assert symbol == client.close_position(symbol).symbol

"""alpaca-py sets an account's configuration: each member is granted, or refused by name."""

from typing import Any

import pytest

from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.alpaca_py import (
    AccountConfiguration,
    APIError,
    DTBPCheck,
    LimitOrderRequest,
    OrderSide,
    PDTCheck,
    TimeInForce,
    TradeConfirmationEmail,
    TradingClient,
)
from tests.venue import Trader, Venue


@pytest.fixture
def symbol(venue: Venue) -> str:
    """An instrument of the test's own, open, in hundredths of a share."""
    return venue.instrument(lot="0.01", shortable=True)


@pytest.fixture
def trader(venue: Venue) -> Trader:
    """A margin account of the test's own, with 10,000."""
    return venue.trader(cash="10000", kind="margin")


@pytest.fixture
def client(venue: Venue, trader: Trader) -> TradingClient:
    """The trader's client."""
    return client_of(venue, trader)


def limit(symbol: str, side: OrderSide, price: float, qty: float = 10) -> LimitOrderRequest:
    """A limit order that rests until canceled."""
    return LimitOrderRequest(
        symbol=symbol, qty=qty, side=side, time_in_force=TimeInForce.GTC, limit_price=price
    )


def set_one(client: TradingClient, **members: Any) -> AccountConfiguration:
    """Get the configuration, change some of it, and send all of it back."""
    configuration = client.get_account_configurations()
    for name, value in members.items():
        setattr(configuration, name, value)
    told = client.set_account_configurations(configuration)
    assert configuration == told == client.get_account_configurations()
    return told


def refused(client: TradingClient, order: LimitOrderRequest) -> str:
    """The message of an order that must be refused."""
    with pytest.raises(APIError) as refusal:
        client.submit_order(order)
    assert (403, 40310000) == (refusal.value.status_code, refusal.value.code)
    return str(refusal.value.message)


@shows("get_account_configurations", "every member as it is granted")
def test_alpaca_reads_a_configuration_and_may_send_it_back(
    venue: Venue, client: TradingClient
) -> None:
    """As it is, of accounts of both kinds."""
    configuration = client.get_account_configurations()
    assert (
        AccountConfiguration(
            suspend_trade=False,
            no_shorting=False,
            fractional_trading=True,
            max_margin_multiplier="2",
            trade_confirm_email=TradeConfirmationEmail.NONE,
            ptp_no_exception_entry=False,
            max_options_trading_level=3,
        )
        == configuration
    )
    assert configuration == client.set_account_configurations(configuration)
    cash = client_of(venue, venue.trader())
    assert "1" == set_one(cash).max_margin_multiplier


@shows("set_account_configurations", "`suspend_trade` refuses orders, not cancels")
def test_alpaca_suspends_trading_and_lets_it_go_on(client: TradingClient, symbol: str) -> None:
    """Orders are refused, cancels are taken, and the account says so."""
    order = client.submit_order(limit(symbol, OrderSide.BUY, 99))
    set_one(client, suspend_trade=True)

    assert "suspend_trade" in refused(client, limit(symbol, OrderSide.BUY, 99))
    account = client.get_account()
    assert (True, True, "0.00") == (
        account.trade_suspended_by_user,
        account.trading_blocked,
        account.buying_power,
    )
    client.cancel_order_by_id(order.id)

    set_one(client, suspend_trade=False)
    client.submit_order(limit(symbol, OrderSide.BUY, 99))
    assert not client.get_account().trade_suspended_by_user


@shows("set_account_configurations", "`no_shorting` sells only what is held")
def test_alpaca_rules_short_sales_out(
    venue: Venue, trader: Trader, client: TradingClient, symbol: str
) -> None:
    """What is held may be sold, and not a hundredth more."""
    venue.hold(trader, symbol, "10", "1000")
    set_one(client, no_shorting=True)

    assert "no_shorting" in refused(client, limit(symbol, OrderSide.SELL, 105, 10.01))
    client.submit_order(limit(symbol, OrderSide.SELL, 105, 10))
    assert not client.get_account().shorting_enabled

    set_one(client, no_shorting=False)
    client.submit_order(limit(symbol, OrderSide.SELL, 105, 1))
    assert client.get_account().shorting_enabled


@shows("set_account_configurations", "without `fractional_trading` whole shares open")
def test_alpaca_rules_fractions_out(client: TradingClient, symbol: str) -> None:
    """Whole shares are bought, and no part of one."""
    set_one(client, fractional_trading=False)
    assert "fractional_trading" in refused(client, limit(symbol, OrderSide.BUY, 99, 1.5))
    client.submit_order(limit(symbol, OrderSide.BUY, 99, 1))
    set_one(client, fractional_trading=True)
    client.submit_order(limit(symbol, OrderSide.BUY, 99, 1.5))


@shows("set_account_configurations", "`max_margin_multiplier` is 1 or 2")
def test_alpaca_gives_leverage_up_and_takes_it_again(client: TradingClient, symbol: str) -> None:
    """At a multiplier of 1 what is bought must be paid for whole."""
    assert "20000.00" == client.get_account().buying_power
    set_one(client, max_margin_multiplier="1")

    account = client.get_account()
    assert ("10000.00", "1") == (account.buying_power, account.multiplier)
    assert "buying power" in refused(client, limit(symbol, OrderSide.BUY, 100, 100.01))
    client.submit_order(limit(symbol, OrderSide.BUY, 100, 100))
    assert "0.00" == client.get_account().buying_power

    set_one(client, max_margin_multiplier="2")
    assert "0.00" == client.get_account().buying_power
    client.cancel_orders()
    assert "20000.00" == client.get_account().buying_power


@shows("set_account_configurations", "what cannot be honoured is 422 by name")
@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("max_margin_multiplier", "4"),
        ("max_margin_multiplier", "0.5"),
        ("dtbp_check", DTBPCheck.ENTRY),
        ("pdt_check", PDTCheck.BOTH),
        ("trade_confirm_email", TradeConfirmationEmail.ALL),
        ("ptp_no_exception_entry", True),
        ("max_options_trading_level", 1),
    ],
)
def test_alpaca_member_that_cannot_be_honoured_is_refused_by_name(
    client: TradingClient, member: str, value: object
) -> None:
    """And nothing of the same request is set."""
    before = client.get_account_configurations()
    wanted = before.model_copy(update={member: value, "no_shorting": True})

    with pytest.raises(APIError) as refusal:
        client.set_account_configurations(wanted)

    assert (422, 40010001) == (refusal.value.status_code, refusal.value.code)
    assert refusal.value.message.startswith(member)
    assert before == client.get_account_configurations()


@shows("set_account_configurations", "of a cash account the multiplier is 1")
def test_alpaca_cash_account_takes_no_leverage(venue: Venue) -> None:
    """There is nothing it could borrow by."""
    client = client_of(venue, venue.trader())
    wanted = client.get_account_configurations()
    wanted.max_margin_multiplier = "2"
    with pytest.raises(APIError) as refusal:
        client.set_account_configurations(wanted)
    assert 422 == refusal.value.status_code
    assert refusal.value.message.startswith("max_margin_multiplier of a cash account")


@shows("set_account_configurations", "a value of a wrong kind is 422 by name")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"suspend_trade": "yes"}, "suspend_trade"),
        ({"no_shorting": 1}, "no_shorting"),
        ({"max_margin_multiplier": True}, "max_margin_multiplier"),
        ({"max_margin_multiplier": 1.5}, "max_margin_multiplier"),
        ({"max_options_trading_level": False}, "max_options_trading_level"),
        ({"ptp_no_exception_entry": 0}, "ptp_no_exception_entry"),
        ({"trade_confirm_email": "NONE"}, "trade_confirm_email"),
        ([], "body"),
    ],
)
def test_alpaca_configuration_of_a_wrong_kind_is_named(
    venue: Venue, trader: Trader, body: object, field: str
) -> None:
    """Text for a yes or no, a number for a text."""
    with venue.client(trader) as http:
        answer = http.patch("/v2/account/configurations", json=body)
    assert (422, field) == (answer.status_code, answer.json()["field"])


@shows("set_account_configurations", "what is left out stays")
def test_alpaca_configuration_keeps_what_a_patch_leaves_out(venue: Venue, trader: Trader) -> None:
    """Two that change one member each do not undo each other; a repeat is marked."""
    with venue.client(trader) as http:
        path = "/v2/account/configurations"
        first = http.patch(path, json={"no_shorting": True})
        second = http.patch(path, json={"fractional_trading": False, "max_margin_multiplier": 1})
        again = http.patch(path, json={"no_shorting": True})
        shown = http.get(path).json()
    assert [200] * 3 == [answer.status_code for answer in (first, second, again)]
    assert (True, False, "1") == (
        shown["no_shorting"],
        shown["fractional_trading"],
        shown["max_margin_multiplier"],
    )
    assert (None, "true", shown) == (
        first.headers.get("X-Nexus-Duplicate"),
        again.headers.get("X-Nexus-Duplicate"),
        again.json(),
    )

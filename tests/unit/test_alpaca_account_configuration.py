"""What an account's owner sets of its configuration is what the writer grants from then on."""

from __future__ import annotations

import pytest

from application.commands import (
    ChangeInstrument,
    ConfigureAccount,
    PlaceGroup,
    SetKillSwitch,
    Withdraw,
)
from domain.configuration import Configuration
from domain.events import AccountConfigured, OrderAdjusted, OrderCanceled
from domain.terms import AccountKind, CancelReason, OrderClass, OrderType, Side, TimeInForce
from tests.model.desk_harness import DeskHarness, cents, code, shares, wire
from tests.model.shown import Shown

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> DeskHarness:
    """An open market in hundredths; `a` may borrow, has 10,000 and nothing else."""
    venue = DeskHarness()
    venue.instrument(shortable=True, lot=shares("0.01"))
    venue.a = venue.account("a", 10_000, kind=AccountKind.MARGIN)
    venue.b = venue.account("b")
    venue.hold(venue.b, 1_000)
    return venue


def configure(venue: DeskHarness, **members: object) -> None:
    """Set some members of a's configuration."""
    venue.ok(ConfigureAccount(venue.a, **members))


def test_a_configuration_keeps_what_is_not_set(venue: DeskHarness) -> None:
    """Each member by itself; the event says all of them, and the answer too."""
    before = venue.desk.accounts.account(venue.a).configuration
    assert Configuration() == before

    configure(venue, no_shorting=True)
    reply = venue.ok(ConfigureAccount(venue.a, suspend_trade=True, max_margin_multiplier=1))

    [event] = venue.happened(AccountConfigured)
    assert (True, True, True, 1) == (
        event.suspend_trade,
        event.no_shorting,
        event.fractional_trading,
        event.max_margin_multiplier,
    )
    assert {
        "suspend_trade": True,
        "no_shorting": True,
        "fractional_trading": True,
        "max_margin_multiplier": 1,
    } == reply.result["configuration"]
    again = venue.ok(ConfigureAccount(venue.a, no_shorting=True))
    assert (True, []) == (again.duplicate, venue.events)
    assert reply.result == again.result


@pytest.mark.parametrize("multiplier", [0, -1, 3, 4, 2**40])
def test_a_multiplier_that_is_not_granted_is_refused(venue: DeskHarness, multiplier: int) -> None:
    """Neither less than nothing borrowed nor more than the usual rate lets an account buy."""
    reply = venue.send(ConfigureAccount(venue.a, max_margin_multiplier=multiplier))
    assert ("INVALID_FIELD", "max_margin_multiplier") == (
        reply.refusal.code,
        reply.refusal.details["field"],
    )


def test_a_cash_account_has_a_multiplier_of_one_and_no_other(venue: DeskHarness) -> None:
    """It cannot borrow; to say so changes nothing."""
    assert 1 == venue.desk.accounts.account(venue.b).configuration.max_margin_multiplier
    assert "INVALID_FIELD" == code(venue.send(ConfigureAccount(venue.b, max_margin_multiplier=2)))
    assert venue.ok(ConfigureAccount(venue.b, max_margin_multiplier=1)).duplicate


def test_a_suspended_account_places_and_replaces_nothing_and_cancels(venue: DeskHarness) -> None:
    """Until its owner lets it go on; what works goes on working."""
    order = venue.place(venue.a, BUY, 10, 100).order
    configure(venue, suspend_trade=True)

    assert "TRADE_SUSPENDED" == code(venue.place(venue.a, BUY, 1, 100))
    assert "TRADE_SUSPENDED" == code(venue.replace(venue.a, order.order_id, qty=11))
    venue.place(venue.b, SELL, 3, 100)
    assert 1 == len(venue.trades())
    assert "" == code(venue.cancel(venue.a, order.order_id))
    assert "TRADE_SUSPENDED" == code(venue.place(venue.a, SELL, 3, 100))

    configure(venue, suspend_trade=False)
    assert "" == code(venue.place(venue.a, SELL, 3, 100))


def test_an_operators_switch_is_not_released_by_the_owner(venue: DeskHarness) -> None:
    """The account's kill switch and its owner's suspension are two things."""
    venue.ok(SetKillSwitch(venue.a, True, "a runaway"))
    configure(venue, suspend_trade=True)
    assert "ACCOUNT_KILL_SWITCH" == code(venue.place(venue.a, BUY, 1, 100))
    configure(venue, suspend_trade=False)
    assert "ACCOUNT_KILL_SWITCH" == code(venue.place(venue.a, BUY, 1, 100))
    venue.ok(SetKillSwitch(venue.a, False))
    assert "" == code(venue.place(venue.a, BUY, 1, 100))


def test_an_account_without_shorting_sells_what_it_holds_and_no_more(venue: DeskHarness) -> None:
    """Not a share more, also with located ones, nor by a replace."""
    venue.hold(venue.a, 10)
    configure(venue, no_shorting=True)

    refused = venue.place(venue.a, SELL, "10.01", 105, locate=True)
    assert ("SHORTING_NOT_ALLOWED", "10.01000000", "10.00000000") == (
        code(refused),
        refused.refusal.details["qty"],
        refused.refusal.details["available"],
    )
    order = venue.place(venue.a, SELL, 10, 105).order
    assert "SHORTING_NOT_ALLOWED" == code(venue.place(venue.a, SELL, 1, 105))
    assert "SHORTING_NOT_ALLOWED" == code(venue.replace(venue.a, order.order_id, qty=11))

    configure(venue, no_shorting=False)
    assert "" == code(venue.place(venue.a, SELL, 1, 105))


def test_a_sale_does_not_become_a_short_one_where_shorting_is_off(venue: DeskHarness) -> None:
    """When a bust takes what it was to sell it ends, though the instrument may be sold short."""
    configure(venue, no_shorting=True)
    venue.place(venue.b, SELL, 5, 100)
    venue.place(venue.a, BUY, 5, 100)
    sale = venue.place(venue.a, SELL, 5, 106).order

    venue.bust_last()

    ended = {event.originator_id: event.reason for event in venue.happened(OrderCanceled)}
    assert int(CancelReason.POSITION_CLOSED) == ended[sale.order_id]
    assert [] == venue.happened(OrderAdjusted)


@pytest.mark.parametrize("qty", ["0.5", "1.01", "99.99"])
def test_an_account_without_fractions_opens_whole_shares(venue: DeskHarness, qty: str) -> None:
    """Neither by buying nor by selling short, nor by a replace or the entry of a group."""
    configure(venue, fractional_trading=False)

    refused = venue.place(venue.a, BUY, qty, 100)
    assert ("FRACTION_NOT_ALLOWED", "qty") == (code(refused), refused.refusal.details["field"])
    assert f"{qty:<010}"[:4] in refused.refusal.message
    assert "FRACTION_NOT_ALLOWED" == code(venue.place(venue.a, SELL, qty, 105))
    order = venue.place(venue.a, BUY, 1, 100).order
    assert "FRACTION_NOT_ALLOWED" == code(venue.replace(venue.a, order.order_id, qty="1.5"))
    bracket = PlaceGroup(
        venue.a,
        "X",
        int(OrderClass.BRACKET),
        int(BUY),
        int(OrderType.LIMIT),
        int(TimeInForce.GTC),
        shares(qty),
        wire(100),
        0,
        "group",
        wire(110),
        wire(90),
    )
    assert "FRACTION_NOT_ALLOWED" == code(venue.send(bracket))
    configure(venue, fractional_trading=True)
    assert "" == code(venue.place(venue.a, BUY, "0.5", 100))


def test_an_order_is_not_made_a_fraction_where_those_are_off(venue: DeskHarness) -> None:
    """Neither larger nor smaller; what others' fractions have left of it goes on."""
    order = venue.place(venue.a, BUY, 3, 100).order
    configure(venue, fractional_trading=False)
    for qty in ("2.5", "3.5", "0.01"):
        assert "FRACTION_NOT_ALLOWED" == code(venue.replace(venue.a, order.order_id, qty=qty))
    venue.place(venue.b, SELL, "0.4", 100)
    assert "" == code(venue.replace(venue.a, order.order_id, limit=99))
    assert "" == code(venue.replace(venue.a, order.order_id, qty=5))
    assert "" == code(venue.replace(venue.a, order.order_id, qty=2))
    assert shares("1.6") == venue.order(order.order_id).leaves


def test_a_fraction_that_works_goes_on_where_those_are_off(venue: DeskHarness) -> None:
    """At another price too; another quantity is whole."""
    order = venue.place(venue.a, BUY, "2.5", 100).order
    configure(venue, fractional_trading=False)
    assert "" == code(venue.replace(venue.a, order.order_id, limit=99))
    assert "FRACTION_NOT_ALLOWED" == code(venue.replace(venue.a, order.order_id, qty="2.6"))
    assert "" == code(venue.replace(venue.a, order.order_id, qty=2))


def test_an_amount_of_money_buys_no_fraction_where_those_are_off(venue: DeskHarness) -> None:
    """150.00 would buy one and a half; without leverage it must be there whole."""
    venue.place(venue.b, SELL, 500, 100)
    configure(venue, fractional_trading=False)
    assert "FRACTION_NOT_ALLOWED" == code(venue.spend(venue.a, BUY, 150))
    assert "" == code(venue.spend(venue.a, BUY, 200))
    configure(venue, max_margin_multiplier=1)
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.spend(venue.a, BUY, 9_900))
    assert "" == code(venue.spend(venue.a, BUY, 9_800))


def test_a_fraction_that_is_held_can_be_sold_without_fractions(venue: DeskHarness) -> None:
    """What is held is never locked up."""
    venue.hold(venue.a, "7.77")
    configure(venue, fractional_trading=False)
    assert "" == code(venue.place(venue.a, SELL, "0.77", 105))
    assert "FRACTION_NOT_ALLOWED" == code(venue.place(venue.a, SELL, "7.5", 105))
    assert "" == code(venue.place(venue.a, SELL, 7, 105))


def test_what_has_no_shares_is_traded_in_fractions_all_the_same(venue: DeskHarness) -> None:
    """A coin is not a share."""
    venue.instrument("COIN", asset_class="crypto", lot=shares("0.0001"), tick=wire("0.01"))
    configure(venue, fractional_trading=False)
    assert "" == code(venue.place(venue.a, BUY, "0.1234", 100, symbol="COIN"))


def test_an_account_without_leverage_opens_with_its_own_money_alone(venue: DeskHarness) -> None:
    """10,000 buys 100 at 100 and not twice that; its document says as much."""
    assert "20000.00" == Shown(venue.log).account(venue.a)["buying_power"]
    configure(venue, max_margin_multiplier=1)

    shown = Shown(venue.log).account(venue.a)
    assert ("10000.00", "1") == (shown["buying_power"], shown["multiplier"])
    refused = venue.place(venue.a, BUY, "100.01", 100)
    assert ("INSUFFICIENT_BUYING_POWER", "10001.00", "10000.00") == (
        code(refused),
        refused.refusal.details["needed"],
        refused.refusal.details["available"],
    )
    order = venue.place(venue.a, BUY, 100, 100).order
    assert cents(10_000) == venue.order(order.order_id).hold
    venue.place(venue.b, SELL, 100, 100)
    assert "0.00" == Shown(venue.log).account(venue.a)["buying_power"]
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(venue.a, BUY, "0.01", 100))

    configure(venue, max_margin_multiplier=2)
    assert "10000.00" == Shown(venue.log).account(venue.a)["buying_power"]
    assert "" == code(venue.place(venue.a, BUY, 100, 100))


def test_leverage_that_is_given_up_later_leaves_what_is_held(venue: DeskHarness) -> None:
    """Nothing is called or closed for it; nothing opens, nothing leaves, and it may be sold."""
    venue.place(venue.b, SELL, 150, 100)
    venue.place(venue.a, BUY, 150, 100)
    configure(venue, max_margin_multiplier=1)

    shown = Shown(venue.log).account(venue.a)
    assert ("0.00", "0.00", False, "15000.00") == (
        shown["buying_power"],
        shown["cash_withdrawable"],
        shown["margin_called"],
        shown["initial_margin"],
    )
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(venue.a, BUY, 1, 100))
    assert "INSUFFICIENT_CASH" == code(venue.send(Withdraw(venue.a, 1, "w")))
    assert "" == code(venue.place(venue.a, SELL, 150, 100))


def test_a_dearer_instrument_stays_as_dear_without_leverage(venue: DeskHarness) -> None:
    """A rate above the whole value is not lowered to it."""
    venue.ok(ChangeInstrument("X", initial_margin_bps=30_000))
    configure(venue, max_margin_multiplier=1)
    order = venue.place(venue.a, BUY, 10, 100).order
    assert cents(3_000) == venue.order(order.order_id).hold


def test_the_document_tells_of_the_owners_configuration(venue: DeskHarness) -> None:
    """Suspended it grants nothing and says so; a long-only account has no shorting."""
    venue.hold(venue.a, 10)
    configure(venue, suspend_trade=True, no_shorting=True)

    shown = Shown(venue.log)
    account = shown.account(venue.a)
    assert (True, True, False, "0.00") == (
        account["trading_blocked"],
        account["trade_suspended_by_user"],
        account["shorting_enabled"],
        account["buying_power"],
    )
    assert "0.00000000" == shown.positions(venue.a)["X"]["qty_available"]

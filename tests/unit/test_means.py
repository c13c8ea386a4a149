"""What an account can spend and take out, in its document's words and in the writer's refusals."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from application.commands import (
    BustTrade,
    ChargeFee,
    Reply,
    SetAccountPolicy,
    SetAccountStatus,
    SetKillSwitch,
    TransferPosition,
    Withdraw,
)
from domain.events import OrderFilled, OrderRejected, RequestRefused
from domain.terms import AccountKind, AccountStatus, Side
from tests.model.desk_harness import DeskHarness, cents, code, shares
from tests.model.group_desk import group_desk
from tests.model.shown import Shown

BUY, SELL = Side.BUY, Side.SELL
CLOSING_ONLY, BLOCKED = int(AccountStatus.CLOSING_ONLY), int(AccountStatus.BLOCKED)


def means_desk(**terms: Any) -> DeskHarness:
    """X, easy to borrow at a half; `a` on margin with 1,000.00, `b` rich and with shares."""
    venue = DeskHarness()
    venue.instrument(**{"shortable": True, **terms})
    venue.a = venue.account("a", 1_000, kind=AccountKind.MARGIN)
    venue.b = venue.account("b", 1_000_000)
    venue.hold(venue.b, 1_000)
    return venue


def document(venue: DeskHarness, account: UUID) -> dict[str, Any]:
    """The account as it is shown."""
    return Shown(venue.log).account(account)


def message(venue: DeskHarness) -> str:
    """What the latest refusal says."""
    (refused,) = venue.happened(OrderRejected, RequestRefused)
    text: str = refused.message
    return text


def shorted(venue: DeskHarness) -> None:
    """Let `a` sell ten short at 100.00, which is settled at once."""
    venue.place(venue.b, BUY, 10, 100)
    venue.place(venue.a, SELL, 10, 100)


def test_cash_that_covers_a_short_cannot_be_withdrawn_and_is_not_shown() -> None:
    """1,000.00 of its own and ten sold short at 100.00: half of their value has to stay."""
    venue = means_desk()
    shorted(venue)

    assert "500.00" == document(venue, venue.a)["cash_withdrawable"]
    assert "INSUFFICIENT_CASH" == code(venue.send(Withdraw(venue.a, cents("500.01"), "more")))
    assert "500.01 requested, 500.00 available" == message(venue)
    assert "" == code(venue.send(Withdraw(venue.a, cents(500), "all")))
    assert "0.00" == document(venue, venue.a)["cash_withdrawable"]


def test_cash_that_maintenance_asks_for_cannot_be_withdrawn() -> None:
    """Where keeping a position takes more than opening it, taking out calls for no margin."""
    venue = means_desk(initial_margin_bps=5_000, maintenance_margin_bps=9_000)
    shorted(venue)

    assert "100.00" == document(venue, venue.a)["cash_withdrawable"]
    assert "INSUFFICIENT_CASH" == code(venue.send(Withdraw(venue.a, cents("100.01"), "more")))


def test_refusal_of_an_order_on_margin_speaks_of_buying_power() -> None:
    """1,000.00 buy for 2,000.00: thirty shares at 100.00 are too many by 1,000.00."""
    venue = means_desk()
    assert "2000.00" == document(venue, venue.a)["buying_power"]

    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(venue.a, BUY, 30, 100))
    assert "insufficient buying power: 3000.00 needed, 2000.00 available" == message(venue)
    order = venue.place(venue.a, BUY, 20, 100).order
    assert order is not None
    assert "0.00" == document(venue, venue.a)["buying_power"]
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.replace(venue.a, order.order_id, qty=21))
    assert "insufficient buying power: 100.00 needed, 0.00 available" == message(venue)


def test_cash_account_buys_for_all_it_has_but_the_cent_of_rounding() -> None:
    """An order holds a cent more than its price, and the document shows what is left for it."""
    venue = means_desk()
    cash = venue.account("c", 1_000)
    assert ("1000.00", "999.99") == (
        document(venue, cash)["free_margin"],
        document(venue, cash)["buying_power"],
    )

    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(cash, BUY, 10, 100))
    assert "insufficient buying power: 1000.00 needed, 999.99 available" == message(venue)
    assert "" == code(venue.place(cash, BUY, 9, 100))
    assert "99.98" == document(venue, cash)["buying_power"]
    assert "99.99" == document(venue, cash)["cash_withdrawable"]


def test_refusal_of_a_transfer_that_takes_cover_speaks_of_buying_power() -> None:
    """What leaves a margin account is measured as its document measures what it can buy."""
    venue = means_desk()
    venue.hold(venue.a, 10)
    venue.place(venue.b, SELL, 30, 100)
    venue.place(venue.a, BUY, 30, 100)
    assert "0.00" == document(venue, venue.a)["buying_power"]

    refused = venue.send(TransferPosition(venue.a, "X", shares(-1), 0, "cover"))
    assert "INSUFFICIENT_BUYING_POWER" == code(refused)
    assert "insufficient buying power: 100.00 needed, 0.00 available" == message(venue)


def test_refusal_of_a_transfer_says_that_it_must_have_settled() -> None:
    """Fifteen are available to sell, and only the five that have settled can leave."""
    venue = means_desk()
    venue.place(venue.b, SELL, 10, 100)
    venue.place(venue.a, BUY, 10, 100)
    venue.hold(venue.a, 5)
    assert "15.00000000" == Shown(venue.log).positions(venue.a)["X"]["qty_available"]

    refused = venue.send(TransferPosition(venue.a, "X", shares(-6), 0, "six"))
    assert "INSUFFICIENT_QTY" == code(refused)
    assert "6.00000000 requested, 5.00000000 settled and available" in message(venue)


def test_closing_only_cash_account_is_told_of_its_own_status() -> None:
    """It has no margin call, and cannot have one."""
    venue = means_desk()
    venue.ok(SetAccountStatus(venue.b, CLOSING_ONLY, "asked for"))

    assert "LIQUIDATION_ONLY" == code(venue.place(venue.b, SELL, 1_001, 100))
    assert "the account is closing_only and may only reduce positions" == message(venue)
    assert "0.00" == document(venue, venue.b)["buying_power"]
    assert "" == code(venue.place(venue.b, SELL, 1_000, 100))


def owing(venue: DeskHarness) -> UUID:
    """A cash account that a bust has left owing ten shares."""
    owes = venue.account("owes", 5_000)
    venue.place(venue.b, SELL, 10, 100)
    venue.place(owes, BUY, 10, 100)
    bought = venue.happened(OrderFilled)
    venue.place(venue.b, BUY, 10, 100)
    venue.place(owes, SELL, 10, 100)
    venue.desk.trades_found[bought[0].trade_id] = (bought[0], bought[1])
    venue.ok(BustTrade(bought[0].trade_id, 1, "erroneous"))
    return owes


def test_closing_only_cash_account_buys_back_what_it_owes_and_no_more() -> None:
    """A bust left it short of ten: it pays for ten, in one order or in two."""
    venue = means_desk()
    owes = owing(venue)
    venue.ok(SetAccountStatus(owes, CLOSING_ONLY, "asked for"))

    assert "LIQUIDATION_ONLY" == code(venue.place(owes, BUY, 11, 100))
    assert "" == code(venue.place(owes, BUY, 6, 100))
    assert "LIQUIDATION_ONLY" == code(venue.place(owes, BUY, 5, 100))
    assert "" == code(venue.place(owes, BUY, 4, 100))


def test_blocked_account_gives_nothing_out_and_shows_nothing_to_give() -> None:
    """Money and shares stay; fees and deposits are the house's business as before."""
    venue = means_desk()
    venue.ok(SetAccountStatus(venue.b, BLOCKED, "a review"))

    shown = document(venue, venue.b)
    assert ("0.00", "0.00", True) == (
        shown["cash_withdrawable"],
        shown["buying_power"],
        shown["transfers_blocked"],
    )
    for command in (Withdraw(venue.b, 1, "w"), TransferPosition(venue.b, "X", -(10**8), 0, "t")):
        assert "ACCOUNT_NOT_ACTIVE" == code(venue.send(command))
        assert "account is blocked" == message(venue)
    assert "" == code(venue.send(ChargeFee(venue.b, 1, "f")))


@pytest.mark.parametrize("everyone", [True, False])
def test_kill_switch_leaves_nothing_to_buy_or_to_sell(everyone: bool) -> None:
    """The document of who can trade nothing promises nothing; cash may still be taken out."""
    venue = means_desk()
    venue.ok(SetKillSwitch(None if everyone else venue.b, True, "a drill"))

    shown = document(venue, venue.b)
    assert ("0.00", "1000000.00") == (shown["buying_power"], shown["cash_withdrawable"])
    assert "0.00000000" == Shown(venue.log).positions(venue.b)["X"]["qty_available"]


def test_fee_beyond_what_is_free_says_of_what() -> None:
    """The house may take what covers positions, so a fee is measured by settled cash alone."""
    venue = means_desk()
    shorted(venue)
    refused = venue.send(ChargeFee(venue.a, cents("1000.01"), "fee"))

    assert "INSUFFICIENT_CASH" == code(refused)
    assert "1000.01 requested, 1000.00 of settled cash free" == message(venue)


def test_entry_that_proceeds_would_pay_for_is_told_so() -> None:
    """Nothing was bought yet: the refusal speaks of what would be."""
    desk = group_desk()
    c = desk.account("c", 500)
    desk.hold(c, 10)
    desk.ok(SetAccountPolicy(c, True))
    desk.place(c, SELL, 10, 100)
    desk.place(desk.a, BUY, 10, 100)
    refused: Reply = desk.bracket(c, BUY, 10, 110, 90, limit=100)

    assert "FREE_RIDING" == code(refused)
    assert "10.00000000 would be bought with unsettled proceeds" in message(desk)

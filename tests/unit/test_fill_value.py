"""What an account pays and gets for its trades is their exact value, however they are cut."""

from __future__ import annotations

from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from application.commands import BustTrade, Settle
from domain.events import OrderFilled, TradeBooked
from domain.identifiers import HOUSE
from domain.money import average_cost_text, average_price_text, exact_value
from domain.terms import Ledger, Side
from tests.model.desk_harness import DeskHarness, code, shares, wire

BUY, SELL = Side.BUY, Side.SELL
LOT = shares("0.01")
FINE = {"lot": LOT, "tick": wire("0.0001"), "reference_price": wire("0.5"), "collar_bps": 9_000}


def fine_desk(*, checked: bool = True, **terms: Any) -> DeskHarness:
    """Instrument X in lots of 0.01 and ticks of 0.0001; `b` has 1000 shares to sell."""
    venue = DeskHarness(checked=checked)
    venue.instrument(**{**FINE, **terms})
    venue.b = venue.account("b")
    venue.hold(venue.b, 1000)
    return venue


def posted(venue: DeskHarness, account: UUID) -> int:
    """The cents that all trades of an account have brought it."""
    return venue.desk.accounts.by_id[account.int].unsettled


def rounding(venue: DeskHarness) -> int:
    """What the house's rounding stands at."""
    return venue.ledger[HOUSE, int(Ledger.ROUNDING)]


def settled(venue: DeskHarness) -> dict[str, Any]:
    """Settle all that is due."""
    result = venue.ok(Settle(20_991_231)).result
    assert result is not None
    return result


def test_fill_value_of_three_small_sells_is_rounded_once():
    """0.03 bought at 0.51 costs 0.02, not a cent a fill; the hold covered it, and it settles."""
    venue = fine_desk()
    poor = venue.account("poor", "0.03")
    reply = venue.place(poor, BUY, "0.03", "0.51")
    assert 3 == venue.order(reply.order.order_id).hold
    for _ in range(3):
        venue.place(venue.b, SELL, "0.01", "0.51")

    account = venue.desk.accounts.by_id[poor.int]
    assert (-2, 0) == (account.unsettled, account.held)
    settled(venue)
    assert (1, 0) == (account.cash, account.unsettled)


def test_fill_value_hold_is_the_exact_value_rounded_up_and_a_cent():
    """With two cents nobody bids for 0.0153 dollars: the third is for rounding."""
    venue = fine_desk()
    poor = venue.account("poor", "0.02")
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(poor, BUY, "0.03", "0.51"))


def test_fill_value_of_a_hundred_small_fills_is_what_one_fill_costs():
    """1.00 at 0.49, bought in fills of 0.01, costs 0.49 and not nothing."""
    venue = fine_desk(checked=False)
    one, many = venue.account("one"), venue.account("many")
    venue.place(venue.b, SELL, 1, "0.49")
    venue.place(one, BUY, 1, "0.49")
    venue.place(many, BUY, 1, "0.49")
    for _ in range(100):
        venue.place(venue.b, SELL, "0.01", "0.49")

    assert (-49, -49, 98) == tuple(posted(venue, each) for each in (one, many, venue.b))
    assert 0 == rounding(venue)
    venue.check()


def test_fill_value_of_default_shares_sold_one_by_one_stays_within_the_hold():
    """10 at 1.0051 held 10.06 and cost 10.05: a limit is kept, whatever it is filled with."""
    venue = DeskHarness()
    venue.instrument(tick=wire("0.0001"), reference_price=wire(1))
    venue.b = venue.account("b")
    venue.hold(venue.b, 100)
    buyer = venue.account("buyer", "10.07")
    reply = venue.place(buyer, BUY, 10, "1.0051")
    assert 1007 == venue.order(reply.order.order_id).hold
    for _ in range(10):
        venue.place(venue.b, SELL, 1, "1.0051")

    assert (-1005, 1005) == (posted(venue, buyer), posted(venue, venue.b))


def test_fill_value_of_one_buyer_and_a_hundred_sellers_leaves_the_cents_with_the_house():
    """Each seller's half cent rounds away, the buyer pays what it is worth; all sums to zero."""
    venue = fine_desk(checked=False)
    buyer = venue.account("buyer", 10)
    venue.place(buyer, BUY, 1, "0.49")
    sellers = [venue.account(f"s{number}", 0) for number in range(100)]
    for seller in sellers:
        venue.hold(seller, 1)
        venue.place(seller, SELL, "0.01", "0.49")
        assert 0 == sum(venue.ledger.values()) == venue.ledger[HOUSE, int(Ledger.CLEARING)]

    assert -49 == posted(venue, buyer)
    assert [0] * 100 == [posted(venue, seller) for seller in sellers]
    assert 49 == rounding(venue)
    for seller in sellers:
        venue.place(buyer, BUY, "0.02", "0.49")
        venue.place(seller, SELL, "0.02", "0.49")
    assert [1] * 100 == [posted(venue, seller) for seller in sellers]
    assert -147 == posted(venue, buyer)
    venue.check()


def test_fill_value_of_a_hundred_orders_against_one_is_that_of_one():
    """Cutting into orders gains as little as cutting into fills."""
    venue = fine_desk(checked=False)
    buyer = venue.account("buyer", 10)
    venue.place(venue.b, SELL, 1, "0.49")
    for _ in range(100):
        venue.place(buyer, BUY, "0.01", "0.49")

    assert (-49, 49, 0) == (posted(venue, buyer), posted(venue, venue.b), rounding(venue))
    venue.check()


def test_fill_value_of_two_thousand_accounts_sums_to_zero_at_every_position():
    """Every account is within half a cent of what its trades were worth, and so is the house."""
    venue = fine_desk(checked=False)
    exact: dict[UUID, Fraction] = {venue.b: Fraction(0)}
    for number in range(2000):
        account = venue.account(f"a{number}", 1)
        price = Fraction(4001 + number % 1999, 10_000)
        qty = Fraction(1 + number % 7, 100)
        limit, lots = f"{float(price):.4f}", f"{float(qty):.2f}"
        venue.place(venue.b, SELL, lots, limit)
        venue.place(account, BUY, lots, limit)
        assert 0 == sum(amount for event in venue.events for amount in _amounts(event))
        exact[account] = -price * qty
        exact[venue.b] += price * qty

    for account, worth in exact.items():
        assert round(worth * 100) == posted(venue, account)
    assert rounding(venue) == -sum(posted(venue, account) for account in exact)
    assert 2 * abs(rounding(venue)) <= 2001
    venue.check()


def _amounts(event: Any) -> list[int]:
    return [amount for _, _, amount in getattr(event, "postings", ())]


def test_fill_value_undone_goes_back_exactly():
    """Of three trades of half a cent one is busted and one corrected: the total is right again."""
    venue = fine_desk()
    buyer = venue.account("buyer", 1)
    for _ in range(3):
        venue.place(venue.b, SELL, "0.01", "0.4900")
        venue.place(buyer, BUY, "0.01", "0.4900")
    assert -1 == posted(venue, buyer)  # 0.0147

    venue.bust_last()
    assert -1 == posted(venue, buyer)  # 0.0098
    venue.place(venue.b, SELL, "0.01", "0.4900")
    venue.place(buyer, BUY, "0.01", "0.4900")
    venue.correct_last("0.9000")
    assert -2 == posted(venue, buyer)  # 0.0188
    venue.correct_last("0.0100")
    assert -1 == posted(venue, buyer)  # 0.0099
    assert abs(rounding(venue)) <= 1


def test_fill_value_busted_whole_leaves_nothing():
    """All trades undone, an account has what it had, to the cent."""
    venue = fine_desk()
    buyer = venue.account("buyer", 1)
    made = []
    for number in range(9):
        venue.place(venue.b, SELL, "0.01", f"0.4{number}37")
        venue.place(buyer, BUY, "0.01", f"0.4{number}37")
        made.append(tuple(venue.happened(OrderFilled)))
    for fills in made[::2] + made[1::2]:
        venue.desk.trades_found[fills[0].trade_id] = fills
        venue.ok(BustTrade(fills[0].trade_id, 1, "erroneous"))

    account = venue.desk.accounts.by_id[buyer.int]
    assert (0, 0, 0) == (account.unsettled, account.traded_value, rounding(venue))


def test_fill_value_orders_of_one_account_never_overdraw_it():
    """Two orders filled in turns share one rounding: each cent is paid once."""
    venue = fine_desk()
    poor = venue.account("poor", "1.03")
    venue.place(poor, BUY, 1, "0.51")
    venue.place(poor, BUY, 1, "0.49")
    account = venue.desk.accounts.by_id[poor.int]
    for _ in range(100):
        venue.place(venue.b, SELL, "0.01", "0.51")
        assert account.cash + account.unsettled >= 0
    for _ in range(100):
        venue.place(venue.b, SELL, "0.01", "0.49")
        assert account.cash + account.unsettled >= 0
    assert (-100, 0) == (account.unsettled, account.held)
    settled(venue)
    assert 3 == account.cash


def test_fill_value_of_an_order_is_its_own():
    """What other trades of its account left over is not in its document: 0.0051 is 0.51 each."""
    venue = fine_desk()
    buyer = venue.account("buyer", 1)
    for _ in range(2):
        venue.place(venue.b, SELL, "0.01", "0.51")
        reply = venue.place(buyer, BUY, "0.01", "0.51")
        assert "0.510000" == average_price_text(int(reply.order.value), reply.order.filled, 4)
    booked = [event.notional for event in venue.happened(TradeBooked)]
    assert [0, 0] == booked
    assert 1 == venue.happened(OrderFilled)[0].notional


@pytest.mark.parametrize(
    ("qty", "price", "decimals", "average"),
    [
        ("0.01", "123.45", 4, "123.450000"),
        ("0.00012345", "97000.13", 2, "97000.1300"),
        ("21", "0.00000177", 8, "0.0000017700"),
        ("0.00000001", "0.000000001", 9, "0.00000000100"),
    ],
)
def test_fill_value_makes_the_average_price_of_a_position(qty, price, decimals, average):
    """One fill's average is its price, however little it was worth."""
    venue = DeskHarness()
    listing = {"price_decimals": decimals, "tick": wire(f"{10**-decimals:.{decimals}f}")}
    venue.instrument(**listing, lot=1, reference_price=wire(price))
    seller, buyer = venue.account("seller"), venue.account("buyer")
    venue.hold(seller, qty)
    venue.place(seller, SELL, qty, price)
    venue.place(buyer, BUY, qty, price)

    (position,) = venue.desk.accounts.positions_of(buyer)
    assert average == average_cost_text(position.exact_cost, position.qty, decimals)
    (fill,) = (e for e in venue.happened(OrderFilled) if e.side == BUY)
    assert position.exact_cost == exact_value(fill.price, fill.qty, decimals)

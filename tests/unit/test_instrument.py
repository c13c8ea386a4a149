"""An instrument: reference data that fits the book, a symbol that may change, an id that never."""

import pytest

from application.commands import CancelAll, ChangeInstrument, MarkInstrument, ReadOrder
from application.desk.state import dump, load
from application.writer.reads import read
from domain.events import GroupPlaced
from domain.identifiers import HOUSE
from domain.instrument import Instrument
from domain.matching.engine import Market
from domain.money import LARGEST, MAX_AMOUNT
from domain.terms import Phase, Side, TimeInForce
from tests.model.desk_harness import DeskHarness, code, shares, trading_desk, wire
from tests.model.group_desk import group_desk


@pytest.mark.parametrize(
    "terms",
    [
        {"price_decimals": -1},
        {"price_decimals": 10},
        {"tick": 0},
        {"tick": -wire("0.01")},
        {"tick": wire("0.00001")},
        {"tick": 10**17, "price_decimals": 9},
        {"lot": 0},
        {"lot": -1},
        {"lot": MAX_AMOUNT},
        {"reference_price": -wire(1)},
        {"reference_price": wire("0.00001")},
        {"reference_price": MAX_AMOUNT, "price_decimals": 9},
        {"trigger_rule": 0},
        {"trigger_rule": 4},
        {"collar_bps": 0},
        {"collar_bps": 10_000},
        {"max_order_qty": -1},
        {"max_order_notional": -1},
        {"position_limit": -1},
        {"position_limit": MAX_AMOUNT + 1},
    ],
    ids=str,
)
def test_terms_that_do_not_fit_are_refused(terms):
    """Nothing is listed that an order could break later."""
    venue = DeskHarness()
    assert "INVALID_FIELD" == code(venue.send(venue.listing("X", **terms)))
    assert [] == venue.events
    assert {} == venue.desk.markets.by_symbol


@pytest.mark.parametrize("symbol", ["", "A B", "A\n", "Ä", "X" * 25, "\x7f"])
def test_a_symbol_is_short_printable_and_without_blanks(symbol):
    """It travels in paths, in FIX and on screens."""
    venue = DeskHarness()
    assert "INVALID_FIELD" == code(venue.send(venue.listing(symbol)))
    venue.instrument("X")
    if symbol:
        assert "INVALID_FIELD" == code(venue.send(ChangeInstrument("X", new_symbol=symbol)))


def test_listing_again_gives_the_instrument_that_is_there():
    """The same symbol and scale are the same instrument; another scale is refused."""
    venue = DeskHarness()
    venue.instrument("X")
    again = venue.ok(venue.listing("X"))
    assert again.duplicate
    assert [] == venue.events
    assert "INSTRUMENT_EXISTS" == code(venue.send(venue.listing("X", lot=shares(2))))


def test_a_renamed_instrument_keeps_its_book_and_frees_its_symbol():
    """Its id is its identity: orders go on, the old symbol leads there until it is listed anew."""
    venue = trading_desk()
    order = venue.place(venue.b, Side.SELL, 5, 100, client="offer").order
    venue.instrument("Y")
    assert "INSTRUMENT_EXISTS" == code(venue.send(ChangeInstrument("X", new_symbol="Y")))
    venue.ok(ChangeInstrument("X", new_symbol="NEW"))
    by_old = venue.place(venue.a, Side.BUY, 1, 90).order
    assert ("NEW", order.instrument_id) == (by_old.symbol, by_old.instrument_id)
    venue.cancel(venue.a, by_old.order_id)
    venue.instrument("X", opened=False)
    assert "MARKET_CLOSED" == code(venue.place(venue.a, Side.BUY, 1, 100, tif=TimeInForce.IOC))
    venue.place(venue.a, Side.BUY, 2, 100, symbol="NEW", client="bid")
    assert [("bid", "offer", shares(2), 100_0000)] == venue.trades()
    assert [("offer", 100_0000, shares(3))] == venue.book(Side.SELL, "NEW")
    assert "" == code(venue.replace(venue.b, order.order_id, qty=4))


def test_a_former_symbol_leads_to_who_had_it_last():
    """Renamed twice, and back, and taken by others: every symbol leads to one instrument."""
    venue = DeskHarness()
    venue.instrument("A")
    venue.instrument("B")
    first, second = (venue.desk.markets.named(name).instrument.id for name in "AB")

    def leads(**where) -> None:
        for desk in (venue.desk, venue.follower, load(dump(venue.desk))):
            known = {name: market.instrument.id for name, market in desk.markets.by_symbol.items()}
            assert where == known

    venue.ok(ChangeInstrument("A", new_symbol="C"))
    leads(A=first, B=second, C=first)
    venue.ok(ChangeInstrument("A", new_symbol="D"))
    leads(A=first, B=second, C=first, D=first)
    venue.ok(ChangeInstrument("B", new_symbol="C"))
    leads(A=first, B=second, C=second, D=first)
    venue.ok(ChangeInstrument("D", new_symbol="A"))
    leads(A=first, B=second, C=second, D=first)
    assert "INSTRUMENT_EXISTS" == code(venue.send(ChangeInstrument("D", new_symbol="C")))
    venue.instrument("D")
    third = venue.desk.markets.named("D").instrument.id
    leads(A=first, B=second, C=second, D=third)
    assert third not in (first, second)


def test_orders_of_a_renamed_instrument_are_answered_under_its_symbol_of_today():
    """New terms say it, and so does a read; a group that is asked for by the old one."""
    venue = group_desk()
    order = venue.place(venue.a, Side.SELL, 5, 101).order
    other = venue.place(venue.a, Side.SELL, 5, 102).order
    venue.ok(ChangeInstrument("X", new_symbol="NEW"))

    replaced = venue.replace(venue.a, order.order_id, qty=4).order
    asked = read(venue.desk, ReadOrder(venue.a, other.order_id), 0).order
    group = venue.oco(venue.a, Side.SELL, 10, 105, 95)

    assert {"NEW"} == {one.symbol for one in (replaced, asked, group.order, *group.legs)}
    (placed,) = venue.happened(GroupPlaced)
    assert "NEW" == placed.symbol
    assert 4 == len(venue.ok(CancelAll(venue.a, "X")).result["canceled"])


def test_changed_limits_hold_for_the_next_order():
    """None keeps a term, 0 lifts a limit."""
    venue = trading_desk()
    venue.ok(ChangeInstrument("X", max_order_qty=shares(5)))
    assert "ORDER_TOO_LARGE" == code(venue.place(venue.a, Side.BUY, 6, 100))
    venue.ok(ChangeInstrument("X", collar_bps=100))
    assert "PRICE_OUTSIDE_COLLAR" == code(venue.place(venue.a, Side.BUY, 5, "101.01"))
    venue.ok(ChangeInstrument("X", max_order_qty=0))
    assert "" == code(venue.place(venue.a, Side.BUY, 6, 101))
    assert "INVALID_FIELD" == code(venue.send(ChangeInstrument("X", trigger_rule=9)))


@pytest.mark.parametrize(
    ("price", "bps", "tick", "band"),
    [
        (100_0000, 1000, 100, (90_0000, 110_0000)),
        (100_0000, 1000, 7_0000, (91_0000, 105_0000)),
        (1, 1, 1, (1, 1)),
        (3, 9_999, 1, (1, 5)),
        (10, 9_999, 100, (100, 100)),
        (LARGEST, 9_999, 1, (LARGEST - LARGEST * 9_999 // 10_000, LARGEST)),
        (LARGEST // 7 * 7, 9_999, 7, (10**13 + 4, LARGEST // 7 * 7)),
    ],
)
def test_the_collar_lies_on_the_tick_inward_and_inside_the_book(price, bps, tick, band):
    """Never below one tick, never beyond what the book can hold."""
    instrument = Instrument.blank(HOUSE, 0)
    instrument.tick, instrument.collar_bps = tick, bps
    assert band == Market(instrument).collar(price)


@pytest.mark.parametrize("price", [0, -wire(1), wire("100.005"), wire("100.00001"), 2**63 - 1])
def test_a_mark_is_a_price_like_any_other(price):
    """On the tick, positive, in range."""
    venue = trading_desk()
    assert code(venue.send(MarkInstrument("X", price))) in {"TICK_VIOLATION", "PRICE_PRECISION"}
    assert [] == venue.events


def test_a_new_instrument_is_closed():
    """Nothing trades before the first session begins."""
    venue = DeskHarness()
    venue.instrument("X", opened=False)
    assert Phase.CLOSED == venue.desk.markets.by_symbol["X"].instrument.phase


@pytest.mark.parametrize(
    "other",
    [{"tick": wire(1)}, {"lot": shares(2)}, {"calendar": "XNYS"}, {"asset_class": "crypto"}],
)
def test_a_symbol_is_listed_once_and_not_again_with_other_terms(other):
    """The same terms give the instrument that is there; a term that cannot change is compared."""
    venue = DeskHarness()
    venue.instrument("X", opened=False)

    assert venue.ok(venue.listing("X", name="another name")).duplicate
    assert "INSTRUMENT_EXISTS" == code(venue.send(venue.listing("X", **other)))

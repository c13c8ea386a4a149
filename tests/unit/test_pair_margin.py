"""Pair margin: shares held long and short of declared pairs bind the pair's rate."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.commands import CheckMargins, SetPairMargin, TransferPosition
from domain.events import MarginCalled, PairMarginSet
from domain.pair_margin import MOST_PAIRS, Hedgeable, Pair, Saved, saved_by
from domain.terms import AccountKind, Side, TriggerRule
from tests.model.desk_harness import DeskHarness, cents, code, shares
from tests.model.judged_log import judged
from tests.model.option_desk import OptionDesk, call
from tests.model.shown import Shown

BUY, SELL = Side.BUY, Side.SELL


class PairDesk(DeskHarness):
    """Two shares at 100, easy to borrow, a margin account `a` and a rich one `b`."""

    def __init__(self) -> None:
        super().__init__()
        for symbol in ("X", "Y"):
            self.instrument(symbol, shortable=True, trigger_rule=int(TriggerRule.MARK))
        self.b = self.account("b", 10_000_000, kind=AccountKind.MARGIN)
        for symbol in ("X", "Y"):
            self.hold(self.b, 10_000, symbol)
        self.a = self.account("a", 10_000, kind=AccountKind.MARGIN)

    def trade(self, side: Side, qty: int, symbol: str, price: int = 100) -> None:
        """Let `a` trade with `b`."""
        other = SELL if side == BUY else BUY
        assert "" == code(self.place(self.b, other, qty, price, symbol=symbol))
        assert "" == code(self.place(self.a, side, qty, price, symbol=symbol))
        assert self.trades()

    def bound(self) -> tuple[int, int]:
        """What the positions of `a` bind, as the desk has it and as its document says."""
        margin = self.desk.margin(self.a)
        document = Shown(self.log).account(self.a)
        assert f"{margin.initial / 100:.2f}" == document["initial_margin"]
        assert f"{margin.maintenance / 100:.2f}" == document["maintenance_margin"]
        return margin.initial, margin.maintenance


def hedged(bps: int = 1_000) -> PairDesk:
    """100 X long and 60 Y short, which hedge each other at a rate."""
    venue = PairDesk()
    venue.ok(SetPairMargin("X", "Y", bps))
    venue.trade(BUY, 100, "X")
    venue.trade(SELL, 60, "Y")
    return venue


def test_pair_margin_is_asked_of_what_hedges_and_the_ordinary_one_of_the_rest() -> None:
    """6,000 of each side hedge at a tenth; 4,000 of the long side bind half."""
    venue = hedged()

    assert (cents(600 + 600 + 2_000), cents(600 + 600 + 1_000)) == venue.bound()
    assert [] == judged(venue.log).violations()


def test_pair_margin_needs_both_sides() -> None:
    """Two longs of a pair hedge nothing."""
    venue = PairDesk()
    venue.ok(SetPairMargin("Y", "X", 1_000))
    venue.trade(BUY, 50, "X")
    venue.trade(BUY, 50, "Y")

    assert (cents(5_000), cents(2_500)) == venue.bound()


def test_pair_margin_is_never_above_the_ordinary_one() -> None:
    """A pair whose rate is higher asks for what the instruments do."""
    venue = hedged(bps=9_000)

    assert (cents(8_000), cents(4_000)) == venue.bound()


def test_pair_margin_ends_when_the_pair_does_and_the_account_is_called() -> None:
    """At a rate of 0 there is no pair, and who lived on it is asked for more."""
    venue = hedged()
    venue.mark(19, "X")
    venue.ok(CheckMargins())
    assert not venue.happened(MarginCalled)

    venue.ok(SetPairMargin("X", "Y", 0))
    # A quarter of 1,900 and 6,000, of which 1,900 are left.
    assert (cents(3_950), cents(1_975)) == venue.bound()
    venue.ok(CheckMargins())

    assert venue.happened(MarginCalled)
    assert [] == judged(venue.log).violations()


def test_pair_margin_of_one_side_that_is_closed_is_asked_for() -> None:
    """Who buys back what hedges must carry the other side alone; while that works it is bound."""
    venue = hedged()
    assert "" == code(venue.place(venue.a, BUY, 100, 90))

    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(venue.a, BUY, 60, 100, symbol="Y"))
    rich = hedged()
    before = rich.bound()[0]
    assert "" == code(rich.place(rich.a, BUY, 60, 100, symbol="Y"))
    # 2,400 were saved of each side.
    assert before + cents(4_800) == rich.bound()[0]
    assert [] == judged(rich.log).violations()


def test_pair_margin_of_shares_that_leave_is_asked_for() -> None:
    """The long side may not be taken away from the short one it hedges."""
    venue = PairDesk()
    venue.ok(SetPairMargin("X", "Y", 1_000))
    venue.hold(venue.a, 100, "X")
    venue.trade(SELL, 60, "Y")
    # 9,800 are missed when they leave, and 8,700 are free.
    assert "" == code(venue.place(venue.a, BUY, 180, 90))

    refused = venue.send(TransferPosition(venue.a, "X", -shares(100), 0, "out"))

    assert "INSUFFICIENT_BUYING_POWER" == code(refused)


BAD = (
    (SetPairMargin("X", "X", 1_000), "INVALID_FIELD", "other_symbol"),
    (SetPairMargin("X", "Y", 10_001), "INVALID_FIELD", "bps"),
    (SetPairMargin("X", "Y", -1), "INVALID_FIELD", "bps"),
    (SetPairMargin("X", "NONE", 1_000), "UNKNOWN_INSTRUMENT", "symbol"),
)


@pytest.mark.parametrize(("command", "refused", "field"), BAD)
def test_pair_margin_of_what_is_no_pair_is_refused_by_the_field(
    command: SetPairMargin, refused: str, field: str
) -> None:
    """Two listed shares at a rate of at most all of it."""
    reply = PairDesk().send(command)

    assert reply.refusal is not None
    assert refused == code(reply)
    assert field == reply.refusal.details.get("field", field)


def test_pair_margin_of_an_option_is_refused() -> None:
    """Options are looked at with what they are for."""
    venue = OptionDesk()

    assert "INVALID_FIELD" == code(venue.send(SetPairMargin("X", call(100), 1_000)))


def test_pair_margin_that_is_set_already_changes_nothing() -> None:
    """The same pair in either order is one."""
    venue = PairDesk()
    venue.ok(SetPairMargin("X", "Y", 1_000))

    venue.ok(SetPairMargin("Y", "X", 1_000))

    assert [] == venue.events
    assert 1 == len([event for event in venue.log if isinstance(event, PairMarginSet)])


def test_pair_margin_has_a_bound_on_pairs() -> None:
    """The venue's own state stays small."""
    venue = PairDesk()
    aggregate = venue.desk.accounts.venue
    ids = [(UUID(int=1 + 2 * n), UUID(int=2 + 2 * n), 1_000) for n in range(MOST_PAIRS)]
    aggregate.pairs = tuple(ids)
    venue.checked = False

    assert "INVALID_FIELD" == code(venue.send(SetPairMargin("X", "Y", 1_000)))


@given(
    st.dictionaries(
        st.integers(1, 5),
        st.builds(
            Hedgeable,
            st.integers(-(10**22), 10**22),
            st.integers(1, 15_000),
            st.integers(1, 15_000),
        ),
        max_size=5,
    ),
    st.lists(
        st.tuples(st.integers(1, 10_000), st.integers(1, 5), st.integers(1, 5)).filter(
            lambda one: one[1] < one[2]
        ),
        max_size=8,
    ),
)
def test_pair_margin_saves_no_more_than_what_is_bound(
    held: dict[int, Hedgeable], rows: list[tuple[int, int, int]]
) -> None:
    """Whatever pairs there are, in whichever order they are told."""
    pairs = [Pair(*row) for row in rows]
    saved = saved_by(pairs, held)
    cent = 10**19
    bound = Saved(
        sum(abs(one.value) * one.initial_bps for one in held.values()) // cent,
        sum(abs(one.value) * one.maintenance_bps for one in held.values()) // cent,
    )

    assert 0 <= saved.initial <= bound.initial
    assert 0 <= saved.maintenance <= bound.maintenance
    assert saved == saved_by(reversed(pairs), dict(reversed(held.items())))


def test_pair_margin_that_an_option_ends_is_held_for_it() -> None:
    """Shares with options are looked at with those alone: the first option pays for what that
    costs.
    """
    venue = OptionDesk(cash=30_000)
    venue.instrument("Y", shortable=True)
    venue.hold(venue.b, 100, "Y")
    venue.ok(SetPairMargin("X", "Y", 1_000))
    venue.trade(BUY, 100, 100, "X")
    venue.trade(SELL, 100, 100, "Y")
    free = venue.free()

    venue.place(venue.a, BUY, 1, 2, symbol=call(105))
    # 4,000 were saved of each side.
    assert cents(200 + 8_000) == venue.held()
    venue.place(venue.b, SELL, 1, 2, symbol=call(105))

    assert (0, free - cents(200 + 8_000)) == (venue.held(), venue.free())
    assert [] == judged(venue.log).violations()

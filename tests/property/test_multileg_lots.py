"""Property: what multi-leg orders opened and won is what a share by share count says."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple
from uuid import UUID

from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.money import QTY_UNIT
from domain.terms import Side
from projections.strategy_lots import Fill, Orders, Worth, lots_of

BUY, SELL = int(Side.BUY), int(Side.SELL)
INSTRUMENTS = [UUID(int=one) for one in (1, 2)]
WORTHS = {INSTRUMENTS[0]: Worth(4, 1), INSTRUMENTS[1]: Worth(2, 100)}
LEGS = {UUID(int=10 + one): (INSTRUMENTS[one % 2], BUY if one < 4 else SELL) for one in range(8)}
ALONE = [UUID(int=100), UUID(int=101)]
CLOSERS = {UUID(int=102): UUID(int=10), UUID(int=103): UUID(int=11)}
"""Orders that unwind a leg, one of each instrument."""


class Share(NamedTuple):
    """One whole unit that a leg has opened."""

    leg: UUID
    side: int
    price: int


def fills_of(drawn: list[tuple[int, int, int, int]]) -> list[Fill]:
    """Fills of legs, and of orders that are none, from numbers."""
    legs = list(LEGS)
    found = []
    for which, side, qty, price in drawn:
        if which < len(legs):
            instrument, own_side = LEGS[legs[which]]
            found.append(Fill(legs[which], instrument, own_side, qty * QTY_UNIT, price))
        else:
            place = which - len(legs)
            if place >= len(ALONE):
                place -= len(ALONE)
                closer = list(CLOSERS)[place]
                found.append(Fill(closer, INSTRUMENTS[place], SELL, qty * QTY_UNIT, price))
                continue
            found.append(Fill(ALONE[place], INSTRUMENTS[place], side, qty * QTY_UNIT, price))
    return found


Numbers = st.lists(
    st.tuples(
        st.integers(0, len(LEGS) + 3),
        st.sampled_from([BUY, SELL]),
        st.integers(1, 5),
        st.integers(0, 100_000),
    ),
    max_size=40,
)


@given(Numbers)
# What is unwound leaves the place of what others have open, and of what its own leg has left.
@example([(0, 1, 1, 0)] * 3 + [(2, 1, 1, 0), (0, 1, 1, 0), (10, 1, 3, 0), (4, 1, 1, 0)])
@settings(deadline=None)
def test_multileg_lots_are_those_of_a_count_share_by_share(
    drawn: list[tuple[int, int, int, int]],
) -> None:
    """Opened, open and won of every leg; what is nobody's is opened by nobody."""
    fills = fills_of(drawn)
    opened: dict[UUID, int] = {}
    won: dict[UUID, int] = {}
    holding: dict[UUID, deque[Share]] = {one: deque() for one in INSTRUMENTS}
    for fill in fills:
        shares = holding[fill.instrument_id]
        for _ in range(fill.qty // QTY_UNIT):
            if shares and shares[0].side != fill.side:
                wanted = CLOSERS.get(fill.order_id)
                mine = [one for one in shares if one.leg == wanted]
                share = mine[0] if mine else shares[0]
                shares.remove(share)
                gain = fill.price - share.price if share.side == BUY else share.price - fill.price
                won[share.leg] = won.get(share.leg, 0) + gain
            elif fill.order_id in LEGS:
                shares.append(Share(fill.order_id, fill.side, fill.price))
                opened[fill.order_id] = opened.get(fill.order_id, 0) + 1

    found = lots_of(fills, Orders({leg: side for leg, (_, side) in LEGS.items()}, CLOSERS), WORTHS)

    for leg, (instrument, side) in LEGS.items():
        lots = found.get(leg)
        mine = [one for one in holding[instrument] if one.leg == leg]
        if lots is None:
            assert leg not in opened and not mine
            continue
        worth = WORTHS[instrument]
        assert opened.get(leg, 0) * QTY_UNIT == lots.opened
        assert len(mine) * QTY_UNIT == lots.open_qty
        assert sum(worth.of(one.price, QTY_UNIT) for one in mine) == lots.cost
        assert worth.of(won.get(leg, 0), QTY_UNIT) == lots.realized
        sign = 1 if side == BUY else -1
        gains = sum(worth.of(sign * (500 - one.price), QTY_UNIT) for one in mine)
        assert gains == lots.unrealized(worth, 500)

"""Exits whose position changes under them: turned round, covered from outside, undone."""

from __future__ import annotations

import pytest

from application.commands import TransferPosition
from domain.terms import Side
from tests.model.desk_harness import shares
from tests.model.group_desk import GroupDesk, group_desk


@pytest.fixture
def venue() -> GroupDesk:
    """X and two cash accounts, `a` and `b`, with a million and 1000 shares each."""
    return group_desk(shortable=True)


def test_oco_of_a_short_shrinks_when_shares_come_in_from_outside(venue):
    """Five of ten shares owed arrive by transfer: the exits buy back the other five, no more."""
    margin = venue.margin_account("margin")
    venue.place(venue.a, Side.BUY, 10, 100)
    venue.place(margin, Side.SELL, 10, 100)
    legs = venue.legs(venue.oco(margin, Side.BUY, 10, 90, 110))

    reply = venue.ok(TransferPosition(margin, "X", shares(5), 0, "cover"))

    assert reply.result is not None
    assert (5, 5) == (venue.leaves(legs.take_profit), venue.leaves(legs.stop_loss))
    venue.ok(TransferPosition(margin, "X", shares(6), 0, "turn"))
    assert "canceled" == venue.status(legs.take_profit) == venue.status(legs.stop_loss)

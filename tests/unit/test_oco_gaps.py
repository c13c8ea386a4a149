"""Gaps: one auction whose prices pass both levels, under every rule and for either side."""

from collections.abc import Callable

import pytest

from application.commands import ChangeInstrument
from domain.events import GroupEnded, GroupStopTriggered, OrderFilled, OrderTriggered
from domain.terms import GroupEnd, Side, TriggerRule
from tests.model.desk_harness import shares
from tests.model.group_desk import GroupDesk, Legs, group_desk

BUY, SELL = Side.BUY, Side.SELL
Mirror = Callable[[int], int]
AUCTIONS = {
    "opening": (GroupDesk.close, GroupDesk.open),
    "resume": (GroupDesk.halt, GroupDesk.resume),
}


def mirror(exits: Side) -> Mirror:
    """Prices as they are for exits of a long position, turned round 100 for a short one."""
    return lambda price: price if exits == SELL else 200 - price


def gapped(rule: TriggerRule, auction: str, exits: Side, takers: int) -> tuple[GroupDesk, Legs]:
    """An oco at 110 and 90 meets an auction in which `takers` are bid for at 112, 50 at 80.

    The mark stands at 85. Where the last trade is the rule, another's stop that the auction
    elects prints 80 in the same step.
    """
    venue, at = group_desk(shortable=True), mirror(exits)
    others = BUY if exits == SELL else SELL
    crowd = [venue.margin_account(name) for name in ("c", "d", "e")]
    venue.place(crowd[0], others, 1, at(116))
    venue.place(crowd[1], exits, 1, at(116))
    if rule == TriggerRule.LAST_TRADE:
        venue.place(crowd[2], exits, 5, stop=at(115))
    venue.ok(ChangeInstrument("X", trigger_rule=int(rule)))
    begin, end = AUCTIONS[auction]
    begin(venue)
    legs = venue.legs(venue.oco(venue.a, exits, 10, at(110), at(90)))
    venue.place(venue.b, others, takers, at(112))
    venue.place(venue.b, others, 50, at(80))
    venue.mark(at(85))
    assert [] == venue.happened(OrderFilled, GroupStopTriggered), "the auction is to come"
    end(venue)
    return venue, legs


@pytest.mark.parametrize("exits", [SELL, BUY])
@pytest.mark.parametrize("auction", AUCTIONS)
@pytest.mark.parametrize(
    ("rule", "beyond"),
    [(TriggerRule.LAST_TRADE, 80), (TriggerRule.BID_ASK, 80), (TriggerRule.MARK, 85)],
)
def test_oco_gap_gives_the_take_profit_what_is_bid_and_the_stop_the_rest(
    rule, beyond, auction, exits
):
    """Four at the auction's price, six at 80, one decision, and the event has both prices."""
    venue, legs = gapped(rule, auction, exits, takers=4)
    at = mirror(exits)

    fills = [e for e in venue.happened(OrderFilled) if e.originator_id in legs]
    [first, second] = [(e.originator_id, e.qty) for e in fills]
    assert ((legs.take_profit, shares(4)), (legs.stop_loss, shares(6))) == (first, second)
    uncrossed = fills[0].price
    assert min(at(110), at(112)) * 10_000 <= uncrossed <= max(at(110), at(112)) * 10_000
    assert at(80) * 10_000 == fills[1].price
    [met] = venue.happened(GroupStopTriggered)
    seen = sorted([at(beyond) * 10_000, uncrossed])
    assert ([met.low_price, met.high_price], True, shares(6)) == (seen, met.gap, met.left)
    assert 1 == len({event.correlation_id for event in venue.events})


@pytest.mark.parametrize("exits", [SELL, BUY])
@pytest.mark.parametrize("rule", list(TriggerRule))
def test_oco_gap_that_the_take_profit_can_take_whole_runs_no_stop(rule, exits):
    """Ten are bid for at 112: nothing is left for the stop, whichever prices follow."""
    venue, legs = gapped(rule, "opening", exits, takers=10)

    [fill] = [e for e in venue.happened(OrderFilled) if e.originator_id in legs]
    assert (legs.take_profit, shares(10)) == (fill.originator_id, fill.qty)
    assert legs.stop_loss not in {e.originator_id for e in venue.happened(OrderTriggered)}
    assert [] == venue.happened(GroupStopTriggered)
    assert [GroupEnd.TAKE_PROFIT] == [e.reason for e in venue.happened(GroupEnded)]

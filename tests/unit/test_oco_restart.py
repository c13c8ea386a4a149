"""Working groups through restarts: between any two commands, from the log or from a snapshot."""

from collections.abc import Callable

import pytest

from application.commands import ChangeInstrument
from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.state import state_hash
from application.log.ports import Recorded
from domain.events import GroupEnded, OrderFilled
from domain.terms import SelfTrade, Side, TimeInForce, TriggerRule
from infrastructure.log.codec import encode_event
from tests.model.group_desk import GroupDesk, group_desk

BUY, SELL = Side.BUY, Side.SELL
Life = Callable[[GroupDesk], None]


def take_profit(venue: GroupDesk) -> None:
    """Filled in three parts, with a replace between."""
    legs = venue.legs(venue.oco(venue.a, SELL, 10, 110, 90))
    venue.place(venue.b, BUY, 3, 110)
    venue.replace(venue.a, legs.stop_loss, qty=12)
    venue.place(venue.b, BUY, 4, 110)
    venue.replace(venue.a, legs.take_profit, limit=109)
    venue.place(venue.b, BUY, 5, 110)


def stop_loss(venue: GroupDesk) -> None:
    """A partial take-profit, then stopped out into a resting limit, filled later."""
    venue.oco(venue.a, SELL, 10, 110, 90, stop_limit=90)
    venue.place(venue.b, BUY, 3, 110)
    c = venue.account("c")
    venue.place(c, BUY, 2, 90)
    venue.place(venue.b, SELL, 1, 90)
    venue.place(c, BUY, 9, 90)


def bracket(venue: GroupDesk) -> None:
    """An entry in parts, a night between, a partial exit, a stop."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 10, 110, 90, limit=100))
    venue.place(venue.b, SELL, 3, 100)
    venue.close()
    venue.open()
    venue.place(venue.b, SELL, 2, 100)
    venue.place(venue.b, BUY, 1, 110)
    venue.cancel(venue.a, legs.entry)
    venue.place(venue.b, BUY, 9, 89)
    venue.place(venue.account("c"), BUY, 1, 90)
    venue.place(venue.b, SELL, 1, 90, self_trade=SelfTrade.CANCEL_OLDEST)


def auction(venue: GroupDesk) -> None:
    """A gap through both levels at the open."""
    venue.ok(ChangeInstrument("X", trigger_rule=int(TriggerRule.MARK)))
    venue.oco(venue.a, SELL, 10, 110, 90)
    venue.close()
    venue.place(venue.b, BUY, 4, 112)
    venue.place(venue.b, BUY, 50, 80)
    venue.mark(85)
    venue.open()


def day(venue: GroupDesk) -> None:
    """Groups of the day expire; a position closed otherwise ends another."""
    venue.oco(venue.a, SELL, 10, 110, 90, tif=TimeInForce.DAY)
    account = venue.margin_account("m")
    venue.hold(account, 10)
    venue.oco(account, SELL, 10, 112, 88)
    venue.place(venue.b, BUY, 4, 100)
    venue.place(account, SELL, 4, 100)
    venue.close()
    venue.expire()
    venue.open()
    venue.place(venue.b, BUY, 6, 100)
    venue.place(account, SELL, 6, 100)


LIVES = [take_profit, stop_loss, bracket, auction, day]


def lived(life: Life, *, restarts: bool = False) -> GroupDesk:
    """A venue after one of these lives."""
    venue = group_desk(shortable=True, restarts=restarts)
    life(venue)
    return venue


@pytest.mark.parametrize("life", LIVES)
def test_oco_restarted_before_every_command_lives_the_same_life(life):
    """Killed between any two decisions it goes on to the same events, byte for byte."""
    straight, restarted = lived(life), lived(life, restarts=True)
    assert [encode_event(e) for e in straight.log] == [encode_event(e) for e in restarted.log]
    assert state_hash(straight.desk) == state_hash(restarted.desk)


@pytest.mark.parametrize("life", LIVES)
def test_oco_state_followed_up_to_any_command_is_the_state_it_had(life):
    """Every prefix of the log that ends with a command gives the desk of that moment."""
    venue = group_desk(shortable=True)
    seen: list[tuple[int, bytes]] = []
    check = venue.check

    def noted() -> None:
        check()
        seen.append((venue.desk.position, state_hash(venue.desk)))

    venue.check = noted  # type: ignore[method-assign]
    life(venue)
    for position, live in seen:
        desk = Desk()
        follow(desk, [Recorded(n, e) for n, e in enumerate(venue.log[:position], 1)])
        assert live == state_hash(desk)


@pytest.mark.parametrize("life", LIVES)
def test_oco_lives_end_without_orphans_and_without_double_fills(life):
    """When all is over no group works, no share is set aside, and nothing was sold twice."""
    venue = lived(life, restarts=True)
    assert {} == venue.desk.orders.groups
    assert not [order for order in venue.desk.orders.working.values() if order.leg]
    for tally in venue.tallies.values():
        assert tally.exited <= tally.exit_qty
    trades = [(e.trade_id, e.side) for e in venue.log if isinstance(e, OrderFilled)]
    assert len(trades) == len(set(trades))
    ends = [e.originator_id for e in venue.log if isinstance(e, GroupEnded)]
    assert len(ends) == len(set(ends)) == len(venue.tallies)
